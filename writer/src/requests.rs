//! One request to AMFJ, tried until it is answered, fails for good, or has to wait for better times.

use std::time::Duration;

use amfj_sync_shared::broker::Lease;
use amfj_sync_shared::broker::letters::Replay;
use amfj_sync_shared::http::{Answered, CallError};
use amfj_sync_shared::ids::{AssetId, Key};
use amfj_sync_shared::messages::{Action, Change, Event, Sequence};
use amfj_sync_shared::state::View;
use amfj_sync_shared::state::rows::{FailedAction, IntentRow};
use tokio::time::Instant;
use uuid::Uuid;

use crate::admission::Admission;
use crate::blame::kinds::{Cause, RequestKind};
use crate::blame::records::{About, Refusal};
use crate::blame::{Ordered, Trial, Turn, Verdict};
use crate::circuit::{Asked, Position};
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
    /// AMFJ says of a write, in its own form, that there is no such record (404, 410). That proves nothing: read it by
    /// its id, and if it is there, say so with [`Requests::refused`].
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
    about: About,
    /// The token of a replay.
    replay: Option<Uuid>,
    /// Held while this change is the one of a waiting kind that is tried.
    trials: Vec<Trial<'a>>,
    /// What was asked last, and how that was refused.
    last: Option<(Option<RequestKind>, Cause)>,
    /// How long the last attempt took.
    took: Duration,
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

impl Drop for Requests<'_> {
    /// What has not ended goes back to the queue; how long it was refused is kept for when it comes again.
    fn drop(&mut self) {
        self.site.blame.let_go(self.event.id);
    }
}

impl<'a> Requests<'a> {
    pub(crate) fn new(
        site: &'a Site,
        lease: &'a Lease,
        event: &'a Event,
        change: &'a Change,
        replay: Option<&Replay>,
        working: &'a Working,
    ) -> Self {
        site.blame.taken_up(event.id);
        let serials = [&change.serial].into_iter().chain(&change.serials);
        let about = About {
            key: change.key.clone(),
            label: change.label.clone(),
            serials: serials.filter(|serial| !serial.is_empty()).cloned().collect(),
            change: change.action.kind(),
        };
        Self {
            site,
            lease,
            event,
            change,
            about,
            replay: replay.map(|replay| replay.token),
            trials: Vec::new(),
            last: None,
            took: Duration::ZERO,
            attempts: 0,
            halfway: false,
            uncertain: false,
            may_have_written: false,
            admission: None,
            working,
        }
    }

    /// Sends a request until there is an answer. An attempt is never interrupted, only pauses are.
    pub(crate) async fn send<T, F>(&mut self, kind: Kind, mut call: impl FnMut() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let request = RequestKind::of(kind, &self.change.action);
        loop {
            let (answer, turn) = self.attempt(kind, &mut call).await?;
            if kind == Kind::Creation {
                self.uncertain = answer.as_ref().is_err_and(CallError::may_have_happened);
            }
            let error = match answer {
                Ok(answer) => {
                    let wrote = kind != Kind::Read;
                    self.site.blame.succeeded(self.event.id, request, wrote);
                    if wrote {
                        self.site.circuit.wrote();
                        self.trials.retain(|trial| Some(trial.kind) != request);
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let (device, user) = self.change.key.parts();
            tracing::debug!(integration = %self.site.integration.id, device, user, %error, "a request failed");
            self.judge(kind, request, &error, turn).await?;
        }
    }

    /// What an answer that is no success means for this change. `Ok` when the request is to be sent again.
    async fn judge(
        &mut self,
        kind: Kind,
        request: Option<RequestKind>,
        error: &CallError,
        turn: Option<Turn<'a>>,
    ) -> Result<(), Trouble> {
        let reason = said(request, error);
        let status = error.status().unwrap_or_default();
        let answered = Answered::of(error);
        let cause = if answered == Answered::Failed { Cause::Failed } else { Cause::Refused(status) };
        self.last = Some((request, cause));
        match answered {
            Answered::TokenRefused | Answered::WrongAddress => {
                self.site.circuit.open(&reason);
                return Err(self.hand_back(kind, error));
            }
            Answered::Value { field } => {
                // An answer, if not the wanted one: AMFJ works.
                self.site.blame.shows_life(Instant::now());
                return Err(Trouble::Fail { reason, field: Some(field) });
            }
            Answered::NotThere if matches!(kind, Kind::Repeatable | Kind::Guarded) => {
                self.site.blame.shows_life(Instant::now());
                return Err(Trouble::NotFound);
            }
            Answered::Impossible => return Err(Trouble::Fail { reason, field: None }),
            Answered::AskedToWait { pause, out_of_order } => {
                drop(turn);
                self.wait_as_asked(kind, error, pause, out_of_order, &reason).await?;
            }
            Answered::NotThere | Answered::Refused | Answered::Failed => {
                if matches!(error, CallError::NotSent { .. }) {
                    self.site.circuit.suspect();
                }
                self.step_aside(kind, request, cause, &reason, error, turn).await?;
            }
        }
        // Time has gone by.
        if kind == Kind::Guarded || kind == Kind::Creation && error.may_have_happened() {
            return Err(Trouble::Unknown);
        }
        Ok(())
    }

    /// It is not sent again here: what is known about it must not be lost.
    fn hand_back(&self, kind: Kind, error: &CallError) -> Trouble {
        if kind == Kind::Creation && error.may_have_happened() {
            self.site.unknown.lock().insert(self.event.id);
        }
        Trouble::HandBack
    }

    /// A pause that AMFJ asked for is no failure, and waited for however long it is. Where others are served
    /// meanwhile, it is about this change alone: it is refused, and only the time that was asked for does not count.
    async fn wait_as_asked(
        &mut self,
        kind: Kind,
        error: &CallError,
        pause: Option<Duration>,
        out_of_order: bool,
        reason: &str,
    ) -> Result<(), Trouble> {
        if self.site.blame.asked(self.event.id, &self.about) {
            let request = RequestKind::of(kind, &self.change.action);
            return self.step_aside(kind, request, Cause::Failed, reason, error, None).await;
        }
        self.trials.clear();
        match self.site.circuit.asked_to_wait(pause, out_of_order, reason) {
            Asked::Slower(pause) => {
                self.site.client.limiter().pause_for(pause);
                Ok(())
            }
            Asked::Opened => Err(self.hand_back(kind, error)),
        }
    }

    /// This change was refused or failed: it pauses, and the others go on.
    async fn step_aside(
        &mut self,
        kind: Kind,
        request: Option<RequestKind>,
        cause: Cause,
        reason: &str,
        error: &CallError,
        turn: Option<Turn<'a>>,
    ) -> Result<(), Trouble> {
        // What lands late would undo what came after it, so nothing may come before it can no longer.
        let late = kind != Kind::Read && error.may_still_happen();
        let list_delay = self.site.integration.amfj.list_delay;
        let after = error.retry_after().max(late.then_some(list_delay));
        let landed = Instant::now() + list_delay;
        let paused = self.pause_after_refusal(request, cause, reason, after, turn).await;
        if let Err(trouble) = paused {
            if late {
                self.site.will_have_landed(&self.change.key, landed);
            }
            if matches!(trouble, Trouble::HandBack) {
                return Err(self.hand_back(kind, error));
            }
            return Err(trouble);
        }
        Ok(())
    }

    /// The last answer turned out to be about this change alone, although it read otherwise (a 404, and the record is
    /// there; a 422 about a field that was never sent): it is a refusal like any other. It pauses, and counts. `Ok`
    /// when it is to be sent again.
    #[expect(dead_code, reason = "for those who find out what a 404 or a 422 was about")]
    pub(crate) async fn refused(&mut self, reason: &str) -> Result<(), Trouble> {
        let (request, cause) = self.last.unwrap_or((None, Cause::Failed));
        self.pause_after_refusal(request, cause, reason, None, None).await
    }

    async fn pause_after_refusal(
        &mut self,
        request: Option<RequestKind>,
        cause: Cause,
        reason: &str,
        after: Option<Duration>,
        turn: Option<Turn<'a>>,
    ) -> Result<(), Trouble> {
        let openings = self.site.circuit.openings();
        let took = std::mem::take(&mut self.took);
        let refusal = Refusal { request, cause, reason: reason.to_owned(), took, openings };
        let blame = &self.site.blame;
        let verdict = blame.refused(self.event.id, &self.about, &refusal, self.halfway);
        // Never none: the configuration checked the pauses.
        let Some(verdict) = verdict else { return Err(Trouble::HandBack) };
        if verdict.suspicious {
            self.site.circuit.suspect();
        }
        // The next turn, and the next trial of the kind, are somebody else's.
        drop(turn);
        self.trials.clear();
        if verdict.exhausted && self.is_exhausted(request, &verdict).await? {
            let (spent, attempts) = blame.refused_for(self.event.id);
            let reason = format!("given up after {spent:.0?} and {attempts} attempts: {reason}");
            return Err(Trouble::Fail { reason, field: None });
        }
        self.pause(&verdict, after, reason).await
    }

    /// A change is given up only where AMFJ has shown since that it is well, and where its kind does not wait.
    async fn is_exhausted(&self, request: Option<RequestKind>, verdict: &Verdict) -> Result<bool, Trouble> {
        tokio::select! {
            () = self.site.blame.well_after(verdict.at) => {}
            () = self.lease.over() => return Err(Trouble::HandBack),
            () = self.site.circuit.opened() => return Err(Trouble::HandBack),
        }
        self.site.blame.convict();
        Ok(self.halfway || !request.is_some_and(|kind| self.site.blame.waits(kind)))
    }

    /// Waits before the next attempt, holding nothing that others need; a change in a pause counts as not started, so
    /// that a hand-over or an open circuit does not wait for it.
    async fn pause(&self, verdict: &Verdict, after: Option<Duration>, reason: &str) -> Result<(), Trouble> {
        let blame = &self.site.blame;
        let pause = verdict.pause.max(after.unwrap_or_default());
        blame.pauses(self.event.id, pause, verdict.pause);
        self.stand_aside(pause, reason).await
    }

    async fn stand_aside(&self, pause: Duration, reason: &str) -> Result<(), Trouble> {
        let blame = &self.site.blame;
        let aside = blame.aside(self.event.id, &self.change.key, &self.lease.queue);
        let began = Instant::now();
        let ended = tokio::select! {
            ended = self.wait(pause) => ended,
            order = aside.ordered() => obey(order, reason),
        };
        blame.has_waited(self.event.id, began.elapsed(), ended.is_ok());
        ended
    }

    /// Waits until the kind of request may be sent; at once, unless it waits.
    async fn pass(&mut self, kind: RequestKind) -> Result<(), Trouble> {
        self.trials.retain(|trial| self.site.blame.waits(trial.kind));
        if self.trials.iter().any(|trial| trial.kind == kind) || !self.site.blame.waits(kind) {
            return Ok(());
        }
        self.step_back();
        let _aside = self.working.step_aside();
        let blame = &self.site.blame;
        let aside = blame.aside(self.event.id, &self.change.key, &self.lease.queue);
        let passed = tokio::select! {
            biased;
            () = self.lease.over() => Err(Trouble::HandBack),
            () = self.site.circuit.opened() => Err(Trouble::HandBack),
            trial = blame.pass(kind, self.event.id) => Ok(trial),
            order = aside.ordered() => obey(order, "its kind of change waits").map(|()| None),
        };
        self.trials.extend(passed?);
        Ok(())
    }

    /// The kinds that have to be open before this request: nobody's asset is checked in while it cannot be checked
    /// out again. One that is checked in already waits for no kind.
    fn kinds_before(&self, kind: Kind) -> Vec<RequestKind> {
        if self.halfway {
            return Vec::new();
        }
        let own = RequestKind::of(kind, &self.change.action);
        let aim = RequestKind::of(Kind::Read, &self.change.action);
        let then = aim.filter(|aim| own == Some(RequestKind::CheckIn) && *aim == RequestKind::CheckOut);
        then.into_iter().chain(own).collect()
    }

    async fn attempt<T, F>(
        &mut self,
        kind: Kind,
        call: &mut impl FnMut() -> F,
    ) -> Result<(Result<T, CallError>, Option<Turn<'a>>), Trouble>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        self.admit(kind).await?;
        let admission = self.admission.take();
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
        let request = RequestKind::of(kind, &self.change.action);
        self.trials.iter_mut().for_each(|trial| trial.sent |= Some(trial.kind) == request);
        let began = Instant::now();
        let answer = call().await;
        self.took = began.elapsed();
        self.may_have_written |=
            kind != Kind::Read && answer.as_ref().err().is_none_or(CallError::may_have_happened);
        // Others may send while this answer is judged; the turn of a half-open circuit is kept.
        Ok((answer, admission.and_then(Admission::into_turn)))
    }

    /// Waits for the right to send a request of this kind now, and keeps it until the next attempt: a change is
    /// announced only when it can be sent. Nothing that others need is held while it waits.
    pub(crate) async fn admit(&mut self, kind: Kind) -> Result<(), Trouble> {
        // A pause that was cut short is not forgotten.
        while let Some(left) = self.site.until_landed(&self.change.key) {
            self.step_back();
            self.wait(left).await?;
        }
        // Nor is that of a change that was handed back in it.
        if let Some((left, reason)) = self.site.blame.pause_left(self.event.id) {
            self.step_back();
            self.stand_aside(left, &reason).await?;
        }
        for before in self.kinds_before(kind) {
            self.pass(before).await?;
        }
        while let Some(left) = self.site.client.limiter().paused_for() {
            self.step_back();
            self.wait(left).await?;
        }
        let site = self.site;
        self.admission = self.admission.take().filter(|admission| admission.holds(site.client.limiter()));
        if self.lease.is_over() || site.circuit.position() == Position::Open {
            return Err(Trouble::HandBack);
        }
        if self.admission.is_none() {
            let failed = site.blame.has_failed(self.event.id);
            let admission = tokio::select! {
                biased;
                () = self.lease.over() => None,
                admission = Admission::to(site, failed) => admission,
                () = site.circuit.opened() => None,
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

    /// Waits, unless the change has to go back to the queue meanwhile.
    pub(crate) async fn wait(&self, pause: Duration) -> Result<(), Trouble> {
        let _aside = self.working.step_aside();
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.lease.over() => Err(Trouble::HandBack),
            () = self.site.circuit.opened() => Err(Trouble::HandBack),
        }
    }
}

/// What a person wants of a change that stands aside.
fn obey(order: Ordered, reason: &str) -> Result<(), Trouble> {
    match order {
        Ordered::TryNow => Ok(()),
        Ordered::GiveUp { by } => {
            Err(Trouble::Fail { reason: format!("given up by {by}: {reason}"), field: None })
        }
    }
}

/// The error as people read it.
fn said(request: Option<RequestKind>, error: &CallError) -> String {
    match (request, error.status()) {
        (Some(RequestKind::UpdateUser), Some(403)) => {
            format!("{error} (records of Jira users can only be changed in Jira)")
        }
        _ => error.to_string(),
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
