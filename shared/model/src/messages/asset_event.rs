//! What AMFJ sends when somebody has touched an asset: a hint that it may have changed, never the truth (P34).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::AssetId;

/// What AMFJ says has happened to an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssetEventKind {
    /// `asset.create`
    Created,
    /// `asset.update`
    Updated,
    /// `asset.delete`
    Deleted,
}

impl AssetEventKind {
    /// The kind that AMFJ calls so; none for anything else.
    #[must_use]
    pub fn of_event_type(event_type: &str) -> Option<Self> {
        match event_type {
            "asset.create" => Some(Self::Created),
            "asset.update" => Some(Self::Updated),
            "asset.delete" => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// Which asset to look at, as far as an event said it. Nothing else of the event is kept: whoever sent it may have made it
/// up, so what counts is what AMFJ answers when it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssetEvent {
    /// What is said to have happened.
    pub kind: AssetEventKind,
    /// The asset's id, where the event had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetId>,
    /// Its name, where the event had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Random: the same event twice is two messages.
    pub token: Uuid,
}
