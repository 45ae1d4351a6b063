//! Devices and their primary users as the device list shows them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{settings::Settings, words};

/// A device of the list.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) serial: String,
    pub(super) platform: String,
    pub(super) in_scope: bool,
    pub(super) removed: bool,
    /// The primary user, if there is one.
    pub(super) user: Option<User>,
    pub(super) row: Value,
}

/// A primary user as one device shows it.
#[derive(Debug, Clone)]
pub(super) struct User {
    /// `None` where Kandji gives no id: such a user is ignored (P10).
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) archived: bool,
}

/// Everything that goes by one email, or one id where there is none (P10).
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) key: String,
    pub(super) ids: BTreeSet<String>,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) archived: bool,
    /// Ids of the devices.
    pub(super) devices: BTreeSet<String>,
}

impl Listed {
    /// Whether it may be matched and written.
    pub(super) fn is_live(&self) -> bool {
        self.in_scope && !self.removed
    }
}

impl User {
    /// Who it is; `None` for a user without id.
    pub(super) fn key(&self) -> Option<String> {
        let id = self.id.as_ref()?;
        let email = words::email(&self.email);
        Some(if email.is_empty() { format!("id {id}") } else { email })
    }
}

fn text(row: &Value, member: &str) -> String {
    row[member].as_str().unwrap_or_default().to_owned()
}

/// The rows as devices.
pub(super) fn listed(rows: &[Value], settings: &Settings) -> Vec<Listed> {
    let device = |row: &Value| {
        let platform = text(row, "platform");
        let excluded = |name: &String| name.eq_ignore_ascii_case(platform.trim());
        Listed {
            id: text(row, "device_id"),
            name: text(row, "device_name"),
            serial: text(row, "serial_number"),
            in_scope: !settings.excluded_platforms.iter().any(excluded),
            removed: row["is_removed"].as_bool().unwrap_or(false),
            user: user(&row["user"]),
            platform,
            row: row.clone(),
        }
    };
    rows.iter().map(device).collect()
}

fn user(user: &Value) -> Option<User> {
    if !user.is_object() {
        return None;
    }
    let id = match &user["id"] {
        Value::String(id) if !words::is_blank(id) => Some(id.trim().to_owned()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    Some(User {
        id,
        name: text(user, "name"),
        email: text(user, "email"),
        archived: user["is_archived"].as_bool().unwrap_or(false),
    })
}

/// The people who are primary users of devices that the product looks at.
pub(super) fn people(listed: &[Listed]) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    for device in listed.iter().filter(|device| device.is_live()) {
        let Some(user) = &device.user else { continue };
        let (Some(key), Some(id)) = (user.key(), user.id.clone()) else { continue };
        let position = people.iter().position(|person| person.key == key).unwrap_or_else(|| {
            people.push(Person {
                key,
                ids: BTreeSet::new(),
                name: user.name.clone(),
                email: user.email.clone(),
                archived: user.archived,
                devices: BTreeSet::new(),
            });
            people.len() - 1
        });
        people[position].ids.insert(id);
        people[position].devices.insert(device.id.clone());
    }
    people
}
