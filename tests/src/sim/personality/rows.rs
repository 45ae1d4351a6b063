//! Rows and records in answers, in the shapes that the personalities give them.

use serde_json::{Value, json};

use super::{Kind, Oddity, Personalities, Shape, active::Subject};
use crate::sim::wire::Reply;

/// Stands for half of a surrogate pair, which no text in memory can hold.
const BROKEN: &str = "\u{E0DD}\u{E0DE}";
/// Stands at both ends of a text that goes over the wire without its quotation marks.
const BARE: char = '\u{E0DF}';
/// What it is on the wire.
const HALF: &str = "\\ud83d";

/// The same answer under the oddities about rows, and those about how a list goes on.
pub(crate) fn shape(personalities: &Personalities, subject: &Subject, met: &[Oddity], reply: Reply) -> Reply {
    let goes_on_oddly = met.iter().any(|oddity| matches!(oddity, Oddity::Circle | Oddity::NextLies));
    if reply.status >= 300 || !(goes_on_oddly || personalities.shape_rows()) {
        return reply;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
    let is_last = is_last(&body);
    match rows_of(&mut body) {
        Some(rows) => shape_list(personalities, subject.kind, rows, is_last),
        None => shape_one(personalities, subject, &mut body),
    }
    for oddity in met {
        match oddity {
            Oddity::Circle => go_round(subject.kind, &mut body),
            Oddity::NextLies => lie_about_next(&mut body),
            _ => {}
        }
    }
    let text = body.to_string().replace(BROKEN, HALF);
    let text = text.replace(&format!("\"{BARE}"), "").replace(&format!("{BARE}\""), "");
    Reply { body: text.into_bytes(), ..reply }
}

fn rows_of(body: &mut Value) -> Option<&mut Vec<Value>> {
    match body {
        Value::Array(rows) => Some(rows),
        Value::Object(members) => {
            let name = ["results", "data"].into_iter().find(|name| members.contains_key(*name))?;
            members.get_mut(name)?.as_array_mut()
        }
        _ => None,
    }
}

/// Whether no page comes after this one. Kandji's walk of devices ends with an empty page.
fn is_last(body: &Value) -> bool {
    match body {
        Value::Array(rows) => rows.is_empty(),
        _ => ["next_cursor", "next", "cursor"].iter().all(|name| body.get(name).is_none_or(Value::is_null)),
    }
}

fn shape_list(personalities: &Personalities, kind: Kind, rows: &mut Vec<Value>, is_last: bool) {
    let (mut shaped, mut again) = (personalities.moved(kind), Vec::new());
    for mut row in std::mem::take(rows) {
        let met = personalities.strike_row(kind, &names_of(&row));
        if met.contains(&Oddity::Hide) {
            continue;
        }
        apply(&met, &mut row);
        if met.contains(&Oddity::Repeat) {
            again.push(row.clone());
        }
        shaped.push(row);
    }
    for row in again {
        if is_last { shaped.push(row) } else { personalities.move_on(kind, row) }
    }
    *rows = shaped;
}

fn shape_one(personalities: &Personalities, subject: &Subject, record: &mut Value) {
    // A device's details do not say on top whose they are.
    let names: Vec<String> = names_of(record).into_iter().chain(subject.names.iter().cloned()).collect();
    let met = personalities.strike_row(subject.kind, &names);
    apply(&met, record);
}

/// All names that the record of a row goes by.
fn names_of(row: &Value) -> Vec<String> {
    ["id", "device_id", "name", "email", "device_name", "serial_number"]
        .iter()
        .filter_map(|member| row.get(member).and_then(Value::as_str).map(str::to_owned))
        .collect()
}

fn apply(met: &[Oddity], row: &mut Value) {
    for oddity in met {
        if let Oddity::Shape(shape) = oddity {
            give(shape, row);
        }
    }
}

fn give(shape: &Shape, row: &mut Value) {
    match shape {
        Shape::Set { at, value } => set(row, at, value.clone()),
        Shape::Missing { at } => {
            if let Some((parent, member)) = at.rsplit_once('/')
                && let Some(members) = row.pointer_mut(parent).and_then(Value::as_object_mut)
            {
                members.remove(member);
            }
        }
        Shape::Raw { at, text } => set(row, at, json!(format!("{BARE}{text}{BARE}"))),
        Shape::BrokenText { at } => rewrite(row, at, |text| format!("{text}{BROKEN}")),
        Shape::NoZone { at } => rewrite(row, at, |text| text.trim_end_matches('Z').replace('T', " ")),
        Shape::NumericId => count("/id", row),
        Shape::NumericIds => NESTED_IDS.iter().for_each(|at| count(at, row)),
        Shape::NotAnObject(value) => *row = value.clone(),
    }
}

/// Where a record shows ids.
const NESTED_IDS: [&str; 4] = ["/id", "/checked_out_to/id", "/asset_type/id", "/location/id"];

fn count(at: &str, row: &mut Value) {
    if let Some(id) = row.pointer_mut(at)
        && let Some(number) = id.as_str().and_then(number_of)
    {
        *id = json!(number);
    }
}

/// The number in an id such as `asset-0000012`.
fn number_of(id: &str) -> Option<u64> {
    id.rsplit('-').next()?.parse().ok()
}

/// Sets a member, which may be one that the record does not have.
fn set(row: &mut Value, at: &str, value: Value) {
    let Some((parent, member)) = at.rsplit_once('/') else {
        *row = value;
        return;
    };
    if let Some(members) = row.pointer_mut(parent).and_then(Value::as_object_mut) {
        members.insert(member.to_owned(), value);
    }
}

fn rewrite(row: &mut Value, at: &str, change: impl Fn(&str) -> String) {
    if let Some(value) = row.pointer_mut(at)
        && let Some(text) = value.as_str()
    {
        *value = json!(change(text));
    }
}

/// The cursor after which everything comes: that of the first page.
const FIRST: &str = "+/=";

fn go_round(kind: Kind, body: &mut Value) {
    if !is_last(body) {
        return;
    }
    let list = if kind == Kind::ListUsers { "u" } else { "a" };
    for (member, first) in [("next_cursor", format!("{list}{FIRST}")), ("cursor", "b2Zm0".to_owned())] {
        if body.get(member).is_some() {
            body[member] = json!(first);
        }
    }
    if body.get("next").is_some() {
        body["next"] = json!("https://acme.kandji.io/api/v1/users?cursor=cD00");
    }
}

fn lie_about_next(body: &mut Value) {
    for member in ["next_cursor", "cursor"] {
        if body.get(member).is_some() {
            body[member] = json!("no-such-page");
        }
    }
    if body.get("next").is_some() {
        body["next"] = json!("https://elsewhere.example.com/api/v1/users?cursor=no-such-page");
    }
}
