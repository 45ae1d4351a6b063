//! The published changes that have no outcome yet, kept current fact by fact.

use std::collections::HashMap;

use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Decision, Fact, Payload};
use amfj_sync_projection::rows::Open;
use amfj_sync_projection::{Projection, Verdict};
use amfj_sync_stream::{AppliedFact, StateHandle};
use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// Of each key the time at which its oldest change without an outcome was published.
#[derive(Debug)]
pub(super) struct Unanswered {
    state: StateHandle,
    facts: Receiver<AppliedFact>,
    since: HashMap<Key, Timestamp>,
}

impl Unanswered {
    /// As the projection stands; from then on [`Unanswered::oldest`] follows the facts.
    pub(super) fn of(state: &StateHandle) -> Self {
        let facts = state.listen();
        let mut unanswered = Self { state: state.clone(), facts, since: HashMap::new() };
        unanswered.read_all();
        unanswered
    }

    /// When the oldest was published.
    pub(super) fn oldest(&mut self) -> Option<Timestamp> {
        self.follow_up();
        self.since.values().min().copied()
    }

    /// Takes up the facts since the last call.
    pub(super) fn follow_up(&mut self) {
        loop {
            match self.facts.try_recv() {
                Ok(applied) => self.follow(&applied),
                Err(TryRecvError::Lagged(_)) => self.read_all(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }

    fn follow(&mut self, applied: &AppliedFact) {
        let Payload::Fact(fact) = &applied.event.payload else { return };
        if applied.verdict != Verdict::Accepted {
            return;
        }
        let (key, since) = match fact {
            Fact::DecisionMade(decision) => {
                (&decision.key, self.state.read(|view| oldest_of(view, decision)))
            }
            Fact::ChangeEnded(outcome) => {
                let key = &outcome.key;
                let of_decision =
                    |view: &Projection| view.decision(key).and_then(|decision| oldest_of(view, &decision));
                (key, self.state.read(of_decision))
            }
            _ => return,
        };
        match since {
            Some(since) => self.since.insert(key.clone(), since),
            None => self.since.remove(key),
        };
    }

    fn read_all(&mut self) {
        let since = &mut self.since;
        since.clear();
        self.state.read(|view| {
            for key in view.open_decisions(Open::WithChanges) {
                let decision = view.decision(&key);
                if let Some(published) = decision.and_then(|decision| oldest_of(view, &decision)) {
                    since.insert(key, published);
                }
            }
        });
    }
}

/// When the oldest change of a decision that waits for its outcome was published.
pub(super) fn oldest_of(view: &Projection, decision: &Decision) -> Option<Timestamp> {
    if decision.changes.is_empty() {
        return None;
    }
    let answered = view.answered(&decision.key);
    let open = decision.changes.iter().filter(|change| !answered.covers(change.sequence, change.id));
    open.filter_map(|change| change.published).min()
}

/// When the oldest change without an outcome was published; for commands, which look once.
#[must_use]
pub fn oldest_unanswered(view: &Projection) -> Option<Timestamp> {
    let open = view.open_decisions(Open::WithChanges).into_iter().filter_map(|key| view.decision(&key));
    open.filter_map(|decision| oldest_of(view, &decision)).min()
}
