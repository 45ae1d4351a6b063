//! `offset-put`: two headers, offset and limit with a total, numbers for ids, fields as pairs, the whole record put back,
//! holders as a resource of their own, a tree of locations.

use serde_json::{Map, Value, json};

use super::words::{Dates, Forms, all_fields, cursor_after, number_of};
use super::{
    asked, created, difference, members, refusal, refused_with, said, shown, total, with_body, without_nulls,
};
use crate::sim::amfj::store::Store;
use crate::sim::core::Heard;
use crate::sim::fleet::FieldSpec;
use crate::sim::wire::{Ask, Reply};

const FORMS: Forms = Forms { yes: "Yes", no: "No", numbers_as_text: true, date: Dates::DaysFirst };

/// The number of the first field.
const FIRST_FIELD: u64 = 100;
/// The number of the first option of a field, and of fields' options apart.
const OPTIONS: u64 = 1_000;

pub(super) fn hear(store: &Store, ask: &Ask) -> Heard {
    let mut ask = ask.clone();
    let key = ask.headers.get("x-api-key").cloned();
    ask.authorization =
        key.filter(|_| ask.headers.contains_key("x-api-client")).map(|key| format!("Bearer {key}"));
    let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let path = ask.path.strip_prefix("/v1/").unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let asset = || ask.param("assetId").unwrap_or_default().to_owned();
    match (ask.method.as_str(), parts.as_slice()) {
        ("GET", ["inventory", "assets"]) => match ask.param("title") {
            Some(title) => Heard::Ask(asked(&ask, "GET", "assets", &[("name", title.to_owned())], None)),
            None => Heard::Ask(page(&ask, "assets", "a", store.assets.live().keys())),
        },
        ("GET", ["people"]) => Heard::Ask(page(&ask, "users", "u", store.users.live().keys())),
        ("GET", ["inventory", "asset"]) => {
            Heard::Ask(asked(&ask, "GET", &format!("assets/{}", asset()), &[], None))
        }
        ("GET", ["people", "definitions"]) => Heard::Ask(asked(&ask, "GET", "user-fields", &[], None)),
        ("GET", ["people", id]) => Heard::Ask(asked(&ask, "GET", &format!("users/{id}"), &[], None)),
        ("POST", ["inventory", "assets"]) => {
            let new = json!({
                "name": body["title"], "asset_type_id": text(&body["typeId"]), "location_id": text(&body["placeId"]),
                "fields": fields(store, &body, false),
            });
            Heard::Ask(asked(&ask, "POST", "assets", &[], Some(&without_nulls(&new))))
        }
        ("PUT", ["inventory", "asset"]) => {
            let own = asked(&ask, "PATCH", &format!("assets/{}", asset()), &[], None);
            let wanted =
                members(&json!({ "name": body["title"], "location_id": own_id(store, &body["placeId"]) }));
            Heard::Ask(put(store, &ask, &own, &wanted, &fields(store, &body, false)))
        }
        ("POST", ["inventory", "asset", id, "custody"]) => {
            let out = json!({ "user_id": text(&body["personId"]), "note": body["remark"] });
            Heard::Ask(asked(
                &ask,
                "POST",
                &format!("assets/{id}/check-out"),
                &[],
                Some(&without_nulls(&out)),
            ))
        }
        ("DELETE", ["inventory", "asset", id, "custody"]) => {
            Heard::Ask(asked(&ask, "POST", &format!("assets/{id}/check-in"), &[], Some(&json!({}))))
        }
        ("POST", ["people"]) => {
            let new = json!({ "name": body["displayName"], "email": body["mail"], "fields": fields(store, &body, true) });
            Heard::Ask(asked(&ask, "POST", "users", &[], Some(&without_nulls(&new))))
        }
        ("PUT", ["people", id]) => {
            let own = asked(&ask, "PATCH", &format!("users/{id}"), &[], None);
            let wanted = members(&json!({ "name": body["displayName"], "email": body["mail"] }));
            Heard::Ask(put(store, &ask, &own, &wanted, &fields(store, &body, true)))
        }
        ("GET", ["inventory", "types" | "definitions"]) => {
            Heard::Ask(asked(&ask, "GET", "asset-types", &[], None))
        }
        ("GET", ["inventory", "places"]) => Heard::Ask(asked(&ask, "GET", "locations", &[], None)),
        (method, _) => Heard::Unknown(format!("offset-put has no {method} {path}")),
    }
}

/// A whole record is put: what of it differs is the request.
fn put(store: &Store, ask: &Ask, own: &Ask, wanted: &Map<String, Value>, fields: &Map<String, Value>) -> Ask {
    let numbered = crate::sim::amfj::subjects::by_own_id(store, own).unwrap_or_else(|| own.clone());
    let now = shown(store, &numbered).unwrap_or_default();
    let path = own.path.trim_start_matches("/v1/");
    asked(ask, "PATCH", path, &[], Some(&difference(&now, wanted, fields)))
}

/// So many after so many.
fn page<'a>(ask: &Ask, path: &str, kind: &str, mut ids: impl Iterator<Item = &'a String>) -> Ask {
    let number = |name: &str| ask.param(name).and_then(|text| text.parse::<usize>().ok());
    let mut query = Vec::new();
    if let Some(limit) = number("limit") {
        query.push(("limit", limit.clamp(1, 100).to_string()));
    }
    if let Some(offset) = number("offset").filter(|offset| *offset > 0) {
        // Behind the last one there is nothing.
        let last = ids.nth(offset - 1).cloned().unwrap_or_else(|| "~".to_owned());
        query.push(("cursor", cursor_after(kind, &last)));
    }
    asked(ask, "GET", path, &query, None)
}

/// A number in a body, as the text that it is in the contract.
fn text(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.to_string()),
        other => other.clone(),
    }
}

fn own_id(store: &Store, place: &Value) -> Value {
    let number = place.as_u64();
    let own = number.and_then(|number| store.locations.iter().find(|one| number_of(&one.id) == number));
    own.map_or(Value::Null, |own| json!(own.id))
}

fn numbered(store: &Store, of_people: bool) -> Vec<(u64, FieldSpec)> {
    (FIRST_FIELD..).zip(all_fields(store, of_people)).collect()
}

/// The pairs of a body, as the fields of the contract.
fn fields(store: &Store, body: &Value, of_people: bool) -> Map<String, Value> {
    let known = numbered(store, of_people);
    let rows = body["attributes"].as_array().cloned().unwrap_or_default();
    let field = |row: &Value| {
        let id = row["definitionId"].as_u64()?;
        let (_, spec) = known.iter().find(|(number, _)| *number == id)?;
        let content = &row["content"];
        let option =
            content.as_u64().and_then(|choice| spec.options.get(usize::try_from(choice % OPTIONS).ok()?));
        let value = option.map_or_else(|| FORMS.read(Some(spec), content), |option| json!(option));
        (!value.is_null()).then(|| (spec.name.clone(), value))
    };
    rows.iter().filter_map(field).collect()
}

fn pairs(store: &Store, record: &Value, of_people: bool) -> Vec<Value> {
    let known = numbered(store, of_people);
    let held = members(&record["fields"]);
    let rows = held.iter().filter_map(|(name, value)| {
        let (number, spec) = known.iter().find(|(_, spec)| spec.name == *name)?;
        let choice = spec.options.iter().position(|option| Some(option.as_str()) == value.as_str());
        let content = choice
            .map_or_else(|| FORMS.write(Some(spec), value), |place| json!(number * OPTIONS + place as u64));
        Some(json!({ "definitionId": number, "content": content }))
    });
    rows.collect()
}

fn asset(store: &Store, asset: &Value) -> Value {
    let id = |value: &Value| value.as_str().map_or(Value::Null, |id| json!(number_of(id)));
    let holder = &asset["checked_out_to"];
    let custody = if holder.is_null() {
        Value::Null
    } else {
        json!({ "personId": id(&holder["id"]), "personName": holder["name"] })
    };
    let place = &asset["location"];
    let place = if place.is_null() {
        Value::Null
    } else {
        json!({ "placeId": id(&place["id"]), "label": place["name"] })
    };
    json!({
        "assetId": id(&asset["id"]),
        "title": asset["name"],
        "typeId": id(&asset["asset_type"]["id"]),
        "placeId": if place.is_null() { Value::Null } else { place["placeId"].clone() },
        "place": place,
        "custody": custody,
        "attributes": pairs(store, asset, false),
        "audit": { "created": created(asset).map(|at| at.strftime("%Y-%m-%d %H:%M:%S").to_string()) },
    })
}

fn person(store: &Store, user: &Value) -> Value {
    json!({
        "personId": user["id"].as_str().map(number_of),
        "displayName": user["name"],
        "mail": user["email"],
        "origin": if user["source"] == "jira" { "JIRA_CLOUD" } else { "LOCAL" },
        "attributes": pairs(store, user, true),
    })
}

fn definition(number: u64, spec: &FieldSpec, types: Option<Vec<u64>>) -> Value {
    let kind = match spec.kind {
        crate::sim::fleet::FieldKind::Text => "line",
        crate::sim::fleet::FieldKind::Number => "decimal",
        crate::sim::fleet::FieldKind::Boolean => "switch",
        crate::sim::fleet::FieldKind::Date => "day",
        crate::sim::fleet::FieldKind::Select => "choice",
        crate::sim::fleet::FieldKind::Url => "link",
        crate::sim::fleet::FieldKind::Email => "mail",
    };
    let choices: Vec<Value> = (0_u64..)
        .zip(&spec.options)
        .map(|(place, option)| json!({ "choiceId": number * OPTIONS + place, "label": option }))
        .collect();
    let mut shown = json!({ "definitionId": number, "label": spec.name, "kind": kind, "mandatory": spec.required, "choices": choices });
    if let Some(types) = types {
        shown["typeIds"] = json!(types);
    }
    shown
}

fn list(items: &[Value], total: usize) -> Value {
    json!({ "data": { "items": items, "total": total } })
}

pub(super) fn say(store: &Store, wire: &Ask, own: &Ask, reply: Reply) -> Reply {
    let Some(body) = said(&reply) else { return reply };
    if let Some((code, message, field)) = refusal(&body) {
        return refused(store, own, reply, (&code, &message, field.as_deref()));
    }
    let path = wire.path.strip_prefix("/v1/").unwrap_or_default();
    let rows = body["results"].as_array();
    let body = match (path, rows) {
        ("inventory/assets", Some(rows)) => {
            let total = if own.param("name").is_some() {
                rows.len()
            } else {
                total(&body, store.assets.live().len())
            };
            list(&rows.iter().map(|row| asset(store, row)).collect::<Vec<_>>(), total)
        }
        ("people", Some(rows)) => list(
            &rows.iter().map(|row| person(store, row)).collect::<Vec<_>>(),
            total(&body, store.users.live().len()),
        ),
        ("inventory/types", Some(rows)) => {
            let shown: Vec<Value> = rows
                .iter()
                .map(|row| json!({ "typeId": row["id"].as_str().map(number_of), "label": row["name"] }))
                .collect();
            at_offset(wire, &shown)
        }
        ("inventory/places", Some(rows)) => {
            let shown: Vec<Value> = rows
                .iter()
                .map(|row| json!({ "placeId": row["id"].as_str().map(number_of), "label": row["name"], "places": [] }))
                .collect();
            list(&shown, shown.len())
        }
        ("inventory/definitions", Some(_)) => {
            let of = |spec: &FieldSpec| {
                let types = store
                    .asset_types
                    .iter()
                    .filter(|kind| kind.fields.iter().any(|own| own.name == spec.name));
                types.map(|kind| number_of(&kind.id)).collect::<Vec<_>>()
            };
            let fields = numbered(store, false);
            let shown: Vec<Value> =
                fields.iter().map(|(number, spec)| definition(*number, spec, Some(of(spec)))).collect();
            at_offset(wire, &shown)
        }
        ("people/definitions", Some(_)) => {
            let shown: Vec<Value> =
                numbered(store, true).iter().map(|(number, spec)| definition(*number, spec, None)).collect();
            list(&shown, shown.len())
        }
        _ if own.method == "GET" && path == "inventory/asset" => json!({ "data": asset(store, &body) }),
        _ if own.method == "GET" => json!({ "data": person(store, &body) }),
        ("inventory/assets", None) => json!({ "data": { "assetId": body["id"].as_str().map(number_of) } }),
        ("people", None) => json!({ "data": { "personId": body["id"].as_str().map(number_of) } }),
        // What was put, and who has it, is to be read back.
        _ => return Reply { status: 204, headers: Vec::new(), body: Vec::new() },
    };
    with_body(reply, &body)
}

/// A list that the contract has in one piece.
fn at_offset(wire: &Ask, rows: &[Value]) -> Value {
    let number = |name: &str| wire.param(name).and_then(|text| text.parse::<usize>().ok());
    let rest = rows.get(number("offset").unwrap_or(0)..).unwrap_or_default();
    list(&rest[..rest.len().min(number("limit").unwrap_or(usize::MAX))], rows.len())
}

fn refused(
    store: &Store,
    own: &Ask,
    reply: Reply,
    (code, message, field): (&str, &str, Option<&str>),
) -> Reply {
    let of_people = own.path.contains("/users");
    let known = numbered(store, of_people);
    let definition =
        field.and_then(|field| known.iter().find(|(_, spec)| spec.name == field)).map(|(number, _)| *number);
    let status = match reply.status {
        409 => 423,
        422 => 400,
        status => status,
    };
    let gone = if of_people { "NO_SUCH_PERSON" } else { "NO_SUCH_ASSET" };
    let code = if code == "not_found" { gone.to_owned() } else { code.to_uppercase() };
    let mut error = json!({ "text": message, "code": code });
    if let Some(definition) = definition {
        error["definitionId"] = json!(definition);
    }
    match refused_with(reply, status, &json!({ "errors": [error] })) {
        (said, Some(seconds)) => said.with("x-wait-ms", (seconds * 1_000).to_string()),
        (said, None) => said,
    }
}
