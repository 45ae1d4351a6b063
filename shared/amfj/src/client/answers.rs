//! What the answer to a write shows under the assumed contract: the record as it is now, or nothing that could be relied on.

use amfj_sync_http::{Answer, CallError};
use serde_json::Value;

use crate::lenient::{self, Record};

/// What an answer to a write of an asset shows, if it shows the asset at all.
pub(crate) fn asset_shows() -> impl Iterator<Item = &'static str> {
    ["name", "asset_type", "fields"].into_iter()
}

/// The same for a user record: its fields only where some were sent.
pub(crate) fn user_shows(sent: bool) -> impl Iterator<Item = &'static str> {
    ["name", "source"].into_iter().chain(sent.then_some("fields"))
}

/// The record that an answer to a write shows. A success that shows none, another one or half of it
/// ([`CallError::is_unshown_success`]) says nothing about what AMFJ holds: that is read.
pub(crate) fn written<T: Record>(
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
