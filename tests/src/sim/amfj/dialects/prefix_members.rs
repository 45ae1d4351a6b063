//! `prefix-members`: the token in the query, bare arrays, page numbers with a total in a header, fields beside the other
//! members, one request a field, the holder as a member, texts as HTML, records named by names.

use serde_json::{Map, Value, json};

use super::words::{Dates, Forms, all_fields, cursor_after, slug};
use super::{
    asked, created, members, place_id, refusal, refused_with, said, total, type_id, with_body, without_nulls,
};
use crate::sim::amfj::store::Store;
use crate::sim::core::Heard;
use crate::sim::fleet::FieldSpec;
use crate::sim::wire::{Ask, Reply};

const FORMS: Forms = Forms { yes: "1", no: "0", numbers_as_text: true, date: Dates::Iso };
const PREFIX: &str = "cf_";

pub(super) fn hear(store: &Store, ask: &Ask) -> Heard {
    let mut ask = ask.clone();
    ask.authorization = ask.param("api_key").map(|key| format!("Bearer {key}"));
    let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let path = ask.path.strip_prefix("/v1/").unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    match (ask.method.as_str(), parts.as_slice()) {
        ("GET", ["rows", "assets"]) => Heard::Ask(page(&ask, "assets", "a", store.assets.live().keys())),
        ("GET", ["rows", "people"]) => Heard::Ask(page(&ask, "users", "u", store.users.live().keys())),
        ("GET", ["rows", "assets", id]) => Heard::Ask(asked(&ask, "GET", &format!("assets/{id}"), &[], None)),
        ("POST", ["rows", "assets"]) => {
            let new = json!({
                "name": body["asset_name"], "asset_type_id": type_id(store, &body["type"]),
                "location_id": place_id(store, &body["location"]), "fields": fields(store, &body, false),
            });
            Heard::Ask(asked(&ask, "POST", "assets", &[], Some(&without_nulls(&new))))
        }
        ("PATCH", ["rows", "assets", id]) => Heard::Ask(update(store, &ask, id, &body)),
        ("PUT", ["rows", "assets", id, column]) => {
            let fields = json!({ "fields": one(store, column, &body["value"], false) });
            Heard::Ask(asked(&ask, "PATCH", &format!("assets/{id}"), &[], Some(&fields)))
        }
        ("POST", ["rows", "people"]) => {
            let new = json!({ "name": body["full_name"], "email": body["mail"], "fields": fields(store, &body, true) });
            Heard::Ask(asked(&ask, "POST", "users", &[], Some(&without_nulls(&new))))
        }
        ("PATCH", ["rows", "people", id]) => {
            let wanted = [("full_name", "name"), ("mail", "email")];
            let changes: Map<String, Value> = wanted
                .iter()
                .filter_map(|(theirs, ours)| Some(((*ours).to_owned(), cleared(body.get(*theirs)?))))
                .collect();
            Heard::Ask(asked(&ask, "PATCH", &format!("users/{id}"), &[], Some(&Value::Object(changes))))
        }
        ("PUT", ["rows", "people", id, column]) => {
            let fields = json!({ "fields": one(store, column, &body["value"], true) });
            Heard::Ask(asked(&ask, "PATCH", &format!("users/{id}"), &[], Some(&fields)))
        }
        ("GET", ["rows", "types"] | ["rows", "columns", "assets"]) => {
            Heard::Ask(asked(&ask, "GET", "asset-types", &[], None))
        }
        ("GET", ["rows", "locations"]) => Heard::Ask(asked(&ask, "GET", "locations", &[], None)),
        ("GET", ["rows", "columns", "people"]) => Heard::Ask(asked(&ask, "GET", "user-fields", &[], None)),
        (method, _) => Heard::Unknown(format!("prefix-members has no {method} {path}")),
    }
}

/// What is written to an asset; its holder is a member like any other, and taken over from whoever has it.
fn update(store: &Store, ask: &Ask, id: &str, body: &Value) -> Ask {
    if let Some(holder) = body.get("holder") {
        return match holder.as_str().filter(|to| !to.is_empty()) {
            Some(to) => {
                asked(ask, "POST", &format!("assets/{id}/check-out"), &[], Some(&json!({ "user_id": to })))
            }
            None => asked(ask, "POST", &format!("assets/{id}/check-in"), &[], Some(&json!({}))),
        };
    }
    let mut patch = Map::new();
    if let Some(name) = body.get("asset_name") {
        patch.insert("name".to_owned(), name.clone());
    }
    if let Some(place) = body.get("location") {
        patch.insert("location_id".to_owned(), place_id(store, place));
    }
    let fields = fields(store, body, false);
    if !fields.is_empty() {
        patch.insert("fields".to_owned(), json!(fields));
    }
    asked(ask, "PATCH", &format!("assets/{id}"), &[], Some(&Value::Object(patch)))
}

fn cleared(value: &Value) -> Value {
    if value.as_str() == Some("") { Value::Null } else { value.clone() }
}

fn column(spec: &FieldSpec) -> String {
    format!("{PREFIX}{}", slug(&spec.name))
}

/// A column may be named with its prefix or without.
fn spec_of(store: &Store, name: &str, of_people: bool) -> Option<FieldSpec> {
    all_fields(store, of_people).into_iter().find(|spec| column(spec) == name || slug(&spec.name) == name)
}

fn one(store: &Store, name: &str, value: &Value, of_people: bool) -> Map<String, Value> {
    let spec = spec_of(store, name, of_people);
    let field = spec.as_ref().map_or_else(|| name.to_owned(), |spec| spec.name.clone());
    Map::from_iter([(field, cleared(&FORMS.read(spec.as_ref(), value)))])
}

fn fields(store: &Store, body: &Value, of_people: bool) -> Map<String, Value> {
    let written = members(body).into_iter().filter(|(name, _)| name.starts_with(PREFIX));
    written.flat_map(|(name, value)| one(store, &name, &value, of_people)).collect()
}

/// Pages of a number.
fn page<'a>(ask: &Ask, path: &str, kind: &str, mut ids: impl Iterator<Item = &'a String>) -> Ask {
    let number = |name: &str| ask.param(name).and_then(|text| text.parse::<usize>().ok());
    let size = number("per_page").unwrap_or(100).clamp(1, 100);
    let before = (number("page").unwrap_or(1).max(1) - 1) * size;
    let mut query = vec![("limit", size.to_string())];
    if before > 0 {
        let last = ids.nth(before - 1).cloned().unwrap_or_else(|| "~".to_owned());
        query.push(("cursor", cursor_after(kind, &last)));
    }
    asked(ask, "GET", path, &query, None)
}

fn html(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let text =
                text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;");
            json!(text)
        }
        other => other.clone(),
    }
}

fn with_fields(store: &Store, mut shown: Map<String, Value>, record: &Value, of_people: bool) -> Value {
    for (name, value) in members(&record["fields"]) {
        let spec = all_fields(store, of_people).into_iter().find(|spec| spec.name == name);
        let written = html(&FORMS.write(spec.as_ref(), &value));
        shown.insert(format!("{PREFIX}{}", slug(&name)), written);
    }
    Value::Object(shown)
}

fn asset(store: &Store, asset: &Value) -> Value {
    let mut shown = members(&json!({
        "uid": asset["id"], "asset_name": html(&asset["name"]), "type": html(&asset["asset_type"]["name"]),
        "created": created(asset).map(jiff::Timestamp::as_second),
    }));
    if !asset["location"].is_null() {
        shown.insert("location".to_owned(), html(&asset["location"]["name"]));
    }
    if !asset["checked_out_to"].is_null() {
        shown.insert("holder".to_owned(), asset["checked_out_to"]["id"].clone());
        shown.insert("holder_name".to_owned(), html(&asset["checked_out_to"]["name"]));
    }
    with_fields(store, shown, asset, false)
}

fn person(store: &Store, user: &Value) -> Value {
    let shown = members(
        &json!({ "uid": user["id"], "full_name": html(&user["name"]), "mail": html(&user["email"]) }),
    );
    with_fields(store, shown, user, true)
}

fn columns(store: &Store, of_people: bool) -> Value {
    let shown = all_fields(store, of_people)
        .into_iter()
        .map(|spec| json!({ "caption": spec.name, "column": slug(&spec.name) }));
    Value::Array(shown.collect())
}

pub(super) fn say(store: &Store, wire: &Ask, own: &Ask, reply: Reply) -> Reply {
    let Some(body) = said(&reply) else { return reply };
    if let Some((_, message, field)) = refusal(&body) {
        return refused(reply, &message, field.as_deref());
    }
    let path = wire.path.strip_prefix("/v1/").unwrap_or_default();
    let rows = body["results"].as_array().cloned();
    let (body, total) = match (path, rows) {
        ("rows/assets", Some(rows)) => (
            Value::Array(rows.iter().map(|row| asset(store, row)).collect()),
            Some(total(&body, store.assets.live().len())),
        ),
        ("rows/people", Some(rows)) => (
            Value::Array(rows.iter().map(|row| person(store, row)).collect()),
            Some(total(&body, store.users.live().len())),
        ),
        ("rows/types" | "rows/locations", Some(rows)) => {
            (Value::Array(rows.iter().map(|row| json!({ "name": row["name"] })).collect()), None)
        }
        ("rows/columns/assets", Some(_)) => (columns(store, false), None),
        ("rows/columns/people", Some(_)) => (columns(store, true), None),
        _ if wire.method == "PUT" => return Reply { status: 204, headers: Vec::new(), body: Vec::new() },
        _ if own.path.contains("/users") => (person(store, &body), None),
        _ => (asset(store, &body), None),
    };
    let said = with_body(reply, &body);
    match total {
        Some(total) => said.with("x-total-count", total.to_string()),
        None => said,
    }
}

fn refused(reply: Reply, message: &str, field: Option<&str>) -> Reply {
    let status = if reply.status == 429 { 503 } else { reply.status };
    let mut body = json!({ "message": message });
    if let Some(field) = field {
        body["column"] = json!(slug(field));
    }
    match refused_with(reply, status, &body) {
        (said, Some(seconds)) => {
            let at = std::time::SystemTime::now() + std::time::Duration::from_secs(seconds);
            said.with("retry-at", httpdate::fmt_http_date(at))
        }
        (said, None) => said,
    }
}
