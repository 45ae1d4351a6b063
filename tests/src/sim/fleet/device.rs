//! A device as Kandji's list shows it, with every form that was seen on the wire.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

/// One row of `GET /api/v1/devices`. Members that may be missing are `Option`; what this type does
/// not know is kept in [`more`](Self::more), so that a sample payload survives the round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire format has them")]
#[expect(missing_docs, reason = "the names and meanings are Kandji's, see kandji/API.md")]
pub struct Device {
    pub device_id: String,
    pub device_name: String,
    pub model: String,
    pub serial_number: String,
    pub platform: String,
    pub os_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplemental_build_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplemental_os_version_extra: Option<String>,
    /// `2024-07-23T14:11:37.150080Z`, or `""` before the first check-in. Null was never seen in a list; a
    /// person may set it.
    pub last_check_in: Option<String>,
    #[serde(default, skip_serializing_if = "Owner::is_absent")]
    pub user: Owner,
    pub asset_tag: String,
    pub blueprint_id: String,
    pub mdm_enabled: bool,
    pub agent_installed: bool,
    pub is_missing: bool,
    pub is_removed: bool,
    pub agent_version: String,
    pub first_enrollment: String,
    pub last_enrollment: String,
    pub blueprint_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_mode_status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Members that this type does not name, such as `api_level`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Device {
    /// The device as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Email of the person who has it.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.user.person()?.email.as_deref()
    }

    /// The same device with one property of the list set to any JSON value.
    ///
    /// # Errors
    /// When Kandji could not answer with that value, for instance a number as a name.
    pub fn with_property(&self, property: &str, value: Value) -> Result<Self, String> {
        let mut whole = self.to_json();
        whole[property] = value;
        serde_json::from_value(whole).map_err(|error| format!("device property {property}: {error}"))
    }
}

/// The primary user of a device.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Owner {
    /// The member `user` is missing.
    #[default]
    Absent,
    /// `"user": null`.
    Null,
    /// `"user": ""`, Kandji's usual way to say unassigned.
    Empty,
    /// Somebody.
    Person(Person),
}

impl Owner {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The person, if there is one.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(person) => Some(person),
            Self::Absent | Self::Null | Self::Empty => None,
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_none(),
            Self::Empty => serializer.serialize_str(""),
            Self::Person(person) => person.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::Null),
            Value::String(text) if text.is_empty() => Ok(Self::Empty),
            other => serde_json::from_value(other).map(Self::Person).map_err(D::Error::custom),
        }
    }
}

/// A Kandji user as devices show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// May be null or blank.
    pub email: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// UUID as text, or an integer in older data; null stands for a user without id.
    pub id: Value,
    /// Left the company; the devices may still be assigned.
    pub is_archived: bool,
}

impl Person {
    /// The id as text, however it is written; `None` if there is none.
    #[must_use]
    pub fn id_text(&self) -> Option<String> {
        match &self.id {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}
