//! The nearest thing in an answer to what was looked for.

use amfj_sync_config::reading;
use serde_json::Value;

use crate::profile::{Pointer, escaped};

/// How deep an answer is looked into, and how many of its members are.
const DEEPEST: usize = 4;
const MOST: usize = 500;

/// All pointers in a value, with what they lead to.
fn all(value: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    let mut next = vec![(String::new(), value, 0)];
    while let Some((at, value, depth)) = next.pop() {
        if found.len() >= MOST {
            break;
        }
        if !at.is_empty() {
            found.push((at.clone(), value));
        }
        if depth < DEEPEST
            && let Value::Object(members) = value
        {
            for (name, member) in members.iter().rev() {
                next.push((format!("{at}/{}", escaped(name)), member, depth + 1));
            }
        }
    }
    found
}

/// Where else a list of objects is.
pub(super) fn list(body: &Value, looked_at: &Pointer) -> String {
    let is_list =
        |value: &&Value| value.as_array().is_some_and(|rows| rows.first().is_none_or(Value::is_object));
    let missing = if looked_at.as_str().is_empty() {
        "the body itself is no list".to_owned()
    } else {
        format!("no member \"{}\"", looked_at.as_str())
    };
    if is_list(&body) {
        return format!("{missing}; the body itself is a list of {} objects: rows = \"\"", rows_in(body));
    }
    let lists: Vec<(String, &Value)> = all(body).into_iter().filter(|(_, value)| is_list(value)).collect();
    match lists.iter().max_by_key(|(_, value)| rows_in(value)) {
        Some((at, value)) => format!("{missing}; there is a list of {} objects at \"{at}\"", rows_in(value)),
        None => format!("{missing}; there is {}", members(body)),
    }
}

fn rows_in(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

/// Where else a member may be.
pub(super) fn member(row: &Value, looked_at: &Pointer) -> String {
    let missing = format!("no member \"{}\"", looked_at.as_str());
    let pointers = all(row);
    let wanted = looked_at.last().unwrap_or_default();
    let end = |pointer: &str| pointer.rsplit('/').next().unwrap_or_default().to_owned();
    let same = pointers.iter().find(|(at, _)| end(at) == wanted).map(|(at, _)| at.clone());
    let near = || {
        let ends: Vec<String> = pointers.iter().map(|(at, _)| end(at)).collect();
        let nearest = reading::nearest(wanted, ends.iter().map(String::as_str))?;
        pointers.iter().find(|(at, _)| end(at) == nearest).map(|(at, _)| at.clone())
    };
    match same.or_else(near) {
        Some(at) => format!("{missing}; there is \"{at}\""),
        None => format!("{missing}; there is {}", members(row)),
    }
}

/// The names of what is there.
fn members(value: &Value) -> String {
    match value {
        Value::Object(members) if members.is_empty() => "an empty object".to_owned(),
        Value::Object(members) => {
            let names: Vec<&str> = members.keys().take(12).map(String::as_str).collect();
            format!("an object with {}", names.join(", "))
        }
        other => amfj_sync_http::json::kind(other).to_owned(),
    }
}
