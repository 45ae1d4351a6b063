//! What the answer to a write shows: the record as it is now, or nothing that could be relied on.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Assigned;
use crate::http::{Answer, CallError};
use crate::ids::AssetId;

/// What an answer to a write of an asset shows, if it shows the asset at all.
pub(super) const ASSET_SHOWS: [&str; 3] = ["name", "asset_type", "fields"];

/// The same for a user record: its fields only where some were sent.
pub(super) fn user_shows(sent: &BTreeMap<String, Value>) -> impl Iterator<Item = &'static str> {
    ["name", "source"].into_iter().chain((!sent.is_empty()).then_some("fields"))
}

/// The record that an answer to a write shows. A success that shows none, another one or half of it
/// ([`CallError::is_unshown_success`]) says nothing about what AMFJ holds: that is read.
pub(super) fn written<T: DeserializeOwned>(
    answer: Answer,
    id: Option<&str>,
    members: impl Iterator<Item = &'static str>,
) -> Result<T, CallError> {
    let unshown = |status: u16, reason: String| CallError::NotJson {
        call: "AMFJ, the answer to a write".to_owned(),
        status,
        reason,
        html: false,
        body: String::new(),
    };
    let status = answer.status().as_u16();
    let shown: Value = answer.json()?;
    if let Some(missing) = std::iter::once("id").chain(members).find(|name| shown.get(*name).is_none()) {
        return Err(unshown(status, format!("a record without \"{missing}\"")));
    }
    if id.is_some_and(|id| shown.get("id").and_then(Value::as_str).is_some_and(|other| other != id)) {
        return Err(unshown(status, "another record than the one that was written".to_owned()));
    }
    serde_json::from_value(shown)
        .map_err(|error| unshown(status, format!("a record that cannot be understood ({error})")))
}

pub(super) fn assigned(answer: Answer, id: &AssetId) -> Result<Assigned, CallError> {
    let shows = ASSET_SHOWS.iter().copied().chain(["checked_out_to"]);
    match written(answer, Some(id.as_str()), shows) {
        Ok(asset) => Ok(Assigned::Done(asset)),
        Err(error) if error.is_conflict() => Ok(Assigned::Conflict { reason: error.to_string() }),
        Err(error) => Err(error),
    }
}
