//! Which worker serves which partitions.
//!
//! A partition belongs to whoever holds its exclusive queue on their consuming connection: held means
//! owned, gone with the connection. A worker takes orphans until it has its fair share (all partitions
//! divided by live workers, rounded up) and gives up what is above it; above it, only what nobody else
//! takes. The single active consumer of the work queue is the backstop.
//!
//! Live workers are counted more often than partitions are looked at; as soon as there are more or fewer of them, and for
//! a while after, whoever has less than its share tries again and again. A worker that leaves gives up all partitions at
//! once, each as soon as what is under way in it has ended; one that has too many gives up a quarter of those after the other
//! and serves the rest meanwhile.

mod abandoned;
mod leaving;
mod pace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amfj_sync_model::ids::IntegrationId;
use futures::future::BoxFuture;
use lapin::Channel;
use rand::seq::SliceRandom;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::abandoned::Abandoned;
use self::leaving::{Leaving, give_up};
use self::pace::Pace;
use super::error::BrokerError;
use super::intake::Intake;
use super::locks::lock_exclusively;
use super::names::{Names, Stage};
use super::presence::Presence;
use super::supervisor::{Broker, Session};
use super::topology::Depth;

/// How many partitions of other owners are tried in one look; a refused try costs a channel.
const TRIES_A_LOOK: usize = 16;

/// After how many looks a partition whose messages nobody takes is tried beyond the share.
const LOOKS_UNTIL_ABANDONED: u32 = 30;

/// One partition of one integration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The integration.
    pub integration: IntegrationId,
    /// Which of its partitions.
    pub partition: u16,
}

/// The workers that share partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// `reconciler` or `writer`.
    pub name: &'static str,
    /// Which work queues they serve.
    pub stage: Stage,
}

/// Ownership of one partition for as long as it lasts.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Which partition.
    pub id: PartitionId,
    /// Its work queue.
    pub queue: String,
    /// The connections that it was taken on.
    pub session: Arc<Session>,
    /// Cancelled when the partition is to be given up: start nothing new, finish what is started.
    pub stop: CancellationToken,
}

impl Lease {
    /// A part of it that can be ended before the rest.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { stop: self.stop.child_token(), ..self.clone() }
    }

    /// Starts consuming the partition.
    pub async fn intake(&self, prefetch: u16) -> Result<Intake, BrokerError> {
        Intake::open_watched(&self.session, &self.queue, prefetch).await
    }

    /// Whether nothing may be started any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.session.broken().is_cancelled()
    }

    /// Waits until nothing may be started any more.
    pub async fn over(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.session.broken().cancelled() => {}
        }
    }
}

/// Serves a partition until its lease is over, and has closed its channel when it returns.
pub type Serve = Arc<dyn Fn(Lease) -> BoxFuture<'static, ()> + Send + Sync>;

/// The task that takes and gives up partitions.
pub struct Ownership {
    broker: Broker,
    role: Role,
    partitions: Vec<PartitionId>,
    look_every: Duration,
    serve: Serve,
    stop: CancellationToken,
    live: Arc<AtomicUsize>,
    owned: BTreeMap<PartitionId, Owned>,
    leaving: Leaving,
    abandoned: Abandoned,
}

impl std::fmt::Debug for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ownership").field("role", &self.role).finish_non_exhaustive()
    }
}

struct Owned {
    lease: Lease,
    /// Name of the exclusive queue.
    lock: String,
    serving: JoinHandle<()>,
    /// Holds the exclusive queue's channel; the queue itself belongs to the connection.
    channel: Channel,
}

impl Ownership {
    /// `serve` is called for every partition that is taken.
    #[must_use]
    pub fn new(
        broker: Broker,
        role: Role,
        partitions: Vec<PartitionId>,
        look_every: Duration,
        serve: Serve,
        stop: CancellationToken,
    ) -> Self {
        let live = Arc::new(AtomicUsize::new(1));
        let abandoned = Abandoned::new(look_every * LOOKS_UNTIL_ABANDONED);
        let (owned, leaving) = (BTreeMap::new(), Leaving::default());
        Self { broker, role, partitions, look_every, serve, stop, live, owned, leaving, abandoned }
    }

    /// The number of live workers of this role, kept current while [`Ownership::run`] runs.
    #[must_use]
    pub fn live_workers(&self) -> Arc<AtomicUsize> {
        self.live.clone()
    }

    /// Takes and gives up partitions until the worker stops; then gives up all of them in order.
    pub async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let Ok(session) = self.broker.session().await else { break };
            if let Err(error) = self.serve_session(&session).await {
                session.give_up(&error);
            }
            if session.broken().is_cancelled() {
                self.forget_all().await;
            }
        }
        let all: Vec<PartitionId> = self.owned.keys().cloned().collect();
        self.leaving.hurry();
        tokio::join!(give_up_all(remove(&mut self.owned, &all)), self.leaving.gone());
    }

    /// Everything is gone with the connection; what was started ends by itself.
    async fn forget_all(&mut self) {
        for owned in std::mem::take(&mut self.owned).into_values() {
            drop(owned.serving.await);
        }
        self.leaving.gone().await;
    }

    async fn serve_session(&mut self, session: &Arc<Session>) -> Result<(), BrokerError> {
        let workers = self.broker.names().workers(self.role.name);
        let mut presence = Presence::open(session, &workers).await?;
        let mut pace = Pace::new(self.look_every);
        while !self.stop.is_cancelled() && !session.broken().is_cancelled() {
            let live = presence.count().await?;
            if pace.is_due(Instant::now(), live, self.is_short(live)) {
                self.look(session, live).await?;
            }
            presence.stay(pace.pause(Instant::now(), self.is_short(live)), &self.stop).await?;
        }
        presence.close().await;
        Ok(())
    }

    /// Whether it has less than its fair share of the partitions.
    fn is_short(&self, live: usize) -> bool {
        self.of_the_share().count() < self.share(live)
    }

    fn share(&self, live: usize) -> usize {
        self.partitions.len().div_ceil(live.max(1))
    }

    async fn look(&mut self, session: &Arc<Session>, live: usize) -> Result<(), BrokerError> {
        self.live.store(live, Ordering::Relaxed);
        self.leaving.forget_gone();
        self.restart_ended().await;
        self.abandoned.begin(Instant::now(), live, |id| self.owned.contains_key(id));
        let share = self.share(live);
        let surplus: Vec<PartitionId> = self.of_the_share().skip(share).cloned().collect();
        self.leaving.add(remove(&mut self.owned, &surplus));
        self.take_orphans(session, share).await?;
        self.take_abandoned(session).await
    }

    /// What is owned, but for what was taken beyond the share.
    fn of_the_share(&self) -> impl Iterator<Item = &PartitionId> {
        self.owned.keys().filter(|id| !self.abandoned.has_adopted(id))
    }

    /// A partition whose serving ended by itself (its channel died) is given up, to be taken anew.
    async fn restart_ended(&mut self) {
        let ended: Vec<PartitionId> = self
            .owned
            .iter()
            .filter(|(_, owned)| owned.serving.is_finished())
            .map(|(id, _)| id.clone())
            .collect();
        give_up_all(remove(&mut self.owned, &ended)).await;
    }

    /// What may be taken, if nobody else has it.
    fn of_others(&self) -> Vec<PartitionId> {
        let own = |id: &PartitionId| self.owned.contains_key(id) || self.leaving.contains(id);
        self.partitions.iter().filter(|id| !own(id)).cloned().collect()
    }

    async fn take_orphans(&mut self, session: &Arc<Session>, share: usize) -> Result<(), BrokerError> {
        let mut others = self.of_others();
        others.shuffle(&mut rand::rng());
        let mut refused = 0;
        for id in others {
            let has_share = self.of_the_share().count() >= share;
            if has_share || refused >= TRIES_A_LOOK || self.stop.is_cancelled() {
                break;
            }
            match self.take(session, &id).await? {
                Some(owned) => {
                    tracing::debug!(integration = %id.integration, partition = id.partition, "took a partition");
                    self.owned.insert(id, owned);
                }
                None => refused += 1,
            }
        }
        Ok(())
    }

    /// Takes what the worker whose turn it is does not take.
    async fn take_abandoned(&mut self, session: &Arc<Session>) -> Result<(), BrokerError> {
        if !self.abandoned.is_due(Instant::now()) || self.stop.is_cancelled() {
            return Ok(());
        }
        let others = self.of_others();
        let names = self.broker.names();
        let queue = |id: &PartitionId| names.work(&id.integration, self.role.stage, id.partition);
        let depths = session.inspect_all(&others.iter().map(queue).collect::<Vec<_>>()).await?;
        let messages = |depth: Option<Depth>| depth.map_or(0, |depth| depth.messages);
        let depths = others.into_iter().zip(depths.into_iter().map(messages)).collect();
        for id in self.abandoned.look(Instant::now(), &depths).into_iter().take(TRIES_A_LOOK) {
            let taken = self.take(session, &id).await?;
            self.abandoned.tried(Instant::now(), &id, taken.is_some());
            if let Some(owned) = taken {
                tracing::warn!(integration = %id.integration, partition = id.partition,
                    "nobody took the messages of a partition; it is taken beyond the fair share");
                self.owned.insert(id, owned);
            }
        }
        Ok(())
    }

    async fn take(&self, session: &Arc<Session>, id: &PartitionId) -> Result<Option<Owned>, BrokerError> {
        let names: &Names = self.broker.names();
        let lock = names.owner(&id.integration, self.role.stage, id.partition);
        let Some(channel) = lock_exclusively(session, &lock).await? else { return Ok(None) };
        let lease = Lease {
            id: id.clone(),
            queue: names.work(&id.integration, self.role.stage, id.partition),
            session: session.clone(),
            stop: CancellationToken::new(),
        };
        let serving = tokio::spawn((self.serve)(lease.clone()));
        Ok(Some(Owned { lease, lock, serving, channel }))
    }
}

fn remove(owned: &mut BTreeMap<PartitionId, Owned>, ids: &[PartitionId]) -> Vec<Owned> {
    ids.iter().filter_map(|id| owned.remove(id)).collect()
}

/// All at once: each partition is free as soon as what is under way in it has ended.
async fn give_up_all(given: Vec<Owned>) {
    futures::future::join_all(given.into_iter().map(give_up)).await;
}
