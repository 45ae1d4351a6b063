//! Kinds of request, and when a refusal is about a whole kind and not about the records. Pure: time comes from outside.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Action, Restored};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::requests::Idempotency;

/// Records of which all were refused in the same way, where none of the kind has been accepted: what that takes is
/// missing altogether.
const WITHOUT_SUCCESS: usize = 3;

/// The same where the kind worked a while ago: some records in a row may be bad by chance.
const AFTER_SUCCESS: usize = 6;

/// However many records are bad, so many in a row are no chance.
const CERTAINTY: usize = 100;

/// A kind that has not succeeded for so long counts as one that never has.
const LONG_AGO: Duration = Duration::from_mins(10);

/// The chance that bad records alone make a kind wait, at which that many in a row are believed to be more than bad
/// records.
const DOUBT: f64 = 1e-4;

/// Fewer records than this, none of which has anything healthy beside it to tell, are given the benefit of the doubt
/// where the kind worked just before.
const FEW: usize = 20;

/// Trials that few records get before they are blamed themselves.
const TRIALS: u32 = 2;

/// What AMFJ is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RequestKind {
    /// `POST` of an asset.
    CreateAsset,
    /// `PATCH` of an asset.
    UpdateAsset,
    /// Check-out of an asset.
    CheckOut,
    /// Check-in of an asset.
    CheckIn,
    /// `POST` of a user record.
    CreateUser,
    /// `PATCH` of a user record.
    UpdateUser,
}

impl RequestKind {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::CreateAsset,
        Self::UpdateAsset,
        Self::CheckOut,
        Self::CheckIn,
        Self::CreateUser,
        Self::UpdateUser,
    ];

    /// What a request of a change is about; that of a read is what the change reads for. None where a change makes no
    /// request at all.
    pub(crate) fn of(kind: Idempotency, action: &Action) -> Option<Self> {
        Some(match action {
            Action::CreateAsset { .. } => Self::CreateAsset,
            Action::LinkAsset { .. } | Action::UpdateAsset { .. } => Self::UpdateAsset,
            Action::CreateUser { .. } => Self::CreateUser,
            Action::UpdateUser { .. } => Self::UpdateUser,
            Action::Assign { to, .. } => Self::of_assignment(kind, to.is_some()),
            Action::Restore { again } => match again {
                Restored::Asset { .. } => Self::UpdateAsset,
                Restored::Record { .. } => Self::UpdateUser,
                Restored::Holder { holder, .. } => Self::of_assignment(kind, holder.is_some()),
            },
            Action::BreakLink { .. } | Action::LinkUser { .. } => return None,
        })
    }

    fn of_assignment(kind: Idempotency, checks_out: bool) -> Self {
        match kind {
            Idempotency::Conditional => Self::CheckIn,
            Idempotency::Read if !checks_out => Self::CheckIn,
            _ => Self::CheckOut,
        }
    }

    /// Its place in tables of all kinds.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The word in metrics, reports and commands.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CreateAsset => "create asset",
            Self::UpdateAsset => "update asset",
            Self::CheckOut => "check out",
            Self::CheckIn => "check in",
            Self::CreateUser => "create user",
            Self::UpdateUser => "update user",
        }
    }

    /// What the token has to be permitted to do.
    #[must_use]
    pub(crate) fn permission(self) -> &'static str {
        match self {
            Self::CreateAsset => "create assets",
            Self::UpdateAsset => "edit assets",
            Self::CheckOut => "check assets out",
            Self::CheckIn => "check assets in",
            Self::CreateUser => "create users",
            Self::UpdateUser => "edit users",
        }
    }
}

/// How a request was refused, as far as two refusals can be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    /// With this 4xx.
    Refused(u16),
    /// With 5xx, a page of HTML, or no answer at all: which of them is chance.
    Failed,
}

impl Cause {
    /// Whether it is what a missing permission looks like. Only such a refusal can be about a whole kind that
    /// succeeded just before.
    pub(crate) fn may_be_permission(self) -> bool {
        matches!(self, Self::Refused(402 | 403 | 405 | 451))
    }

    /// Why the kind waits, in plain words.
    #[must_use]
    pub(crate) fn of_kind(self, kind: RequestKind, reason: &str) -> String {
        let what = kind.permission();
        if self.may_be_permission() {
            format!("the token seems to lack the permission to {what}: {reason}")
        } else {
            format!("AMFJ refuses all attempts to {what}: {reason}")
        }
    }
}

/// More than half of so many.
pub(super) fn is_most(some: usize, all: usize) -> bool {
    some * 2 > all
}

/// A kind that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// How its requests were refused.
    pub(crate) cause: Cause,
    /// The sentence for people.
    pub(crate) reason: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// How many changes were tried since.
    pub(crate) trials: u32,
    /// When the next one may be.
    pub(crate) next: Instant,
    pause: Duration,
}

/// What one kind of request has come to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last_success: Option<Instant>,
    /// When the first request of a key was sent that was refused, for those of which none was accepted since.
    known: HashMap<Key, Instant>,
    /// Keys by how they were refused; all of them for the first time since the last success.
    suspects: HashMap<Cause, HashSet<Key>>,
    /// Ways in which a record was refused both before and after another one was accepted: such a refusal can be about
    /// records alone.
    of_records: HashSet<Cause>,
    /// Changes that were accepted at their first attempt, and that were refused while others succeeded.
    accepted: u32,
    refused: u32,
    waiting: Option<Waiting>,
}

impl Ledger {
    /// A request was carried out. Answers whether the kind waited until now.
    pub(crate) fn succeeded(&mut self, key: &Key, at_first: bool, now: Instant) -> bool {
        self.known.remove(key);
        self.acquit(now);
        self.accepted += u32::from(at_first);
        if self.accepted + self.refused > 200 {
            (self.accepted, self.refused) = (self.accepted / 2, self.refused / 2);
        }
        self.waiting.take().is_some()
    }

    /// Whatever was refused so far is not refused because of the kind.
    fn acquit(&mut self, now: Instant) {
        let suspects: usize = self.suspects.values().map(HashSet::len).sum();
        self.refused = self.refused.saturating_add(u32::try_from(suspects).unwrap_or(u32::MAX / 2));
        self.suspects.clear();
        self.last_success = Some(now);
    }

    /// A request that was sent then was refused. A record that was refused before others were accepted says nothing
    /// about the kind, whatever changes it was refused for; `before_others` where that is known of another worker. Answers when the
    /// first request of the record was sent that was refused, with none accepted since.
    pub(crate) fn refused(&mut self, key: &Key, cause: Cause, sent: Instant, before_others: bool) -> Instant {
        let first = *self.known.entry(key.clone()).or_insert(sent);
        if !before_others && self.last_success.is_none_or(|success| first > success) {
            self.suspects.entry(cause).or_default().insert(key.clone());
        } else {
            self.of_records.insert(cause);
        }
        first
    }

    /// How its requests are refused, where that can no longer be chance. What is about the kind meets most records:
    /// where they are refused in many ways, it is each of them.
    #[must_use]
    pub(crate) fn suspicion(&self, now: Instant) -> Option<Cause> {
        if self.waiting.is_some() {
            return None;
        }
        let enough = self.enough(now);
        let all: usize = self.suspects.values().map(HashSet::len).sum();
        let of_most = |keys: &HashSet<Key>| keys.len() >= enough && is_most(keys.len(), all);
        self.suspects.iter().find(|(_, keys)| of_most(keys)).map(|(cause, _)| *cause)
    }

    fn worked_lately(&self, now: Instant) -> bool {
        self.last_success.is_some_and(|success| now.duration_since(success) < LONG_AGO)
    }

    /// How many records in a row are no chance, given how many are bad anyway.
    fn enough(&self, now: Instant) -> usize {
        if !self.worked_lately(now) {
            return WITHOUT_SUCCESS;
        }
        let bad = f64::from(self.refused + 1) / f64::from(self.accepted + self.refused + 2);
        let in_a_row = (AFTER_SUCCESS..CERTAINTY)
            .zip(std::iter::successors(Some(bad.powi(6)), |chance| Some(chance * bad)))
            .find(|(_, chance)| *chance <= DOUBT);
        in_a_row.map_or(CERTAINTY, |(count, _)| count)
    }

    /// The kind waits from now on. The first trial is at once: a wrong suspicion costs no more than that.
    pub(crate) fn wait(
        &mut self,
        cause: Cause,
        reason: String,
        first_pause: Duration,
        now: Instant,
        at: Timestamp,
    ) {
        self.waiting.get_or_insert(Waiting {
            cause,
            reason,
            since: at,
            trials: 0,
            next: now,
            pause: first_pause,
        });
    }

    /// A trial that did not succeed: the pauses grow. Where nothing is left that was not refused yet, few records and
    /// a kind that worked just before, the records are blamed after all; answers whether that is so.
    pub(crate) fn trial_failed(&mut self, fresh_left: bool, longest: Duration, now: Instant) -> bool {
        let worked_lately = self.worked_lately(now);
        let Some(waiting) = &mut self.waiting else { return false };
        waiting.trials = waiting.trials.saturating_add(1);
        waiting.next = now + waiting.pause;
        waiting.pause = waiting.pause.mul_f64(1.5).min(longest);
        let suspects = self.suspects.get(&waiting.cause).map_or(0, HashSet::len);
        let few = !fresh_left
            && worked_lately
            && suspects < FEW
            && waiting.trials >= TRIALS
            && (self.of_records.contains(&waiting.cause) || !waiting.cause.may_be_permission());
        if few {
            self.waiting = None;
            self.acquit(now);
        }
        few
    }

    /// Whether this is about a record: no permission looks like it, and it is not what the kind waits for.
    pub(crate) fn is_otherwise(&self, cause: Cause) -> bool {
        let waits_for_it = self.waiting.as_ref().is_some_and(|waiting| waiting.cause == cause);
        cause != Cause::Failed && !cause.may_be_permission() && !waits_for_it
    }

    /// A request was refused. Answers whether the kind waited until now, for something else.
    pub(crate) fn refused_otherwise(&mut self, cause: Cause, now: Instant) -> bool {
        let opened = self.is_otherwise(cause) && self.waiting.take().is_some();
        if opened {
            self.acquit(now);
        }
        opened
    }

    /// The next trial may be made now.
    pub(crate) fn try_now(&mut self, now: Instant) {
        if let Some(waiting) = &mut self.waiting {
            waiting.next = now;
        }
    }

    /// Why and since when it waits, if it does.
    #[must_use]
    pub(crate) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }
}

#[cfg(test)]
mod tests;
