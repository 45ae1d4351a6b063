//! What a person can do about a device's state, in one sentence.

use amfj_sync_shared::config::{Integration, Mode};
use amfj_sync_shared::messages::{Decision, DeviceEntry, State};

use super::User;
use crate::rules::handle;

/// One sentence. The reason of the state says why; this says what to type or to change.
pub(super) fn what_to_do(
    config: &Integration,
    device: &DeviceEntry,
    decision: Option<&Decision>,
    user: Option<&User>,
) -> String {
    let (id, handle) = (&config.id, handle(device));
    let Some(decision) = decision else {
        return format!("Start `reconciler run`, and `fetcher run --once {id}` reads both sides anew.");
    };
    match decision.state {
        State::InSync => "Nothing.".to_owned(),
        State::Pending => {
            "Nothing: it is on its way. If that lasts, `reconciler status` says what it waits for.".to_owned()
        }
        State::PlanOnly => match config.mode {
            Mode::Plan => format!("Look at `reconciler plan {id}`; mode = \"apply\" has it made."),
            Mode::Apply => "Add its serial number to apply_only, or empty apply_only.".to_owned(),
        },
        State::Unmatched => unmatched(device, decision, handle),
        State::Ambiguous => match decision.candidates.first() {
            Some(candidate) => format!(
                "Choose: `reconciler link \"{handle}\" {}` (or another asset), or make names and serials differ.",
                candidate.id
            ),
            None => format!("Choose: `reconciler link \"{handle}\" ASSET`."),
        },
        State::FieldProblem => {
            "Correct the value in Kandji, or map another property to the field; the other fields are written."
                .to_owned()
        }
        State::UserProblem => user_problem(user),
        State::Failed => {
            "Mend the cause, then `writer dead list` and `writer dead replay`; or change the value in Kandji."
                .to_owned()
        }
        State::Gone => {
            "Nothing, if it is really gone; when_gone = \"check-in\" checks assets of gone devices in."
                .to_owned()
        }
        State::Held => format!("Look at `reconciler plan {id}`; if it is right, `reconciler release {id}`."),
        State::OutOfScope => "Nothing, or change [integration.scope].".to_owned(),
    }
}

fn unmatched(device: &DeviceEntry, decision: &Decision, handle: &str) -> String {
    let asset = decision.candidates.first().map_or("ASSET", |candidate| candidate.id.as_str());
    let link = format!("`reconciler link \"{handle}\" {asset}`");
    if device.removed {
        "Nothing, if it was removed from Kandji on purpose.".to_owned()
    } else if decision.candidates.is_empty() {
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
        "Choose the record with `reconciler link-user {key} {record}`, or give the device another user in Kandji."
    )
}
