//! What of a plan somebody wants to see: by device, kind of change, state and field.

use std::collections::BTreeSet;

use amfj_sync_model::ids::{IntegrationId, Key};
use amfj_sync_model::messages::{DeviceStatus, Outcome};
use amfj_sync_model::names::NameKey;
use amfj_sync_service::worker::Exit;
use clap::Args;

use super::text::KINDS;
use super::{ChangeRow, NotDone, SitePlan};
use crate::{CommandContext, lookup};

/// The kinds of assignments together, as the history and the dead letters call them.
const ASSIGN: &str = "assign";
const ASSIGNMENTS: [&str; 3] = ["check-out", "hand-over", "check-in"];

/// The filters of `plan`. Of several values of one filter any may fit; all filters must.
#[derive(Debug, Clone, Default, Args)]
pub struct Only {
    /// Only this device: its Kandji id, serial or name
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Only changes of this kind, such as hand-over; assign is check-out, hand-over and check-in
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    pub kind: Vec<String>,
    /// Only devices and people in this state, such as ambiguous
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub state: Vec<DeviceStatus>,
    /// Only values of this AMFJ field
    #[arg(long, value_name = "FIELD")]
    pub field: Vec<String>,
}

/// Spelled with blanks, hyphens or underscores.
fn plain(text: &str) -> String {
    text.trim().to_lowercase().replace([' ', '_'], "-")
}

fn kind(text: &str) -> Result<String, String> {
    let wanted = plain(text);
    let mut known = KINDS.iter().map(|(kind, ..)| *kind).chain([ASSIGN]);
    let found = known.clone().find(|kind| *kind == wanted || format!("{kind}s") == wanted);
    found.map(str::to_owned).ok_or_else(|| {
        let known: Vec<&str> = known.by_ref().collect();
        format!("a change is one of {}", known.join(", "))
    })
}

fn state(text: &str) -> Result<DeviceStatus, String> {
    let wanted = plain(text);
    let found = DeviceStatus::ALL.into_iter().find(|state| plain(state.as_str()) == wanted);
    found.ok_or_else(|| {
        let known = DeviceStatus::ALL.map(|state| plain(state.as_str()));
        format!("a state is one of {}", known.join(", "))
    })
}

/// The filters, with the devices that they name.
#[derive(Debug, Default)]
pub(super) struct Filter {
    devices: Option<BTreeSet<(IntegrationId, String)>>,
    kinds: BTreeSet<String>,
    states: BTreeSet<DeviceStatus>,
    fields: Vec<NameKey>,
    /// As they were typed, for the head of the plan.
    words: Vec<String>,
}

impl Filter {
    /// Looks up what the filters name: a plan without a device because it is misspelt would be a lie.
    pub(super) fn of(context: &CommandContext, only: &Only) -> Result<Self, Exit> {
        let mut filter = Self { states: only.states(), kinds: only.kinds(), ..Self::default() };
        for device in &only.device {
            let found = lookup::device(context, device)?;
            let key = Key::Device(found.what.entry.device_id).to_string();
            filter.devices.get_or_insert_default().insert((found.integration, key));
            filter.words.push(format!("device {device}"));
        }
        filter.words.extend(only.kind.iter().map(|kind| format!("kind {kind}")));
        filter.words.extend(only.state.iter().map(|state| format!("state {}", state.as_str())));
        for field in &only.field {
            filter.fields.push(known_field(context, field)?);
            filter.words.push(format!("field {field}"));
        }
        Ok(filter)
    }

    /// What is left out, in the words of the filters; none where all is shown.
    pub(super) fn words(&self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.join(", "))
    }

    /// Leaves only what fits.
    pub(super) fn narrow(&self, id: &IntegrationId, plan: &mut SitePlan) {
        plan.only = self.words();
        let keep = |key: &str, state: Option<DeviceStatus>| {
            let named = |devices: &BTreeSet<_>| devices.contains(&(id.clone(), key.to_owned()));
            self.devices.as_ref().is_none_or(named)
                && (self.states.is_empty() || state.is_some_and(|state| self.states.contains(&state)))
        };
        plan.changes.retain_mut(|change| keep(&change.key, change.state) && self.keeps(change));
        plan.not_done.retain(|one| keep(&one.key, Some(one.state)) && self.keeps_undone(one));
        let is_about_changes = !self.kinds.is_empty() || !self.fields.is_empty();
        plan.vanished.retain(|one| !is_about_changes && keep(&one.key, Some(DeviceStatus::Held)));
    }

    fn keeps(&self, change: &mut ChangeRow) -> bool {
        if !self.kinds.is_empty() && !self.kinds.contains(change.kind) {
            return false;
        }
        if self.fields.is_empty() {
            return true;
        }
        change.edits.retain(|edit| self.names(&edit.field));
        !change.edits.is_empty() || change.is_assignment() && self.names(Outcome::HOLDER)
    }

    fn keeps_undone(&self, one: &NotDone) -> bool {
        self.kinds.is_empty()
            && (self.fields.is_empty() || one.field_problems.keys().any(|field| self.names(field)))
    }

    fn names(&self, field: &str) -> bool {
        NameKey::of(field).is_some_and(|field| self.fields.contains(&field))
    }
}

impl Only {
    fn kinds(&self) -> BTreeSet<String> {
        let spelt = self.kind.iter().flat_map(|kind| match kind.as_str() {
            ASSIGN => ASSIGNMENTS.map(str::to_owned).to_vec(),
            kind => vec![kind.to_owned()],
        });
        spelt.collect()
    }

    fn states(&self) -> BTreeSet<DeviceStatus> {
        self.state.iter().copied().collect()
    }
}

/// A field that a plan may write.
fn known_field(context: &CommandContext, text: &str) -> Result<NameKey, Exit> {
    let own = [Outcome::NAME, Outcome::EMAIL, Outcome::LOCATION, Outcome::HOLDER, super::edits::ASSET_TYPE];
    let mut fields: BTreeSet<&str> = BTreeSet::new();
    for (integration, _) in context.integrations() {
        let mapped = integration.fields.iter().chain(integration.user_fields.iter());
        fields.extend(mapped.map(|(field, _)| field));
    }
    let wanted = NameKey::of(text);
    let is_known = |field: &&str| wanted.is_some() && NameKey::of(field) == wanted;
    if fields.iter().any(is_known) || own.iter().any(is_known) {
        return wanted.ok_or_else(|| Exit::Configuration("a field has a name".to_owned()));
    }
    let mapped: Vec<String> = fields.iter().map(|field| format!("\"{field}\"")).collect();
    Err(Exit::Configuration(format!(
        "no field \"{text}\" is mapped, so no plan writes it; mapped are {}, and a plan writes {} too",
        if mapped.is_empty() { "none".to_owned() } else { mapped.join(", ") },
        own.map(|field| format!("\"{field}\"")).join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_states_are_taken_as_people_write_them() {
        for (text, read) in
            [("hand-over", "hand-over"), ("Hand over", "hand-over"), ("check-outs", "check-out")]
        {
            assert_eq!(kind(text).as_deref(), Ok(read));
        }
        assert!(kind("handover").unwrap_err().contains("hand-over"));
        for text in ["plan only", "plan-only", "PLAN_ONLY"] {
            assert_eq!(state(text), Ok(DeviceStatus::PlanOnly), "{text}");
        }
        assert!(state("synced").unwrap_err().contains("in-sync"));
    }

    #[test]
    fn assign_is_whatever_changes_hands() {
        let only = Only { kind: vec!["assign".into(), "link-asset".into()], ..Only::default() };
        assert_eq!(
            only.kinds().into_iter().collect::<Vec<_>>(),
            ["check-in", "check-out", "hand-over", "link-asset"]
        );
    }
}
