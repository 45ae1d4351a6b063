//! What a list says that the view does not know yet: pure. Only differences become facts.

use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::messages::{DeviceEntry, UserEntry};
use amfj_sync_projection::rows::{AssetRow, DeviceRow, RecordRow, UserRow};

#[cfg(test)]
mod tests;

/// Whether an asset is not known as listed, or was said not to be there when it was written (P8).
pub(crate) fn asset_differs(listed: &Asset, known: Option<&AssetRow>) -> bool {
    known.is_none_or(|row| row.asset != *listed || row.doubt.is_some())
}

/// Whether a user record is not known as listed, or was missing from a list before (P11).
pub(crate) fn record_differs(listed: &UserRecord, known: Option<&RecordRow>) -> bool {
    known.is_none_or(|row| row.record != *listed || row.absent_since.is_some())
}

/// Whether a device is not known as listed. An entry without details says nothing about them. A device
/// marked missing is back when it is listed, unless it is listed as removed, which is no coming back.
pub(crate) fn device_differs(listed: &DeviceEntry, known: Option<&DeviceRow>) -> bool {
    let Some(row) = known else { return true };
    let came_back = row.missing.is_some() && !listed.removed;
    let details_differ = listed.details.is_some() && listed.details != row.entry.details;
    came_back || details_differ || {
        let DeviceEntry { device_id, name, serial, platform, user, in_scope, removed, values, details: _ } =
            &row.entry;
        (device_id, name, serial, platform, user, in_scope, removed, values)
            != (
                &listed.device_id,
                &listed.name,
                &listed.serial,
                &listed.platform,
                &listed.user,
                &listed.in_scope,
                &listed.removed,
                &listed.values,
            )
    }
}

/// Whether a person is not known as the devices name them, or was named by none before.
pub(crate) fn user_differs(named: &UserEntry, known: Option<&UserRow>) -> bool {
    known.is_none_or(|row| row.missing || row.entry != *named)
}
