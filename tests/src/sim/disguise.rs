//! Single records that a service shows otherwise than it holds them, in lists and by id: rows as no contract has them.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::Value;

use super::wire::{Ask, Reply};

/// How a record is shown.
#[derive(Debug, Clone)]
pub enum Disguise {
    /// With these members in place of its own.
    Members(Value),
    /// As these bytes, which need not be JSON.
    Raw(Vec<u8>),
    /// Not in lists; by id as it is.
    Hidden,
}

/// All disguises, by the id of the record (of a field: its name).
#[derive(Debug, Default)]
pub(crate) struct Disguises(Mutex<BTreeMap<String, Disguise>>);

impl Disguises {
    pub(crate) fn put(&self, id: &str, disguise: Option<Disguise>) {
        let mut all = self.0.lock();
        match disguise {
            Some(disguise) => all.insert(id.to_owned(), disguise),
            None => all.remove(id),
        };
    }

    /// Changes what a read is answered with.
    pub(crate) fn apply(&self, ask: &Ask, reply: &mut Reply) {
        let all = self.0.lock();
        if all.is_empty() || ask.method != "GET" || reply.status != 200 {
            return;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return };
        let mut raw = Vec::new();
        match &mut body {
            Value::Array(rows) => rows.retain_mut(|row| dress(row, &all, &mut raw)),
            Value::Object(members) => match members.get_mut("results") {
                Some(Value::Array(rows)) => rows.retain_mut(|row| dress(row, &all, &mut raw)),
                _ => drop(dress(&mut body, &all, &mut raw)),
            },
            _ => return,
        }
        let mut bytes = body.to_string().into_bytes();
        for (place, row) in raw.iter().enumerate() {
            let mark = mark(place).to_string().into_bytes();
            if let Some(at) = bytes.windows(mark.len()).position(|window| window == mark) {
                bytes.splice(at..at + mark.len(), row.iter().copied());
            }
        }
        reply.body = bytes;
    }
}

fn mark(place: usize) -> Value {
    Value::from(format!("disguised as raw bytes {place}."))
}

/// Dresses one record; answers whether lists show it.
fn dress(row: &mut Value, all: &BTreeMap<String, Disguise>, raw: &mut Vec<Vec<u8>>) -> bool {
    let id = ["id", "device_id", "name"].iter().find_map(|name| row.get(*name)?.as_str());
    match id.and_then(|id| all.get(id)) {
        Some(Disguise::Hidden) => false,
        Some(Disguise::Members(Value::Object(members))) => {
            if let Value::Object(row) = row {
                row.extend(members.clone());
            }
            true
        }
        Some(Disguise::Members(other)) => {
            *row = other.clone();
            true
        }
        Some(Disguise::Raw(bytes)) => {
            *row = mark(raw.len());
            raw.push(bytes.clone());
            true
        }
        None => true,
    }
}
