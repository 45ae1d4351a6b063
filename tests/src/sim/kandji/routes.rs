//! The endpoints. Parameters that Kandji does not document are refused, so that a client that sends
//! `sort` instead of `ordering` is found out.

use serde_json::{Value, json};

use super::tenant::Tenant;
use crate::sim::{
    core::Verdict,
    fleet::Device,
    wire::{Ask, Reply},
};

/// What `ordering` may name.
const ORDERINGS: &[&str] = &[
    "asset_tag",
    "blueprint_id",
    "device_id",
    "device_name",
    "last_check_in",
    "model",
    "platform",
    "os_version",
    "serial_number",
    "user",
];

/// What the device list may be asked for.
const LIST_PARAMETERS: &[&str] = &[
    "limit",
    "offset",
    "ordering",
    "platform",
    "blueprint_id",
    "tag_name",
    "tag_name_in",
    "user_email_exact",
    "user_id",
    "serial_number",
    "device_name",
];

/// What the user list may be asked for.
const USER_PARAMETERS: &[&str] = &["email", "id", "integration_id", "archived", "cursor", "limit"];

/// What a category of Prism may be asked for.
const PRISM_PARAMETERS: &[&str] =
    &["blueprint_ids", "device_families", "filter", "sort_by", "limit", "cursor"];

/// Answers a request whose token is good and whose turn it is.
pub(crate) fn answer(tenant: &Tenant, ask: &Ask) -> Verdict {
    let Some(path) = ask.path.strip_prefix("/api/v1/") else { return not_found() };
    if ask.method != "GET" {
        return violation(405, format!("{} is not a method of this endpoint", ask.method));
    }
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["devices"] => devices(tenant, ask),
        ["devices", id] => one(tenant, ask, id, |tenant, position| tenant.devices[position].to_json()),
        ["devices", _, "details"] if !tenant.permit_details => forbidden(),
        ["devices", id, "details"] => one(tenant, ask, id, Tenant::details),
        ["prism", "device_information"] if !tenant.permit_prism => forbidden(),
        ["prism", "device_information"] => device_information(tenant, ask),
        ["users"] if !tenant.permit_users => forbidden(),
        ["users"] => users(tenant, ask),
        _ => not_found(),
    }
}

fn violation(status: u16, message: String) -> Verdict {
    Verdict { reply: Reply::json(status, &json!({ "detail": message })), violation: Some(message) }
}

fn not_found() -> Verdict {
    Reply::json(404, &json!({ "detail": "Not found." })).into()
}

fn forbidden() -> Verdict {
    Reply::json(403, &json!({ "detail": "You do not have permission to perform this action." })).into()
}

fn unknown_parameter(ask: &Ask, known: &[&str]) -> Option<Verdict> {
    let (name, _) = ask.query.iter().find(|(name, _)| !known.contains(&name.as_str()))?;
    Some(violation(400, format!("unknown query parameter {name:?}")))
}

fn number(ask: &Ask, name: &str, default: usize) -> Result<usize, Verdict> {
    let Some(text) = ask.param(name) else { return Ok(default) };
    text.parse().map_err(|_| violation(400, format!("{name} is not a number: {text:?}")))
}

fn one(tenant: &Tenant, ask: &Ask, id: &str, show: impl Fn(&Tenant, usize) -> Value) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, &[]) {
        return refusal;
    }
    match tenant.position(id) {
        Ok(position) => Reply::json(200, &show(tenant, position)).into(),
        Err(_) => not_found(),
    }
}

fn devices(tenant: &Tenant, ask: &Ask) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, LIST_PARAMETERS) {
        return refusal;
    }
    let (limit, offset) = match (number(ask, "limit", tenant.page_limit), number(ask, "offset", 0)) {
        (Ok(limit), Ok(offset)) => (limit.clamp(1, tenant.page_limit), offset),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    let ordering = ask.param("ordering").unwrap_or("-device_id");
    let (key, reverse) = ordering.strip_prefix('-').map_or((ordering, false), |key| (key, true));
    if !ORDERINGS.contains(&key) {
        return violation(400, format!("cannot order by {key:?}"));
    }
    let is_filtered =
        ask.query.iter().any(|(name, _)| !["limit", "offset", "ordering"].contains(&name.as_str()));
    if key == "device_id" && !reverse && !is_filtered {
        // The usual walk, which must stay quick with 100,000 devices: they are stored in this order.
        let from = offset.min(tenant.devices.len());
        let to = (from + limit).min(tenant.devices.len());
        return page(tenant.devices[from..to].iter());
    }
    let mut found: Vec<&Device> = tenant.devices.iter().filter(|device| passes(device, ask)).collect();
    if key != "device_id" {
        found.sort_by_cached_key(|device| device.to_json()[key].to_string());
    }
    if reverse {
        found.reverse();
    }
    page(found.into_iter().skip(offset).take(limit))
}

fn page<'a>(devices: impl Iterator<Item = &'a Device>) -> Verdict {
    let devices: Vec<&Device> = devices.collect();
    match serde_json::to_vec(&devices) {
        Ok(body) => Reply::bytes(200, "application/json", body).into(),
        Err(error) => Reply::json(500, &json!({ "error": error.to_string() })).into(),
    }
}

/// Whether a device passes the filters of a list request.
fn passes(device: &Device, ask: &Ask) -> bool {
    ask.query.iter().all(|(name, value)| {
        let person = device.user.person();
        let has_tag = |wanted: &str| device.tags.iter().flatten().any(|tag| tag == wanted);
        match name.as_str() {
            "platform" => device.platform == *value,
            "blueprint_id" => device.blueprint_id == *value,
            "tag_name" => has_tag(value),
            "tag_name_in" => value.split(',').any(has_tag),
            "user_email_exact" => person.and_then(|person| person.email.as_deref()) == Some(value),
            "user_id" => person.and_then(super::super::fleet::Person::id_text).as_deref() == Some(value),
            "serial_number" => device.serial_number.contains(value.as_str()),
            "device_name" => device.device_name.contains(value.as_str()),
            _ => true,
        }
    })
}

/// The user list: a keyset cursor, and a `next` that names the console host.
fn users(tenant: &Tenant, ask: &Ask) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, USER_PARAMETERS) {
        return refusal;
    }
    let limit = match number(ask, "limit", tenant.page_limit) {
        Ok(limit) => limit.clamp(1, tenant.page_limit),
        Err(refusal) => return refusal,
    };
    let start = match ask.param("cursor") {
        None => 0,
        Some(cursor) => match cursor.strip_prefix("cD0").and_then(|text| text.parse().ok()) {
            Some(start) => start,
            None => return violation(400, format!("no such cursor: {cursor:?}")),
        },
    };
    let matching: Vec<_> = tenant
        .people
        .iter()
        .filter(|person| {
            ask.param("email").is_none_or(|email| person.email.as_deref() == Some(email))
                && ask.param("id").is_none_or(|id| person.id_text().as_deref() == Some(id))
                && ask.param("archived").is_none_or(|flag| flag == person.is_archived.to_string())
        })
        .collect();
    let results: Vec<Value> = matching
        .iter()
        .skip(start)
        .take(limit)
        .map(|person| {
            json!({
                "id": person.id_text(),
                "deprecated_user_id": person.id_text().filter(|id| id.chars().all(|c| c.is_ascii_digit())),
                "name": person.name,
                "email": person.email,
                "active": !person.is_archived,
                "archived": person.is_archived,
                "department": null,
                "job_title": null,
                "device_count": tenant.devices.iter().filter(|d| d.user.person() == Some(*person)).count(),
                "integration": null,
                "created_at": "2024-09-06T21:00:04.304248Z",
                "updated_at": "2024-09-06T21:00:04.304280Z",
            })
        })
        .collect();
    let end = start + results.len();
    let next = (end < matching.len()).then(|| format!("https://acme.kandji.io/api/v1/users?cursor=cD0{end}"));
    Reply::json(200, &json!({ "next": next, "previous": null, "results": results })).into()
}

/// Prism's device information: a row a device, with a cursor to the next page.
fn device_information(tenant: &Tenant, ask: &Ask) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, PRISM_PARAMETERS) {
        return refusal;
    }
    let limit = match number(ask, "limit", tenant.page_limit) {
        Ok(limit) => limit.clamp(1, tenant.page_limit),
        Err(refusal) => return refusal,
    };
    let start = match ask.param("cursor").map(|cursor| cursor.strip_prefix("b2Zm").map(str::parse)) {
        None => 0,
        Some(Some(Ok(start))) => start,
        Some(_) => return violation(400, "no such cursor".to_owned()),
    };
    let since = match ask.param("filter").map(serde_json::from_str::<Value>) {
        None => None,
        Some(Ok(filter)) => match filter.pointer("/updated_at/gte").and_then(Value::as_str).map(str::parse) {
            Some(Ok(since)) => Some(since),
            _ => return violation(400, format!("this simulator knows no such filter: {filter}")),
        },
        Some(Err(error)) => return violation(400, format!("the filter is no JSON: {error}")),
    };
    let updated = |device: &Device| {
        let at = device.last_check_in.as_deref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        at.unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    };
    let passing = |position: &usize| since.is_none_or(|since| updated(&tenant.devices[*position]) >= since);
    let positions: Vec<usize> = (0..tenant.devices.len()).filter(passing).collect();
    let data = positions.iter().skip(start).take(limit).map(|position| {
        let device = &tenant.devices[*position];
        let details = tenant.details(*position);
        let of = |pointer: &str| details.pointer(pointer).filter(|value| *value != "").cloned();
        // As a sample shows: of an iPad, Prism has a model where the details have none.
        let model_name = of("/hardware_overview/model_name").unwrap_or_else(|| json!(device.model));
        json!({
            "device_id": device.device_id,
            "device__name": device.device_name,
            "device__family": if device.platform == "AppleTV" { "tvOS" } else { &device.platform },
            "serial_number": device.serial_number,
            "model_name": model_name,
            "model_identifier": null,
            "local_hostname": of("/network/local_hostname"),
            "os_version": device.os_version,
            "updated_at": updated(device).to_string(),
        })
    });
    let data: Vec<Value> = data.collect();
    let end = start + data.len();
    let next = (end < positions.len()).then(|| format!("b2Zm{end}"));
    Reply::json(200, &json!({ "offset": null, "limit": limit, "total": null, "data": data, "cursor": next }))
        .into()
}
