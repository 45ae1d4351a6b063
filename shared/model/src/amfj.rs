//! The records of AMFJ as this project reads them. Unknown members are ignored.
//!
//! **AMFJ publishes no REST documentation.** The shapes are this project's assumption; everything
//! that depends on them sits in this module and the client beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{AssetId, RecordId};

/// An id with the name that goes with it: an asset type, a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// Opaque id.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
}

/// Who has an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// The user record.
    pub id: RecordId,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// The id of a holder who cannot be read: no id that AMFJ gives begins with a character that stands for an unreadable one.
const UNREADABLE: &str = "\u{fffd}unreadable";

impl Holder {
    /// Somebody of whom AMFJ shows no id that can be read: not nobody, and nobody in particular (P30).
    #[must_use]
    pub fn unreadable(name: &str) -> Self {
        let name = if name.trim().is_empty() { "somebody who cannot be read" } else { name };
        // Not blank, so never replaced.
        let id = RecordId::new(UNREADABLE).unwrap_or_else(|_| unreachable!("{UNREADABLE} is not blank"));
        Self { id, name: name.to_owned() }
    }

    /// Whether it is known who this is. Where it is not, nothing may be decided about who has the asset.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.id.as_str() != UNREADABLE
    }
}

/// One asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Asset {
    /// Opaque id.
    pub id: AssetId,
    /// Asset name; not unique.
    #[serde(default)]
    pub name: String,
    /// Its type.
    pub asset_type: Named,
    /// Its location, if it has one.
    #[serde(default)]
    pub location: Option<Named>,
    /// Custom fields by name.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// Who has it, if it is checked out.
    #[serde(default)]
    pub checked_out_to: Option<Holder>,
    /// When it was created.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub created_at: Option<Timestamp>,
}

/// Where a user record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Synced from Jira; cannot be changed by anybody else.
    Jira,
    /// Made by hand or by an import.
    #[serde(other)]
    Local,
}

/// One user record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserRecord {
    /// Opaque id.
    pub id: RecordId,
    /// Display name; not unique.
    #[serde(default)]
    pub name: String,
    /// Email; not unique, may be missing.
    #[serde(default)]
    pub email: Option<String>,
    /// Jira or local.
    pub source: Source,
    /// Custom fields by name.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
}

/// The type of a custom field. Unknown types are treated as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FieldType {
    Number,
    Boolean,
    Date,
    Select,
    Url,
    Email,
    #[serde(other)]
    Text,
}

/// A custom field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// Its name, which is also its key.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Whether an asset of the type must have it.
    #[serde(default)]
    pub required: bool,
    /// The values that a select allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// An asset type and the fields its assets have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssetType {
    /// Opaque id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Custom fields.
    #[serde(default)]
    pub fields: Vec<Field>,
}

impl AssetType {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}
