//! Plan or apply (P25). The reconciler asks before it publishes a change, the writer once more before
//! it applies one.

use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::Change;

use crate::{Integration, Mode};

/// Why a change is known but not made; none where it is to be made.
#[must_use]
pub fn withheld(integration: &Integration, change: &Change) -> Option<String> {
    if integration.mode == Mode::Plan {
        return Some(format!(
            "integration `{}` only plans; set mode = \"apply\" to make its changes",
            integration.id
        ));
    }
    let only = &integration.apply_only;
    let named = match change.key {
        Key::Device(_) => only.contains(&change.serial),
        Key::User(_) => change.serials.iter().any(|serial| only.contains(serial)),
    };
    if only.is_empty() || named {
        None
    } else {
        Some("apply_only does not name this device; add its serial number, or empty apply_only".into())
    }
}
