//! Records that an interrupted creation may have made (P7, P11): nothing is created beside one before it is
//! linked or gone.

use amfj_sync_model::ids::{AssetId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{Candidate, DeviceEntry};
use amfj_sync_projection::rows::RecordRow;

use super::matching::{Resolution, is_taken};
use super::{Site, handle, label};

/// Why no asset is created for this device, if AMFJ may have one of it already.
pub(super) fn of_device(site: &Site<'_>, device: &DeviceEntry) -> Option<Resolution> {
    let doubt = site.view.memory(&Key::Device(device.device_id.clone())).doubt?;
    let asset = site.view.asset(&AssetId::new(doubt).ok()?)?.asset;
    if is_taken(site, &asset.id) {
        return None;
    }
    let reason = format!(
        "An interrupted creation may have made asset \"{}\" of \"{}\"; if it did: `amfj-sync link \"{}\" {}`; if \
         not, delete that asset in AMFJ.",
        asset.name,
        label(device),
        handle(device),
        asset.id
    );
    let note = "may have come of an interrupted creation".to_owned();
    let candidates = vec![Candidate { id: asset.id.to_string(), name: asset.name, note }];
    Some(Resolution::Ambiguous { reason, candidates })
}

/// The record that an interrupted creation may have made of this person, as long as nobody has it.
pub(super) fn of_person(site: &Site<'_>, user: &UserKey) -> Option<RecordRow> {
    let doubt = site.view.memory(&Key::User(user.clone())).doubt?;
    let row = site.view.record(&RecordId::new(doubt).ok()?)?;
    site.view.linked_users(&row.record.id).is_empty().then_some(row)
}
