//! What a person can do about a device's state, in one sentence.

use amfj_sync_config::{Integration, Mode};
use amfj_sync_model::ids::AssetId;
use amfj_sync_model::messages::{Decision, DeviceEntry, DeviceStatus};
use amfj_sync_projection::Projection;

use super::User;

/// One sentence. The reason of the state says why; this says what to type or to change.
pub(super) fn what_to_do(
    config: &Integration,
    view: &Projection,
    device: &DeviceEntry,
    decision: Option<&Decision>,
    user: Option<&User>,
) -> String {
    let id = &config.id;
    if view.has_vanished(&device.device_id) {
        return format!(
            "Look for it in Kandji; `amfj-sync plan {id} --state held` lists all that vanished. If they are gone, \
             `amfj-sync release {id}`; if they are back, the next run ends the hold."
        );
    }
    let Some(decision) = decision else {
        return format!("Start `reconciler run`, and `fetcher run --once {id}` reads both sides anew.");
    };
    match decision.state {
        DeviceStatus::InSync => "Nothing.".to_owned(),
        DeviceStatus::Pending => {
            "Nothing: it is on its way. If that lasts, `amfj-sync status` says what it waits for.".to_owned()
        }
        DeviceStatus::PlanOnly => match config.mode {
            Mode::Plan => format!("Look at `amfj-sync plan {id}`; mode = \"apply\" has it made."),
            Mode::Apply => "Add its serial number to apply_only, or empty apply_only.".to_owned(),
        },
        DeviceStatus::Unmatched => unmatched(view, device, decision),
        DeviceStatus::Ambiguous => match asset_among(view, decision) {
            Some(asset) => format!(
                "Choose: {} (or another asset), or make names and serials differ.",
                link(view, device, asset)
            ),
            None => format!("Delete the outdated device in Kandji, or choose: {}.", link(view, device, "ASSET")),
        },
        DeviceStatus::FieldProblem => {
            "Correct the value in Kandji, or map another property to the field; the other fields are written."
                .to_owned()
        }
        DeviceStatus::UserProblem => user_problem(user),
        DeviceStatus::Failed => {
            "Mend the cause, then `amfj-sync dead replay ID` (`amfj-sync dead list` has the id); or change the value in Kandji."
                .to_owned()
        }
        DeviceStatus::Gone => {
            "Nothing, if it is really gone; when_gone = \"check-in\" checks assets of gone devices in."
                .to_owned()
        }
        DeviceStatus::Held => format!("Look at `amfj-sync plan {id}`; if it is right, `amfj-sync release {id}`."),
        DeviceStatus::OutOfScope => "Nothing, or change [integration.scope].".to_owned(),
    }
}

/// The first candidate that a device can be linked to: others may be devices that have the same claim.
fn asset_among<'a>(view: &Projection, decision: &'a Decision) -> Option<&'a str> {
    let mut ids = decision.candidates.iter().map(|candidate| candidate.id.as_str());
    ids.find(|id| AssetId::new(*id).is_ok_and(|id| view.asset(&id).is_some()))
}

/// What to type: by serial where no other device has it, else by id.
fn link(view: &Projection, device: &DeviceEntry, asset: &str) -> String {
    let serial = device.serial.trim();
    let is_one = view.devices_with_serial(serial).len() == 1;
    let handle = if is_one { serial } else { device.device_id.as_str() };
    format!("`amfj-sync link \"{handle}\" {asset}`")
}

fn unmatched(view: &Projection, device: &DeviceEntry, decision: &Decision) -> String {
    let asset = asset_among(view, decision);
    let link = link(view, device, asset.unwrap_or("ASSET"));
    if device.removed {
        "Nothing, if it was removed from Kandji on purpose.".to_owned()
    } else if asset.is_none() {
        format!("Create its asset in AMFJ and type {link}, or let create_devices create it.")
    } else {
        format!("Type {link}, if that is its asset.")
    }
}

fn user_problem(user: Option<&User>) -> String {
    let Some(key) = user.and_then(|user| user.key.as_ref()) else {
        return "Give the device another user in Kandji; AMFJ's holder is left as it is.".to_owned();
    };
    let record = user.and_then(|user| user.candidates.first()).map_or("RECORD", |one| one.id.as_str());
    format!(
        "Choose the record with `amfj-sync link-user {key} {record}`, or give the device another user in Kandji."
    )
}
