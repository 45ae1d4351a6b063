//! What an import says of an integration as a whole.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far an integration was where it was exported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// How many inventories had taken effect: what failed for good is asked for again after some more of them.
    #[serde(default)]
    pub runs: u64,
    /// Whether the first sync was over (P5).
    #[serde(default)]
    pub first_sync_over: bool,
    /// What filled each field of assets when a run was applied last, as a short hash (P23).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_mapping: Option<BTreeMap<String, String>>,
}
