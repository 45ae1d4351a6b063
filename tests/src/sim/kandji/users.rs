//! `GET /users`, which needs a permission of its own: a keyset cursor, and a `next` that names the console host.

use serde_json::{Value, json};

use super::{
    filters::made_up_id,
    routes::{not_found, number, unknown_parameter, violation},
    tenant::Tenant,
};
use crate::sim::{
    core::Verdict,
    fleet::Person,
    wire::{Ask, Reply},
};

/// What the list may be asked for. The size of a page is not called `limit` here.
const PARAMETERS: &[&str] = &["email", "id", "integration_id", "archived", "cursor", "sizePerPage"];

/// All users, page by page.
pub(super) fn list(tenant: &Tenant, ask: &Ask) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, |name| PARAMETERS.contains(&name)) {
        return refusal;
    }
    let size = match number(ask, "sizePerPage", tenant.page_limit) {
        Ok(size) => size.clamp(1, tenant.page_limit),
        Err(refusal) => return refusal,
    };
    let start = match ask.param("cursor") {
        None => 0,
        Some(cursor) => match cursor.strip_prefix("cD0").and_then(|text| text.parse().ok()) {
            Some(start) => start,
            None => return violation(400, format!("no such cursor: {cursor:?}")),
        },
    };
    let matching: Vec<&Person> = tenant.people.iter().filter(|person| is_meant(person, ask)).collect();
    let results: Vec<Value> =
        matching.iter().skip(start).take(size).map(|person| shown(tenant, person)).collect();
    let end = start + results.len();
    let next = (end < matching.len()).then(|| {
        let size = ask.param("sizePerPage").map(|_| format!("&sizePerPage={size}")).unwrap_or_default();
        format!("https://acme.kandji.io/api/v1/users?cursor=cD0{end}{size}")
    });
    Reply::json(200, &json!({ "next": next, "previous": null, "results": results })).into()
}

/// One user.
pub(super) fn one(tenant: &Tenant, ask: &Ask, id: &str) -> Verdict {
    if let Some(refusal) = unknown_parameter(ask, |_| false) {
        return refusal;
    }
    match tenant.people.iter().find(|person| Ids::of(person).uuid == id) {
        Some(person) => Reply::json(200, &shown(tenant, person)).into(),
        None => not_found(),
    }
}

fn is_meant(person: &Person, ask: &Ask) -> bool {
    ask.param("email").is_none_or(|email| person.email.as_deref() == Some(email))
        && ask.param("id").is_none_or(|id| Ids::of(person).uuid == id)
        && ask
            .param("archived")
            .is_none_or(|flag| flag.eq_ignore_ascii_case(&person.is_archived.to_string()))
        // Nobody in a simulated tenant comes from a directory.
        && ask.param("integration_id").is_none()
}

/// Both ids of a user: this list has the new one first, whatever devices show.
struct Ids {
    uuid: String,
    deprecated: String,
}

impl Ids {
    fn of(person: &Person) -> Self {
        let own = person.id_text().unwrap_or_else(|| made_up_id(&(&person.name, &person.email)));
        if own.chars().all(|character| character.is_ascii_digit()) {
            return Self { uuid: made_up_id(&own), deprecated: own };
        }
        let digits = own.bytes().fold(7_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 90_000);
        Self { deprecated: (digits + 10_000).to_string(), uuid: own }
    }
}

fn shown(tenant: &Tenant, person: &Person) -> Value {
    let Ids { uuid, deprecated } = Ids::of(person);
    json!({
        "id": uuid,
        "deprecated_user_id": deprecated,
        "name": person.name,
        "email": person.email,
        "active": !person.is_archived,
        "archived": person.is_archived,
        "department": null,
        "job_title": null,
        "device_count": tenant.devices.iter().filter(|device| device.user.person() == Some(person)).count(),
        "integration": null,
        "created_at": "2024-09-06T21:00:04.304248Z",
        "updated_at": "2024-09-06T21:00:04.304280Z",
    })
}
