//! One request to AMFJ, tried until it is answered, fails for good, or has to wait for better times.

use std::time::Duration;

use amfj_sync_broker::Lease;
use amfj_sync_broker::dead_letter::Replay;
use amfj_sync_http::{Answered, CallError};
use amfj_sync_model::ids::{AssetId, Key};
use amfj_sync_model::messages::{Action, Change, Event, Sequence};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::{FailedAction, IntentRow};
use tokio::time::Instant;
use uuid::Uuid;

use crate::admission::Admission;
use crate::applying::allowing::not_allowed;
use crate::blame::kinds::{Cause, RequestKind};
use crate::blame::records::About;
use crate::blame::{Trial, Turn};
use crate::circuit::Position;
use crate::context::IntegrationContext;
use crate::working::Working;

mod refusals;

use refusals::obey;

/// For how long a worker may rely on a look at the stream before it sends something. Others wait longer
/// than this before they take an intent over: the time-out of a request and AMFJ's list delay.
const SURE_FOR: Duration = Duration::from_secs(1);

/// Why a change that waits with its kind ends (P28).
const GAVE_WAY: &str = "changes of its kind wait, and another change of the same device or person does not; the next run \
                        decides it anew";

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The partition is given up or the circuit opened: the change goes back to the queue.
    Requeue,
    /// It may have been carried out. Look before sending it again.
    Unknown,
    /// A newer decision does not want it any more; why, in one sentence. An earlier attempt may have been
    /// carried out all the same.
    Superseded(&'static str),
    /// AMFJ said success, and did not show what it holds now: that is to be read.
    Unshown,
    /// AMFJ says of a write, in its own form, that there is no such record (404, 410). That proves nothing: read it by
    /// its id, and if it is there, say so with [`Requests::refused`].
    NotFound,
    /// The kind of the request that has to follow this one waits: this one is not sent.
    NextWaits,
    /// Refused, and not as all requests of its kind were.
    RefusedOtherwise,
    /// AMFJ did not show the asset when it was asked for it by its id.
    NotThere(AssetId),
    /// Refused, or given up.
    Fail {
        /// One sentence.
        reason: String,
        /// The field at fault.
        field: Option<String>,
    },
}

/// A last look at what may have been carried out found nothing out. Whoever has the change next looks again, where it goes
/// back to the queue; it did not fail then.
#[expect(clippy::needless_pass_by_value, reason = "it is what `or_else` calls")]
pub(crate) fn nothing_to_see<T>(trouble: Trouble) -> Result<Option<T>, Trouble> {
    match trouble {
        Trouble::Requeue | Trouble::Unknown => Err(Trouble::Requeue),
        _ => Ok(None),
    }
}

/// What a change does when a request is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OnRefusal {
    /// It tries again, for as long as `give_up_after` says.
    #[default]
    TriesAgain,
    /// It ends the request at the first refusal: what was done before must not lie there half done.
    Ends,
    /// The same, also where AMFJ failed (5xx): the change does not need this request.
    IsNoMatter,
}

impl OnRefusal {
    /// Whether this answer ends the request at once. Who is to wait, has the wrong token or reaches something
    /// in between waits for the service; one value, and a record that is said not to exist, are looked into.
    fn ends_at(self, error: &CallError) -> bool {
        // A page of something in between is no refusal.
        if self == Self::Ends && Answered::of(error) == Answered::Failed {
            return false;
        }
        match error.status() {
            Some(422) => self != Self::TriesAgain && error.field().is_none(),
            Some(401 | 404 | 407 | 408 | 410 | 425 | 429) => false,
            Some(400..=499) => self != Self::TriesAgain,
            Some(500..) => self == Self::IsNoMatter && error.retry_after().is_none(),
            _ => false,
        }
    }
}

/// Whether sending twice does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idempotency {
    /// Changes nothing.
    Read,
    /// A repeat has the same effect.
    Idempotent,
    /// A repeat has the same effect only if nobody did anything in between: it is left to the caller,
    /// who looks first.
    Conditional,
    /// A repeat would make a second record.
    NonIdempotent,
}

/// The requests of one change: they share the pauses and the time after which it is given up.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about what became of the requests"
)]
pub(crate) struct Requests<'a> {
    context: &'a IntegrationContext,
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
    /// Whether some attempt at some request may have been carried out, although no answer said so: what
    /// AMFJ holds as it was wanted is part of the history then (P26).
    pub(crate) unanswered: bool,
    /// Whether it gave way to the next change of its device or person: nothing more is written, and what an attempt may
    /// have done is looked into, which waits for no kind.
    gave_way: bool,
    /// Whether it is asked only to find out whether requests of its kind are taken again.
    pub(crate) asks_first: bool,
    /// What is done when a request is refused.
    pub(crate) refusal: OnRefusal,
    /// The right to send one request, had before the change was announced.
    admission: Option<Admission<'a>>,
    /// The changes of the partition that are worked on: whoever waits is not.
    working: &'a Working,
}

impl Drop for Requests<'_> {
    /// What has not ended goes back to the queue; how long it was refused is kept for when it comes again.
    fn drop(&mut self) {
        self.context.blame.let_go(self.event.id);
    }
}

impl<'a> Requests<'a> {
    pub(crate) fn new(
        context: &'a IntegrationContext,
        lease: &'a Lease,
        event: &'a Event,
        change: &'a Change,
        replay: Option<&Replay>,
        working: &'a Working,
    ) -> Self {
        context.blame.taken_up(event.id);
        let serials = [&change.serial].into_iter().chain(&change.serials);
        let about = About {
            key: change.key.clone(),
            label: change.label.clone(),
            serials: serials.filter(|serial| !serial.is_empty()).cloned().collect(),
            change: change.action.kind(),
        };
        Self {
            context,
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
            unanswered: false,
            gave_way: false,
            asks_first: false,
            refusal: match change.action {
                Action::LinkAsset { .. } => OnRefusal::IsNoMatter,
                _ => OnRefusal::TriesAgain,
            },
            admission: None,
            working,
        }
    }

    /// Sends a request until there is an answer. An attempt is never interrupted, only pauses are.
    pub(crate) async fn send<T, F>(
        &mut self,
        kind: Idempotency,
        mut call: impl FnMut() -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let request = RequestKind::of(kind, &self.change.action);
        loop {
            let (answer, turn) = self.attempt(kind, &mut call).await?;
            if kind == Idempotency::NonIdempotent {
                self.uncertain = answer.as_ref().is_err_and(CallError::may_have_happened);
            }
            self.unanswered |=
                kind != Idempotency::Read && answer.as_ref().is_err_and(CallError::may_have_happened);
            let error = match answer {
                Ok(answer) => {
                    self.succeeded(request, kind != Idempotency::Read);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let (device, user) = self.change.key.parts();
            tracing::debug!(integration = %self.context.integration.id, device, user, %error, "a request failed");
            self.judge(kind, request, &error, turn).await?;
        }
    }

    fn succeeded(&mut self, request: Option<RequestKind>, wrote: bool) {
        self.context.blame.succeeded(self.event.id, &self.change.key, request, wrote);
        if wrote {
            self.context.circuit.wrote();
            self.trials.retain(|trial| Some(trial.kind) != request);
        }
    }

    /// Waits until the kind of request may be sent; at once, unless it waits.
    async fn pass(&mut self, kind: RequestKind) -> Result<(), Trouble> {
        self.trials.retain(|trial| self.context.blame.waits(trial.kind));
        if self.trials.iter().any(|trial| trial.kind == kind) || !self.context.blame.waits(kind) {
            return Ok(());
        }
        if self.refusal == OnRefusal::IsNoMatter {
            let reason = "AMFJ takes no changes of this kind at the moment".to_owned();
            return Err(Trouble::Fail { reason, field: None });
        }
        self.step_back();
        let _aside = self.working.step_aside();
        let blame = &self.context.blame;
        let aside = blame.aside(self.event.id, &self.change.key, &self.lease.queue);
        let passed = tokio::select! {
            biased;
            () = self.lease.over() => Err(Trouble::Requeue),
            () = self.context.circuit.opened() => Err(Trouble::Requeue),
            trial = blame.pass(kind, self.event.id) => Ok(trial),
            () = self.working.until_it_holds_up(&self.change.key), if self.gives_way() => {
                self.gave_way = true;
                Err(Trouble::Superseded(GAVE_WAY))
            }
            order = aside.ordered() => obey(order, "its kind of change waits").map(|()| None),
        };
        self.trials.extend(passed?);
        Ok(())
    }

    /// Whether the next change of the same device or person goes first, where this one waits with its kind: that may be
    /// for days. Values and hand-overs, which a run decides anew in any case, and which no person asked for again; none that
    /// is half done.
    fn gives_way(&self) -> bool {
        let decided_anew = matches!(
            self.change.action,
            Action::UpdateAsset { .. } | Action::UpdateUser { .. } | Action::Assign { .. }
        );
        decided_anew && self.replay.is_none() && !self.halfway
    }

    /// The kind that has to be open before this request. One that is checked in already waits for no kind, nor does a look
    /// at what was done.
    fn kind_before(&self, kind: Idempotency) -> Option<RequestKind> {
        let waits = !(self.halfway || self.gave_way);
        RequestKind::of(kind, &self.change.action).filter(|_| waits)
    }

    /// Whether nothing can be checked out at the moment, so that nobody's asset is checked in for it.
    pub(crate) fn check_outs_wait(&self) -> bool {
        let checks_out =
            RequestKind::of(Idempotency::Read, &self.change.action) == Some(RequestKind::CheckOut);
        checks_out && !self.halfway && self.context.blame.waits(RequestKind::CheckOut)
    }

    async fn attempt<T, F>(
        &mut self,
        kind: Idempotency,
        call: &mut impl FnMut() -> F,
    ) -> Result<(Result<T, CallError>, Option<Turn<'a>>), Trouble>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        if kind != Idempotency::Read && self.gave_way && !self.halfway {
            return Err(Trouble::Superseded(GAVE_WAY));
        }
        self.admit(kind).await?;
        let mut admission = self.admission.take();
        if let Some(admission) = &mut admission {
            admission.send();
        }
        if kind != Idempotency::Read {
            self.make_sure_of_the_lease().await?;
            // The turn, the rate and the pauses between attempts take their time.
            if !self.halfway
                && let Some(why) = self.superseded()?
            {
                return Err(Trouble::Superseded(why));
            }
            self.attempts = self.attempts.saturating_add(1);
        }
        let request = RequestKind::of(kind, &self.change.action);
        self.trials.iter_mut().for_each(|trial| trial.sent |= Some(trial.kind) == request);
        let began = Instant::now();
        let answer = call().await;
        self.took = began.elapsed();
        self.may_have_written |=
            kind != Idempotency::Read && answer.as_ref().err().is_none_or(CallError::may_have_happened);
        if kind == Idempotency::Read && answer.is_ok() {
            // What was looked at first is not what was announced: that is still to be sent.
            self.admission = admission;
            return Ok((answer, None));
        }
        // Others may send while this answer is judged; the turn of a half-open circuit is kept.
        Ok((answer, admission.and_then(Admission::into_turn)))
    }

    /// Waits for the right to send a request of this kind now, and keeps it until the next attempt: a change is
    /// announced only when it can be sent. Nothing that others need is held while it waits.
    pub(crate) async fn admit(&mut self, kind: Idempotency) -> Result<(), Trouble> {
        // A pause that was cut short is not forgotten.
        while let Some(left) = self.context.until_late_writes_show(&self.change.key) {
            self.step_back();
            self.wait(left).await?;
        }
        // Nor is that of a change that was handed back in it.
        if let Some((left, reason)) = self.context.blame.pause_left(self.event.id) {
            self.step_back();
            self.stand_aside(left, &reason).await?;
        }
        if kind == Idempotency::Conditional && self.check_outs_wait() {
            return Err(Trouble::NextWaits);
        }
        if let Some(before) = self.kind_before(kind) {
            self.pass(before).await?;
        }
        while let Some(left) = self.context.client.limiter().paused_for() {
            self.step_back();
            self.wait(left).await?;
        }
        let context = self.context;
        if self.lease.is_over() || context.circuit.position() == Position::Open {
            return Err(Trouble::Requeue);
        }
        let held = self.admission.take();
        let (failed, halfway) = (context.blame.has_failed(self.event.id), self.halfway);
        // Others are read and tried while it waits for a request that it may have.
        let aside = failed.then(|| self.working.step_aside());
        let admitted = async {
            match held {
                Some(mut held) => {
                    held.have_place(context.client.limiter()).await;
                    Some(held)
                }
                None => Admission::to(context, failed, halfway).await,
            }
        };
        let admission = tokio::select! {
            biased;
            () = self.lease.over() => None,
            admission = admitted => admission,
            () = context.circuit.opened() => None,
        };
        drop(aside);
        self.admission = Some(admission.ok_or(Trouble::Requeue)?);
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
        if self.context.state.read_back_ago().is_none_or(|ago| ago >= SURE_FOR) {
            self.context.state.read_to_end().await.map_err(|_| Trouble::Requeue)?;
        }
        if self.lease.is_over() || self.is_answered() { Err(Trouble::Requeue) } else { Ok(()) }
    }

    /// Whether another worker has ended this change meanwhile.
    pub(crate) fn is_answered(&self) -> bool {
        self.context.state.read(|view| view.answered(&self.change.key).covers(self.sequence(), self.event.id))
            && self.failure_to_retry().is_none()
    }

    /// The failure that this change replays: as long as it is the last word about the key and the kind of
    /// action, the failed change is not answered, however much came after it.
    pub(crate) fn failure_to_retry(&self) -> Option<FailedAction> {
        let token = self.replay?;
        let mut memory = self.context.state.read(|view| view.memory(&self.change.key));
        let failed = memory.failed.remove(self.change.action.kind())?;
        failed.may_be_retried(self.event.id, token).then_some(failed)
    }

    fn sequence(&self) -> Sequence {
        self.event.sequence.unwrap_or_default()
    }

    /// When the first attempt at this change was announced, by whatever worker, and where in the stream.
    pub(crate) fn first_attempt(&self) -> Option<IntentRow> {
        let claims = self.context.state.read(|view| view.claims(&self.change.key.to_string()));
        claims.into_iter().find(|row| row.intent.change == self.event.id)
    }

    /// Why this change is no longer wanted: a newer decision about its key does not include it, or what
    /// it is about has left Kandji. What an attempt that has begun may have done must be found out first.
    ///
    /// A decision does not ask for what failed, but says that it would. A link that failed is asked for
    /// by a person who replays it, also when names are no longer matched (P5): whether it still can be
    /// made is looked at anyway. A past change that a person wants again is compared with what AMFJ
    /// holds, not with what is decided now.
    pub(crate) fn superseded(&self) -> Result<Option<&'static str>, Trouble> {
        let action = &self.change.action;
        if matches!(action, Action::Restore { .. }) {
            return Ok(None);
        }
        let retry = self.failure_to_retry().is_some();
        let looked = self.context.state.try_read(|view| {
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
        if let Some(why) = looked.map_err(|_| Trouble::Requeue)? {
            return Ok(Some(why));
        }
        let looked = not_allowed(self.context, self.event, self.change, self.lease.id.partition);
        Ok(looked.map_err(|_| Trouble::Requeue)?.is_some().then_some(
            "this worker's configuration, or what it knows by now, does not allow it any more; the next run decides",
        ))
    }

    /// Waits for something that others do, holding nothing that they need for it, unless the change has to go
    /// back to the queue meanwhile.
    pub(crate) async fn wait_for<T>(&mut self, others: impl Future<Output = T>) -> Result<T, Trouble> {
        self.step_back();
        tokio::select! {
            done = others => Ok(done),
            () = self.lease.over() => Err(Trouble::Requeue),
            () = self.context.circuit.opened() => Err(Trouble::Requeue),
        }
    }

    /// Waits, unless the change has to go back to the queue meanwhile.
    pub(crate) async fn wait(&mut self, pause: Duration) -> Result<(), Trouble> {
        self.step_back();
        let _aside = self.working.step_aside();
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.lease.over() => Err(Trouble::Requeue),
            () = self.context.circuit.opened() => Err(Trouble::Requeue),
        }
    }
}

/// Whether a device without asset, or a person without record, is in Kandji's list no more: nothing is
/// decided about those any more that could say so.
fn has_left(view: &Projection, change: &Change) -> bool {
    match (&change.key, &change.action) {
        (Key::Device(device), Action::CreateAsset { .. } | Action::LinkAsset { .. }) => {
            view.link(device).is_none() && view.device(device).is_some_and(|row| !row.is_listed())
        }
        (Key::User(user), Action::CreateUser { .. }) => view.user(user).is_some_and(|row| row.missing),
        _ => false,
    }
}
