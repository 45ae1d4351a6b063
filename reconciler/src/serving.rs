//! Serving one partition: snapshots in, decisions and changes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::dead_letter::{DeadLetterReason, dead_letter};
use amfj_sync_broker::{Acknowledged, BrokerError, Intake, Lease, Names, Publisher, Received, Stage};
use amfj_sync_config::Integration;
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_model::ids::{DeviceId, Key, RunId};
use amfj_sync_model::messages::{DeviceEntry, Event, Fact, Payload, Sequence, UserEntry};
use amfj_sync_projection::Projection;
use amfj_sync_service::backlog::counting::{self, InflightGuard};
use amfj_sync_service::backlog::{Inflight, ServedPartition};
use amfj_sync_stream::StateHandle;
use futures::FutureExt as _;
use jiff::Timestamp;
use parking_lot::Mutex;

mod finalizing;
mod in_flight_batches;
mod mass_changes;
mod redecide;

use in_flight_batches::{BATCH_SIZE, Decided, InFlightBatches, PREFETCH};
use redecide::Listening;

/// Everything that deciding one integration needs.
#[derive(Debug)]
pub struct IntegrationContext {
    /// The configuration.
    pub integration: Integration,
    /// Its state.
    pub state: StateHandle,
    /// The states of other integrations that feed the same AMFJ site (P4).
    pub siblings: Vec<StateHandle>,
    /// Publishing.
    pub publisher: Publisher,
    /// Names of queues.
    pub names: Names,
    /// The partitions that are served.
    pub inflight: Inflight,
    /// Partitions of the integration.
    pub partitions: u16,
    /// After that a published change without outcome counts as lost.
    pub change_lost_after: Duration,
}

/// The lease is over or the channel is dead: what was not acknowledged comes again.
#[derive(Debug)]
struct LeaseLost;

impl From<BrokerError> for LeaseLost {
    fn from(_: BrokerError) -> Self {
        Self
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
    /// Whether a person's order gave rise to it.
    by_person: bool,
    /// Whether an event of AMFJ gave rise to it (P34).
    by_event: bool,
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
pub(crate) async fn serve(context: Arc<IntegrationContext>, lease: Lease) {
    loop {
        // Nothing is taken while a person has paused the integration (P33); what comes after that begins as it does for
        // whoever takes the partition over.
        tokio::select! {
            () = context.state.resumed() => {}
            () = lease.over() => return,
        }
        match serve_until_paused(&context, &lease).await {
            Ok(Ended::Paused) => {}
            Ok(Ended::Over) | Err(LeaseLost) => return,
        }
    }
}

/// Why a partition is not served any longer.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// A person paused the integration.
    Paused,
    /// The lease is over, or there is nothing to take from.
    Over,
}

async fn serve_until_paused(context: &Arc<IntegrationContext>, lease: &Lease) -> Result<Ended, LeaseLost> {
    // Listening starts before the backlog is looked at, so that nothing falls in between.
    let folded = context.state.listen();
    let mut intake = match lease.intake(PREFETCH).await {
        Ok(intake) => intake,
        Err(error) => {
            lease.session.give_up(&error);
            return Err(LeaseLost);
        }
    };
    let held = context.inflight.serving(&lease.id, Stage::Reconcile);
    let partition = Partition { context, lease, held, staged: Mutex::default() };
    let ended = partition.run(&mut intake, Listening { folded, told: None }).await;
    intake.close().await;
    ended
}

struct Partition<'a> {
    context: &'a IntegrationContext,
    lease: &'a Lease,
    held: ServedPartition,
    /// `traceparent` of the decisions whose changes are staged: what follows once the run is judged goes on from there.
    staged: Mutex<BTreeMap<Key, String>>,
}

impl Partition<'_> {
    async fn run(&self, intake: &mut Intake, mut listening: Listening) -> Result<Ended, LeaseLost> {
        self.decide_open_ones().await?;
        let mut under_way = InFlightBatches::default();
        loop {
            tokio::select! {
                biased;
                () = self.lease.over() => {
                    self.finish_all(&mut under_way).await?;
                    return Ok(Ended::Over);
                }
                () = self.context.state.paused() => {
                    self.finish_all(&mut under_way).await?;
                    return Ok(Ended::Paused);
                }
                folded = listening.folded.recv() => {
                    self.follow_up(folded, &mut listening, &mut under_way).await?;
                }
                Some(decided) = under_way.next() => self.finish(decided?, under_way.oldest()).await?,
                batch = intake.next_batch(BATCH_SIZE), if under_way.has_room() => {
                    if batch.is_empty() {
                        self.finish_all(&mut under_way).await?;
                        return Ok(Ended::Over);
                    }
                    self.take(batch, &mut under_way).await?;
                }
            }
        }
    }

    fn is_ours(&self, key: &Key) -> bool {
        key.partition(self.context.partitions) == self.lease.id.partition
    }

    /// Messages of a batch are decided in order, published together, and acknowledged together; the next batch is decided
    /// while this one is published.
    async fn take<'s>(
        &'s self,
        batch: Vec<Received>,
        under_way: &mut InFlightBatches<'s>,
    ) -> Result<(), LeaseLost> {
        reach(Failpoint::ReconcilerTaken).await;
        let in_flight = InflightGuard::of(&self.context.integration.id, Stage::Reconcile, batch.len());
        let mut tasks: Vec<Task> = Vec::new();
        let mut oldest = None;
        let redelivered = batch.iter().filter(|received| received.redelivered).count();
        counting::redelivered(Stage::Reconcile, redelivered);
        for received in &batch {
            match Event::decode(&received.body) {
                Ok(event) => {
                    let oldest = *oldest.get_or_insert(event.time);
                    self.held.hold(under_way.oldest().or(Some(oldest)));
                    self.accept(event, received, &mut tasks, under_way).await?;
                }
                Err(error) => self.dead_letter_message(received, &error.to_string()).await?,
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
    async fn finish(&self, decided: Decided, oldest: Option<Timestamp>) -> Result<(), LeaseLost> {
        reach(Failpoint::ReconcilerDecided).await;
        let Decided { last, in_flight } = decided;
        if last.acknowledge_up_to_here().await == Acknowledged::ChannelIsDead {
            return Err(LeaseLost);
        }
        counting::done(&self.context.integration.id, Stage::Reconcile, in_flight.messages());
        self.held.hold(oldest);
        drop(in_flight);
        reach(Failpoint::ReconcilerAcknowledged).await;
        Ok(())
    }

    /// Waits for everything that is under way: what comes now must see its decisions.
    async fn finish_all(&self, under_way: &mut InFlightBatches<'_>) -> Result<(), LeaseLost> {
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
        under_way: &mut InFlightBatches<'_>,
    ) -> Result<(), LeaseLost> {
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
                return self.dead_letter_message(received, &reason).await;
            }
        };
        let in_force = self.wait_for_inventory(sequence.run).await?;
        if under_way.is_about(&key) {
            self.finish_all(under_way).await?;
        }
        let decided = self.context.state.read(|view| view.decision(&key).map(|decision| decision.snapshot));
        // Of an older run, or answered before: acknowledged undecided.
        if in_force == sequence.run && decided.is_none_or(|decided| decided < sequence) {
            tasks.push(Task { subject, snapshot: sequence, cause, by_person: false, by_event: false });
        } else {
            counting::repeat_met(Stage::Reconcile);
        }
        Ok(())
    }

    /// A snapshot is decided only on the inventory of its own run. Answers the run in force, which is
    /// this one or a newer one; an older one where the stream, read to its end, knows of no such run:
    /// inventories are in the stream before their snapshots are published.
    async fn wait_for_inventory(&self, run: u64) -> Result<u64, LeaseLost> {
        let in_force = || self.context.state.read(|view| view.meta().number_in_force()).unwrap_or(0);
        if in_force() < run {
            tokio::select! {
                read = self.context.state.read_to_end() => read?,
                () = self.lease.over() => return Err(LeaseLost),
            }
        }
        let in_force = in_force();
        if in_force < run {
            let id = &self.context.integration.id;
            tracing::warn!(integration = %id, run = %RunId::of(id, run),
                "a snapshot of a run that the state stream does not know is left undecided; the next run has it again");
        }
        Ok(in_force)
    }

    async fn end_run(&self, run: u64, cause: Option<String>) -> Result<(), LeaseLost> {
        let look = |view: &Projection| {
            let missing = view.missing_devices().into_iter();
            let ours = missing.filter(|id| self.is_ours(&Key::Device(id.clone())) && view.link(id).is_some());
            let task = |id| Task {
                subject: Subject::Missing(id),
                snapshot: Sequence::first(run),
                cause: cause.clone(),
                by_person: false,
                by_event: false,
            };
            ours.map(task).collect::<Vec<_>>()
        };
        let missing = self.look(look).await?;
        self.decide(missing).await?;
        let in_force = self.context.state.read(|view| view.meta().number_in_force());
        let fact = Fact::PartitionDecided {
            number: run,
            partition: self.lease.id.partition,
            complete: in_force == Some(run),
            staged: u32::try_from(self.mass_changes().await?.len()).unwrap_or(u32::MAX),
            counts: self.mass_counts().await?,
        };
        self.publish_fact(fact).await?;
        reach(Failpoint::ReconcilerPartitionDecided).await;
        Ok(())
    }

    async fn publish_fact(&self, fact: Fact) -> Result<(), LeaseLost> {
        let event = Event::fact(&self.context.state.origin(), Timestamp::now(), fact);
        Ok(self.context.state.publish(vec![event]).await?)
    }

    async fn dead_letter_message(&self, received: &Received, reason: &str) -> Result<(), LeaseLost> {
        let death = DeadLetterReason {
            integration: &self.context.integration.id,
            stage: Stage::Reconcile,
            queue: &self.lease.queue,
            key: "",
            reason,
            attempts: 0,
        };
        counting::dead_letter(&death);
        let letter = dead_letter(&self.context.names, received, &death);
        Ok(self.context.publisher.publish(vec![letter]).await?)
    }
}
