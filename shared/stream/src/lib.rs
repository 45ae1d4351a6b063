//! Following a stream: every fact into the view, in order, on whatever connection there is.
//!
//! **Identity.** A view says which fact it read last. It attaches *at* that offset and requires that
//! very fact; anything else means that the stream was deleted or trimmed, and the view starts anew.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

mod attaching;
mod pausing;
mod read_only;
mod reading;
mod views;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amfj_sync_broker::{Acknowledged, Broker, BrokerError, Outgoing, Publisher, Session};
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{Event, FORMAT, Fact, Origin};
use amfj_sync_projection::{Projection, StoreError, Unreadable, Verdict, checkpoint};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use views::with_views;

use attaching::attach;
use pausing::Pauses;
use reading::{read_until_broken, unreadable_facts};

/// Facts that are kept for listeners that lag; who lags more looks at the view instead.
const LISTENER_BACKLOG: usize = 8_192;

/// Own facts that are kept until the stream brings them back; what goes beyond is read like all others.
const MOST_OWN: usize = 1_024;

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The local store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configured number of partitions is not that of the stream.
    #[error(
        "integration `{integration}`: broker.partitions is {configured}, but it was set up with {declared}: set \
         broker.partitions = {declared}. Another number needs a new state, which costs all that is known of the \
         integration, such as links that a person made: docs/operating.md says how that is done"
    )]
    Partitions {
        /// The integration.
        integration: IntegrationId,
        /// What the configuration says.
        configured: u16,
        /// What the stream says.
        declared: u16,
    },
}

/// A fact that took effect, or was rejected.
#[derive(Debug, Clone)]
pub struct AppliedFact {
    /// Its place in the stream.
    pub offset: u64,
    /// The fact with its envelope.
    pub event: Arc<Event>,
    /// Whether it took effect.
    pub verdict: Verdict,
}

/// What [`StateHandle::follow`] needs to know.
#[derive(Debug, Clone)]
pub struct Following {
    /// Which integration.
    pub integration: IntegrationId,
    /// `reconciler/7f3c…`: the source of the facts that this worker publishes.
    pub worker: String,
    /// Configured partitions, which a new stream gets.
    pub partitions: u16,
}

/// Facts of this worker that the stream has not brought back yet.
#[derive(Default)]
struct Own {
    /// Of each fact its bytes in the stream, and what they say.
    facts: HashMap<Uuid, (Vec<u8>, Arc<Event>)>,
    /// Since when the stream has had one of them and has brought nothing at all.
    owed_since: Option<Instant>,
}

/// Facts with the offsets of the messages that they stand in.
type Facts = Vec<(u64, Arc<Event>)>;

struct Shared {
    following: Following,
    stream: String,
    view: RwLock<Projection>,
    /// Held while facts go into the view, and while the view is copied and must stand still.
    folding: tokio::sync::Mutex<()>,
    own: Mutex<Own>,
    waiting: Mutex<HashMap<Uuid, Vec<oneshot::Sender<Verdict>>>>,
    /// How far the view has read.
    read: watch::Sender<Option<u64>>,
    folded: broadcast::Sender<AppliedFact>,
    caught_up: watch::Sender<bool>,
    /// A row could not be read: the view is to be built anew.
    unreadable: Notify,
    /// When the latest fact was published that this worker has read back.
    read_back: Mutex<Option<Instant>>,
    /// Whether this user may not publish: a command of somebody who may only read.
    read_only: AtomicBool,
    pauses: Pauses,
    broker: Broker,
    publisher: Publisher,
    stop: CancellationToken,
}

/// A handle to the followed state of one integration. Clones share it.
#[derive(Clone)]
pub struct StateHandle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for StateHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateHandle").field("following", &self.shared.following).finish_non_exhaustive()
    }
}

impl StateHandle {
    /// Starts to follow the stream of an integration into `view`.
    #[must_use]
    pub fn follow(
        following: Following,
        view: Projection,
        broker: Broker,
        publisher: Publisher,
        stop: CancellationToken,
    ) -> Self {
        let stream = broker.names().state(&following.integration);
        // An alert compares it, so it is there before the first.
        unreadable_facts(&following.integration).increment(0);
        let shared = Arc::new(Shared {
            following,
            stream,
            view: RwLock::new(view),
            folding: tokio::sync::Mutex::default(),
            own: Mutex::default(),
            waiting: Mutex::default(),
            read: watch::channel(None).0,
            folded: broadcast::channel(LISTENER_BACKLOG).0,
            caught_up: watch::channel(false).0,
            unreadable: Notify::new(),
            read_back: Mutex::default(),
            read_only: AtomicBool::new(false),
            pauses: Pauses::default(),
            broker,
            publisher,
            stop,
        });
        tokio::spawn(run(shared.clone()));
        Self { shared }
    }

    /// The integration.
    #[must_use]
    pub fn integration(&self) -> &IntegrationId {
        &self.shared.following.integration
    }

    /// Looks at the view. Facts wait meanwhile: no long work in here.
    ///
    /// Does not queue behind facts that wait: rules look at several integrations at once, and two that look at each
    /// other, each with facts waiting in between, would wait for ever.
    ///
    /// A row that cannot be read looks like one that is not there, so nothing is decided on this: [`StateHandle::try_read`] tells.
    pub fn read<R>(&self, look: impl FnOnce(&Projection) -> R) -> R {
        let view = self.shared.view.read_recursive();
        let before = view.failed_reads();
        let found = look(&view);
        if view.failed_reads() != before {
            self.shared.rebuild();
        }
        found
    }

    /// Looks at the view to decide something. An error where a row could not be read, or where the view is being built
    /// anew: then what was found says nothing, and [`StateHandle::ready`] says when to look again.
    pub fn try_read<R>(&self, look: impl FnOnce(&Projection) -> R) -> Result<R, Unreadable> {
        let found = self.read(|view| {
            // Looked at while the view stands still: it says no before the first row is deleted.
            let caught_up = self.is_caught_up();
            view.whole(look).and_then(|found| if caught_up { Ok(found) } else { Err(Unreadable) })
        })?;
        Ok(found)
    }

    /// How many reads of this view failed so far.
    #[must_use]
    pub fn failed_reads(&self) -> u64 {
        self.shared.view.read_recursive().failed_reads()
    }

    /// Waits until the view has read to the end of the stream; at once, unless it is being built anew.
    pub async fn ready(&self) -> Result<(), BrokerError> {
        let mut caught_up = self.shared.caught_up.subscribe();
        tokio::select! {
            waited = caught_up.wait_for(|caught_up| *caught_up) => {
                waited.map(drop).map_err(|_| BrokerError::Stopping)
            }
            () = self.shared.stop.cancelled() => Err(BrokerError::Stopping),
        }
    }

    /// Every fact from now on, after it took effect.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<AppliedFact> {
        self.shared.folded.subscribe()
    }

    /// Whether everything up to the last start of following has been read.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        *self.shared.caught_up.borrow()
    }

    /// Waits until the view has read to the end of the stream, and checks the number of partitions.
    pub async fn caught_up(&self) -> Result<(), StateError> {
        let mut caught_up = self.shared.caught_up.subscribe();
        tokio::select! {
            waited = caught_up.wait_for(|caught_up| *caught_up) => {
                waited.map_err(|_| BrokerError::Stopping)?;
            }
            () = self.shared.stop.cancelled() => return Err(BrokerError::Stopping.into()),
        }
        let declared = self.read(|view| view.meta().partitions);
        let configured = self.shared.following.partitions;
        if declared != configured {
            let integration = self.integration().clone();
            return Err(StateError::Partitions { integration, configured, declared });
        }
        Ok(())
    }

    /// The envelope of facts that this worker publishes.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.shared.origin()
    }

    /// Publishes facts; `Ok` means that they are in the stream.
    pub async fn publish(&self, facts: Vec<Event>) -> Result<(), BrokerError> {
        self.shared.publish(facts).await
    }

    /// Publishes a fact and waits until this worker has read it back: the verdict is that of the order
    /// of the stream, the same for every worker.
    pub async fn publish_and_read_back(&self, fact: Event) -> Result<Verdict, BrokerError> {
        self.shared.publish_and_read_back(fact).await
    }

    /// Publishes facts together and waits until this worker has read all of them back.
    pub async fn publish_and_read_all_back(&self, facts: Vec<Event>) -> Result<(), BrokerError> {
        self.shared.publish_and_read_all_back(facts).await.map(drop)
    }

    /// Returns when the view has everything that was in the stream at the time of the call.
    pub async fn read_to_end(&self) -> Result<(), BrokerError> {
        let marker = Fact::ReadMarker { token: Uuid::new_v4() };
        let event = Event::fact(&self.origin(), Timestamp::now(), marker);
        self.publish_and_read_back(event).await.map(drop)
    }

    /// How long ago this worker published the latest of its facts that it has read back: as of then it
    /// was connected, and knew everything that was in the stream.
    #[must_use]
    pub fn read_back_ago(&self) -> Option<Duration> {
        self.shared.read_back.lock().map(|at| at.elapsed())
    }

    /// Waits until the view has read as far as `offset`, at most `patience`. Answers whether it has.
    pub async fn has_read(&self, offset: u64, patience: Duration) -> bool {
        if self.read(|view| view.meta().offset.is_some_and(|read| read >= offset)) {
            return true;
        }
        let mut read = self.shared.read.subscribe();
        let waiting = read.wait_for(|read| read.is_some_and(|read| read >= offset));
        tokio::time::timeout(patience, waiting).await.is_ok_and(|read| read.is_ok())
    }

    /// Writes a copy of the whole view to the stream, from which new workers start once the beginning
    /// has been trimmed. This worker's view stands still meanwhile: the copy is of one offset, and what
    /// is in memory for it is a few hundred rows.
    pub async fn write_checkpoint(&self) -> Result<(), StateError> {
        let _still = self.shared.folding.lock().await;
        let largest = self.shared.publisher.largest();
        let Some(mut copying) = self.read(|view| checkpoint::Copying::of(view, largest)) else {
            return Ok(());
        };
        self.publish(self.events(self.read(|view| copying.begin(view)))).await?;
        loop {
            let rows = self.read(|view| copying.step(view))?;
            if rows.is_empty() {
                break;
            }
            self.publish(self.events(rows)).await?;
            // So that a test can end the process with part of a copy written.
            reach(Failpoint::FetcherCheckpointing).await;
        }
        Ok(self.publish(self.events(vec![copying.end()])).await?)
    }

    fn events(&self, facts: Vec<Fact>) -> Vec<Event> {
        facts.into_iter().map(|fact| self.shared.fact(fact)).collect()
    }
}

impl Shared {
    fn origin(&self) -> Origin {
        Origin {
            source: self.following.worker.clone(),
            integration: self.following.integration.clone(),
            run: None,
            sequence: None,
            traceparent: None,
        }
    }

    async fn publish(&self, facts: Vec<Event>) -> Result<(), BrokerError> {
        let ids: Vec<Uuid> = facts.iter().map(|fact| fact.id).collect();
        let messages = facts.into_iter().map(|fact| self.outgoing(fact)).collect();
        let published = self.publisher.publish(messages).await;
        let mut own = self.own.lock();
        if published.is_err() {
            own.facts.retain(|id, _| !ids.contains(id));
        } else if ids.iter().any(|id| own.facts.contains_key(id)) {
            own.owed_since.get_or_insert_with(Instant::now);
        }
        published
    }

    /// The stream brings facts; what it still owes, it has had since now.
    fn brought(&self) {
        let mut own = self.own.lock();
        own.owed_since = own.owed_since.filter(|_| !own.facts.is_empty()).map(|_| Instant::now());
    }

    async fn publish_and_read_back(&self, fact: Event) -> Result<Verdict, BrokerError> {
        let verdicts = self.publish_and_read_all_back(vec![fact]).await?;
        verdicts.into_iter().next().ok_or(BrokerError::Stopping)
    }

    async fn publish_and_read_all_back(&self, facts: Vec<Event>) -> Result<Vec<Verdict>, BrokerError> {
        if facts.is_empty() {
            return Ok(Vec::new());
        }
        let begun = Instant::now();
        let ids: Vec<Uuid> = facts.iter().map(|fact| fact.id).collect();
        let waiting: Vec<_> = {
            let mut all_waiting = self.waiting.lock();
            let waiting = ids.iter().map(|id| {
                let (sender, verdict) = oneshot::channel();
                all_waiting.entry(*id).or_default().push(sender);
                verdict
            });
            waiting.collect()
        };
        if let Err(error) = self.publish(facts).await {
            let mut waiting = self.waiting.lock();
            for id in &ids {
                waiting.remove(id);
            }
            return Err(error);
        }
        reach(Failpoint::StatePublished).await;
        let verdicts = tokio::select! {
            verdicts = futures::future::try_join_all(waiting) => verdicts.map_err(|_| BrokerError::Client(
                "the state is read anew, which may not say what became of a fact".into(),
            ))?,
            () = self.stop.cancelled() => return Err(BrokerError::Stopping),
        };
        let mut latest = self.read_back.lock();
        *latest = latest.max(Some(begun));
        Ok(verdicts)
    }

    /// Has the view built anew: from now on nobody decides anything on it.
    fn rebuild(&self) {
        self.caught_up.send_replace(false);
        self.unreadable.notify_one();
    }

    /// Empties the view, and ends the waiting for facts: those of a stream that is gone, or that only a checkpoint
    /// has, are never folded here, and who waits for one begins anew.
    fn forget(&self) -> Result<(), StoreError> {
        self.caught_up.send_replace(false);
        *self.own.lock() = Own::default();
        self.waiting.lock().clear();
        self.view.write().reset()
    }

    /// A fact on its way to the stream. It is kept until it comes back, so that it need not be read again.
    fn outgoing(&self, fact: Event) -> Outgoing {
        let message = Outgoing::to_stream(self.stream.clone(), &fact);
        let mut own = self.own.lock();
        // A copy of the rows is large, and says nothing new to who wrote it.
        if own.facts.len() < MOST_OWN && fact.subject != Fact::CHECKPOINT {
            own.facts.insert(fact.id, (message.body.clone(), Arc::new(fact)));
        }
        message
    }

    fn fact(&self, fact: Fact) -> Event {
        Event::fact(&self.origin(), Timestamp::now(), fact)
    }
}

/// Follows across connections until the worker stops.
async fn run(shared: Arc<Shared>) {
    while !shared.stop.is_cancelled() {
        let Ok(session) = shared.broker.session().await else { return };
        let followed = tokio::select! {
            followed = follow_session(&shared, &session) => followed,
            () = shared.stop.cancelled() => return,
        };
        match followed {
            Ok(()) => {}
            Err(StateError::Broker(error)) => session.give_up(&error),
            Err(error) => {
                tracing::error!(integration = %shared.following.integration, %error, "the local state is rebuilt");
                let _still = shared.folding.lock().await;
                if let Err(error) = shared.forget() {
                    tracing::error!(%error, "the local state cannot be emptied");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

async fn follow_session(shared: &Arc<Shared>, session: &Arc<Session>) -> Result<(), StateError> {
    let mut intake = attach(shared, session).await?;
    tracing::debug!(integration = %shared.following.integration, "the state stream is attached to");
    let reading = read_until_broken(shared, &mut intake);
    let announce = announce_caught_up(shared, session);
    tokio::pin!(reading, announce);
    let mut announced = false;
    loop {
        tokio::select! {
            read = &mut reading => {
                read?;
                return Ok(());
            }
            () = shared.unreadable.notified() => return Err(StoreError::unreadable().into()),
            done = &mut announce, if !announced => {
                done?;
                announced = true;
            }
        }
    }
}

/// Opens the stream if it is new, and says when this worker has read up to here.
async fn announce_caught_up(shared: &Shared, session: &Arc<Session>) -> Result<(), StateError> {
    let opened = Fact::StreamOpened {
        stream: Uuid::new_v4(),
        format: FORMAT,
        partitions: shared.following.partitions,
    };
    if shared.read_only.load(Ordering::Relaxed) {
        read_only::until_quiet(shared, session).await?;
    } else {
        // On a stream that is open already this is rejected, and serves as a marker all the same.
        shared.publish_and_read_back(shared.fact(opened)).await?;
    }
    // Before anybody goes on.
    shared.take_over_the_pause();
    shared.caught_up.send_replace(true);
    Ok(())
}

fn acknowledged(answer: Acknowledged) -> Result<(), BrokerError> {
    match answer {
        Acknowledged::Yes => Ok(()),
        Acknowledged::ChannelIsDead => {
            Err(BrokerError::Client("the channel of the state stream died".into()))
        }
    }
}
