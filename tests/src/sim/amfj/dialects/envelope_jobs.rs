//! `envelope-jobs`: OAuth, records keyed by id within envelopes, addresses of next pages, JSON Patch, writes as jobs, one
//! endpoint for actions, people by email, times in milliseconds.

use serde_json::{Map, Value, json};

use super::jobs;
use super::words::{Dates, Forms, all_fields, escaped, slug, unescaped};
use super::{
    asked, created, members, place_id, refusal, refused_with, said, type_id, with_body, without_nulls,
};
use crate::sim::amfj::store::Store;
use crate::sim::core::Heard;
use crate::sim::fleet::{FieldKind, FieldSpec};
use crate::sim::personality::Oddity;
use crate::sim::wire::{Ask, Reply};

const FORMS: Forms = Forms { yes: "yes", no: "no", numbers_as_text: false, date: Dates::Milliseconds };

/// Seconds for which an access token is good.
const GOOD_FOR: u64 = 60;

pub(super) fn hear(store: &mut Store, ask: &Ask) -> Heard {
    if ask.path == "/oauth/token" {
        return Heard::Answer(token(store, ask));
    }
    let mut ask = ask.clone();
    ask.authorization = ask.authorization.as_ref().map(|said| secret_of(store, said));
    let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let path = unescaped(ask.path.strip_prefix("/v1/v3/").unwrap_or_default());
    let parts: Vec<&str> = path.split('/').collect();
    let attributes = &body["attributes"];
    match (ask.method.as_str(), parts.as_slice()) {
        ("GET", ["jobs", number]) => {
            let job = number.parse().ok().and_then(|number| store.spoken.jobs.shown(number));
            Heard::Answer(job.map_or_else(
                || Reply::json(410, &json!({ "title": "no such job" })),
                |job| Reply::json(200, &job),
            ))
        }
        ("GET", ["assets"]) => Heard::Ask(page(&ask, "assets", "name")),
        ("GET", ["people"]) => Heard::Ask(page(&ask, "users", "email")),
        ("GET", ["assets", id]) => Heard::Ask(asked(&ask, "GET", &format!("assets/{id}"), &[], None)),
        ("GET", ["people", id]) => Heard::Ask(asked(&ask, "GET", &format!("users/{id}"), &[], None)),
        ("POST", ["assets"]) => {
            let new = json!({
                "name": attributes["name"], "asset_type_id": type_id(store, &attributes["type"]),
                "location_id": place_id(store, &attributes["site"]), "fields": custom(store, &attributes["custom"], false),
            });
            Heard::Ask(asked(&ask, "POST", "assets", &[], Some(&without_nulls(&new))))
        }
        ("POST", ["people"]) => {
            let fields = custom(store, &attributes["custom"], true);
            let new = json!({ "name": attributes["name"], "email": attributes["email"], "fields": fields });
            Heard::Ask(asked(&ask, "POST", "users", &[], Some(&without_nulls(&new))))
        }
        ("PATCH", ["assets", id]) => patch(store, &ask, &format!("assets/{id}"), &body, false),
        ("PATCH", ["people", id]) => patch(store, &ask, &format!("users/{id}"), &body, true),
        ("POST", ["actions"]) => action(store, &ask, &body),
        ("GET", ["types"] | ["types", _, "fields"]) => {
            Heard::Ask(asked(&ask, "GET", "asset-types", &[], None))
        }
        ("GET", ["sites"]) => Heard::Ask(asked(&ask, "GET", "locations", &[], None)),
        ("GET", ["people-fields"]) => Heard::Ask(asked(&ask, "GET", "user-fields", &[], None)),
        (method, _) => Heard::Unknown(format!("envelope-jobs has no {method} {}", ask.path)),
    }
}

/// Client credentials are given for an access token that is good for a while.
fn token(store: &mut Store, ask: &Ask) -> Reply {
    let text = String::from_utf8_lossy(&ask.body).into_owned();
    let form: Vec<(String, String)> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let sent = |name: &str| form.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
    let is_whole = sent("grant_type").as_deref() == Some("client_credentials") && sent("client_id").is_some();
    let Some(secret) = sent("client_secret").filter(|_| is_whole && ask.method == "POST") else {
        return Reply::json(400, &json!({ "error": "invalid_request" }));
    };
    let number = store.spoken.number();
    let access = format!("access-{number}-{}", uuid::Uuid::new_v4().simple());
    store.spoken.access.insert(access.clone(), secret);
    Reply::json(200, &json!({ "access_token": access, "token_type": "Bearer", "expires_in": GOOD_FOR }))
}

/// The secret that an access token was given for, as the contract takes it.
fn secret_of(store: &Store, said: &str) -> String {
    let access = said.strip_prefix("Bearer ").unwrap_or_default();
    store
        .spoken
        .access
        .get(access)
        .map_or_else(|| "Bearer none".to_owned(), |secret| format!("Bearer {secret}"))
}

fn page(ask: &Ask, path: &str, filter: &'static str) -> Ask {
    let mut query = Vec::new();
    if let Some(wanted) = ask.param(&format!("filter[{filter}]")) {
        query.push((filter, wanted.to_owned()));
    } else if let Some(size) = ask.param("page[size]") {
        query.push(("limit", size.to_owned()));
    }
    if let Some(after) = ask.param("page[after]") {
        query.push(("cursor", after.to_owned()));
    }
    asked(ask, "GET", path, &query, None)
}

fn action(store: &Store, ask: &Ask, body: &Value) -> Heard {
    let id = body["asset"].as_str().unwrap_or_default();
    match body["action"].as_str() {
        Some("assign") => {
            let email = body["assignee"].as_str().map(|email| email.trim().to_lowercase());
            let has = |own: &Option<String>| {
                own.as_ref().map(|own| own.trim().to_lowercase()) == email && email.is_some()
            };
            let user = store.users.live().values().find(|user| has(&user.email)).map(|user| user.id.clone());
            let out = json!({ "user_id": user.unwrap_or_default() });
            Heard::Ask(asked(ask, "POST", &format!("assets/{id}/check-out"), &[], Some(&out)))
        }
        Some("unassign") => {
            Heard::Ask(asked(ask, "POST", &format!("assets/{id}/check-in"), &[], Some(&json!({}))))
        }
        other => Heard::Unknown(format!("envelope-jobs has no action {other:?}")),
    }
}

fn patch(store: &Store, ask: &Ask, path: &str, operations: &Value, of_people: bool) -> Heard {
    let Some(operations) = operations.as_array() else {
        return Heard::Unknown("a JSON Patch is a list of operations".to_owned());
    };
    let (mut changes, mut fields) = (Map::new(), Map::new());
    for operation in operations {
        let place = operation["path"].as_str().unwrap_or_default();
        let value = if operation["op"] == "remove" { Value::Null } else { operation["value"].clone() };
        match place.strip_prefix("/attributes/") {
            Some("name") => drop(changes.insert("name".to_owned(), value)),
            Some("email") if of_people => drop(changes.insert("email".to_owned(), value)),
            Some("site") if !of_people => {
                drop(changes.insert("location_id".to_owned(), place_id(store, &value)));
            }
            Some("custom") => fields.extend(custom(store, &value, of_people)),
            Some(rest) if rest.starts_with("custom/") => {
                let key = rest["custom/".len()..].replace("~1", "/").replace("~0", "~");
                let field = spec_of(store, &key, of_people);
                let name = field.as_ref().map_or(key, |field| field.name.clone());
                fields.insert(name, FORMS.read(field.as_ref(), &value));
            }
            _ => return Heard::Unknown(format!("nothing can be written at {place:?}")),
        }
    }
    if !fields.is_empty() {
        changes.insert("fields".to_owned(), json!(fields));
    }
    Heard::Ask(asked(ask, "PATCH", path, &[], Some(&Value::Object(changes))))
}

fn spec_of(store: &Store, key: &str, of_people: bool) -> Option<FieldSpec> {
    all_fields(store, of_people).into_iter().find(|spec| slug(&spec.name) == key)
}

fn custom(store: &Store, custom: &Value, of_people: bool) -> Map<String, Value> {
    let read = |(key, value): (String, Value)| {
        let spec = spec_of(store, &key, of_people);
        let name = spec.as_ref().map_or(key, |spec| spec.name.clone());
        (name, FORMS.read(spec.as_ref(), &value))
    };
    members(custom).into_iter().map(read).collect()
}

fn shown_fields(store: &Store, record: &Value, of_people: bool) -> Value {
    let write = |(name, value): (String, Value)| {
        let spec = all_fields(store, of_people).into_iter().find(|spec| spec.name == name);
        (slug(&name), FORMS.write(spec.as_ref(), &value))
    };
    Value::Object(members(&record["fields"]).into_iter().map(write).collect())
}

fn asset(store: &Store, asset: &Value) -> Value {
    let holder = &asset["checked_out_to"];
    let user = holder["id"].as_str().and_then(|id| store.users.get(id));
    let mut attributes = members(&json!({
        "name": asset["name"], "type": asset["asset_type"]["name"], "custom": shown_fields(store, asset, false),
    }));
    if !asset["location"].is_null() {
        attributes.insert("site".to_owned(), asset["location"]["name"].clone());
    }
    if !holder.is_null() {
        let email = user.and_then(|user| user.email.clone());
        attributes.insert("assignee".to_owned(), json!({ "email": email, "name": holder["name"] }));
    }
    json!({ "id": asset["id"], "attributes": attributes, "meta": { "created": created(asset).map(jiff::Timestamp::as_millisecond) } })
}

fn person(store: &Store, user: &Value) -> Value {
    let mut meta = Map::new();
    if user["source"] == "jira" {
        meta.insert("managed_by".to_owned(), json!("atlassian"));
    }
    let attributes =
        json!({ "name": user["name"], "email": user["email"], "custom": shown_fields(store, user, true) });
    json!({ "id": user["id"], "attributes": attributes, "meta": meta })
}

fn definition(spec: &FieldSpec) -> Value {
    let kind = match spec.kind {
        FieldKind::Text => "string",
        FieldKind::Number => "number",
        FieldKind::Boolean => "boolean",
        FieldKind::Date => "date",
        FieldKind::Select => "enum",
        FieldKind::Url => "uri",
        FieldKind::Email => "email",
    };
    json!({ "attributes": { "title": spec.name, "schema": { "type": kind, "required": spec.required, "enum": spec.options } } })
}

fn keyed(records: impl Iterator<Item = (String, Value)>) -> Value {
    json!({ "records": records.collect::<Map<String, Value>>(), "links": {} })
}

pub(super) fn say(store: &mut Store, (wire, own, met): (&Ask, &Ask, &[Oddity]), reply: Reply) -> Reply {
    let Some(body) = said(&reply) else { return reply };
    if let Some((code, message, field)) = refusal(&body) {
        let refused = refused(reply, &code, &message, field.as_deref());
        let is_in_job = jobs::refuse(met) && is_job(wire, own);
        return if is_in_job { fail(store, met, &refused) } else { refused };
    }
    let path = unescaped(wire.path.strip_prefix("/v1/v3/").unwrap_or_default());
    let rows = body["results"].as_array().cloned();
    let parts: Vec<&str> = path.split('/').collect();
    let named = |row: &Value| {
        let name = row["name"].as_str().unwrap_or_default().to_owned();
        (name.clone(), json!({ "attributes": { "name": name } }))
    };
    let body = match (parts.as_slice(), rows) {
        (["assets"], Some(rows)) => list(wire, &body, rows.iter().map(|row| asset(store, row))),
        (["people"], Some(rows)) => list(wire, &body, rows.iter().map(|row| person(store, row))),
        (["types" | "sites"], Some(rows)) => keyed(rows.iter().map(named)),
        (["types", name, "fields"], Some(_)) => {
            let kind = store.asset_types.iter().find(|kind| kind.name == *name || kind.id == *name);
            let fields = kind.map(|kind| kind.fields.clone()).unwrap_or_default();
            keyed(fields.iter().map(|spec| (slug(&spec.name), definition(spec))))
        }
        (["people-fields"], Some(_)) => {
            keyed(all_fields(store, true).iter().map(|spec| (slug(&spec.name), definition(spec))))
        }
        _ if is_job(wire, own) => {
            let ended = json!({ "state": "succeeded", "result": { "id": body["id"] } });
            return begin(store, met, ended);
        }
        (["people", ..], _) => json!({ "record": person(store, &body) }),
        _ => json!({ "record": asset(store, &body) }),
    };
    with_body(reply, &body)
}

/// Whether it is answered before it is done: assets are created and changed by jobs.
fn is_job(wire: &Ask, own: &Ask) -> bool {
    wire.path.starts_with("/v1/v3/assets") && own.method != "GET"
}

/// What a job is refused with that was accepted.
fn fail(store: &mut Store, met: &[Oddity], refused: &Reply) -> Reply {
    let why: Value = serde_json::from_slice(&refused.body).unwrap_or_default();
    begin(store, met, json!({ "state": "failed", "error": why }))
}

fn begin(store: &mut Store, met: &[Oddity], ended: Value) -> Reply {
    let number = store.spoken.number();
    store.spoken.jobs.begin(number, ended, met);
    Reply::json(202, &json!({ "job": format!("/v1/v3/jobs/{number}") }))
}

fn list(wire: &Ask, body: &Value, records: impl Iterator<Item = Value>) -> Value {
    let mut shown =
        keyed(records.map(|record| (record["id"].as_str().unwrap_or_default().to_owned(), record)));
    if let Some(next) = body["next_cursor"].as_str() {
        let size = wire.param("page[size]").unwrap_or("100");
        shown["links"]["next"] =
            json!(format!("{}?page%5Bsize%5D={size}&page%5Bafter%5D={}", wire.path, escaped(next)));
    }
    shown
}

fn refused(reply: Reply, code: &str, message: &str, field: Option<&str>) -> Reply {
    let status = match (reply.status, code) {
        (404, _) => 410,
        (409, _) => 412,
        (429, _) => 420,
        (status, _) => status,
    };
    let mut body = json!({ "title": message });
    if let Some(field) = field {
        body["problems"] = json!({ slug(field): message });
    }
    match refused_with(reply, status, &body) {
        (said, Some(seconds)) => {
            let at = jiff::Timestamp::now().as_second().saturating_add_unsigned(seconds);
            said.with("x-quota-left", "0").with("x-quota-reset", at.to_string())
        }
        (said, None) => said,
    }
}
