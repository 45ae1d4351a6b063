//! From a draft to a decision: ids and places for its changes, what is on its way already, and what the
//! mode keeps from being made.

use std::time::Duration;

use amfj_sync_config::mode::withheld;
use amfj_sync_config::{Integration, Mode, Percent};
use amfj_sync_model::mapping::fingerprint::hashes;
use amfj_sync_model::messages::{
    Action, Change, Decision, DeviceStatus, Event, Origin, Payload, PlannedChange, RunStarted, Sequence,
};
use amfj_sync_projection::rows::Answered;
use amfj_sync_rules::Draft;
use jiff::Timestamp;

/// What is known about a key beside the draft.
pub(crate) struct Before<'a> {
    /// The latest decision.
    pub(crate) decision: Option<&'a Decision>,
    /// How far its changes have been answered.
    pub(crate) answered: &'a Answered,
    /// The run whose inventory is in force.
    pub(crate) run: u64,
    /// The moment.
    pub(crate) now: Timestamp,
    /// Whether the device has a link, perhaps to an asset that was deleted.
    pub(crate) has_link: bool,
    /// What happens to the changes of the run (P23).
    pub(crate) changes: Changes<'a>,
    /// Whether it is decided between runs, and not because a person said so: then no link is broken, and nothing is made in
    /// place of one, but for what a run had decided (P8, P23).
    pub(crate) between_runs: bool,
    /// Set where an event of AMFJ gave rise to it between runs (P34).
    pub(crate) by_event: Option<ByEvent>,
    /// After that a published change without outcome counts as lost, and is published anew.
    pub(crate) change_lost_after: Duration,
}

/// What an event of AMFJ may lead to between runs. Whoever edits assets by the thousand, or makes events up, has no run
/// counted and held by that: so what counts towards the limits of a run is left to the next one (P23).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByEvent {
    /// Whether the settings are those that the run in force was judged with.
    pub(crate) is_as_run: bool,
}

/// Whether the settings that a run is judged by are those with which this one was started.
pub(crate) fn is_as_run(run: &RunStarted, integration: &Integration) -> bool {
    run.mapping == hashes(&integration.fields)
        && run.auto_checkout == integration.sync.auto_checkout
        && run.applies_to_all == (integration.mode == Mode::Apply && integration.apply_only.is_empty())
}

/// What happens to the changes of a run (P23).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes<'a> {
    /// They are published.
    Allowed,
    /// They are kept until every partition of the run has spoken.
    Staged,
    /// The run is held for this reason: a person has to look, and nothing of it is written.
    Held(&'a str),
}

impl Before<'_> {
    /// The place behind everything that was decided or answered about the key.
    fn last_place(&self) -> Sequence {
        let decided = self.decision.map(Decision::last_place).unwrap_or_default();
        decided.max(self.answered.sequence).max(Sequence::first(self.run))
    }

    /// The same change, published already and not answered.
    fn on_its_way(&self, change: &Change) -> Option<&PlannedChange> {
        let decided = self.decision?.changes.iter().find(|decided| decided.change == *change)?;
        self.is_under_way(decided).then_some(decided)
    }

    fn is_under_way(&self, decided: &PlannedChange) -> bool {
        let lost = |published| self.now.duration_since(published).unsigned_abs() >= self.change_lost_after;
        let published = decided.published.is_some_and(|published| !lost(published));
        published && !self.answered.covers(decided.sequence, decided.id)
    }

    /// The same link or creation, published by an earlier run with other values: it stands while this run is kept back, or
    /// the match that it carries out would be forgotten (P5). It counts as staged: once the run is allowed, it is decided again
    /// with what it is to be by then.
    fn link_on_its_way(&self, change: &Change) -> Option<&PlannedChange> {
        let wanted = &change.action;
        if !wanted.makes_a_link() {
            return None;
        }
        self.decision?.changes.iter().find(|decided| {
            let action = &decided.change.action;
            let same = action.kind() == wanted.kind()
                && action.asset() == wanted.asset()
                && action.record() == wanted.record();
            same && self.is_under_way(decided)
        })
    }

    /// The same change, planned or staged already: deciding it again in every run must not look like news.
    fn planned(&self, change: &Change) -> Option<&PlannedChange> {
        self.decision?.changes.iter().find(|decided| decided.published.is_none() && decided.change == *change)
    }

    /// Whether the same change was staged by a run.
    fn has_staged(&self, change: &Change) -> bool {
        self.planned(change).is_some_and(|decided| decided.staged)
    }

    /// Whether a change is left to the next run, since an event gave rise to it and it counts towards the limits of a run:
    /// it takes an asset from somebody, or leads to that, or makes a record. What the run itself counted is made.
    fn is_left_to_a_run(&self, change: &Change, takes: bool) -> bool {
        let Some(event) = &self.by_event else { return false };
        let counted = self.decision.is_some_and(|decision| decision.takes && !decision.waits_for_run);
        let leads_to_taking = takes && change.action.makes_a_link();
        let counts = takes_from_somebody(change) || leads_to_taking;
        let creates = matches!(change.action, Action::CreateAsset { .. } | Action::CreateUser { .. });
        !event.is_as_run || creates || counts && !counted
    }

    /// A change that is not published: planned, or staged.
    fn unpublished(&self, origin: &Origin, place: Sequence, change: Change, staged: bool) -> PlannedChange {
        if let Some(planned) = self.planned(&change) {
            return PlannedChange { staged, ..planned.clone() };
        }
        let id = change_event(origin, place, self.now, change.clone()).id;
        PlannedChange { id, sequence: place, published: None, staged, change }
    }
}

/// A decision with the changes that are to be published for it.
#[derive(Debug)]
pub(crate) struct FinalDecision {
    pub(crate) decision: Decision,
    pub(crate) publish: Vec<Event>,
}

impl FinalDecision {
    /// Decides nothing but that, where a message cannot carry what was decided.
    pub(crate) fn leave_out_what_is_too_large(&mut self, limit: usize) {
        let decision = &mut self.decision;
        self.publish.clear();
        decision.changes.clear();
        decision.candidates.clear();
        decision.warnings.clear();
        decision.field_problems.clear();
        decision.reason = format!(
            "what is to be written for it is larger than a message may be ({limit} bytes), so it is left out; shorten its \
             values in Kandji, or map fewer of them"
        );
    }
}

/// Completes a draft.
pub(crate) fn finalize(
    integration: &Integration,
    origin: &Origin,
    draft: Draft,
    before: &Before<'_>,
) -> FinalDecision {
    let mut decision = draft.decision;
    let mut publish = Vec::new();
    let mut place = before.last_place();
    let mut held_back = None;
    let mut link_waits = false;
    let takes = decision.takes;
    for change in draft.changes {
        if let Some(reason) = withheld(integration, &change) {
            held_back = Some(reason);
            decision.changes.push(before.unpublished(origin, place, change, false));
            continue;
        }
        if let Some(decided) = before.on_its_way(&change) {
            decision.changes.push(PlannedChange { staged: false, ..decided.clone() });
            continue;
        }
        if before.between_runs && ends_a_link(&change, before.has_link) && !before.has_staged(&change) {
            link_waits = true;
            break;
        }
        if before.is_left_to_a_run(&change, takes) && !before.has_staged(&change) {
            decision.waits_for_run = true;
            break;
        }
        if before.changes != Changes::Allowed {
            if let Some(decided) = before.link_on_its_way(&change) {
                decision.changes.push(PlannedChange { staged: true, ..decided.clone() });
                continue;
            }
            decision.changes.push(before.unpublished(origin, place, change, true));
            continue;
        }
        place = place.next();
        let event = change_event(origin, place, before.now, change.clone());
        let published = Some(before.now);
        decision.changes.push(PlannedChange {
            id: event.id,
            sequence: place,
            published,
            staged: false,
            change,
        });
        publish.push(event);
    }
    decision.place = place;
    if link_waits {
        decision.state = DeviceStatus::Pending;
        decision.reason = String::from(
            "Its asset is not known any more, but a link is broken, and another asset made, only as part of a run: the next \
             run decides (P8, P23).",
        );
    }
    if decision.waits_for_run {
        if decision.state == DeviceStatus::InSync {
            decision.state = DeviceStatus::Pending;
        }
        decision.reason.push_str(
            " The next run decides that: because of an event nothing is taken from anybody and nothing is made (P23, P34).",
        );
    }
    hold(&mut decision, before.changes);
    if let Some(reason) = held_back
        && matches!(decision.state, DeviceStatus::Pending | DeviceStatus::InSync)
    {
        decision.state = DeviceStatus::PlanOnly;
        decision.reason = format!("{} Not made: {reason}.", decision.reason);
    }
    FinalDecision { decision, publish }
}

/// Says of what a held run would do, or waits for, that it is held.
fn hold(decision: &mut Decision, changes: Changes<'_>) {
    let Changes::Held(reason) = changes else { return };
    // Whoever waits for a user record waits for what is held as well.
    if decision.awaits.is_some() || decision.changes.iter().any(|decided| decided.staged) {
        decision.state = DeviceStatus::Held;
        decision.reason = format!("{} Held, as everything of its run: {reason}", decision.reason);
    }
}

/// Whether a staged change counts towards `change_limit` (P23).
pub(crate) fn counts_towards_limit(decided: &PlannedChange, has_link: bool) -> bool {
    decided.staged && (takes_from_somebody(&decided.change) || ends_a_link(&decided.change, has_link))
}

/// Whether a change takes an asset from somebody.
fn takes_from_somebody(change: &Change) -> bool {
    matches!(&change.action, Action::Assign { expected: Some(expected), to, .. }
        if to.as_ref().is_none_or(|to| to.id != expected.id))
}

/// Whether a change breaks a link, or makes another in place of one to an asset that was deleted.
fn ends_a_link(change: &Change, has_link: bool) -> bool {
    match &change.action {
        Action::BreakLink { .. } => true,
        Action::LinkAsset { .. } | Action::CreateAsset { .. } => has_link,
        _ => false,
    }
}

/// Whether so many are too many: more than the configured share of the linked devices, and more than
/// five (P23).
pub(crate) fn are_too_many(changes: u32, linked: usize, limit: Percent) -> bool {
    const ALWAYS_ALLOWED: usize = 5;
    let changes = changes as usize;
    changes > ALWAYS_ALLOWED && limit.is_exceeded(changes, linked)
}

fn change_event(origin: &Origin, place: Sequence, now: Timestamp, change: Change) -> Event {
    let origin = Origin { sequence: Some(place), ..origin.clone() };
    let subject = change.key.to_string();
    Event::new(&origin, subject, now, Payload::Change(change))
}

/// Whether two decisions say the same to an operator and to the writer.
pub(crate) fn says_the_same(one: &Decision, other: &Decision) -> bool {
    let (snapshot, place) = (other.snapshot, other.place);
    Decision { snapshot, place, ..one.clone() } == *other
}

#[cfg(test)]
mod tests;
