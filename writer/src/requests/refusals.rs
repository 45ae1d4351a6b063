//! What becomes of a change whose request was refused or failed: it is handed back, fails, or pauses and is tried again.
//! Whose fault that is is for [`crate::blame`] to know.

use std::time::Duration;

use amfj_sync_http::{Answered, CallError};
use tokio::time::Instant;

use super::{GAVE_WAY, Idempotency, OnRefusal, Requests, Trouble};
use crate::blame::kinds::{Cause, RequestKind};
use crate::blame::records::Refusal;
use crate::blame::{Ordered, Turn, Verdict};
use crate::circuit::{Asked, Position};

/// A pause of a change alone that counts as no time of failing.
const TOO_MANY: Cause = Cause::Refused(429);

impl<'a> Requests<'a> {
    /// What an answer that is no success means for this change. `Ok` when the request is to be sent again.
    pub(super) async fn judge(
        &mut self,
        kind: Idempotency,
        request: Option<RequestKind>,
        error: &CallError,
        turn: Option<Turn<'a>>,
    ) -> Result<(), Trouble> {
        if kind != Idempotency::Read && error.is_unshown_success() {
            self.succeeded(request, true);
            return Err(Trouble::Unshown);
        }
        let reason = said(request, error);
        let status = error.status().unwrap_or_default();
        let answered = Answered::of(error);
        let cause = if answered == Answered::Failed { Cause::Failed } else { Cause::Refused(status) };
        self.last = Some((request, cause));
        let is_of_the_record =
            matches!(answered, Answered::Refused | Answered::NotThere | Answered::Value { .. });
        if self.asks_first
            && is_of_the_record
            && request.is_some_and(|kind| self.context.blame.refused_otherwise(kind, cause))
        {
            return Err(Trouble::RefusedOtherwise);
        }
        match answered {
            Answered::TokenRefused | Answered::WrongAddress => {
                self.context.circuit.open(&reason);
                return Err(self.requeue(kind, error));
            }
            Answered::Value { field } => {
                // An answer, if not the wanted one: AMFJ works.
                self.context.blame.shows_life(Instant::now());
                return Err(Trouble::Fail { reason, field: Some(field) });
            }
            Answered::NotThere if matches!(kind, Idempotency::Idempotent | Idempotency::Conditional) => {
                self.context.blame.shows_life(Instant::now());
                return Err(Trouble::NotFound);
            }
            Answered::Impossible => return Err(Trouble::Fail { reason, field: None }),
            Answered::AskedToWait { pause, out_of_order } => {
                drop(turn);
                self.wait_as_asked(kind, error, pause, out_of_order, &reason).await?;
            }
            Answered::Refused | Answered::Failed
                if kind != Idempotency::Read && self.refusal.ends_at(error) =>
            {
                self.refused_for_good(request, cause);
                return Err(Trouble::Fail { reason, field: None });
            }
            Answered::NotThere | Answered::Refused | Answered::Failed => {
                if matches!(error, CallError::NotSent { .. }) {
                    self.context.circuit.suspect();
                }
                self.step_aside(kind, request, cause, &reason, error, turn).await?;
            }
        }
        // Time has gone by.
        if kind == Idempotency::Conditional || kind == Idempotency::NonIdempotent && error.may_have_happened()
        {
            return Err(Trouble::Unknown);
        }
        Ok(())
    }

    fn refused_for_good(&self, request: Option<RequestKind>, cause: Cause) {
        if let Some(kind) = request {
            self.context.blame.refused_for_good(&self.change.key, kind, cause, self.took);
        }
    }

    /// It is not sent again here: what is known about it must not be lost.
    fn requeue(&self, kind: Idempotency, error: &CallError) -> Trouble {
        if kind == Idempotency::NonIdempotent && error.may_have_happened() {
            self.context.unknown.lock().insert(self.event.id);
        }
        Trouble::Requeue
    }

    /// A pause that AMFJ asked for is no failure, and waited for however long it is. Where others are served
    /// meanwhile, it is about this change alone: it is refused, and only the time that was asked for does not count.
    async fn wait_as_asked(
        &mut self,
        kind: Idempotency,
        error: &CallError,
        pause: Option<Duration>,
        out_of_order: bool,
        reason: &str,
    ) -> Result<(), Trouble> {
        if self.context.blame.asked(self.event.id, &self.about, out_of_order) {
            let request = RequestKind::of(kind, &self.change.action);
            let cause = if out_of_order { Cause::Failed } else { TOO_MANY };
            return self.step_aside(kind, request, cause, reason, error, None).await;
        }
        self.trials.clear();
        match self.context.circuit.asked_to_wait(pause, out_of_order, reason) {
            Asked::Slower(pause) => {
                self.context.client.limiter().pause_for(pause);
                Ok(())
            }
            Asked::Opened => Err(self.requeue(kind, error)),
        }
    }

    /// This change was refused or failed: it pauses, and the others go on.
    async fn step_aside(
        &mut self,
        kind: Idempotency,
        request: Option<RequestKind>,
        cause: Cause,
        reason: &str,
        error: &CallError,
        turn: Option<Turn<'a>>,
    ) -> Result<(), Trouble> {
        // What lands late would undo what came after it, so nothing may come before it can no longer.
        let late = kind != Idempotency::Read && error.may_still_happen();
        let list_delay = self.context.integration.amfj.list_delay;
        let after = error.retry_after().max(late.then_some(list_delay));
        let landed = Instant::now() + list_delay;
        let paused = self.pause_after_refusal(request, cause, reason, after, turn).await;
        if let Err(trouble) = paused {
            if late {
                self.context.note_late_write(&self.change.key, landed);
            }
            if matches!(trouble, Trouble::Requeue) {
                return Err(self.requeue(kind, error));
            }
            return Err(trouble);
        }
        Ok(())
    }

    /// The last answer turned out to be about this change alone, although it read otherwise (a 404, and the record is
    /// there; a 422 about a field that was never sent): it is a refusal like any other. It pauses, and counts. `Ok`
    /// when it is to be sent again.
    pub(crate) async fn refused(&mut self, reason: &str) -> Result<(), Trouble> {
        let (request, cause) = self.last.unwrap_or((None, Cause::Failed));
        if self.refusal != OnRefusal::TriesAgain {
            self.refused_for_good(request, cause);
            return Err(Trouble::Fail { reason: reason.to_owned(), field: None });
        }
        self.pause_after_refusal(request, cause, reason, None, None).await
    }

    /// Whether the last refusal may be about all requests of its kind: the token may not do that.
    pub(crate) fn may_lack_permission(&self) -> bool {
        self.last.is_some_and(|(_, cause)| cause.may_be_permission())
    }

    async fn pause_after_refusal(
        &mut self,
        request: Option<RequestKind>,
        cause: Cause,
        reason: &str,
        after: Option<Duration>,
        turn: Option<Turn<'a>>,
    ) -> Result<(), Trouble> {
        let openings = self.context.circuit.openings();
        let took = std::mem::take(&mut self.took);
        let before_others = request.is_some_and(|kind| self.was_tried_before_others(kind));
        let refusal = Refusal { request, cause, reason: reason.to_owned(), took, openings, before_others };
        let blame = &self.context.blame;
        let verdict = blame.refused(self.event.id, &self.about, &refusal, self.halfway);
        // Never none: the configuration checked the pauses.
        let Some(verdict) = verdict else { return Err(Trouble::Requeue) };
        if verdict.suspicious
            || cause == Cause::Failed && self.context.circuit.position() == Position::HalfOpen
        {
            self.context.circuit.suspect();
        }
        // The next turn, and the next trial of the kind, are somebody else's.
        drop(turn);
        self.trials.clear();
        if verdict.exhausted && self.is_exhausted(request, &verdict).await? {
            let (spent, attempts) = blame.refused_for(self.event.id);
            let reason = format!("given up after {spent:.0?} and {attempts} attempts: {reason}");
            return Err(Trouble::Fail { reason, field: None });
        }
        let own = if cause == TOO_MANY { Duration::ZERO } else { verdict.pause };
        self.pause(verdict.pause.max(after.unwrap_or_default()), own, reason).await
    }

    /// Whether AMFJ has carried out a request of this kind since another worker began with this change: what this worker
    /// has not seen itself, because it was started anew or has just taken over.
    fn was_tried_before_others(&self, kind: RequestKind) -> bool {
        let (key, change, worker) = (&self.change.key, self.event.id, &self.context.worker);
        self.context.state.read(|view| {
            let begun = view.first_announced_by_another(key, change, worker);
            let accepted = view.meta().accepted.get(kind.as_str());
            begun.zip(accepted).is_some_and(|(begun, accepted)| *accepted > begun)
        })
    }

    /// A change is given up only where AMFJ has shown since that it is well, and where its kind does not wait.
    async fn is_exhausted(&self, request: Option<RequestKind>, verdict: &Verdict) -> Result<bool, Trouble> {
        tokio::select! {
            () = self.context.blame.well_after(verdict.at) => {}
            () = self.lease.over() => return Err(Trouble::Requeue),
            () = self.context.circuit.opened() => return Err(Trouble::Requeue),
        }
        self.context.blame.convict();
        Ok(self.halfway || !request.is_some_and(|kind| self.context.blame.waits(kind)))
    }

    /// Waits before the next attempt, holding nothing that others need; a change in a pause counts as not started, so
    /// that a hand-over or an open circuit does not wait for it.
    async fn pause(&mut self, pause: Duration, own: Duration, reason: &str) -> Result<(), Trouble> {
        self.context.blame.pauses(self.event.id, pause, own);
        self.stand_aside(pause, reason).await
    }

    pub(super) async fn stand_aside(&mut self, pause: Duration, reason: &str) -> Result<(), Trouble> {
        let blame = &self.context.blame;
        let aside = blame.aside(self.event.id, &self.change.key, &self.lease.queue);
        let began = Instant::now();
        let kind = self.last.and_then(|(request, _)| request);
        let gives_way = self.gives_way() && kind.is_some_and(|kind| blame.waits(kind));
        let working = self.working;
        let ended = tokio::select! {
            biased;
            // The one of its kind that is tried waits for its own pause, and seldom in line.
            () = working.until_it_holds_up(&self.change.key), if gives_way => Err(Trouble::Superseded(GAVE_WAY)),
            ended = self.wait(pause) => ended,
            order = aside.ordered() => obey(order, reason),
        };
        self.gave_way |= matches!(ended, Err(Trouble::Superseded(_)));
        blame.has_waited(self.event.id, began.elapsed(), ended.is_ok());
        ended
    }
}

/// What a person wants of a change that stands aside.
pub(super) fn obey(order: Ordered, reason: &str) -> Result<(), Trouble> {
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
