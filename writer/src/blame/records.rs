//! What each change that is refused has come to: how often, since when, and for how long in all while AMFJ was well.
//! Pure: time comes from outside.

use std::time::Duration;

use amfj_sync_backoff::Backoff;
use amfj_sync_model::ids::Key;
use jiff::Timestamp;
use tokio::time::Instant;

use super::kinds::{Cause, RequestKind};

/// How often one change is answered 503 with a pause to wait, while others succeed in between, until that is taken to be
/// about it alone.
const OUT_OF_ORDER_ALONE: u32 = 2;

/// The same with 429, which may befall the same change several times by chance.
const TOO_MANY_ALONE: u32 = 5;

/// A change that was refused and has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// What it is about.
    pub(crate) key: Key,
    /// The name of that.
    pub(crate) label: String,
    /// The serials of its devices.
    pub(crate) serials: Vec<String>,
    /// The kind of the change, as in all reports: `update-asset`.
    pub(crate) change: &'static str,
    /// What was asked of AMFJ.
    pub(crate) request: Option<RequestKind>,
    /// How it was refused last, for people.
    pub(crate) reason: String,
    /// When it was refused first.
    pub(crate) since: Timestamp,
    /// How often it was refused.
    pub(crate) attempts: u32,
    /// When it is tried again; none while it waits for something else than its own pause.
    pub(crate) next: Option<Timestamp>,
    /// Whether this worker has it in hand.
    pub(crate) held: bool,
    /// When it was let go of.
    pub(super) let_go: Instant,
    /// When its present kind of request was refused first.
    pub(super) first: Instant,
    /// How long it was refused while AMFJ was known to be well.
    spent: Duration,
    /// How long it was refused since the last sign of life: that counts once there is another one.
    doubtful: Duration,
    last_refused: Instant,
    /// How often the circuit had been opened then.
    openings: u64,
    /// Waited in its own pause, and not yet counted.
    waited: Duration,
    /// The pause that it is in, also while it is in nobody's hand, and how much of that is its own.
    pub(super) paused: Option<(Instant, Duration)>,
    /// How often in a row it was asked to wait, and when last.
    asked: (u32, Option<Instant>),
    backoff: Backoff,
}

/// One refusal.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// What was asked of AMFJ.
    pub(crate) request: Option<RequestKind>,
    /// How it was refused.
    pub(crate) cause: Cause,
    /// The sentence for people.
    pub(crate) reason: String,
    /// How long the attempt took.
    pub(crate) took: Duration,
    /// How often the circuit has been opened.
    pub(crate) openings: u64,
    /// Whether another worker was refused it, and a request of its kind was carried out after that: it says nothing about
    /// the kind.
    pub(crate) before_others: bool,
}

impl Record {
    /// Of a change that is refused for the first time.
    pub(super) fn new(about: About, backoff: Backoff, now: Instant) -> Self {
        let About { key, label, serials, change } = about;
        Self {
            key,
            label,
            serials,
            change,
            request: None,
            reason: String::new(),
            since: Timestamp::now(),
            attempts: 0,
            next: None,
            held: true,
            let_go: now,
            first: now,
            spent: Duration::ZERO,
            doubtful: Duration::ZERO,
            last_refused: now,
            openings: 0,
            waited: Duration::ZERO,
            paused: None,
            asked: (0, None),
            backoff,
        }
    }

    /// It was refused once more. `counts` where its kind does not wait, and the time is its own.
    pub(super) fn refused(&mut self, refusal: &Refusal, alive: Option<Instant>, counts: bool, now: Instant) {
        self.settle(alive, refusal.openings);
        if self.attempts == 0 || self.request != refusal.request {
            self.first = now;
        }
        if counts {
            self.doubtful += self.waited + refusal.took;
        }
        self.waited = Duration::ZERO;
        self.request = refusal.request;
        self.reason.clone_from(&refusal.reason);
        self.attempts = self.attempts.saturating_add(1);
        self.last_refused = now;
    }

    /// A sign of life after the last refusal makes the time count; an outage takes it back.
    fn settle(&mut self, alive: Option<Instant>, openings: u64) {
        if self.openings != openings {
            self.doubtful = Duration::ZERO;
            self.openings = openings;
        }
        if alive.is_some_and(|alive| alive >= self.last_refused) {
            self.spent += std::mem::take(&mut self.doubtful);
        }
    }

    /// For how long it was refused, whether or not AMFJ was well at last.
    pub(super) fn refused_for(&self) -> Duration {
        self.spent + self.doubtful
    }

    /// When it was refused last.
    pub(super) fn last_refused(&self) -> Instant {
        self.last_refused
    }

    /// The next pause of its own; where its time is running out, no longer than what is left of that.
    pub(super) fn pause(&mut self, give_up_after: Option<Duration>) -> Duration {
        let pause = self.backoff.next();
        let left = give_up_after.map(|after| after.saturating_sub(self.refused_for()));
        left.filter(|left| !left.is_zero()).map_or(pause, |left| pause.min(left))
    }

    /// So long of its pause is over. What is waited beyond its own part was asked for, or has to be: that is no time of
    /// failing.
    pub(super) fn has_waited(&mut self, waited: Duration) {
        if let Some((_, own)) = &mut self.paused {
            let counted = waited.min(*own);
            *own -= counted;
            self.waited += counted;
        }
    }

    /// AMFJ asked it to wait. Answers whether that is about this change alone: others succeeded between two such
    /// answers.
    pub(super) fn asked(&mut self, out_of_order: bool, other_success: Option<Instant>, now: Instant) -> bool {
        let (times, last) = self.asked;
        let alone = last.is_some_and(|last| other_success.is_some_and(|success| success > last));
        let times = if alone { times + 1 } else { 1 };
        self.asked = (times, Some(now));
        times >= if out_of_order { OUT_OF_ORDER_ALONE } else { TOO_MANY_ALONE }
    }
}

/// What a change is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// What it is about.
    pub(crate) key: Key,
    /// The name of that.
    pub(crate) label: String,
    /// The serials of its devices.
    pub(crate) serials: Vec<String>,
    /// The kind of the change.
    pub(crate) change: &'static str,
}
