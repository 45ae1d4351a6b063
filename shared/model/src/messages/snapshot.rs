//! What the fetcher says about Kandji: how a device, a person is at the time of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{DeviceId, KandjiUserId, UserKey};

/// The primary user of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum PrimaryUser {
    /// The device has none.
    Nobody,
    /// A person.
    Person {
        /// The person's key (P10).
        key: UserKey,
    },
    /// There is one, but nothing can be made of it: no id (P10).
    Unusable {
        /// One sentence for the report.
        reason: String,
    },
}

/// The mapped values of a device's details, with the check-in that they belong to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Details {
    /// `last_check_in` of the device list when they were read, as Kandji wrote it.
    pub check_in: String,
    /// Property path (`details.…`) to value; a mapped path that Kandji did not send is null.
    pub values: BTreeMap<String, Value>,
}

/// A device as Kandji lists it: what matching needs, and the mapped properties.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceEntry {
    /// Kandji's id.
    pub device_id: DeviceId,
    /// As Kandji spells it; may be blank, is not unique.
    pub name: String,
    /// May be blank, is not unique.
    pub serial: String,
    /// `Mac`, `iPhone`, `iPad`, `AppleTV`, `Windows`, `Android`.
    pub platform: String,
    /// Who it belongs to.
    pub user: PrimaryUser,
    /// Whether the integration's scope admits it (P19).
    pub in_scope: bool,
    /// Whether Kandji lists it as removed (P22).
    pub removed: bool,
    /// Mapped properties of the device list, property path to value; absent ones are null.
    pub values: BTreeMap<String, Value>,
    /// Mapped details; none while they have not been read, which is *unknown*, not blank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// A person as the devices of a run name them: all Kandji users of one email (P10).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserEntry {
    /// The normalised email, else the Kandji user id.
    pub key: UserKey,
    /// All Kandji user ids of this person, sorted; at least one.
    pub ids: Vec<KandjiUserId>,
    /// As Kandji spells it.
    pub email: Option<String>,
    /// As Kandji spells it; may be blank.
    pub name: String,
    /// Whether all Kandji users of this person are archived.
    pub archived: bool,
    /// Mapped `user.…` properties, property path to value.
    pub values: BTreeMap<String, Value>,
}

/// One device in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceSnapshot {
    /// How it is.
    pub device: DeviceEntry,
}

/// One person in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserSnapshot {
    /// How they are.
    pub user: UserEntry,
}

/// The last message of a run in a partition of the reconcile queues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndOfRun {
    /// The partition that it ends.
    pub partition: u16,
}
