//! What fails of a service, as its client sees it and as the status of a worker tells it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What fails now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Why, with the cure that fits.
    pub reason: String,
    /// Since when nothing else is heard.
    pub since: Timestamp,
    /// Calls that failed since.
    #[serde(default)]
    pub times: u32,
    /// When it is tried next, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}
