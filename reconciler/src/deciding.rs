//! From a draft to a decision: ids and places for its changes, what is on its way already, and what the
//! mode keeps from being made.

use amfj_sync_shared::config::Integration;
use amfj_sync_shared::messages::{
    Change, Decided, Decision, Event, Origin, Payload, Sequence, State,
};
use amfj_sync_shared::mode::withheld;
use amfj_sync_shared::state::rows::Answered;
use jiff::{SignedDuration, Timestamp};

use crate::rules::Draft;

/// After that a published change without outcome counts as lost, and is published anew.
const ON_ITS_WAY_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

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
}

impl Before<'_> {
    /// The place behind everything that was decided or answered about the key.
    fn last_place(&self) -> Sequence {
        let decided = self.decision.into_iter().flat_map(|decision| &decision.changes);
        let last = decided.map(|decided| decided.sequence).max().unwrap_or_default();
        last.max(self.answered.sequence).max(Sequence::first(self.run))
    }

    /// The same change, published already and not answered.
    fn on_its_way(&self, change: &Change) -> Option<&Decided> {
        let decided = self.decision?.changes.iter().find(|decided| decided.change == *change)?;
        let published = decided.published?;
        let waiting = !self.answered.covers(decided.sequence, decided.id)
            && self.now.duration_since(published) < ON_ITS_WAY_AT_MOST;
        waiting.then_some(decided)
    }

    /// The same change, planned already: planning it again in every run must not look like news.
    fn planned(&self, change: &Change) -> Option<&Decided> {
        self.decision?.changes.iter().find(|decided| decided.published.is_none() && decided.change == *change)
    }
}

/// A decision with the changes that are to be published for it.
#[derive(Debug)]
pub(crate) struct Conclusion {
    pub(crate) decision: Decision,
    pub(crate) publish: Vec<Event>,
}

/// Completes a draft.
pub(crate) fn conclude(
    integration: &Integration,
    origin: &Origin,
    draft: Draft,
    before: &Before<'_>,
) -> Conclusion {
    let mut decision = draft.decision;
    let mut publish = Vec::new();
    let mut place = before.last_place();
    let mut held_back = None;
    for change in draft.changes {
        if let Some(reason) = withheld(integration, &change) {
            held_back = Some(reason);
            decision.changes.push(before.planned(&change).cloned().unwrap_or_else(|| {
                let id = change_event(origin, place, before.now, change.clone()).id;
                Decided { id, sequence: place, published: None, change }
            }));
            continue;
        }
        if let Some(decided) = before.on_its_way(&change) {
            decision.changes.push(decided.clone());
            continue;
        }
        place = place.next();
        let event = change_event(origin, place, before.now, change.clone());
        decision.changes.push(Decided {
            id: event.id,
            sequence: place,
            published: Some(before.now),
            change,
        });
        publish.push(event);
    }
    if let Some(reason) = held_back
        && matches!(decision.state, State::Pending | State::InSync)
    {
        decision.state = State::PlanOnly;
        decision.reason = format!("{} Not made: {reason}.", decision.reason);
    }
    Conclusion { decision, publish }
}

fn change_event(origin: &Origin, place: Sequence, now: Timestamp, change: Change) -> Event {
    let origin = Origin { sequence: Some(place), ..origin.clone() };
    let subject = change.key.to_string();
    Event::new(&origin, subject, now, Payload::Change(change))
}

/// Whether two decisions say the same to an operator and to the writer.
pub(crate) fn says_the_same(one: &Decision, other: &Decision) -> bool {
    let mut one = one.clone();
    one.snapshot = other.snapshot;
    one == *other
}

#[cfg(test)]
mod tests;
