//! Devices of one serial: enrolled again under a new id (P9), or listed twice; assets that hold it (P7).

use amfj_sync_model::messages::{Absence, Candidate, DeviceEntry, Rule};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::{DeviceRow, Missing};

use super::super::{Site, label};
use super::names::{SHOWN, others};
use super::{Resolution, by_name_or_new, is_linked, is_open, linked_asset};

/// Whether a device is gone from the run in force and its details answered 404 (P9).
fn is_gone(row: &DeviceRow) -> bool {
    matches!(row.missing, Some(Missing { absence: Absence::NotFound, .. }))
}

/// The other devices of its serial, listed or missing; none where the serial says nothing (P6).
pub(super) fn others_of_serial(view: &Projection, device: &DeviceEntry) -> Vec<DeviceRow> {
    if view.telling_serial(device).is_none() {
        return Vec::new();
    }
    let ids = others(view.devices_with_serial(&device.serial), device);
    ids.iter().filter_map(|id| view.device(id)).collect()
}

/// Whether an unlinked device takes over the link of its serial (P9).
pub(super) fn takes_over(view: &Projection, device: &DeviceEntry) -> bool {
    matches!(reenrolled(view, device, &others_of_serial(view, device)), Some(Resolution::Link { .. }))
}

/// P9; none where none of the others of this serial and platform is linked.
pub(super) fn reenrolled(
    view: &Projection,
    device: &DeviceEntry,
    others: &[DeviceRow],
) -> Option<Resolution> {
    let (linked, unlinked): (Vec<_>, Vec<_>) =
        others.iter().partition(|row| is_linked(view, &row.entry.device_id));
    // A phone that leaves does not hand its asset to a computer, whatever makers put into serial numbers.
    let linked: Vec<_> = linked.into_iter().filter(|row| is_of_platform(row, &device.platform)).collect();
    let (old, more) = linked.split_first()?;
    // Whether or not a rule may link it: that a second device answers to the serial is doubt enough.
    let rival = unlinked.iter().find(|row| row.is_listed() && !row.entry.removed);
    let (serial, id) = (device.serial.trim(), &device.device_id);
    let problem = if more.is_empty() && rival.is_none() && is_gone(old) {
        None
    } else if !more.is_empty() {
        Some(format!("{} linked devices have its serial {serial}", linked.len()))
    } else if rival.is_some() {
        Some(format!("another unlinked device has its serial {serial}"))
    } else if old.is_listed() {
        Some(format!("linked device {} has its serial {serial} and is still listed", old.entry.device_id))
    } else {
        let old = &old.entry.device_id;
        Some(format!("linked device {old} has its serial {serial} and is not known to be gone"))
    };
    let Some(problem) = problem else {
        let (row, _) = linked_asset(view, &old.entry.device_id)?;
        let takes_over = Some(old.entry.device_id.clone());
        return Some(Resolution::Link { asset: Box::new(row.asset), rule: Rule::Reenrolled, takes_over });
    };
    let reason = format!(
        "\"{}\" (id {id}) is not linked: {problem}; delete the outdated device in Kandji, or unlink it and \
         link this one with `amfj-sync link {id} ASSET`.",
        label(device)
    );
    Some(Resolution::Ambiguous {
        reason,
        candidates: linked.into_iter().chain(rival.copied()).map(shown).collect(),
    })
}

fn is_of_platform(row: &DeviceRow, platform: &str) -> bool {
    row.entry.platform.trim().eq_ignore_ascii_case(platform.trim())
}

fn shown(row: &DeviceRow) -> Candidate {
    let note = if row.is_listed() { "has the same serial and is listed" } else { "has the same serial" };
    Candidate { id: row.entry.device_id.to_string(), name: row.entry.name.clone(), note: note.to_owned() }
}

/// Two unlinked devices of one serial are one machine that is listed twice: whichever were linked
/// first, the other would be the newcomer of P9. So a match by name goes before a new asset, and where
/// both have the same claim, both are ambiguous.
pub(super) fn beside_twins(
    site: &Site<'_>,
    device: &DeviceEntry,
    others: &[DeviceRow],
    own: Resolution,
) -> Resolution {
    let claim = strength(&own);
    if matches!(own, Resolution::Ambiguous { .. }) {
        return own;
    }
    let twin = others.iter().find(|row| twin_claim(site, row) >= claim.max(1));
    let Some(twin) = twin else { return own };
    let id = &device.device_id;
    let reason = format!(
        "\"{}\" (id {id}) and device {} have the same serial {}, as after a wipe; delete the outdated one in \
         Kandji, or link this one with `amfj-sync link {id} ASSET`.",
        label(device),
        twin.entry.device_id,
        device.serial.trim()
    );
    Resolution::Ambiguous { reason, candidates: vec![shown(twin)] }
}

/// What a twin has a claim to; a link that is on its way is as good as one that is to be decided.
fn twin_claim(site: &Site<'_>, row: &DeviceRow) -> u8 {
    if site.view.promised_asset(&row.entry.device_id).is_some() && row.is_listed() {
        2
    } else if is_open(site.view, row) {
        strength(&by_name_or_new(site, &row.entry))
    } else {
        0
    }
}

fn strength(resolution: &Resolution) -> u8 {
    match resolution {
        Resolution::Link { .. } => 2,
        Resolution::Create => 1,
        _ => 0,
    }
}

/// The assets that hold the device's serial in the mapped field, free or not (P7).
pub(super) fn assets_of_serial(site: &Site<'_>, device: &DeviceEntry) -> Vec<Candidate> {
    let rows = site.view.assets_with_serial_of(device).into_iter().take(SHOWN);
    rows.map(|row| Candidate {
        note: match site.view.linked_device(&row.asset.id) {
            Some(other) => format!("has the device's serial, and is linked to device {other}"),
            None => "has the device's serial".to_owned(),
        },
        id: row.asset.id.to_string(),
        name: row.asset.name,
    })
    .collect()
}
