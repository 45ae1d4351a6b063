//! The endpoints. Parameters that Kandji does not document are refused, so that a client that sends
//! `sort` instead of `ordering` is found out.

use serde_json::{Value, json};

use super::{filters, tenant::Tenant, users};
use crate::sim::{
    core::Verdict,
    fleet::{Device, Form, written_at},
    wire::{Ask, Reply},
};

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
        ["users", ..] if !tenant.permit_users => forbidden(),
        ["users"] => users::list(tenant, ask),
        ["users", id] => users::one(tenant, ask, id),
        _ => not_found(),
    }
}

pub(super) fn violation(status: u16, message: String) -> Verdict {
    Verdict { reply: Reply::json(status, &json!({ "detail": message })), violation: Some(message) }
}

pub(super) fn not_found() -> Verdict {
    Reply::json(404, &json!({ "detail": "Not found." })).into()
}

fn forbidden() -> Verdict {
    Reply::json(403, &json!({ "detail": "You do not have permission to perform this action." })).into()
}

/// The refusal of the first parameter that is not documented.
pub(super) fn unknown_parameter(ask: &Ask, is_known: impl Fn(&str) -> bool) -> Option<Verdict> {
    let (name, _) = ask.query.iter().find(|(name, _)| !is_known(name))?;
    Some(violation(400, format!("unknown query parameter {name:?}")))
}

pub(super) fn number(ask: &Ask, name: &str, default: usize) -> Result<usize, Verdict> {
    let Some(text) = ask.param(name) else { return Ok(default) };
    text.parse().map_err(|_| violation(400, format!("{name} is not a number: {text:?}")))
}

fn one(tenant: &Tenant, ask: &Ask, id: &str, show: impl Fn(&Tenant, usize) -> Value) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, |_| false) {
        return refusal;
    }
    match tenant.position(id) {
        Ok(position) => Reply::json(200, &show(tenant, position)).into(),
        Err(_) => not_found(),
    }
}

fn devices(tenant: &Tenant, ask: &Ask) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, filters::is_documented) {
        return refusal;
    }
    let (limit, offset) = match (number(ask, "limit", tenant.page_limit), number(ask, "offset", 0)) {
        (Ok(limit), Ok(offset)) => (limit.clamp(1, tenant.page_limit), offset),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal,
    };
    let ordering = ask.param("ordering").unwrap_or("-device_id");
    if let Some(key) = filters::unknown_order(ordering) {
        return violation(400, format!("cannot order by {key:?}"));
    }
    if ordering == "device_id" && !filters::is_filtered(ask) {
        // The usual walk, which must stay quick with 100,000 devices: they are stored in this order.
        let from = offset.min(tenant.devices.len());
        let to = (from + limit).min(tenant.devices.len());
        return page(tenant.devices[from..to].iter(), tenant.devices.len(), limit);
    }
    let mut found = filters::passing(tenant, ask);
    filters::sort(tenant, &mut found, ordering);
    let rows = found.iter().skip(offset).take(limit).map(|position| &tenant.devices[*position]);
    page(rows, found.len(), limit)
}

/// One page, with the headers that were recorded beside it. Their `<None>` is no address.
fn page<'a>(devices: impl Iterator<Item = &'a Device>, total: usize, limit: usize) -> Verdict {
    let devices: Vec<&Device> = devices.collect();
    match serde_json::to_vec(&devices) {
        Ok(body) => Reply::bytes(200, "application/json", body)
            .with("link", "<None>; rel=\"next\", <None>; rel=\"prev\"")
            .with("x-total-count", total.to_string())
            .with("x-total-pages", total.div_ceil(limit).max(1).to_string())
            .into(),
        Err(error) => Reply::json(500, &json!({ "error": error.to_string() })).into(),
    }
}

/// Prism's device information: a row a device, with a cursor to the next page.
fn device_information(tenant: &Tenant, ask: &Ask) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, |name| PRISM_PARAMETERS.contains(&name)) {
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
            "updated_at": written_at(updated(device), Form::Offset),
        })
    });
    let data: Vec<Value> = data.collect();
    let end = start + data.len();
    let next = (end < positions.len()).then(|| format!("b2Zm{end}"));
    Reply::json(200, &json!({ "offset": null, "limit": limit, "total": null, "data": data, "cursor": next }))
        .into()
}
