//! Serving one partition: snapshots in, decisions and changes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_shared::backlog::{Held, InHand};
use amfj_sync_shared::broker::letters::{Death, dead_letter};
use amfj_sync_shared::broker::{
    Acknowledged, BrokerError, Intake, Lease, Names, Outgoing, Publisher, Received, Stage, WINDOW,
};
use amfj_sync_shared::config::Integration;
use amfj_sync_shared::failpoint::{Failpoint, reach};
use amfj_sync_shared::ids::{DeviceId, Key, RunId};
use amfj_sync_shared::messages::{
    DeviceEntry, Ending, Event, Fact, Order, Origin, Payload, PrimaryUser, Sequence, UserEntry,
};
use amfj_sync_shared::state::rows::Open;
use amfj_sync_shared::state::{Folded, State, Verdict, View};
use amfj_sync_shared::telemetry::{Span, SpanKind};
use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::deciding::{Before, Conclusion, MassChanges, conclude, says_the_same};
use crate::events;
use crate::rules::{self, Draft, Site};

mod mass_changes;
mod under_way;

use under_way::{AT_ONCE, Decided, InFlight, TAKEN, UnderWay};

/// Everything that deciding one integration needs.
#[derive(Debug)]
pub struct Desk {
    /// The configuration.
    pub integration: Integration,
    /// Its state.
    pub state: State,
    /// The states of other integrations that feed the same AMFJ site (P4).
    pub siblings: Vec<State>,
    /// Publishing.
    pub publisher: Publisher,
    /// Names of queues.
    pub names: Names,
    /// The partitions that are served.
    pub in_hand: InHand,
    /// Partitions of the integration.
    pub partitions: u16,
    /// After that a published change without outcome counts as lost.
    pub change_lost_after: Duration,
}

/// Why a partition is no longer served.
enum Stop {
    /// The lease is over or the channel is dead: what was not acknowledged comes again.
    Over,
}

impl From<BrokerError> for Stop {
    fn from(_: BrokerError) -> Self {
        Self::Over
    }
}

/// What is to be decided.
#[derive(Debug)]
enum Subject {
    Device(Box<DeviceEntry>),
    User(Box<UserEntry>),
    Missing(DeviceId),
}

/// Something to decide about.
#[derive(Debug)]
struct Task {
    subject: Subject,
    /// The snapshot that it stands in.
    snapshot: Sequence,
    /// `traceparent` of the message that gave rise to it.
    cause: Option<String>,
}

impl Subject {
    fn key(&self) -> Key {
        match self {
            Self::Device(device) => Key::Device(device.device_id.clone()),
            Self::User(user) => Key::User(user.key.clone()),
            Self::Missing(device) => Key::Device(device.clone()),
        }
    }
}

/// Serves a partition until its lease is over.
pub(crate) async fn serve(desk: Arc<Desk>, lease: Lease) {
    // Listening starts before the backlog is looked at, so that nothing falls in between.
    let folded = desk.state.listen();
    let mut intake = match lease.intake(TAKEN).await {
        Ok(intake) => intake,
        Err(error) => {
            lease.session.give_up(&error);
            return;
        }
    };
    let held = desk.in_hand.serving(&lease.id, Stage::Reconcile);
    let partition = Partition { desk: &desk, lease: &lease, held };
    match partition.run(&mut intake, Listening { folded, told: None }).await {
        Ok(()) | Err(Stop::Over) => {}
    }
    intake.close().await;
}

/// Keys that are to be decided again, each with the `traceparent` of what gave rise to it.
type Causes = BTreeMap<Key, Option<String>>;

/// A decision that is being published.
struct Step {
    span: Span,
    traceparent: Option<String>,
    conclusion: Conclusion,
}

/// What the facts of the stream give rise to.
struct Listening {
    folded: broadcast::Receiver<Folded>,
    /// The run that was said to be decided last.
    told: Option<u64>,
}

struct Partition<'a> {
    desk: &'a Desk,
    lease: &'a Lease,
    held: Held,
}

impl Partition<'_> {
    async fn run(&self, intake: &mut Intake, mut listening: Listening) -> Result<(), Stop> {
        self.decide_open_ones().await?;
        let mut under_way = UnderWay::default();
        loop {
            tokio::select! {
                biased;
                () = self.lease.over() => return self.finish_all(&mut under_way).await,
                folded = listening.folded.recv() => {
                    self.follow_up(folded, &mut listening, &mut under_way).await?;
                }
                Some(decided) = under_way.next() => self.finish(decided?, under_way.oldest()).await?,
                batch = intake.next_batch(AT_ONCE), if under_way.has_room() => {
                    if batch.is_empty() {
                        return self.finish_all(&mut under_way).await;
                    }
                    self.take(batch, &mut under_way).await?;
                }
            }
        }
    }

    fn is_ours(&self, key: &Key) -> bool {
        key.partition(self.desk.partitions) == self.lease.id.partition
    }

    /// Messages of a batch are decided in order, published together, and acknowledged together; the next batch is decided
    /// while this one is published.
    async fn take<'s>(&'s self, batch: Vec<Received>, under_way: &mut UnderWay<'s>) -> Result<(), Stop> {
        reach(Failpoint::ReconcilerTaken).await;
        let in_flight = InFlight::of(&self.desk.integration.id, batch.len());
        let mut tasks: Vec<Task> = Vec::new();
        let mut oldest = None;
        for received in &batch {
            if received.redelivered {
                events::redelivered();
            }
            match Event::decode(&received.body) {
                Ok(event) => {
                    let oldest = *oldest.get_or_insert(event.time);
                    self.held.hold(under_way.oldest().or(Some(oldest)));
                    self.accept(event, received, &mut tasks, under_way).await?;
                }
                Err(error) => self.bury(received, &error.to_string()).await?,
            }
        }
        let Some(last) = batch.into_iter().next_back() else { return Ok(()) };
        let keys = tasks.iter().map(|task| task.subject.key()).collect();
        let deciding = async move {
            self.decide(tasks).await?;
            Ok(Decided { last, in_flight })
        };
        under_way.push(oldest, keys, deciding.boxed());
        Ok(())
    }

    /// Acknowledges what is decided; `oldest` is what is in hand then.
    async fn finish(&self, decided: Decided, oldest: Option<Timestamp>) -> Result<(), Stop> {
        reach(Failpoint::ReconcilerDecided).await;
        let Decided { last, in_flight } = decided;
        if last.acknowledge_up_to_here().await == Acknowledged::ChannelIsDead {
            return Err(Stop::Over);
        }
        events::done(&self.desk.integration.id, in_flight.messages());
        self.held.hold(oldest);
        drop(in_flight);
        reach(Failpoint::ReconcilerAcknowledged).await;
        Ok(())
    }

    /// Waits for everything that is under way: what comes now must see its decisions.
    async fn finish_all(&self, under_way: &mut UnderWay<'_>) -> Result<(), Stop> {
        while let Some(decided) = under_way.next().await {
            self.finish(decided?, under_way.oldest()).await?;
        }
        Ok(())
    }

    async fn accept(
        &self,
        event: Event,
        received: &Received,
        tasks: &mut Vec<Task>,
        under_way: &mut UnderWay<'_>,
    ) -> Result<(), Stop> {
        let (sequence, cause) = (event.sequence.unwrap_or_default(), event.traceparent);
        let (key, subject) = match event.payload {
            Payload::DeviceSnapshot(snapshot) => {
                let device = snapshot.device;
                (Key::Device(device.device_id.clone()), Subject::Device(Box::new(device)))
            }
            Payload::UserSnapshot(snapshot) => {
                let user = snapshot.user;
                (Key::User(user.key.clone()), Subject::User(Box::new(user)))
            }
            Payload::EndOfRun(_) => {
                let in_force = self.wait_for_inventory(sequence.run).await?;
                // Everything before it is decided first.
                self.finish_all(under_way).await?;
                self.decide(std::mem::take(tasks)).await?;
                if in_force < sequence.run {
                    return Ok(());
                }
                return self.end_run(sequence.run, cause).await;
            }
            other => {
                let reason = format!("`{}` does not belong into a reconcile queue", other.type_name());
                return self.bury(received, &reason).await;
            }
        };
        let in_force = self.wait_for_inventory(sequence.run).await?;
        if under_way.is_about(&key) {
            self.finish_all(under_way).await?;
        }
        let decided = self.desk.state.read(|view| view.decision(&key).map(|decision| decision.snapshot));
        // Of an older run, or answered before: acknowledged undecided.
        if in_force == sequence.run && decided.is_none_or(|decided| decided < sequence) {
            tasks.push(Task { subject, snapshot: sequence, cause });
        } else {
            events::repeat_met();
        }
        Ok(())
    }

    /// A snapshot is decided only on the inventory of its own run. Answers the run in force, which is
    /// this one or a newer one; an older one where the stream, read to its end, knows of no such run:
    /// inventories are in the stream before their snapshots are published.
    async fn wait_for_inventory(&self, run: u64) -> Result<u64, Stop> {
        let in_force = || self.desk.state.read(|view| view.meta().number_in_force()).unwrap_or(0);
        if in_force() < run {
            tokio::select! {
                read = self.desk.state.read_to_end() => read?,
                () = self.lease.over() => return Err(Stop::Over),
            }
        }
        let in_force = in_force();
        if in_force < run {
            let id = &self.desk.integration.id;
            tracing::warn!(integration = %id, run = %RunId::of(id, run),
                "a snapshot of a run that the state stream does not know is left undecided; the next run has it again");
        }
        Ok(in_force)
    }

    async fn end_run(&self, run: u64, cause: Option<String>) -> Result<(), Stop> {
        let missing = self.desk.state.read(|view| {
            let missing = view.missing_devices().into_iter();
            let ours = missing.filter(|id| self.is_ours(&Key::Device(id.clone())) && view.link(id).is_some());
            let task = |id| Task {
                subject: Subject::Missing(id),
                snapshot: Sequence::first(run),
                cause: cause.clone(),
            };
            ours.map(task).collect()
        });
        self.decide(missing).await?;
        let in_force = self.desk.state.read(|view| view.meta().number_in_force());
        let fact = Fact::PartitionDecided {
            number: run,
            partition: self.lease.id.partition,
            complete: in_force == Some(run),
            staged: u32::try_from(self.mass_changes().len()).unwrap_or(u32::MAX),
        };
        self.say(fact).await?;
        reach(Failpoint::ReconcilerPartitionDecided).await;
        Ok(())
    }

    async fn say(&self, fact: Fact) -> Result<(), Stop> {
        let event = Event::fact(&self.desk.state.origin(), Timestamp::now(), fact);
        Ok(self.desk.state.publish(vec![event]).await?)
    }

    async fn bury(&self, received: &Received, reason: &str) -> Result<(), Stop> {
        events::dead_letter(&self.desk.integration.id, reason);
        let death = Death {
            integration: &self.desk.integration.id,
            stage: Stage::Reconcile,
            queue: &self.lease.queue,
            key: "",
            reason,
            attempts: 0,
        };
        let letter = dead_letter(&self.desk.names, received, &death);
        Ok(self.desk.publisher.publish(vec![letter]).await?)
    }

    /// Decides what an outcome or a person completed: nobody waits for it while holding a message.
    async fn follow_up(
        &self,
        first: Result<Folded, RecvError>,
        listening: &mut Listening,
        under_way: &mut UnderWay<'_>,
    ) -> Result<(), Stop> {
        let mut keys = Causes::new();
        let mut next = first.map_err(|error| match error {
            RecvError::Lagged(_) => TryRecvError::Lagged(1),
            RecvError::Closed => TryRecvError::Closed,
        });
        let mut looked_at = 0;
        loop {
            match next {
                Ok(folded) => {
                    self.collect(&folded, &mut keys);
                    if let Payload::Fact(Fact::PartitionDecided { .. }) = &folded.event.payload {
                        self.judge_mass_changes().await?;
                        self.tell_if_decided(&folded, listening);
                    }
                }
                Err(TryRecvError::Lagged(_)) => {
                    self.finish_all(under_way).await?;
                    self.decide_open_ones().await?;
                }
                Err(TryRecvError::Closed) => return Err(Stop::Over),
                Err(TryRecvError::Empty) => break,
            }
            looked_at += 1;
            if looked_at > usize::from(WINDOW) {
                break;
            }
            next = listening.folded.try_recv();
        }
        if !keys.is_empty() {
            self.finish_all(under_way).await?;
        }
        self.decide_again(keys).await
    }

    fn collect(&self, folded: &Folded, keys: &mut Causes) {
        if folded.verdict != Verdict::Accepted {
            return;
        }
        let Payload::Fact(fact) = &folded.event.payload else { return };
        let mut touched = Vec::new();
        match fact {
            // What was found out of date is decided again in the next run, on what is read then (P21).
            Fact::Ended(outcome) if matches!(outcome.ending, Ending::Stale { .. }) => {}
            Fact::Ended(outcome) => {
                touched.push(outcome.key.clone());
                if outcome.user_link.is_some()
                    && let Key::User(user) = &outcome.key
                {
                    touched.extend(
                        self.desk.state.read(|view| view.devices_of(user)).into_iter().map(Key::Device),
                    );
                }
            }
            Fact::PersonDecided { decision, .. } => self.touched_by_person(&decision.order, &mut touched),
            Fact::MassChangesAllowed { .. } | Fact::RunHeld { .. } => touched.extend(self.staged()),
            _ => {}
        }
        let cause = &folded.event.traceparent;
        keys.extend(touched.into_iter().filter(|key| self.is_ours(key)).map(|key| (key, cause.clone())));
    }

    fn touched_by_person(&self, order: &Order, touched: &mut Vec<Key>) {
        self.desk.state.read(|view| match order {
            Order::Link { device, .. } | Order::Unlink { device } => {
                touched.push(Key::Device(device.clone()));
                let user = view.device(device).map(|row| row.entry.user);
                if let Some(PrimaryUser::Person { key }) = user {
                    touched.push(Key::User(key));
                }
            }
            Order::LinkUser { ids, .. } | Order::UnlinkUser { ids } => {
                for user in ids.iter().filter_map(|id| view.user_of(id)) {
                    touched.extend(view.devices_of(&user).into_iter().map(Key::Device));
                    touched.push(Key::User(user));
                }
            }
            Order::Release | Order::Rematch => {}
        });
        if *order == Order::Release {
            touched.extend(self.staged());
        }
    }

    /// What a worker that died may have left: decisions that wait for something that has come since.
    async fn decide_open_ones(&self) -> Result<(), Stop> {
        self.judge_mass_changes().await?;
        let mut open = self.open_decisions(Open::Awaiting);
        open.extend(self.open_decisions(Open::WithChanges));
        self.decide_again(open.into_iter().map(|key| (key, None)).collect()).await
    }

    /// The owner of the first partition says once that a run is decided.
    fn tell_if_decided(&self, folded: &Folded, listening: &mut Listening) {
        let id = &self.desk.integration.id;
        if self.lease.id.partition == 0
            && folded.verdict == Verdict::Accepted
            && let Payload::Fact(Fact::PartitionDecided { number, .. }) = &folded.event.payload
            // The view may be further than this fact: then several of them see the run decided.
            && listening.told != Some(*number)
            && self.desk.state.read(|view| {
                let run = view.meta().in_force.as_ref().filter(|run| run.started.number == *number);
                run.is_some_and(|run| run.decided.len() == usize::from(self.desk.partitions))
            })
        {
            events::run_decided(id, &RunId::of(id, *number));
            listening.told = Some(*number);
        }
    }

    /// Keys of this partition whose decision is open in this way.
    fn open_decisions(&self, open: Open) -> BTreeSet<Key> {
        let open = self.desk.state.read(|view| view.open_decisions(open));
        open.into_iter().filter(|key| self.is_ours(key)).collect()
    }

    async fn decide_again(&self, keys: Causes) -> Result<(), Stop> {
        let subjects = self.desk.state.read(|view| {
            keys.into_iter().filter_map(|(key, cause)| known_subject(view, &key, cause)).collect::<Vec<_>>()
        });
        self.decide(subjects).await
    }

    /// Changes first, then decisions: a crash in between repeats the changes with the same ids.
    async fn decide(&self, subjects: Vec<Task>) -> Result<(), Stop> {
        for chunk in subjects.chunks(usize::from(WINDOW)) {
            let steps: Vec<Step> = chunk.iter().filter_map(|task| self.step(task)).collect();
            let changes = steps.iter().flat_map(|step| &step.conclusion.publish);
            let changes: Vec<Outgoing> = changes.map(|event| self.outgoing(event)).collect();
            if !changes.is_empty() {
                reach(Failpoint::ReconcilerConcluded).await;
            }
            self.desk.publisher.publish(changes).await?;
            reach(Failpoint::ReconcilerChangesPublished).await;
            let (spans, facts): (Vec<Span>, Vec<Event>) =
                steps.into_iter().map(|step| self.decided(step)).unzip();
            // The next decision about a key must see this one.
            self.desk.state.publish_and_read_all_back(facts).await?;
            drop(spans);
        }
        Ok(())
    }

    fn outgoing(&self, event: &Event) -> Outgoing {
        let partition = match &event.payload {
            Payload::Change(change) => change.key.partition(self.desk.partitions),
            _ => self.lease.id.partition,
        };
        let queue = self.desk.names.work(&self.desk.integration.id, Stage::Apply, partition);
        // The writer's view may lag behind this one: it must have read what this was decided on.
        let read = self.desk.state.read(|view| view.meta().offset).unwrap_or_default();
        Outgoing::to_queue(queue, event).with_header(Outgoing::DECIDED_ON, &read.to_string())
    }

    /// None where nothing new was found out.
    fn step(&self, task: &Task) -> Option<Step> {
        let id = &self.desk.integration.id;
        let run = self.desk.state.read(|view| view.meta().in_force.as_ref().map(|run| run.run_id(id)));
        let span = Span::on(task.cause.as_deref(), SpanKind::Consumer, "decide");
        let span = span.about(id, run.as_ref(), Some(&task.subject.key()));
        let traceparent = span.traceparent().or_else(|| task.cause.clone());
        let conclusion = self.conclude(&task.subject, task.snapshot, traceparent.as_ref())?;
        span.set("amfj_sync.state", conclusion.decision.state.as_str());
        events::decided(id, run.as_ref(), &conclusion.decision);
        Some(Step { span, traceparent, conclusion })
    }

    fn decided(&self, step: Step) -> (Span, Event) {
        let Step { span, traceparent, conclusion } = step;
        let mut origin = Origin { traceparent, ..self.desk.state.origin() };
        origin.sequence = Some(conclusion.decision.snapshot);
        (span, Event::fact(&origin, Timestamp::now(), Fact::Decided(Box::new(conclusion.decision))))
    }

    fn conclude(
        &self,
        subject: &Subject,
        snapshot: Sequence,
        traceparent: Option<&String>,
    ) -> Option<Conclusion> {
        let siblings: Vec<_> = self.desk.siblings.iter().collect();
        with_views(&siblings, &mut Vec::new(), &mut |siblings| {
            self.desk.state.read(|view| self.conclude_on(view, siblings, subject, snapshot, traceparent))
        })
    }

    fn conclude_on(
        &self,
        view: &View,
        siblings: &[&View],
        subject: &Subject,
        snapshot: Sequence,
        traceparent: Option<&String>,
    ) -> Option<Conclusion> {
        let now = Timestamp::now();
        let site = Site { view, siblings, config: &self.desk.integration, now };
        let draft: Draft = match subject {
            Subject::Device(device) => rules::decide_device(&site, device, snapshot),
            Subject::User(user) => rules::decide_user(&site, user, snapshot),
            Subject::Missing(device) => rules::decide_missing(&site, &view.device(device)?),
        };
        let key = draft.decision.key.clone();
        let previous = view.decision(&key);
        let run = view.meta().in_force.as_ref()?;
        let answered = view.answered(&key);
        let before = Before {
            decision: previous.as_ref(),
            answered: &answered,
            run: run.started.number,
            now,
            has_link: matches!(&key, Key::Device(device) if view.link(device).is_some()),
            mass_changes: match (&run.held, run.allowed) {
                (Some(reason), _) => MassChanges::Held(reason),
                (None, true) => MassChanges::Allowed,
                (None, false) => MassChanges::Counted,
            },
            change_lost_after: self.desk.change_lost_after,
        };
        let origin = Origin {
            run: Some(run.run_id(&self.desk.integration.id)),
            traceparent: traceparent.cloned(),
            ..self.desk.state.origin()
        };
        let conclusion = conclude(&self.desk.integration, &origin, draft, &before);
        let known = previous.is_some_and(|previous| says_the_same(&conclusion.decision, &previous));
        (!known || !conclusion.publish.is_empty()).then_some(conclusion)
    }
}

/// How a key stands in the view, to be decided again. Rows are as the inventory in force has them, so the
/// decision answers that run's snapshot, although that may still be in the queue: changes of older runs that it
/// does not include are out of date.
fn known_subject(view: &View, key: &Key, cause: Option<String>) -> Option<Task> {
    let decided = view.decision(key).map(|decision| decision.snapshot).unwrap_or_default();
    let listed = view.meta().number_in_force().map(Sequence::first).unwrap_or_default();
    let snapshot = decided.max(listed);
    match key {
        Key::Device(id) => {
            let row = view.device(id)?;
            let subject = if row.is_listed() {
                Subject::Device(Box::new(row.entry))
            } else {
                Subject::Missing(id.clone())
            };
            Some(Task { subject, snapshot, cause })
        }
        Key::User(key) => {
            let row = view.user(key).filter(|row| !row.missing)?;
            Some(Task { subject: Subject::User(Box::new(row.entry)), snapshot, cause })
        }
    }
}

/// Borrows the views of several states at once.
pub(crate) fn with_views<R>(
    states: &[&State],
    borrowed: &mut Vec<&View>,
    then: &mut dyn FnMut(&[&View]) -> R,
) -> R {
    match states.split_first() {
        None => then(borrowed),
        Some((first, rest)) => first.read(|view| {
            let mut borrowed: Vec<&View> = borrowed.iter().copied().chain([view]).collect();
            with_views(rest, &mut borrowed, then)
        }),
    }
}
