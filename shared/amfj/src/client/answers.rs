//! What the answer to a write shows: the record as it is now, or nothing that could be relied on.

use std::collections::BTreeMap;

use amfj_sync_http::{Answer, CallError};
use amfj_sync_model::ids::AssetId;
use serde_json::Value;

use super::Assigned;
use crate::lenient::{self, Record};

/// What an answer to a write of an asset shows, if it shows the asset at all.
pub(super) const ASSET_SHOWS: [&str; 3] = ["name", "asset_type", "fields"];

/// The same for a user record: its fields only where some were sent.
pub(super) fn user_shows(sent: &BTreeMap<String, Value>) -> impl Iterator<Item = &'static str> {
    ["name", "source"].into_iter().chain((!sent.is_empty()).then_some("fields"))
}

/// The record that an answer to a write shows. A success that shows none, another one or half of it
/// ([`CallError::is_unshown_success`]) says nothing about what AMFJ holds: that is read.
pub(super) fn written<T: Record>(
    answer: Answer,
    id: Option<&str>,
    mut members: impl Iterator<Item = &'static str>,
) -> Result<T, CallError> {
    let (record, _) = answer.read(|body| {
        let shown = amfj_sync_http::json::value(body)?;
        let unshown = |reason: &str| Err(serde::de::Error::custom(reason));
        if let Some(missing) = members.find(|name| shown.get(*name).is_none()) {
            return unshown(&format!("a record without \"{missing}\""));
        }
        let shown_id = match shown.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return unshown("a record without \"id\""),
        };
        if id.is_some_and(|id| shown_id.trim() != id) {
            return unshown("another record than the one that was written");
        }
        lenient::one::<T>(body)
    })?;
    Ok(record)
}

pub(super) fn assigned(answer: Answer, id: &AssetId) -> Result<Assigned, CallError> {
    let shows = ASSET_SHOWS.iter().copied().chain(["checked_out_to"]);
    match written(answer, Some(id.as_str()), shows) {
        Ok(asset) => Ok(Assigned::Done(Box::new(asset))),
        Err(error) if error.is_conflict() => Ok(Assigned::Conflict { reason: error.to_string() }),
        Err(error) => Err(error),
    }
}
