//! Which changes are shown and not made (P25). The writer asks the same question again.

use amfj_sync_config::{Integration, Mode};
use amfj_sync_model::messages::DeviceEntry;

pub use amfj_sync_config::mode::withheld;

/// Whether the changes of this device, and of its user, are planned only.
pub(super) fn is_planned(config: &Integration, device: &DeviceEntry) -> bool {
    config.mode == Mode::Plan
        || !(config.apply_only.is_empty() || config.apply_only.contains(device.serial.trim()))
}
