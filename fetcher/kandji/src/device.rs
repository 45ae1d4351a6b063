//! One row of Kandji's device list.

use amfj_sync_http::json::{cut_record, cut_value, is_too_long, kind};
use amfj_sync_model::ids::{DeviceId, KandjiUserId};
use amfj_sync_model::messages::Unusable;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::timestamp::parse_timestamp;

#[cfg(test)]
mod tests;

/// A row of the device list that cannot be used, with the reason in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    reason: String,
    /// Whatever name it has.
    name: Option<String>,
}

impl From<Malformed> for Unusable {
    fn from(malformed: Malformed) -> Self {
        Self::new("device", None, malformed.name.as_deref(), &malformed.reason)
    }
}

/// Bytes of the longest id that is one: it stands in addresses and in the subjects of messages.
const LONGEST_ID: usize = 512;

/// One device. Texts are trimmed, and blank is the same as absent; the row as it came is kept, since
/// a mapping may name any of its properties (P16).
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// The only thing about a device that never changes.
    pub device_id: DeviceId,
    /// Not unique; any Unicode.
    pub name: Option<String>,
    /// Not guaranteed unique.
    pub serial: Option<String>,
    /// `Mac`, `iPhone`, `iPad`, `AppleTV`, `Windows`, `Android` …
    pub platform: Option<String>,
    /// Marketing name.
    pub model: Option<String>,
    /// Version of the operating system.
    pub os_version: Option<String>,
    /// Blueprint.
    pub blueprint_id: Option<String>,
    /// Name of the blueprint.
    pub blueprint_name: Option<String>,
    /// Tags; older data has none.
    pub tags: Vec<String>,
    /// The last check-in as it came; `None` if the device never checked in.
    pub last_check_in: Option<String>,
    /// Whether Kandji lists it as removed (P22).
    pub is_removed: bool,
    /// The primary user, if there is one.
    pub user: Option<KandjiUser>,
    /// The whole row, with what is too long to be used cut.
    pub raw: Map<String, Value>,
    /// What of it cannot be used, one sentence each (P30).
    pub odd: Vec<String>,
}

/// The primary user of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KandjiUser {
    /// A UUID, or digits in older data.
    pub id: Option<KandjiUserId>,
    /// Email as Kandji writes it, trimmed.
    pub email: Option<String>,
    /// Name, trimmed.
    pub name: Option<String>,
    /// Whether the user is archived: matched, never created (P11).
    pub archived: bool,
}

impl Device {
    /// Reads a row. Only a row without a device id is refused; every other property may be missing,
    /// blank, null or of another type.
    pub fn parse(row: Value) -> Result<Self, Malformed> {
        let Value::Object(mut raw) = row else {
            let reason = format!("a row is {} instead of a device", kind(&row));
            return Err(Malformed { reason, name: as_text(&row) });
        };
        let mut odd = Vec::new();
        for (name, value) in &mut raw {
            if is_too_long(value) && cut_value(value) {
                odd.push(format!("its {name} is too long and was cut"));
            }
        }
        let long = cut_record(raw.iter_mut());
        odd.extend(long.iter().map(|name| format!("it has too much in all, and its {name} was cut")));
        let device_id = text(&raw, "device_id").filter(|id| id.len() <= LONGEST_ID);
        let Some(device_id) = device_id.and_then(|id| DeviceId::new(id).ok()) else {
            let name = text(&raw, "device_name").or_else(|| text(&raw, "serial_number"));
            return Err(Malformed { reason: nameless(&raw), name });
        };
        odd.extend(TEXTS.iter().filter_map(|name| no_text(&raw, name)));
        Ok(Self {
            device_id,
            name: text(&raw, "device_name"),
            serial: text(&raw, "serial_number"),
            platform: text(&raw, "platform"),
            model: text(&raw, "model"),
            os_version: text(&raw, "os_version"),
            blueprint_id: text(&raw, "blueprint_id"),
            blueprint_name: text(&raw, "blueprint_name"),
            tags: raw.get("tags").map(tags).unwrap_or_default(),
            last_check_in: text(&raw, "last_check_in"),
            is_removed: flag(&raw, "is_removed"),
            user: raw.get("user").and_then(KandjiUser::parse),
            raw,
            odd,
        })
    }

    /// The last check-in in one form, whichever form Kandji wrote it in: details read at one
    /// check-in are good until the next. `None` if the device never checked in.
    #[must_use]
    pub fn check_in_key(&self) -> Option<String> {
        let text = self.last_check_in.as_deref()?;
        Some(parse_timestamp(text).map_or_else(|| text.to_owned(), |time| time.to_string()))
    }
}

impl From<Device> for Value {
    /// The row as it came.
    fn from(device: Device) -> Self {
        Self::Object(device.raw)
    }
}

impl KandjiUser {
    /// Reads a `user` property: an object, or `""`, null or nothing for no user. A user that has
    /// neither id nor email nor name is no user.
    fn parse(value: &Value) -> Option<Self> {
        let user = match value {
            Value::Object(user) => Self {
                id: text(user, "id")
                    .filter(|id| id.len() <= LONGEST_ID)
                    .and_then(|id| KandjiUserId::new(id).ok()),
                email: text(user, "email"),
                name: text(user, "name"),
                archived: flag(user, "is_archived") || flag(user, "archived"),
            },
            // Never seen; as a user without id it is ignored and reported (P10), not lost.
            other => Self { id: None, email: None, name: as_text(other), archived: false },
        };
        // Somebody who cannot be read is not nobody: nobody loses an asset to that.
        let says_something = match value {
            Value::Object(user) => ["id", "email", "name"].iter().any(|name| no_text(user, name).is_some()),
            Value::Array(users) => !users.is_empty(),
            Value::Bool(user) => *user,
            _ => false,
        };
        let somebody = user.id.is_some() || user.email.is_some() || user.name.is_some();
        (somebody || says_something).then_some(user)
    }
}

/// What the product itself reads of a row as a text.
const TEXTS: [&str; 8] = [
    "device_name",
    "serial_number",
    "platform",
    "model",
    "os_version",
    "blueprint_id",
    "blueprint_name",
    "last_check_in",
];

/// That a property which is a text is something else.
fn no_text(members: &Map<String, Value>, name: &str) -> Option<String> {
    let value = members.get(name)?;
    let is_usable = matches!(value, Value::Null | Value::String(_) | Value::Number(_));
    (!is_usable).then(|| format!("its {name} is {} instead of a text, and counts as blank", kind(value)))
}

/// Tags as a list, as one text, or as objects that name them: a scope leaves out by them, so none is overlooked.
fn tags(value: &Value) -> Vec<String> {
    let tag = |value: &Value| match value {
        Value::Object(tag) => text(tag, "name"),
        other => as_text(other),
    };
    match value {
        Value::Array(tags) => tags.iter().filter_map(tag).collect(),
        other => tag(other).into_iter().collect(),
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name).and_then(as_text)
}

/// A text that is not blank, trimmed; integers count as text (user ids of older data).
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|t| !t.is_empty()).map(ToOwned::to_owned),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A boolean, which some of Kandji's documents write as text.
fn flag(members: &Map<String, Value>, name: &str) -> bool {
    match members.get(name) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => matches!(text.trim().to_lowercase().as_str(), "true" | "yes"),
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number != 0.0),
        _ => false,
    }
}

fn nameless(row: &Map<String, Value>) -> String {
    let known: Vec<_> = ["device_name", "serial_number"]
        .iter()
        .filter_map(|name| text(row, name).map(|value| format!("{name} “{value}”")))
        .collect();
    if known.is_empty() {
        "a device has no device_id, name or serial number".to_owned()
    } else {
        format!("the device with {} has no device_id", known.join(" and "))
    }
}
