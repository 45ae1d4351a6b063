//! What a site notes of what happened to it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A write that was carried out for a client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Write {
    /// When.
    pub time: Timestamp,
    /// `POST` or `PATCH`.
    pub method: String,
    /// With the version prefix.
    pub path: String,
    /// What was sent.
    pub body: Value,
    /// The record afterwards.
    pub result: Value,
}

/// A value that a client sent and that the site took and keeps otherwise, or not at all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeptOtherwise {
    /// The asset or user record.
    pub record: String,
    /// Name of the field.
    pub field: String,
    /// What was sent; null to clear the field.
    pub sent: Value,
    /// What is kept; `None` where the field has no value.
    pub kept: Option<Value>,
}

/// A change of who has an asset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Handover {
    /// When.
    pub time: Timestamp,
    /// Which asset.
    pub asset_id: String,
    /// The user record that had it.
    pub from: Option<String>,
    /// The user record that has it now.
    pub to: Option<String>,
    /// Whether a person did it in AMFJ, and not a client.
    pub by_hand: bool,
}
