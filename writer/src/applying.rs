//! The way of one change through the writer.

use amfj_sync_shared::amfj::Holder;
use amfj_sync_shared::backlog::counting;
use amfj_sync_shared::broker::letters::Replay;
use amfj_sync_shared::broker::{BrokerError, Lease, Outgoing, Received, Stage};
use amfj_sync_shared::failpoint::{Failpoint, reach};
use amfj_sync_shared::ids::{AssetId, RecordId};
use amfj_sync_shared::messages::{
    Action, Change, Ending, Event, Fact, LinkOutcome, Outcome, Payload, Restored, Rule, UserLinkOutcome,
};
use amfj_sync_shared::mode;
use amfj_sync_shared::state::rows::IntentRow;
use amfj_sync_shared::state::{State, Unreadable};
use amfj_sync_shared::telemetry::{Span, SpanKind};
use jiff::Timestamp;
use serde_json::Value;

use crate::claims::{Claim, Turn};
use crate::creating::create;
use crate::dead_letters::bury;
use crate::events;
use crate::holders::{Assignment, Held};
use crate::outcomes::{With, assigned, ended, remember_definitions, stale};
use crate::requests::{Kind, Requests, Trouble};
use crate::site::Site;
use crate::steps::{Known, Request, Step};
use crate::updating::Refused;
use crate::working::Working;

mod again;
mod overtaken;

/// Whether the message may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Its outcome is in the stream.
    Done,
    /// It goes back to the queue.
    HandBack,
}

/// Why a change has no outcome yet.
enum NotYet {
    HandBack,
}

impl From<BrokerError> for NotYet {
    /// The broker fails only when the worker stops; everything else is waited out.
    fn from(_: BrokerError) -> Self {
        Self::HandBack
    }
}

/// Applies one change, as it was received.
pub(crate) async fn apply(
    site: &Site,
    lease: &Lease,
    event: &Event,
    change: &Change,
    received: &Received,
    working: &Working,
) -> Applied {
    let replay = Replay::of(received);
    let requests = Requests::new(site, lease, event, change, replay.as_ref(), working);
    let begun = requests.first_attempt().is_some();
    let announced = None;
    let mut applying = Applying { site, lease, event, change, received, replay, requests, begun, announced };
    match applying.run().await {
        Ok(()) => Applied::Done,
        Err(NotYet::HandBack) => {
            applying.withdraw().await;
            Applied::HandBack
        }
    }
}

struct Applying<'a> {
    site: &'a Site,
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
}

impl Applying<'_> {
    async fn run(&mut self) -> Result<(), NotYet> {
        reach(Failpoint::WriterTaken).await;
        self.until_readable().await?;
        if self.requests.is_answered() {
            counting::repeat_met(Stage::Apply);
            return Ok(());
        }
        if let Some(reason) = mode::withheld(&self.site.integration, self.change) {
            return self.conclude(stale(self.event, self.change, reason)).await;
        }
        if !self.begun
            && let Some(why) = self.requests.overtaken().map_err(|_| NotYet::HandBack)?
        {
            return self.conclude(stale(self.event, self.change, why)).await;
        }
        match self.step().await? {
            Step::Done(outcome) if outcome.link.is_none() && outcome.user_link.is_none() => {
                return self.conclude(*outcome).await;
            }
            // A link alone costs no request.
            Step::Done(_) => {}
            Step::Request(_) => match self.requests.admit(Kind::Read).await {
                Ok(()) => {}
                // A person gave it up while it waited.
                Err(Trouble::Fail { reason, .. }) => return self.conclude(self.failed(reason)).await,
                Err(_) => return Err(NotYet::HandBack),
            },
        }
        let claim = self.claim();
        self.announce(&claim).await?;
        let tried_before = match claim.wait_for_turn(self.site, &mut self.requests).await {
            Ok(Turn::Ours { tried_before }) => {
                tried_before || self.site.unknown.lock().contains(&self.event.id)
            }
            Ok(Turn::Taken) => {
                let outcome = stale(self.event, self.change, "another change about this person is under way");
                return self.conclude(outcome).await;
            }
            Err(_) => return Err(NotYet::HandBack),
        };
        // Read after the claim: the failure that a replay is about is in the view by now.
        let uncertain = self.requests.failure_to_retry().and_then(|failed| failed.first_attempt);
        let tried_before = tried_before || uncertain.is_some();
        self.requests.uncertain = tried_before;
        self.catch_up_with_siblings().await?;
        if self.requests.is_answered() {
            counting::repeat_met(Stage::Apply);
            return Ok(());
        }
        reach(Failpoint::WriterTurn).await;
        // Things may have changed while the turn was waited for.
        let outcome = match self.step().await? {
            Step::Done(outcome) => *outcome,
            Step::Request(request) => {
                // The claim was read back, so it is there.
                let first = uncertain.or_else(|| self.requests.first_attempt()).ok_or(NotYet::HandBack)?;
                self.request(request, &first, tried_before).await?
            }
        };
        reach(Failpoint::WriterAnswered).await;
        self.conclude(outcome).await
    }

    /// Publishes the intent. Who has the admission for a request may be sending it a moment later.
    async fn announce(&mut self, claim: &Claim) -> Result<(), NotYet> {
        let (stood, _) = claim.announced_by(self.site);
        self.announced = (!stood).then(|| claim.clone());
        reach(Failpoint::WriterBeforeIntent).await;
        claim.publish(self.site, self.event).await?;
        reach(Failpoint::WriterIntentReadBack).await;
        // What was withdrawn is known by now to have come to nothing.
        let (_, by_others) = claim.announced_by(self.site);
        self.begun = stood || by_others;
        Ok(())
    }

    /// The change goes back to the queue. Its intent is taken back, unless something of it, or of an earlier attempt
    /// here, was carried out or may have been: then whoever has the change next has to look.
    async fn withdraw(&mut self) {
        self.requests.step_back();
        let Some(claim) = self.announced.take().filter(|_| !self.requests.may_have_written) else { return };
        reach(Failpoint::WriterHandingBack).await;
        // Fails only when the worker stops: then the intent is waited out.
        if let Err(error) = claim.withdraw(self.site, self.event).await {
            tracing::debug!(integration = %self.site.integration.id, %error, "an intent was not withdrawn");
        }
    }

    /// Waits until the views that the change is compared with can be read: one that cannot is being built anew.
    async fn until_readable(&self) -> Result<(), NotYet> {
        let site = self.site;
        let readable = async {
            for state in site.siblings.iter().chain([&site.state]) {
                state.ready().await?;
            }
            Ok(())
        };
        tokio::select! {
            readable = readable => readable,
            () = self.lease.over() => Err(NotYet::HandBack),
        }
    }

    /// What the change still needs. Nothing is found on a view that cannot be read.
    async fn step(&self) -> Result<Step, NotYet> {
        loop {
            let failed = || self.site.siblings.iter().map(State::failed_reads).sum::<u64>();
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
            self.site.siblings.iter().any(|sibling| {
                sibling.read(|view| {
                    // An open claim of a sibling with the smaller id goes first: both see each other.
                    let claimed = sibling.integration() < &self.site.integration.id
                        && !view.claims(&format!("asset/{asset}")).is_empty();
                    claimed || view.linked_device(asset).is_some()
                })
            })
        };
        self.site.state.try_read(|view| {
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
        }
    }

    /// Links are unique in an AMFJ site (P4): before one is made, what other integrations of the site
    /// have claimed or linked by now is read to the end.
    async fn catch_up_with_siblings(&self) -> Result<(), NotYet> {
        if matches!(self.change.action, Action::LinkAsset { .. }) {
            for sibling in &self.site.siblings {
                sibling.read_to_end().await?;
            }
        }
        Ok(())
    }

    async fn request(
        &mut self,
        request: Request,
        first: &IntentRow,
        tried_before: bool,
    ) -> Result<Outcome, NotYet> {
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
            Err(Trouble::HandBack | Trouble::Unknown) => Err(NotYet::HandBack),
            Err(Trouble::Overtaken(why)) => Ok(stale(self.event, self.change, why)),
            Err(Trouble::AssetDeleted(asset)) => {
                let mut outcome = stale(self.event, self.change, "the asset was deleted in AMFJ");
                outcome.asset_deleted = Some(asset);
                Ok(outcome)
            }
            Err(Trouble::NotFound) => Ok(self.failed("AMFJ has no such record any more (404)".into())),
            Err(Trouble::Fail { reason, .. }) => Ok(self.failed(reason)),
        }
    }

    fn failed(&self, reason: String) -> Outcome {
        ended(self.event, self.change, Ending::Failed { reason })
    }

    fn applied(&self) -> Outcome {
        ended(self.event, self.change, Ending::Applied)
    }

    async fn create_asset(
        &mut self,
        mut asset: amfj_sync_shared::amfj::client::NewAsset,
        first: &IntentRow,
        tried_before: bool,
    ) -> Result<Outcome, Trouble> {
        let mut refused = Refused::default();
        loop {
            match create(self.site, &mut self.requests, &asset, first, tried_before).await {
                Ok(created) => {
                    let link = LinkOutcome::Linked {
                        asset: created.id.clone(),
                        rule: Rule::Created,
                        takes_over: None,
                    };
                    let mut outcome = self.applied().with_link(link);
                    outcome = outcome.with_edit(Outcome::NAME, Value::Null, asset.name.clone().into());
                    if let Some(location) = created.location.as_ref().filter(|_| asset.location_id.is_some())
                    {
                        outcome =
                            outcome.with_edit(Outcome::LOCATION, Value::Null, location.name.clone().into());
                    }
                    for (field, value) in &asset.fields {
                        outcome = outcome.with_edit(field, Value::Null, value.clone());
                    }
                    outcome.refused = refused.fields;
                    return Ok(outcome.with_asset(created));
                }
                Err(trouble) => refused.leave_out(&mut asset, trouble)?,
            }
        }
    }

    async fn create_user(
        &mut self,
        mut user: amfj_sync_shared::amfj::client::NewUser,
        first: &IntentRow,
        tried_before: bool,
    ) -> Result<Outcome, Trouble> {
        let Action::CreateUser { ids, .. } = &self.change.action else {
            return Err(Trouble::HandBack);
        };
        let mut refused = Refused::default();
        loop {
            match create(self.site, &mut self.requests, &user, first, tried_before).await {
                Ok(created) => {
                    let link =
                        UserLinkOutcome { record: created.id.clone(), rule: Rule::Created, ids: ids.clone() };
                    let mut outcome = self.applied().with_user_link(link);
                    outcome = outcome.with_edit(Outcome::NAME, Value::Null, user.name.clone().into());
                    outcome = outcome.with_edit(Outcome::EMAIL, Value::Null, user.email.clone().into());
                    for (field, value) in &user.fields {
                        outcome = outcome.with_edit(field, Value::Null, value.clone());
                    }
                    outcome.refused = refused.fields;
                    outcome.record = Some(created);
                    return Ok(outcome);
                }
                Err(trouble) => refused.leave_out(&mut user, trouble)?,
            }
        }
    }

    async fn patch_asset(
        &mut self,
        asset: AssetId,
        mut patch: amfj_sync_shared::amfj::client::AssetPatch,
        edits: std::collections::BTreeMap<String, amfj_sync_shared::messages::Edit>,
        link: Option<LinkOutcome>,
    ) -> Result<Outcome, Trouble> {
        let client = &self.site.client;
        let mut refused = Refused::default();
        loop {
            if patch.is_empty() {
                let mut outcome = self.applied();
                outcome.link = link;
                outcome.refused = refused.fields;
                return Ok(outcome);
            }
            match self.requests.send(Kind::Repeatable, || client.update_asset(&asset, &patch)).await {
                Ok(written) => {
                    let mut outcome = self.applied().with_asset(written);
                    outcome.link = link;
                    outcome.edits = refused.written(edits);
                    outcome.refused = refused.fields;
                    return Ok(outcome);
                }
                Err(Trouble::NotFound) => return Err(Trouble::AssetDeleted(asset)),
                Err(Trouble::Overtaken(why)) if self.may_have_written() => {
                    return self.overtaken_patch_of_asset(&asset, edits, refused, why).await;
                }
                Err(trouble) => refused.leave_out(&mut patch, trouble)?,
            }
        }
    }

    async fn patch_user(
        &mut self,
        record: RecordId,
        mut patch: amfj_sync_shared::amfj::client::UserPatch,
        edits: std::collections::BTreeMap<String, amfj_sync_shared::messages::Edit>,
    ) -> Result<Outcome, Trouble> {
        let client = &self.site.client;
        let mut refused = Refused::default();
        loop {
            if patch.is_empty() {
                let mut outcome = self.applied();
                outcome.refused = refused.fields;
                return Ok(outcome);
            }
            match self.requests.send(Kind::Repeatable, || client.update_user(&record, &patch)).await {
                Ok(written) => {
                    let mut outcome = self.applied();
                    outcome.record = Some(written);
                    outcome.edits = refused.written(edits);
                    outcome.refused = refused.fields;
                    return Ok(outcome);
                }
                Err(Trouble::NotFound) => {
                    return Ok(stale(self.event, self.change, "the user record was deleted in AMFJ"));
                }
                Err(Trouble::Overtaken(why)) if self.may_have_written() => {
                    return self.overtaken_patch_of_record(&record, edits, refused, why).await;
                }
                Err(trouble) => refused.leave_out(&mut patch, trouble)?,
            }
        }
    }

    async fn assign(
        &mut self,
        asset: &AssetId,
        expected: Option<&Holder>,
        to: Option<&Holder>,
        primary: Option<RecordId>,
        tried_before: bool,
    ) -> Result<Outcome, Trouble> {
        let assignment = Assignment { site: self.site, asset, expected, to };
        match assignment.make(&mut self.requests, tried_before).await {
            Err(Trouble::Overtaken(why)) if self.may_have_written() => {
                self.overtaken_assignment(asset, expected, to, primary, why).await
            }
            held => Ok(self.assigned(held?, expected, to, primary)),
        }
    }

    fn assigned(
        &self,
        held: Held,
        expected: Option<&Holder>,
        to: Option<&Holder>,
        primary: Option<RecordId>,
    ) -> Outcome {
        match held {
            Held::AsWanted { asset, wrote } if wrote || self.begun => {
                assigned(self.event, self.change, expected, to, primary).with_asset(*asset)
            }
            Held::AsWanted { asset, .. } => {
                ended(self.event, self.change, Ending::Unneeded).with_settled(primary).with_asset(*asset)
            }
            Held::SomebodyElse(asset) => {
                stale(self.event, self.change, "somebody else has the asset by now").with_asset(*asset)
            }
        }
    }

    /// Dead letter if it failed, history, outcome read back: in that order, so that nothing is lost in
    /// between and a repeat of any step is harmless.
    async fn conclude(&mut self, mut outcome: Outcome) -> Result<(), NotYet> {
        self.requests.step_back();
        outcome.attempts = self.requests.attempts;
        outcome.replay = self.replay.as_ref().map(|replay| replay.token);
        remember_definitions(self.site, &mut outcome);
        if let Ending::Failed { reason } = &outcome.ending {
            let creates =
                matches!(self.change.action, Action::CreateAsset { .. } | Action::CreateUser { .. });
            outcome.uncertain = creates && self.requests.uncertain;
            let key = self.change.key.to_string();
            bury(self.site, &self.lease.queue, self.received, &key, reason, outcome.attempts).await?;
            reach(Failpoint::WriterBuried).await;
        }
        let mut origin = self.site.state.origin();
        origin.run.clone_from(&self.event.run);
        origin.sequence = self.event.sequence;
        let part = Span::part(SpanKind::Producer, "publish outcome");
        part.set("amfj_sync.result", events::result(&outcome.ending));
        origin.traceparent = part.traceparent().or_else(|| self.event.traceparent.clone());
        let fact = Event::fact(&origin, Timestamp::now(), Fact::Ended(Box::new(outcome.clone())));
        // Before the outcome: once that is in the stream, a redelivery ends early and could not make good
        // a missing entry. An entry that comes twice bears the id of the same change.
        if outcome.ending == Ending::Applied {
            let history = self.site.names.history(&self.site.integration.id);
            self.site.publisher.publish(vec![Outgoing::to_stream(history, &fact)]).await?;
            reach(Failpoint::WriterHistoryPublished).await;
        }
        self.site.state.publish_and_read_back(fact).await?;
        reach(Failpoint::WriterOutcomeReadBack).await;
        self.site.unknown.lock().remove(&self.event.id);
        self.site.blame.ended(self.event.id);
        events::ended(&self.site.integration.id, self.event.run.as_ref(), &outcome);
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
