//! Changes in a tenant, as people and devices make them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change. Wherever a device is named, its id, serial or name will do.
///
/// As JSON for `POST /_sim/mutate`: `{"op":"rename_device","device":"C02X","name":"Reception"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the members are named after Kandji's own")]
pub enum Mutation {
    /// Gives a device another name.
    RenameDevice { device: String, name: String },
    /// Sets any property of the list, `user` included.
    SetProperty { device: String, property: String, value: Value },
    /// Gives a device to somebody; null takes it from its owner (`"user": ""`).
    SetOwner { device: String, owner: Option<NewOwner> },
    /// Sets a value in the details by a path such as `hardware_overview.memory`.
    SetDetail { device: String, path: String, value: Value },
    /// Enrols a device.
    AddDevice(NewDevice),
    /// Unenrols a device.
    RemoveDevice { device: String },
    /// Wipes a device and enrols it again: new id, old serial.
    Reenroll { device: String },
    /// Changes what the token may read.
    Permit {
        #[serde(default)]
        users: Option<bool>,
        #[serde(default)]
        details: Option<bool>,
        #[serde(default)]
        prism: Option<bool>,
    },
    /// Changes how many rows a page has at most.
    SetPageLimit { limit: usize },
}

/// A device to enrol; what is left out is made up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the members are named after Kandji's own")]
pub struct NewDevice {
    pub name: String,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub serial: Option<String>,
    #[serde(default)]
    pub platform: Option<String>,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub blueprint: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub owner: Option<NewOwner>,
}

/// The Kandji user that a device goes to: the one with this id, else with this email, else a new
/// one. The name, email and archived flag given here become that user's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOwner {
    /// Display name.
    #[serde(default)]
    pub name: String,
    /// Email; made from the name if a new user has none here.
    #[serde(default)]
    pub email: Option<String>,
    /// UUID or, as in older data, an integer.
    #[serde(default)]
    pub id: Option<Value>,
    /// Whether the user is archived.
    #[serde(default)]
    pub is_archived: bool,
}
