//! The rules of the product (P4 … P22, P25) as pure functions over a view.
//!
//! Everything here is a function of what the view holds at one moment: the order in which devices and
//! people are decided never matters, and deciding again once the changes are answered yields nothing.
//! Nothing looks at the clock, draws a random number or talks to anybody. The worker around it gives
//! changes their ids and places, compares them with what is on its way, and publishes.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

pub mod checkout;
pub mod creating;
mod doubt;
mod draft;
mod fields;
pub mod gone;
pub mod matching;
mod plan;
pub mod updating;
pub mod users;

use amfj_sync_config::Integration;
use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Action, DeviceEntry, DeviceStatus, Rule, Sequence};
use amfj_sync_projection::rows::Memory;
use amfj_sync_projection::{FirstSync, Projection};
use jiff::Timestamp;

pub use amfj_sync_model::convert as values;
pub use draft::Draft;
use draft::{Findings, Subject};
pub use fields::{Finding, MappedValue, mapped_values};
pub use gone::decide_missing;
use matching::Resolution;
pub use plan::withheld;
pub use users::decide_user;

/// One integration at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// What is known of it.
    pub view: &'a Projection,
    /// Other integrations of the same AMFJ site: an asset that is linked there is not free (P4).
    pub siblings: &'a [&'a Projection],
    /// Its settings.
    pub config: &'a Integration,
    /// The moment.
    pub now: Timestamp,
}

impl Site<'_> {
    /// Whether the run in force is a first sync (P5).
    fn is_first_sync(&self) -> bool {
        self.view.meta().in_force.as_ref().is_some_and(|run| run.started.first_sync)
    }

    /// What outcomes taught about a key, as far as it still counts: since a `rematch`, what failed is tried again (P15),
    /// and so is, in a later run, what would have made a link (P5).
    fn memory(&self, key: &Key) -> Memory {
        let mut memory = self.view.memory(key);
        memory.failed.retain(|_, failed| failed.stands(self.view.meta()));
        memory
    }
}

/// What a person calls a device: its name, else its serial, else its id.
#[must_use]
pub fn label(device: &DeviceEntry) -> &str {
    [device.name.trim(), device.serial.trim()]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or(device.device_id.as_str())
}

/// What a person types for a device: its serial, else its id.
#[must_use]
pub fn handle(device: &DeviceEntry) -> &str {
    let serial = device.serial.trim();
    if serial.is_empty() { device.device_id.as_str() } else { serial }
}

/// Decides a device that the inventory in force lists, as of one snapshot of it.
///
/// The decision comes without its changes: they are listed beside it, without id and place.
#[must_use]
pub fn decide_device(site: &Site<'_>, device: &DeviceEntry, snapshot: Sequence) -> Draft {
    let subject = Subject::device(device);
    if !device.in_scope {
        return out_of_scope(site, device).into_draft(subject, snapshot);
    }
    let resolution = matching::resolve(site, device);
    let first_sync = matching::first_sync_lasts(site, device, &resolution);
    let mut findings = match resolution {
        Resolution::Linked { asset, .. } if asset.doubt.is_some() => doubtful(device, &asset.asset),
        Resolution::Linked { asset, .. } if device.removed => {
            let missing = site.view.device(&device.device_id).and_then(|row| row.missing);
            gone::linked(site, device, missing, &asset)
        }
        Resolution::Linked { asset, rule } => {
            let memory = site.memory(&Key::Device(device.device_id.clone()));
            let mut findings = updating::in_step(site, device, &asset, &memory);
            checkout::decide(site, device, &asset.asset, &memory, &mut findings);
            findings.rule = Some(rule);
            findings
        }
        Resolution::Link { asset, rule, takes_over } => {
            updating::link(site, device, &asset, rule, takes_over)
        }
        Resolution::Create => creating::decide(site, device),
        Resolution::Unmatched { reason, candidates } => {
            unlinked(site, device, DeviceStatus::Unmatched, reason, candidates)
        }
        Resolution::Ambiguous { reason, candidates } => {
            unlinked(site, device, DeviceStatus::Ambiguous, reason, candidates)
        }
    };
    findings.first_sync = first_sync;
    findings.into_draft(subject, snapshot)
}

/// A device whose asset AMFJ said is not there, when it was to be written. That proves nothing: whatever is to be done
/// waits for the next run, which reads (P8).
fn doubtful(device: &DeviceEntry, asset: &Asset) -> Findings {
    let reason = format!(
        "AMFJ said of asset \"{}\" ({}) that it is not there; that proves nothing, so it stays the asset of \"{}\", and \
         the next run looks (P8).",
        asset.name,
        asset.id,
        label(device)
    );
    let mut findings = Findings::new(DeviceStatus::Pending, reason);
    findings.asset = Some(asset.id.clone());
    findings
}

/// What is out of scope is left alone, whether or not it is linked (P19).
fn out_of_scope(site: &Site<'_>, device: &DeviceEntry) -> Findings {
    let reason = format!(
        "\"{}\" is not in the scope of this integration and is left alone; see [integration.scope].",
        label(device)
    );
    let mut findings = Findings::new(DeviceStatus::OutOfScope, reason);
    findings.asset = matching::linked_asset(site.view, &device.device_id).map(|(row, _)| row.asset.id);
    findings.first_sync = site.view.first_sync_of(&device.device_id) == FirstSync::Lasts;
    findings
}

/// A device that gets no asset; a link to a deleted asset is given up (P8).
fn unlinked(
    site: &Site<'_>,
    device: &DeviceEntry,
    state: DeviceStatus,
    reason: String,
    candidates: Vec<amfj_sync_model::messages::Candidate>,
) -> Findings {
    let mut findings = Findings::new(state, reason);
    findings.candidates = candidates;
    if let Some(link) = site.view.link(&device.device_id) {
        let memory = site.memory(&Key::Device(device.device_id.clone()));
        let why = format!("The link to asset {} is given up: AMFJ no longer has it.", link.asset);
        findings.act(&memory, Action::BreakLink { asset: link.asset }, &why);
    }
    findings
}

/// The words for a rule, for sentences.
fn because(rule: Rule) -> &'static str {
    match rule {
        Rule::Name => "they have the same name (P5)",
        Rule::Serial => "of several with this name it has the device's serial (P6)",
        Rule::Created => "it was created for it (P7)",
        Rule::Reenrolled => "the device was enrolled again under a new id (P9)",
        Rule::Email => "they have the same email (P10)",
        Rule::UserName => "they have the same name (P10)",
        Rule::SamePerson => "another Kandji user of this person has it (P10)",
        Rule::Person => "a person said so",
    }
}

#[cfg(test)]
mod tests;
