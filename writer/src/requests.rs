//! One request to AMFJ, tried until it is answered, fails for good, or has to wait for better times.

use std::time::Duration;

use amfj_sync_shared::broker::Lease;
use amfj_sync_shared::broker::letters::Replay;
use amfj_sync_shared::http::CallError;
use amfj_sync_shared::ids::{AssetId, Key};
use amfj_sync_shared::messages::{Action, Change, Event, Sequence};
use amfj_sync_shared::retry::{Backoff, Failure};
use amfj_sync_shared::state::View;
use amfj_sync_shared::state::rows::{FailedAction, IntentRow};
use tokio::time::Instant;
use uuid::Uuid;

use crate::admission::Admission;
use crate::circuit::Position;
use crate::site::Site;
use crate::working::Working;

/// For how long a worker may rely on a look at the stream before it sends something. Others wait longer
/// than this before they take an intent over: the time-out of a request and AMFJ's list delay.
const SURE_FOR: Duration = Duration::from_secs(1);

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The partition is given up or the circuit opened: the change goes back to the queue.
    HandBack,
    /// It may have been carried out. Look before sending it again.
    Unknown,
    /// A newer decision does not want it any more; why, in one sentence. An earlier attempt may have been
    /// carried out all the same.
    Overtaken(&'static str),
    /// AMFJ has no such record.
    NotFound,
    /// AMFJ has the asset no more.
    AssetDeleted(AssetId),
    /// Refused, or given up.
    Fail {
        /// One sentence.
        reason: String,
        /// The field at fault.
        field: Option<String>,
    },
}

/// Whether sending twice does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Changes nothing.
    Read,
    /// A repeat has the same effect.
    Repeatable,
    /// A repeat has the same effect only if nobody did anything in between: it is left to the caller,
    /// who looks first.
    Guarded,
    /// A repeat would make a second record.
    Creation,
}

/// The requests of one change: they share the pauses and the time after which it is given up.
pub(crate) struct Requests<'a> {
    site: &'a Site,
    lease: &'a Lease,
    event: &'a Event,
    change: &'a Change,
    /// The token of a replay.
    replay: Option<Uuid>,
    started: Instant,
    backoff: Backoff,
    classify: fn(&CallError) -> Failure,
    /// Requests that were sent and not mere reads.
    pub(crate) attempts: u32,
    /// Whether an asset was checked in and is to be checked out: that follows whatever was decided
    /// meanwhile, for nobody decides that it lies there unassigned.
    pub(crate) halfway: bool,
    /// Whether the last attempt at a creation may have been carried out, although no answer said so.
    pub(crate) uncertain: bool,
    /// Whether anything that was sent here was carried out, or may have been.
    pub(crate) may_have_written: bool,
    /// The right to send one request, had before the change was announced.
    admission: Option<Admission<'a>>,
    /// The changes of the partition that are worked on: whoever waits is not.
    working: &'a Working,
}

impl<'a> Requests<'a> {
    pub(crate) fn new(
        site: &'a Site,
        lease: &'a Lease,
        event: &'a Event,
        change: &'a Change,
        replay: Option<&Replay>,
        working: &'a Working,
    ) -> Option<Self> {
        // Never none: the configuration checked the pauses.
        let backoff = Backoff::try_new(site.retry.initial, site.retry.max.max(site.retry.initial)).ok()?;
        let started = Instant::now();
        Some(Self {
            site,
            lease,
            event,
            change,
            replay: replay.map(|replay| replay.token),
            started,
            backoff,
            classify: Failure::of_call,
            attempts: 0,
            halfway: false,
            uncertain: false,
            may_have_written: false,
            admission: None,
            working,
        })
    }

    /// Classifies failures differently from now on.
    pub(crate) fn classify_with(&mut self, classify: fn(&CallError) -> Failure) {
        self.classify = classify;
    }

    /// Sends a request until there is an answer. An attempt is never interrupted, only pauses are.
    pub(crate) async fn send<T, F>(&mut self, kind: Kind, mut call: impl FnMut() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        loop {
            let answer = self.attempt(kind, &mut call).await?;
            if kind == Kind::Creation {
                self.uncertain = answer.as_ref().is_err_and(CallError::may_have_happened);
            }
            let error = match answer {
                Ok(answer) => {
                    self.site.circuit.answered(kind != Kind::Read);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let (device, user) = self.change.key.parts();
            tracing::debug!(integration = %self.site.integration.id, device, user, %error, "a request failed");
            if error.is_not_found() {
                self.site.circuit.answered(false);
                return Err(Trouble::NotFound);
            }
            match (self.classify)(&error) {
                Failure::Pause { reason } => {
                    self.site.circuit.open(&reason);
                    return Err(Trouble::HandBack);
                }
                Failure::Fail { reason, field } => {
                    // An answer, if not the wanted one: AMFJ works.
                    self.site.circuit.answered(false);
                    return Err(Trouble::Fail { reason, field });
                }
                Failure::Retry { after, reason } => {
                    if error.status() == Some(429) {
                        self.site.client.limiter().pause_for(after.unwrap_or(Duration::from_secs(1)));
                    } else {
                        self.site.circuit.failed(&self.change.key, &reason);
                    }
                    // What lands late would undo what came after it, so nothing may come before it can no longer.
                    let late = kind != Kind::Read && error.may_still_happen();
                    let after = after.max(late.then_some(self.site.integration.amfj.list_delay));
                    let landed = Instant::now() + self.site.integration.amfj.list_delay;
                    self.pause(after, &reason).await.inspect_err(|_| {
                        if late {
                            self.site.will_have_landed(&self.change.key, landed);
                        }
                        if kind == Kind::Creation && error.may_have_happened() {
                            self.site.unknown.lock().insert(self.event.id);
                        }
                    })?;
                    if kind == Kind::Guarded || kind == Kind::Creation && error.may_have_happened() {
                        return Err(Trouble::Unknown);
                    }
                }
            }
        }
    }

    async fn attempt<T, F>(
        &mut self,
        kind: Kind,
        call: &mut impl FnMut() -> F,
    ) -> Result<Result<T, CallError>, Trouble>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        self.admit().await?;
        let _admission = self.admission.take();
        if kind != Kind::Read {
            self.make_sure_of_the_lease().await?;
            // The turn, the rate and the pauses between attempts take their time.
            if !self.halfway
                && let Some(why) = self.overtaken()?
            {
                return Err(Trouble::Overtaken(why));
            }
            self.attempts = self.attempts.saturating_add(1);
        }
        let answer = call().await;
        self.may_have_written |=
            kind != Kind::Read && answer.as_ref().err().is_none_or(CallError::may_have_happened);
        Ok(answer)
    }

    /// Waits for the right to send a request now, and keeps it until the next attempt: a change is announced only
    /// when it can be sent.
    pub(crate) async fn admit(&mut self) -> Result<(), Trouble> {
        // A pause that was cut short is not forgotten.
        while let Some(left) = self.site.until_landed(&self.change.key) {
            self.wait(left).await?;
        }
        let limiter = self.site.client.limiter();
        self.admission = self.admission.take().filter(|admission| admission.holds(limiter));
        if self.lease.is_over() || self.site.circuit.position() == Position::Open {
            return Err(Trouble::HandBack);
        }
        if self.admission.is_none() {
            let admission = tokio::select! {
                biased;
                () = self.lease.over() => None,
                admission = Admission::to(self.site) => admission,
                () = self.opened() => None,
            };
            self.admission = Some(admission.ok_or(Trouble::HandBack)?);
        }
        Ok(())
    }

    /// Gives the right to send back, for whoever has something to send.
    pub(crate) fn step_back(&mut self) {
        self.admission = None;
    }

    /// Whoever stood still for longer than others wait for an intent (frozen, or in a pause that AMFJ
    /// asked for) may have lost the partition without knowing it yet. Reading the stream to its end
    /// takes the connection that the lease is bound to, so it tells.
    async fn make_sure_of_the_lease(&self) -> Result<(), Trouble> {
        if self.site.state.read_back_ago().is_none_or(|ago| ago >= SURE_FOR) {
            self.site.state.read_to_end().await.map_err(|_| Trouble::HandBack)?;
        }
        if self.lease.is_over() || self.is_answered() { Err(Trouble::HandBack) } else { Ok(()) }
    }

    /// Whether another worker has ended this change meanwhile.
    pub(crate) fn is_answered(&self) -> bool {
        self.site.state.read(|view| view.answered(&self.change.key).covers(self.sequence(), self.event.id))
            && self.failure_to_retry().is_none()
    }

    /// The failure that this change replays: as long as it is the last word about the key and the kind of
    /// action, the failed change is not answered, however much came after it.
    pub(crate) fn failure_to_retry(&self) -> Option<FailedAction> {
        let token = self.replay?;
        let mut memory = self.site.state.read(|view| view.memory(&self.change.key));
        let failed = memory.failed.remove(self.change.action.kind())?;
        failed.may_be_retried(self.event.id, token).then_some(failed)
    }

    fn sequence(&self) -> Sequence {
        self.event.sequence.unwrap_or_default()
    }

    /// When the first attempt at this change was announced, by whatever worker, and where in the stream.
    pub(crate) fn first_attempt(&self) -> Option<IntentRow> {
        let claims = self.site.state.read(|view| view.claims(&self.change.key.to_string()));
        claims.into_iter().find(|row| row.intent.change == self.event.id)
    }

    /// Why this change is no longer wanted: a newer decision about its key does not include it, or what
    /// it is about has left Kandji. What an attempt that has begun may have done must be found out first.
    ///
    /// A decision does not ask for what failed, but says that it would. A link that failed is asked for
    /// by a person who replays it, also when names are no longer matched (P5): whether it still can be
    /// made is looked at anyway. A past change that a person wants again is compared with what AMFJ
    /// holds, not with what is decided now.
    pub(crate) fn overtaken(&self) -> Result<Option<&'static str>, Trouble> {
        let action = &self.change.action;
        if matches!(action, Action::Restore { .. }) {
            return Ok(None);
        }
        let retry = self.failure_to_retry().is_some();
        let looked = self.site.state.try_read(|view| {
            let decided_otherwise = view.decision(&self.change.key).is_some_and(|decision| {
                let would_ask = decision.failed.iter().any(|failed| failed == action.kind());
                decision.supersedes(self.event.id, self.sequence())
                    && !(retry && (action.makes_a_link() || would_ask))
            });
            if decided_otherwise {
                return Some("it was decided otherwise meanwhile");
            }
            has_left(view, self.change).then_some("it has left Kandji meanwhile")
        });
        looked.map_err(|_| Trouble::HandBack)
    }

    async fn opened(&self) {
        loop {
            let here = self.site.circuit.position();
            if here == Position::Open {
                return;
            }
            self.site.circuit.moved_from(here).await;
        }
    }

    /// Waits before the next attempt; a change in a pause counts as not started, so that a hand-over
    /// or an open circuit does not wait for it.
    async fn pause(&mut self, after: Option<Duration>, reason: &str) -> Result<(), Trouble> {
        let pause = self.backoff.next().max(after.unwrap_or_default());
        let before = self.site.failing.lock().get(&self.event.id).copied().unwrap_or_default();
        let spent = before + self.started.elapsed();
        if spent + pause > self.site.retry.give_up_after {
            self.site.failing.lock().remove(&self.event.id);
            let reason = format!("given up after {:.0?} and {} attempts: {reason}", spent, self.attempts);
            return Err(Trouble::Fail { reason, field: None });
        }
        self.wait(pause).await.inspect_err(|_| {
            self.site.failing.lock().insert(self.event.id, spent);
        })
    }

    /// Waits, unless the change has to go back to the queue meanwhile.
    pub(crate) async fn wait(&self, pause: Duration) -> Result<(), Trouble> {
        let _aside = self.working.step_aside();
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.lease.over() => Err(Trouble::HandBack),
            () = self.opened() => Err(Trouble::HandBack),
        }
    }
}

/// Whether a device without asset, or a person without record, is in Kandji's list no more: nothing is
/// decided about those any more that could say so.
fn has_left(view: &View, change: &Change) -> bool {
    match (&change.key, &change.action) {
        (Key::Device(device), Action::CreateAsset { .. } | Action::LinkAsset { .. }) => {
            view.link(device).is_none() && view.device(device).is_some_and(|row| !row.is_listed())
        }
        (Key::User(user), Action::CreateUser { .. }) => view.user(user).is_some_and(|row| row.missing),
        _ => false,
    }
}
