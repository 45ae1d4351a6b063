//! Devices that Kandji no longer has (P22).

use amfj_sync_config::WhenGone;
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Absence, Action, DeviceEntry, DeviceStatus, Sequence};
use amfj_sync_projection::rows::{AssetRow, DeviceRow, Missing};

use super::draft::{Draft, Findings, Subject};
use super::matching::{Resolution, linked_asset, resolve};
use super::{Site, label};

/// In so many complete runs in a row a device is missing before it is gone.
const RUNS: u32 = 2;

/// Decides a device that the inventory in force does not list. There is no snapshot of it; the
/// decision bears the first place of the latest run that missed it.
#[must_use]
pub fn decide_missing(site: &Site<'_>, row: &DeviceRow) -> Draft {
    let device = &row.entry;
    let run = row.missing.map(|missing| missing.latest).or(site.view.meta().number_in_force());
    let findings = if !device.in_scope {
        super::out_of_scope(site, device)
    } else if let Some((asset, _)) = linked_asset(site.view, &device.device_id) {
        linked(site, device, row.missing, &asset)
    } else {
        unlinked(site, device, row.missing)
    };
    findings.into_draft(Subject::device(device), Sequence::first(run.unwrap_or_default()))
}

/// A linked device that is missing, or listed as removed.
pub(super) fn linked(
    site: &Site<'_>,
    device: &DeviceEntry,
    missing: Option<Missing>,
    row: &AssetRow,
) -> Findings {
    if row.doubt.is_some() {
        return super::doubtful(device, &row.asset);
    }
    let asset = &row.asset;
    let mut findings = match unproven(device, missing) {
        Some(reason) => Findings::new(DeviceStatus::InSync, reason),
        None => gone(site, device, asset),
    };
    findings.asset = Some(asset.id.clone());
    findings
}

/// Why a device is not known to be gone; none where it is.
fn unproven(device: &DeviceEntry, missing: Option<Missing>) -> Option<String> {
    let label = label(device);
    let what = if device.removed { "is listed as removed" } else { "was missing from the last device list" };
    match missing.map(|missing| (missing.absence, missing.runs)) {
        Some((Absence::NotFound, runs)) if device.removed || runs >= RUNS => None,
        Some((Absence::NotFound, _)) => {
            Some(format!("\"{label}\" {what}; it counts as gone when the next run misses it too (P22)."))
        }
        Some((Absence::Found, _)) => {
            Some(format!("\"{label}\" {what}, but Kandji still has its details; it is left alone."))
        }
        Some((Absence::Unknown, _)) | None => Some(format!(
            "\"{label}\" {what}; whether it is gone is unknown, because its details could not be had; it is \
             left alone."
        )),
    }
}

fn gone(site: &Site<'_>, device: &DeviceEntry, asset: &amfj_sync_model::amfj::Asset) -> Findings {
    let label = label(device);
    let successor = successor(site, device);
    // Nobody loses an asset to a holder who cannot be read (P30).
    let holder = asset.checked_out_to.as_ref().filter(|holder| holder.is_readable());
    let fate = match (&successor, site.config.sync.when_gone, holder) {
        (Some(id), _, _) => {
            format!("device {id} with the same serial takes over its asset \"{}\"", asset.name)
        }
        (None, WhenGone::Report, _) => format!("its asset \"{}\" is left as it is", asset.name),
        (None, WhenGone::CheckIn, None) => format!("its asset \"{}\" is checked in", asset.name),
        (None, WhenGone::CheckIn, Some(holder)) => {
            format!("its asset \"{}\" is to be checked in from {}", asset.name, holder.name)
        }
    };
    let mut findings =
        Findings::new(DeviceStatus::Gone, format!("\"{label}\" is no longer in Kandji; {fate} (P22)."));
    if successor.is_none() && site.config.sync.when_gone == WhenGone::CheckIn && holder.is_some() {
        let memory = site.memory(&Key::Device(device.device_id.clone()));
        let asset = asset.id.clone();
        findings.act(
            &memory,
            Action::Assign { asset, expected: holder.cloned(), to: None, primary: None },
            "",
        );
    }
    findings
}

/// The device that takes over this one's link (P9): its asset goes on being used.
fn successor(site: &Site<'_>, device: &DeviceEntry) -> Option<amfj_sync_model::ids::DeviceId> {
    let ids = site.view.devices_with_serial(&device.serial);
    ids.into_iter().filter(|id| *id != device.device_id).find(|id| {
        site.view.device(id).is_some_and(|row| {
            row.is_listed()
                && matches!(resolve(site, &row.entry),
                    Resolution::Link { takes_over: Some(old), .. } if old == device.device_id)
        })
    })
}

/// A device without asset that is missing: there is nothing to do, so nothing needs proof.
fn unlinked(site: &Site<'_>, device: &DeviceEntry, missing: Option<Missing>) -> Findings {
    let label = label(device);
    let (state, reason) = if missing.is_some_and(|missing| missing.runs >= RUNS) {
        (DeviceStatus::Gone, format!("\"{label}\" is no longer in Kandji's list, and has no asset."))
    } else {
        let reason = format!("\"{label}\" was missing from the last device list, and has no asset.");
        (DeviceStatus::Unmatched, reason)
    };
    super::unlinked(site, device, state, reason, Vec::new())
}
