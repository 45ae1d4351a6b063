//! The way of one change through the writer.

use amfj_sync_broker::dead_letter::Replay;
use amfj_sync_broker::{BrokerError, Lease, Outgoing, Received, Stage};
use amfj_sync_config::mode;
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_model::ids::AssetId;
use amfj_sync_model::messages::{Action, Change, Ending, Event, Fact, Origin, Outcome, Payload, Restored};
use amfj_sync_projection::Unreadable;
use amfj_sync_projection::rows::IntentRow;
use amfj_sync_service::backlog::counting;
use amfj_sync_stream::StateHandle;
use amfj_sync_telemetry::{Span, SpanKind};
use jiff::Timestamp;

use crate::claims::{Claim, Turn};
use crate::context::IntegrationContext;
use crate::creating::Looked;
use crate::dead_letters::dead_letter_message;
use crate::events;
use crate::outcomes::{SHORTER, ended, remember_definitions, stale};
use crate::requests::{Idempotency, Requests, Trouble};
use crate::steps::{Known, Request, Step};
use crate::working::Working;

pub(crate) mod allowing;
mod assignments;
mod creations;
mod redecided;
mod siblings;
mod superseded;
mod updates;

/// Whether the message may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Its outcome is in the stream.
    Done,
    /// It goes back to the queue.
    Requeued,
}

/// The lease is over, or the circuit opened: the change has no outcome yet and goes back to the queue.
struct LeaseLost;

impl From<BrokerError> for LeaseLost {
    /// The broker fails only when the worker stops; everything else is waited out.
    fn from(_: BrokerError) -> Self {
        Self
    }
}

/// Applies one change, as it was received.
pub(crate) async fn apply(
    context: &IntegrationContext,
    lease: &Lease,
    event: &Event,
    change: &Change,
    received: &Received,
    working: &Working,
) -> Applied {
    let replay = Replay::of(received);
    let requests = Requests::new(context, lease, event, change, replay.as_ref(), working);
    let begun = requests.first_attempt().is_some();
    let (announced, looked) = (None, Looked::NotYet);
    let mut applying =
        Applying { context, lease, event, change, received, replay, requests, begun, announced, looked };
    if applying.run().await.is_ok() {
        return Applied::Done;
    }
    applying.withdraw().await;
    Applied::Requeued
}

struct Applying<'a> {
    context: &'a IntegrationContext,
    lease: &'a Lease,
    event: &'a Event,
    change: &'a Change,
    received: &'a Received,
    replay: Option<Replay>,
    requests: Requests<'a>,
    /// Whether an attempt was announced before this one.
    begun: bool,
    /// What this attempt has announced, and nothing before it.
    announced: Option<Claim>,
    /// How AMFJ is asked before something is created.
    looked: Looked,
}

impl Applying<'_> {
    async fn run(&mut self) -> Result<(), LeaseLost> {
        reach(Failpoint::WriterTaken).await;
        self.until_readable().await?;
        if self.requests.is_answered() {
            counting::repeat_met(Stage::Apply);
            return Ok(());
        }
        if let Some(why) = self.refusal().await? {
            return self.refuse(&why).await;
        }
        if let Some(reason) = mode::withheld(&self.context.integration, self.change) {
            return self.conclude(stale(self.event, self.change, reason)).await;
        }
        if !self.begun
            && let Some(why) = self.requests.superseded().map_err(|_| LeaseLost)?
        {
            return self.conclude(stale(self.event, self.change, why)).await;
        }
        match self.step().await? {
            Step::Done(outcome) if outcome.link.is_none() && outcome.user_link.is_none() => {
                return self.conclude(*outcome).await;
            }
            // A link alone costs no request.
            Step::Done(_) => {}
            Step::Request(request) => match self.look_and_be_admitted(&request).await {
                Ok(Some(outcome)) => return self.conclude(outcome).await,
                // A link needs no write (P4): it does not wait for one that is not taken now.
                Err(Trouble::Fail { .. }) if self.makes_a_link_beside_its_write() => {}
                // A person gave it up while it waited.
                Err(Trouble::Fail { reason, .. }) => return self.conclude(self.failed(reason)).await,
                // It gave way to the next one.
                Err(Trouble::Superseded(why)) if !self.begun => {
                    return self.conclude(stale(self.event, self.change, why)).await;
                }
                // The same, but an attempt before this one is looked into first, with its claim.
                Ok(None) | Err(Trouble::Superseded(_)) => {}
                Err(_) => return Err(LeaseLost),
            },
        }
        let claim = self.claim();
        self.announce(&claim).await?;
        let tried_before = match claim.wait_for_turn(self.context, &mut self.requests).await {
            Ok(Turn::Ours { tried_before }) => tried_before || self.is_unknown(),
            Ok(Turn::Taken) => {
                let outcome = stale(self.event, self.change, "another change about this person is under way");
                return self.conclude(outcome).await;
            }
            Err(_) => return Err(LeaseLost),
        };
        // Read after the claim: the failure that a replay is about is in the view by now.
        let uncertain = self.uncertain_attempt();
        let tried_before = tried_before || uncertain.is_some();
        self.requests.uncertain = tried_before;
        self.begun |= tried_before;
        let after_you = self.let_siblings_go_first(&claim).await?;
        if self.requests.is_answered() {
            counting::repeat_met(Stage::Apply);
            return Ok(());
        }
        if let Some(outcome) = after_you {
            return self.conclude(outcome).await;
        }
        reach(Failpoint::WriterTurn).await;
        // Things may have changed while the turn was waited for.
        let outcome = match self.step().await? {
            Step::Done(outcome) => *outcome,
            Step::Request(request) => {
                // The claim was read back, so it is there.
                let first = uncertain.or_else(|| self.requests.first_attempt()).ok_or(LeaseLost)?;
                self.request(request, &first, tried_before).await?
            }
        };
        reach(Failpoint::WriterAnswered).await;
        self.conclude(outcome).await
    }

    /// Looks for what would be in the way of a first creation (P7), and waits for the right to send a request. A look
    /// needs no announcement, and holds up nobody who takes the partition over.
    async fn look_and_be_admitted(&mut self, request: &Request) -> Result<Option<Outcome>, Trouble> {
        if !self.begun && !self.is_unknown() && self.uncertain_attempt().is_none() {
            let found = match request {
                Request::CreateAsset(asset) => self.asset_in_the_way(asset).await?,
                Request::CreateUser(user) => self.user_in_the_way(user).await?,
                _ => None,
            };
            // Looking has read the stream to its end: what is in the way may have come of an attempt that was not
            // known before, and is looked into with that.
            if found.is_some() && self.requests.first_attempt().is_none() {
                return Ok(found);
            }
        }
        self.requests.admit(Idempotency::Read).await?;
        Ok(None)
    }

    /// Whether an attempt of this process may have been carried out that nobody has looked for.
    fn is_unknown(&self) -> bool {
        self.context.unknown.lock().contains(&self.event.id)
    }

    /// The first attempt at the creation that this change replays, where that may have been carried out.
    fn uncertain_attempt(&self) -> Option<IntentRow> {
        self.requests.failure_to_retry()?.first_attempt
    }

    /// Whether AMFJ may hold what was wanted although the last answer was a refusal: an earlier attempt, of this process or
    /// of one before it, has no answer.
    fn may_be_carried_out(&self) -> bool {
        self.begun || self.requests.unanswered
    }

    fn makes_a_link_beside_its_write(&self) -> bool {
        matches!(self.change.action, Action::LinkAsset { .. })
    }

    /// Publishes the intent. Who has the admission for a request may be sending it a moment later.
    async fn announce(&mut self, claim: &Claim) -> Result<(), LeaseLost> {
        let (stood, _) = claim.announced_by(self.context);
        self.announced = (!stood).then(|| claim.clone());
        reach(Failpoint::WriterBeforeIntent).await;
        claim.publish(self.context, self.event).await?;
        reach(Failpoint::WriterIntentReadBack).await;
        // What was withdrawn is known by now to have come to nothing.
        let (_, by_others) = claim.announced_by(self.context);
        self.begun = stood || by_others;
        Ok(())
    }

    /// The change goes back to the queue. Its intent is taken back, unless something of it, or of an earlier attempt
    /// here, was carried out or may have been: then whoever has the change next has to look.
    async fn withdraw(&mut self) {
        self.requests.step_back();
        let Some(claim) = self.announced.take().filter(|_| !self.requests.may_have_written) else { return };
        reach(Failpoint::WriterHandingBack).await;
        let refused = self.context.blame.has_failed(self.event.id);
        // Fails only when the worker stops: then the intent is waited out.
        if let Err(error) = claim.withdraw(self.context, self.event, refused).await {
            tracing::debug!(integration = %self.context.integration.id, %error, "an intent was not withdrawn");
        }
    }

    /// Waits until the views that the change is compared with can be read: one that cannot is being built anew.
    async fn until_readable(&self) -> Result<(), LeaseLost> {
        let context = self.context;
        let readable = async {
            for state in context.siblings.iter().chain([&context.state]) {
                state.ready().await?;
            }
            Ok(())
        };
        tokio::select! {
            readable = readable => readable,
            () = self.lease.over() => Err(LeaseLost),
        }
    }

    /// What the change still needs. Nothing is found on a view that cannot be read.
    async fn step(&self) -> Result<Step, LeaseLost> {
        loop {
            let failed = || self.context.siblings.iter().map(StateHandle::failed_reads).sum::<u64>();
            let before = failed();
            if let Ok(step) = self.step_on_view()
                && failed() == before
            {
                return Ok(step);
            }
            self.until_readable().await?;
        }
    }

    fn step_on_view(&self) -> Result<Step, Unreadable> {
        let linked_elsewhere = |asset: &AssetId| {
            let linked = |sibling: &StateHandle| sibling.read(|view| view.linked_device(asset).is_some());
            self.context.siblings.iter().any(linked)
        };
        self.context.state.try_read(|view| {
            let (event, change, begun) = (self.event, self.change, self.begun);
            Known { event, change, view, begun, linked_elsewhere: &linked_elsewhere }.step()
        })
    }

    fn claim(&self) -> Claim {
        Claim {
            change: self.event.id,
            key: self.change.key.clone(),
            asset: self.change.action.asset().cloned(),
            record: self.change.action.record().cloned(),
            users: self.change.action.users().to_vec(),
            subjects: self.shared_subjects(),
            waits: false,
        }
    }

    async fn request(
        &mut self,
        request: Request,
        first: &IntentRow,
        tried_before: bool,
    ) -> Result<Outcome, LeaseLost> {
        let answer = match request {
            Request::CreateAsset(asset) => self.create_asset(asset, first, tried_before).await,
            Request::CreateUser(user) => self.create_user(user, first, tried_before).await,
            Request::PatchAsset { asset, patch, edits, link } => {
                self.patch_asset(asset, patch, edits, link).await
            }
            Request::PatchUser { record, patch, edits } => self.patch_user(record, patch, edits).await,
            Request::Assign { asset, expected, to, primary } => {
                self.assign(&asset, expected.as_ref(), to.as_ref(), primary, tried_before).await
            }
            Request::Restore(Restored::Asset { asset, fields }) => self.restore_asset(asset, &fields).await,
            Request::Restore(Restored::Record { record, fields }) => {
                self.restore_record(record, &fields).await
            }
            Request::Restore(Restored::Holder { asset, found, holder, primary }) => {
                self.restore_holder(&asset, found.as_ref(), holder.as_ref(), primary, tried_before).await
            }
        };
        match answer {
            Ok(outcome) => Ok(outcome),
            // The last two are for whoever hands an asset over.
            Err(Trouble::Requeue | Trouble::Unknown | Trouble::NextWaits | Trouble::RefusedOtherwise) => {
                Err(LeaseLost)
            }
            Err(Trouble::Superseded(why)) => Ok(stale(self.event, self.change, why)),
            Err(Trouble::NotThere(asset)) => Ok(self.asset_not_there(asset)),
            // Whoever sends a request looks into these.
            Err(Trouble::NotFound) => Ok(self.failed("AMFJ answered 404".to_owned())),
            Err(Trouble::Unshown) => Ok(self.failed("AMFJ's answer does not show what it holds".to_owned())),
            Err(Trouble::Fail { reason, .. }) => Ok(self.failed(reason)),
        }
    }

    /// One answer proves no deletion (P8): what is known stays, and a run decides.
    fn asset_not_there(&self, asset: AssetId) -> Outcome {
        let why = "AMFJ did not show the asset when it was asked for it by its id; the next run decides";
        let mut outcome = stale(self.event, self.change, why);
        outcome.asset_deleted = Some(asset);
        outcome
    }

    /// Whether the very same failed in an earlier run: its dead letter stands for this one too.
    fn has_a_letter(&self, outcome: &Outcome) -> Result<bool, LeaseLost> {
        let looked = self.context.state.try_read(|view| {
            let rematch = view.meta().rematch;
            view.memory(&self.change.key).failure_repeated_by(outcome, rematch).is_some()
        });
        looked.map_err(|_| LeaseLost)
    }

    fn failed(&self, reason: String) -> Outcome {
        ended(self.event, self.change, Ending::Failed { reason })
    }

    fn applied(&self) -> Outcome {
        ended(self.event, self.change, Ending::Applied)
    }

    /// Publishes history and outcome. The history comes first: once the outcome is in the stream, a redelivery ends early
    /// and could not make good a missing entry. An entry that comes twice bears the id of the same change.
    async fn tell(&self, origin: &Origin, outcome: &Outcome) -> Result<(), BrokerError> {
        let fact = Event::fact(origin, Timestamp::now(), Fact::ChangeEnded(Box::new(outcome.clone())));
        if outcome.ending == Ending::Applied {
            let history = self.context.names.history(&self.context.integration.id);
            self.context.publisher.publish(vec![Outgoing::to_stream(history, &fact)]).await?;
            reach(Failpoint::WriterHistoryPublished).await;
        }
        self.context.state.publish_and_read_back(fact).await.map(drop)
    }

    /// Dead letter if it failed, history, outcome read back: in that order, so that nothing is lost in
    /// between and a repeat of any step is harmless.
    async fn conclude(&mut self, mut outcome: Outcome) -> Result<(), LeaseLost> {
        self.requests.step_back();
        outcome.attempts = self.requests.attempts;
        outcome.replay = self.replay.as_ref().map(|replay| replay.token);
        remember_definitions(self.context, &mut outcome);
        if let Ending::Failed { reason } = &outcome.ending {
            let creates =
                matches!(self.change.action, Action::CreateAsset { .. } | Action::CreateUser { .. });
            outcome.uncertain = creates && self.requests.uncertain;
            if !self.has_a_letter(&outcome)? {
                let key = self.change.key.to_string();
                dead_letter_message(
                    self.context,
                    &self.lease.queue,
                    self.received,
                    &key,
                    reason,
                    outcome.attempts,
                )
                .await?;
                reach(Failpoint::WriterBuried).await;
            }
        }
        let mut origin = self.context.state.origin();
        origin.run.clone_from(&self.event.run);
        origin.sequence = self.event.sequence;
        let part = Span::part(SpanKind::Producer, "publish outcome");
        part.set("amfj_sync.result", events::result(&outcome.ending));
        origin.traceparent = part.traceparent().or_else(|| self.event.traceparent.clone());
        let mut steps = SHORTER.iter();
        while let Err(error) = self.tell(&origin, &outcome).await {
            let (BrokerError::TooLarge { limit, .. }, Some(shorten)) = (&error, steps.next()) else {
                return Err(error.into());
            };
            tracing::warn!(integration = %self.context.integration.id, key = %self.change.key, limit,
                "what became of a change is larger than a message may be; its values are cut");
            shorten(&mut outcome);
        }
        reach(Failpoint::WriterOutcomeReadBack).await;
        self.context.unknown.lock().remove(&self.event.id);
        self.context.blame.ended(self.event.id);
        events::ended(&self.context.integration.id, self.event.run.as_ref(), &outcome);
        Ok(())
    }
}

/// Reads a message of an apply queue.
pub fn read_change(body: &[u8]) -> Result<(Event, Change), String> {
    let event = Event::decode(body).map_err(|error| error.to_string())?;
    match event.payload.clone() {
        Payload::Change(change) if event.sequence.is_some() => Ok((event, change)),
        Payload::Change(_) => Err("a change without a sequence has no place in the order of its key".into()),
        other => Err(format!("`{}` does not belong into an apply queue", other.type_name())),
    }
}
