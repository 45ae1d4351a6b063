//! Identifiers that cannot be blank, cannot be mixed up, and print as what they are.

use std::borrow::Borrow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text was blank where an identifier is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a blank {0} identifies nothing")]
pub struct Blank(pub &'static str);

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes the text, trimmed; fails when nothing is left.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Blank> {
                let text = text.as_ref().trim();
                if text.is_empty() { Err(Blank($what)) } else { Ok(Self(text.to_owned())) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Blank;
            fn try_from(text: String) -> Result<Self, Blank> {
                let as_it_is = !text.is_empty() && text.trim().len() == text.len();
                if as_it_is { Ok(Self(text)) } else { Self::new(text) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

identifier!(
    /// Kandji's `device_id`: a UUID in practice, taken as it is.
    DeviceId,
    "device id"
);
identifier!(
    /// AMFJ's opaque asset id.
    AssetId,
    "asset id"
);
identifier!(
    /// AMFJ's opaque id of a user record.
    RecordId,
    "user record id"
);
identifier!(
    /// Kandji's user id as text, whether it came as a UUID or as an integer.
    KandjiUserId,
    "Kandji user id"
);
identifier!(
    /// The key of one person: the normalised email, else the Kandji user id (P10).
    UserKey,
    "user key"
);
identifier!(
    /// The `id` of an integration: one Kandji tenant feeding one AMFJ site.
    IntegrationId,
    "integration id"
);
identifier!(
    /// One run of one integration.
    RunId,
    "run id"
);

impl IntegrationId {
    /// Whether a text can be the id of an integration: it is a part of the names of queues and metrics, which are not of any
    /// length, and of any letters.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let of_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !text.is_empty() && text.len() <= 63 && text.chars().all(of_id)
    }
}

impl RunId {
    /// The id of an integration's run of that number.
    #[must_use]
    pub fn of(integration: &IntegrationId, number: u64) -> Self {
        let name = format!("{integration}/{number}");
        Self(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string())
    }
}

/// What a message or change is about. Everything about one key is handled in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// A device, by its Kandji device id.
    Device(DeviceId),
    /// A person, by normalised email, else by Kandji user id.
    User(UserKey),
}

impl Key {
    /// The key that prints as this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('/')? {
            ("device", id) => DeviceId::new(id).ok().map(Self::Device),
            ("user", key) => UserKey::new(key).ok().map(Self::User),
            _ => None,
        }
    }

    /// The partition of `partitions` that carries this key: stable across releases and machines.
    #[must_use]
    pub fn partition(&self, partitions: u16) -> u16 {
        // UUIDv5 is SHA-1 with a fixed name space: the same on every machine, unlike std's hashers.
        let hash = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, self.to_string().as_bytes()).as_u128();
        u16::try_from(hash % u128::from(partitions.max(1))).unwrap_or(0)
    }
}

impl Key {
    /// The id of the device, or the key of the person: the fields `device` and `user` of a log line.
    #[must_use]
    pub fn parts(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Device(id) => (Some(id.as_str()), None),
            Self::User(key) => (None, Some(key.as_str())),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device/{id}"),
            Self::User(key) => write!(f, "user/{key}"),
        }
    }
}
