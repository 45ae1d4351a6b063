//! Whose fault a failure is: the one place that knows it (P28).
//!
//! Every answer that is no success comes here. It is the **record's** until evidence says more: the change steps aside
//! with growing pauses of its own, and in the end it alone fails. Where several records are refused in the same way
//! and none is accepted, while AMFJ shows otherwise that it is well, it is the **kind of request** that waits. Where
//! AMFJ shows nothing of the sort, the circuit ([`crate::circuit`]) stops the **service**.
//!
//! A sign of life is a request that was carried out, or a probe. The time of a refused change counts towards
//! `give_up_after` only once a sign of life has come after it; what was refused before an outage was noticed does not.

pub(crate) mod kinds;
mod line;
mod orders;
pub(crate) mod records;
mod reporting;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use amfj_sync_backoff::Backoff;
use amfj_sync_config::RetryConfig;
use amfj_sync_model::ids::{IntegrationId, Key};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::events;
use kinds::{Cause, Ledger, RequestKind};
pub(crate) use line::{Line, Turn};
pub(crate) use orders::Ordered;
use records::{About, Record, Refusal};
pub(crate) use reporting::moment;

/// Changes of so many keys that are refused, with no sign of life since, raise the question whether AMFJ is well.
const KEYS: usize = 3;

/// A change that is refused so often without a sign of life raises it as well.
const ATTEMPTS: u32 = 3;

/// For how long a change that went back to the queue is remembered: so long it may take to come back.
const REMEMBERED: Duration = Duration::from_hours(1);

/// How long changes pause.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The first pause of a change, and of a kind.
    pub initial: Duration,
    /// The longest pause of a change.
    pub max: Duration,
    /// For how long a change is refused, while AMFJ is well, before it is given up.
    pub give_up_after: Duration,
    /// The longest pause of a kind.
    pub longest: Duration,
}

impl Limits {
    /// As configured; `longest` is the longest pause between two trials of a kind.
    #[must_use]
    pub fn of(retry: &RetryConfig, longest: Duration) -> Self {
        let (initial, max) = (retry.initial, retry.max.max(retry.initial));
        Self { initial, max, give_up_after: retry.give_up_after, longest: longest.max(initial) }
    }
}

/// What a refused change does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The pause before its next attempt.
    pub(crate) pause: Duration,
    /// Whether it was refused long enough, if AMFJ is well.
    pub(crate) exhausted: bool,
    /// When it was refused: a sign of life after that says that AMFJ is well.
    pub(crate) at: Instant,
    /// Whether AMFJ is to be probed.
    pub(crate) suspicious: bool,
}

#[derive(Debug, Default)]
struct Inner {
    kinds: [Ledger; RequestKind::ALL.len()],
    records: HashMap<Uuid, Record>,
    /// Keys that were refused for the first time after the last sign of life.
    doubtful: HashSet<Key>,
    /// What was refused for the first time after the last request that changed something, by how it was.
    untaken: HashMap<Cause, HashSet<(RequestKind, Key)>>,
    /// Of the last request that changed something, of whatever change.
    taken: Option<(Instant, Timestamp)>,
    aside: HashMap<Uuid, orders::Waiting>,
    aside_in: HashMap<String, usize>,
}

impl Inner {
    /// How changes of this kind are refused, where those of other kinds are refused in the same way and nothing at all
    /// is taken: that is about the service (maintenance, a token for reading), also where this kind has few changes.
    fn nothing_is_taken_of(&self, kind: RequestKind) -> Option<Cause> {
        if self.kinds[kind.index()].waiting().is_some() {
            return None;
        }
        let all: usize = self.untaken.values().map(HashSet::len).sum();
        let everywhere = |refused: &HashSet<(RequestKind, Key)>| {
            let keys: HashSet<_> = refused.iter().map(|(_, key)| key).collect();
            let of_others = refused.iter().any(|(other, _)| *other != kind);
            let of_this = refused.iter().any(|(this, _)| *this == kind);
            of_this && of_others && keys.len() >= KEYS && kinds::is_most(refused.len(), all)
        };
        let refused =
            self.untaken.iter().find(|(cause, refused)| cause.may_be_permission() && everywhere(refused));
        refused.map(|(cause, _)| *cause)
    }
}

/// One integration's account of what failed.
#[derive(Debug)]
pub struct Blame {
    integration: IntegrationId,
    limits: Limits,
    inner: Mutex<Inner>,
    /// When AMFJ showed last that it is well.
    alive: watch::Sender<Option<Instant>>,
    lines: [Line; RequestKind::ALL.len()],
    ordered: Notify,
}

impl Blame {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(integration: IntegrationId, limits: Limits) -> Self {
        for kind in RequestKind::ALL {
            events::kind_waits(&integration, kind, false);
        }
        events::stopped(&integration, 0);
        Self {
            integration,
            limits,
            inner: Mutex::default(),
            alive: watch::channel(None).0,
            lines: Default::default(),
            ordered: Notify::new(),
        }
    }

    /// AMFJ is well: as of then it carried something out, or answered a probe.
    pub fn shows_life(&self, as_of: Instant) {
        self.inner.lock().doubtful.clear();
        self.alive.send_modify(|alive| *alive = (*alive).max(Some(as_of)));
    }

    /// Waits for a sign of life that came after `moment`.
    pub(crate) async fn well_after(&self, moment: Instant) {
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(self.alive.subscribe().wait_for(|alive| alive.is_some_and(|alive| alive >= moment)).await);
    }

    fn last_alive(&self) -> Option<Instant> {
        *self.alive.borrow()
    }

    /// A request of this change was carried out.
    pub(crate) fn succeeded(&self, change: Uuid, key: &Key, request: Option<RequestKind>, wrote: bool) {
        let now = Instant::now();
        let opened = {
            let mut inner = self.inner.lock();
            let at_first = !has_failed(&inner, change);
            if wrote {
                inner.taken = Some((now, Timestamp::now()));
                inner.untaken.clear();
            }
            request.filter(|_| wrote).filter(|kind| inner.kinds[kind.index()].succeeded(key, at_first, now))
        };
        self.shows_life(now);
        if let Some(kind) = opened {
            self.opened(kind, "AMFJ takes such changes again");
        }
    }

    /// Whether this is not how the kind was refused when it began to wait, nor what a missing permission looks like: then
    /// AMFJ looks at single records again, and the kind waits no longer.
    pub(crate) fn refused_otherwise(&self, kind: RequestKind, cause: Cause) -> bool {
        let (otherwise, opened) = {
            let mut inner = self.inner.lock();
            let ledger = &mut inner.kinds[kind.index()];
            (ledger.is_otherwise(cause), ledger.refused_otherwise(cause, Instant::now()))
        };
        if opened {
            self.opened(kind, "AMFJ refuses single changes of this kind, and no longer all");
        }
        otherwise
    }

    fn opened(&self, kind: RequestKind, what: &str) {
        tracing::info!(integration = %self.integration, kind = kind.as_str(), "{what}");
        events::kind_waits(&self.integration, kind, false);
        self.lines[kind.index()].moved.notify_waiters();
    }

    /// A change was refused. `alone` where it does not wait with its kind, so that its time counts all the same.
    pub(crate) fn refused(
        &self,
        change: Uuid,
        about: &About,
        refusal: &Refusal,
        alone: bool,
    ) -> Option<Verdict> {
        let now = Instant::now();
        let alive = self.last_alive();
        let mut inner = self.inner.lock();
        let kind_waits =
            |inner: &Inner| refusal.request.is_some_and(|kind| inner.kinds[kind.index()].waiting().is_some());
        let counts = alone || !kind_waits(&inner);
        let record = self.record(&mut inner, change, about, now)?;
        record.refused(refusal, alive, counts, now);
        record.held = true;
        let pause = record.pause(counts.then_some(self.limits.give_up_after));
        let exhausted = counts && record.attempts > 1 && record.refused_for() >= self.limits.give_up_after;
        let fresh = alive.is_none_or(|alive| record.first > alive);
        let often = fresh && record.attempts % ATTEMPTS == 0;
        if let Some(kind) = refusal.request {
            let sent = now - refusal.took;
            let first =
                inner.kinds[kind.index()].refused(&about.key, refusal.cause, sent, refusal.before_others);
            if !refusal.before_others && inner.taken.is_none_or(|(taken, _)| first > taken) {
                inner.untaken.entry(refusal.cause).or_default().insert((kind, about.key.clone()));
            }
        }
        if fresh {
            inner.doubtful.insert(about.key.clone());
        }
        let kind_is = refusal.request.is_some_and(|kind| inner.kinds[kind.index()].suspicion(now).is_some());
        let suspicious = often || exhausted || kind_is || inner.doubtful.len() >= KEYS;
        events::stopped(&self.integration, held(&inner));
        Some(Verdict { pause, exhausted, at: now, suspicious })
    }

    /// A request was refused that its change does without, or gives up at once: it says what it says about the kind.
    pub(crate) fn refused_for_good(&self, key: &Key, kind: RequestKind, cause: Cause, took: Duration) {
        self.inner.lock().kinds[kind.index()].refused(key, cause, Instant::now() - took, false);
    }

    /// The record of a change; none only with limits that make no sense, which the configuration refuses.
    fn record<'i>(
        &self,
        inner: &'i mut Inner,
        change: Uuid,
        about: &About,
        now: Instant,
    ) -> Option<&'i mut Record> {
        if !inner.records.contains_key(&change) {
            // What went back to the queue long ago has come to another worker.
            inner.records.retain(|_, record| record.held || now.duration_since(record.let_go) < REMEMBERED);
        }
        let backoff = Backoff::try_new(self.limits.initial, self.limits.max).ok()?;
        Some(inner.records.entry(change).or_insert_with(|| Record::new(about.clone(), backoff, now)))
    }

    /// AMFJ is well although changes are refused: which kinds of request wait from now on.
    pub fn convict(&self) {
        let now = Instant::now();
        for kind in RequestKind::ALL {
            let reason = {
                let mut inner = self.inner.lock();
                let everywhere = inner.nothing_is_taken_of(kind);
                let suspicion = inner.kinds[kind.index()].suspicion(now);
                let Some(cause) = suspicion.or(everywhere) else { continue };
                let last = inner.records.values().filter(|record| record.request == Some(kind));
                let last = last.max_by_key(|record| record.last_refused());
                let reason = last.map(|record| record.reason.clone()).unwrap_or_default();
                let reason = cause.of_kind(kind, &reason);
                let ledger = &mut inner.kinds[kind.index()];
                ledger.wait(cause, reason.clone(), self.limits.initial, now, Timestamp::now());
                reason
            };
            tracing::error!(integration = %self.integration, kind = kind.as_str(), reason,
                "this kind of change waits until AMFJ takes one of them; all others go on");
            events::kind_waits(&self.integration, kind, true);
            self.lines[kind.index()].moved.notify_waiters();
        }
    }

    /// Whether a change of this kind may be sent now, and as what; none where it has to wait longer.
    fn admission<'a>(&'a self, place: &line::Place<'a>, kind: RequestKind) -> Admission<'a> {
        let inner = self.inner.lock();
        let Some(waiting) = inner.kinds[kind.index()].waiting() else { return Admission::Open };
        if waiting.next > Instant::now() {
            return Admission::At(waiting.next);
        }
        place.turn().map_or(Admission::Taken, |turn| {
            Admission::Trial(Trial { blame: self, kind, sent: false, turn: Some(turn) })
        })
    }

    /// Waits until a change of this kind may be sent: at once, unless the kind waits; then one at a time.
    pub(crate) async fn pass(&self, kind: RequestKind, change: Uuid) -> Option<Trial<'_>> {
        let failed = self.has_failed(change);
        let line = &self.lines[kind.index()];
        let place = line.join(failed);
        loop {
            let moved = line.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let next = match self.admission(&place, kind) {
                Admission::Open => return None,
                Admission::Trial(trial) => return Some(trial),
                Admission::At(next) => Some(next),
                Admission::Taken => None,
            };
            tokio::select! {
                () = moved => {}
                () = at(next) => {}
            }
        }
    }

    /// Whether the kind waits at the moment.
    pub(crate) fn waits(&self, kind: RequestKind) -> bool {
        self.inner.lock().kinds[kind.index()].waiting().is_some()
    }

    /// Whether this change was refused before.
    pub(crate) fn has_failed(&self, change: Uuid) -> bool {
        has_failed(&self.inner.lock(), change)
    }

    /// AMFJ asked this change to wait. Answers whether that is about this change alone.
    pub(crate) fn asked(&self, change: Uuid, about: &About, out_of_order: bool) -> bool {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        let taken = inner.taken.map(|(at, _)| at);
        let record = self.record(&mut inner, change, about, now);
        record.is_some_and(|record| record.asked(out_of_order, taken, now))
    }

    /// The change pauses for so long, of which so much is its own.
    pub(crate) fn pauses(&self, change: Uuid, pause: Duration, own: Duration) {
        if let Some(record) = self.inner.lock().records.get_mut(&change) {
            record.next = Timestamp::now().checked_add(pause).ok();
            record.paused = Some((Instant::now() + pause, own));
        }
    }

    /// So long of its pause is over; all of it, where it is to be tried now.
    pub(crate) fn has_waited(&self, change: Uuid, waited: Duration, over: bool) {
        if let Some(record) = self.inner.lock().records.get_mut(&change) {
            record.has_waited(waited);
            if over {
                (record.next, record.paused) = (None, None);
            }
        }
    }

    /// What is left of the pause in which the change was handed back, and why it pauses.
    pub(crate) fn pause_left(&self, change: Uuid) -> Option<(Duration, String)> {
        let mut inner = self.inner.lock();
        let record = inner.records.get_mut(&change)?;
        let (until, _) = record.paused?;
        let left = until.saturating_duration_since(Instant::now());
        record.next = Timestamp::now().checked_add(left).ok();
        Some((left, record.reason.clone()))
    }

    /// For how long it has been refused, and how often.
    pub(crate) fn refused_for(&self, change: Uuid) -> (Duration, u32) {
        let inner = self.inner.lock();
        inner
            .records
            .get(&change)
            .map_or((Duration::ZERO, 0), |record| (record.refused_for(), record.attempts))
    }

    /// The change ended, however that was.
    pub(crate) fn ended(&self, change: Uuid) {
        let mut inner = self.inner.lock();
        if inner.records.remove(&change).is_some() {
            events::stopped(&self.integration, held(&inner));
        }
    }

    /// This worker takes the change in hand again.
    pub(crate) fn taken_up(&self, change: Uuid) {
        if let Some(record) = self.inner.lock().records.get_mut(&change) {
            record.held = true;
        }
    }

    /// The change went back to the queue.
    pub(crate) fn let_go(&self, change: Uuid) {
        let mut inner = self.inner.lock();
        if let Some(record) = inner.records.get_mut(&change) {
            (record.held, record.let_go, record.next) = (false, Instant::now(), None);
            events::stopped(&self.integration, held(&inner));
        }
    }
}

fn has_failed(inner: &Inner, change: Uuid) -> bool {
    inner.records.get(&change).is_some_and(|record| record.attempts > 0)
}

/// Changes in hand that were refused.
fn held(inner: &Inner) -> usize {
    inner.records.values().filter(|record| record.held && record.attempts > 0).count()
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

enum Admission<'a> {
    Open,
    Trial(Trial<'a>),
    At(Instant),
    Taken,
}

/// The one change of a waiting kind that is tried.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    blame: &'a Blame,
    pub(crate) kind: RequestKind,
    /// Whether anything was sent.
    pub(crate) sent: bool,
    turn: Option<Turn<'a>>,
}

impl Drop for Trial<'_> {
    /// A trial that succeeded has opened its kind by now.
    fn drop(&mut self) {
        let blame = self.blame;
        let acquitted = self.sent && {
            let fresh_left = blame.lines[self.kind.index()].has_fresh();
            let mut inner = blame.inner.lock();
            let ledger = &mut inner.kinds[self.kind.index()];
            ledger.trial_failed(fresh_left, blame.limits.longest, Instant::now())
        };
        drop(self.turn.take());
        if acquitted {
            blame.opened(self.kind, "only a few changes are refused; each of them is blamed for itself");
        }
    }
}

#[cfg(test)]
mod tests;
