//! Following a stream: every fact into the view, in order, on whatever connection there is.
//!
//! **Identity.** A view says which fact it read last. It attaches *at* that offset and requires that
//! very fact; anything else means that the stream was deleted or trimmed, and the view starts anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::checkpoint;
use super::fold::Verdict;
use super::store::StoreError;
use super::view::View;
use crate::broker::{
    Acknowledged, Broker, BrokerError, Intake, Outgoing, Publisher, Received, Session, WINDOW,
};
use crate::failpoint::{Failpoint, reach};
use crate::ids::IntegrationId;
use crate::messages::{Event, FORMAT, Fact, Origin, Payload};

/// Facts that are kept for listeners that lag; who lags more looks at the view instead.
const LISTENER_BACKLOG: usize = 8_192;

/// How long the record at the stored offset may take to arrive before the stream counts as another.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at how far the view has read.
const LOOK_EVERY: Duration = Duration::from_millis(5);

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
        "broker.partitions is {configured}, but integration `{integration}` was set up with {declared}; set \
         broker.partitions = {declared}, or delete the queues of this integration to start anew"
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
pub struct Folded {
    /// Its place in the stream.
    pub offset: u64,
    /// The fact with its envelope.
    pub event: Arc<Event>,
    /// Whether it took effect.
    pub verdict: Verdict,
}

/// What [`State::follow`] needs to know.
#[derive(Debug, Clone)]
pub struct Following {
    /// Which integration.
    pub integration: IntegrationId,
    /// `reconciler/7f3c…`: the source of the facts that this worker publishes.
    pub worker: String,
    /// Configured partitions, which a new stream gets.
    pub partitions: u16,
}

struct Shared {
    following: Following,
    stream: String,
    view: RwLock<View>,
    waiting: Mutex<HashMap<Uuid, Vec<oneshot::Sender<Verdict>>>>,
    folded: broadcast::Sender<Folded>,
    caught_up: watch::Sender<bool>,
    /// When the latest fact was published that this worker has read back.
    read_back: Mutex<Option<Instant>>,
    broker: Broker,
    publisher: Publisher,
    stop: CancellationToken,
}

/// A handle to the followed state of one integration. Clones share it.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("following", &self.shared.following).finish_non_exhaustive()
    }
}

impl State {
    /// Starts to follow the stream of an integration into `view`.
    #[must_use]
    pub fn follow(
        following: Following,
        view: View,
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
            waiting: Mutex::default(),
            folded: broadcast::channel(LISTENER_BACKLOG).0,
            caught_up: watch::channel(false).0,
            read_back: Mutex::default(),
            broker,
            publisher,
            stop,
        });
        end_with(tokio::spawn(run(shared.clone())));
        Self { shared }
    }

    /// The integration.
    #[must_use]
    pub fn integration(&self) -> &IntegrationId {
        &self.shared.following.integration
    }

    /// Looks at the view. Facts wait meanwhile: no long work in here.
    pub fn read<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        look(&self.shared.view.read())
    }

    /// Every fact from now on, after it took effect.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Folded> {
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
        let stream = &self.shared.stream;
        let messages = facts.iter().map(|fact| Outgoing::to_queue(stream.clone(), fact)).collect();
        self.shared.publisher.publish(messages).await
    }

    /// Publishes a fact and waits until this worker has read it back: the verdict is that of the order
    /// of the stream, the same for every worker.
    pub async fn publish_and_read_back(&self, fact: Event) -> Result<Verdict, BrokerError> {
        self.shared.publish_and_read_back(fact).await
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
        let read = || self.read(|view| view.meta().offset.is_some_and(|seen| seen >= offset));
        let waiting = async {
            while !read() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(patience, waiting).await.is_ok()
    }

    /// Writes a copy of the whole view to the stream, from which new workers start once the beginning
    /// has been trimmed.
    pub async fn write_checkpoint(&self) -> Result<(), BrokerError> {
        let facts = self.read(checkpoint::facts_of);
        let origin = self.origin();
        let mut events: Vec<Event> =
            facts.into_iter().map(|fact| Event::fact(&origin, Timestamp::now(), fact)).collect();
        // In two parts, so that a test can end the process with half a copy written.
        let rest = events.split_off(events.len() / 2);
        self.publish(events).await?;
        reach(Failpoint::FetcherCheckpointing).await;
        self.publish(rest).await
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

    async fn publish_and_read_back(&self, fact: Event) -> Result<Verdict, BrokerError> {
        let begun = Instant::now();
        let (sender, verdict) = oneshot::channel();
        self.waiting.lock().entry(fact.id).or_default().push(sender);
        let message = Outgoing::to_queue(self.stream.clone(), &fact);
        if let Err(error) = self.publisher.publish(vec![message]).await {
            self.waiting.lock().remove(&fact.id);
            return Err(error);
        }
        reach(Failpoint::StatePublished).await;
        let verdict = tokio::select! {
            verdict = verdict => verdict.map_err(|_| BrokerError::Stopping)?,
            () = self.stop.cancelled() => return Err(BrokerError::Stopping),
        };
        let mut latest = self.read_back.lock();
        *latest = latest.max(Some(begun));
        Ok(verdict)
    }

    fn fact(&self, fact: Fact) -> Event {
        Event::fact(&self.origin(), Timestamp::now(), fact)
    }
}

/// A worker that no longer follows would act on old facts and wait for ever for its own. It ends at once
/// instead, as after `kill -9`, and is started again.
fn end_with(following: tokio::task::JoinHandle<()>) {
    tokio::spawn(async move {
        if following.await.is_err_and(|error| error.is_panic()) {
            tracing::error!("following the state stream panicked; this process ends, to be started again");
            std::process::abort();
        }
    });
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
                let emptied = shared.view.write().reset();
                if let Err(error) = emptied {
                    tracing::error!(%error, "the local state cannot be emptied");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

async fn follow_session(shared: &Arc<Shared>, session: &Arc<Session>) -> Result<(), StateError> {
    let mut intake = attach(shared, session).await?;
    let reading = read_until_broken(shared, &mut intake);
    let announce = announce_caught_up(shared);
    tokio::pin!(reading, announce);
    let mut announced = false;
    loop {
        tokio::select! {
            read = &mut reading => {
                read?;
                return Ok(());
            }
            done = &mut announce, if !announced => {
                done?;
                announced = true;
            }
        }
    }
}

/// Opens the stream if it is new, and says when this worker has read up to here.
async fn announce_caught_up(shared: &Shared) -> Result<(), StateError> {
    let opened = Fact::StreamOpened {
        stream: Uuid::new_v4(),
        format: FORMAT,
        partitions: shared.following.partitions,
    };
    // On a stream that is open already this is rejected, and serves as a marker all the same.
    shared.publish_and_read_back(shared.fact(opened)).await?;
    shared.caught_up.send_replace(true);
    Ok(())
}

/// Attaches at the last fact that the view has read, or rebuilds the view from what the stream holds.
async fn attach(shared: &Shared, session: &Arc<Session>) -> Result<Intake, StateError> {
    let (offset, last_fact) = {
        let view = shared.view.read();
        (view.meta().offset, view.meta().last_fact)
    };
    if let Some(offset) = offset {
        let mut intake = Intake::open_stream(session, &shared.stream, WINDOW, Some(offset)).await?;
        // A consumer at an offset beyond the end gets nothing, so something must come after it.
        let marker = shared.fact(Fact::ReadMarker { token: Uuid::new_v4() });
        shared.publisher.publish(vec![Outgoing::to_queue(shared.stream.clone(), &marker)]).await?;
        if let Ok(Some(first)) = tokio::time::timeout(PATIENCE, intake.next()).await {
            let id = first.id.as_deref().and_then(|id| id.parse::<Uuid>().ok());
            if first.offset == Some(offset) && id == last_fact {
                acknowledged(first.acknowledge().await)?;
                return Ok(intake);
            }
        }
        intake.close().await;
        if session.broken().is_cancelled() {
            return Err(BrokerError::Client("the connection is over".into()).into());
        }
        tracing::warn!(integration = %shared.following.integration,
            "the state stream is not the one that was followed before; the view is built anew");
        shared.caught_up.send_replace(false);
        shared.view.write().reset()?;
    }
    attach_anew(shared, session).await
}

/// Starts from the first record of the stream, or from its latest checkpoint where that was trimmed.
async fn attach_anew(shared: &Shared, session: &Arc<Session>) -> Result<Intake, StateError> {
    let marker = shared.fact(Fact::ReadMarker { token: Uuid::new_v4() });
    let marker_id = marker.id;
    shared.publisher.publish(vec![Outgoing::to_queue(shared.stream.clone(), &marker)]).await?;
    let mut intake = Intake::open_stream(session, &shared.stream, WINDOW, None).await?;
    let Some(first) = intake.next().await else {
        return Err(BrokerError::Client("the stream could not be read".into()).into());
    };
    intake.close().await;
    if first.offset.is_none_or(|offset| offset == 0) {
        return Ok(Intake::open_stream(session, &shared.stream, WINDOW, None).await?);
    }
    tracing::info!(integration = %shared.following.integration, "reading the latest checkpoint");
    let mut intake = Intake::open_stream(session, &shared.stream, WINDOW, None).await?;
    let mut search = checkpoint::Search::default();
    'reading: loop {
        let batch = intake.next_batch(usize::from(WINDOW)).await;
        let Some(last) = batch.last() else {
            return Err(BrokerError::Client("the connection is over".into()).into());
        };
        for received in &batch {
            if let Ok(Event { payload: Payload::Fact(fact), id, .. }) = Event::decode(&received.body) {
                if id == marker_id {
                    break 'reading;
                }
                search.look_at(fact);
            }
        }
        acknowledged(last.acknowledge_up_to_here().await)?;
    }
    intake.close().await;
    let Some(found) = search.found() else {
        tracing::error!(integration = %shared.following.integration,
            "the beginning of the state stream is gone and no checkpoint is left: links that rules made are found \
             again by the rules; links that a person made must be made again");
        return Ok(Intake::open_stream(session, &shared.stream, WINDOW, None).await?);
    };
    let from = found.as_of;
    shared.view.write().load(found)?;
    Ok(Intake::open_stream(session, &shared.stream, WINDOW, Some(from)).await?)
}

fn acknowledged(answer: Acknowledged) -> Result<(), BrokerError> {
    match answer {
        Acknowledged::Yes => Ok(()),
        Acknowledged::ChannelIsDead => {
            Err(BrokerError::Client("the channel of the state stream died".into()))
        }
    }
}

async fn read_until_broken(shared: &Shared, intake: &mut Intake) -> Result<(), StateError> {
    loop {
        let batch = intake.next_batch(usize::from(WINDOW)).await;
        let Some(last) = batch.last() else {
            return Err(BrokerError::Client("the state stream ended".into()).into());
        };
        let facts: Vec<(u64, Event)> = batch.iter().filter_map(|received| decode(shared, received)).collect();
        reach(Failpoint::StateReceived).await;
        // Short: a few hundred rows into sled's memory; the disk follows in the background.
        let verdicts = shared.view.write().apply(&facts)?;
        reach(Failpoint::StateStored).await;
        acknowledged(last.acknowledge_up_to_here().await)?;
        announce(shared, facts, verdicts);
    }
}

/// A record that is no fact of ours is passed over: nothing of the view depends on it.
fn decode(shared: &Shared, received: &Received) -> Option<(u64, Event)> {
    let offset = received.offset?;
    match Event::decode(&received.body) {
        Ok(event) => Some((offset, event)),
        Err(error) => {
            unreadable_facts(&shared.following.integration).increment(1);
            tracing::warn!(integration = %shared.following.integration, offset, %error,
                "a record of the state stream cannot be read; it is passed over");
            None
        }
    }
}

fn unreadable_facts(integration: &IntegrationId) -> metrics::Counter {
    metrics::counter!("amfj_sync_unreadable_facts_total", "integration" => integration.to_string())
}

fn announce(shared: &Shared, facts: Vec<(u64, Event)>, verdicts: Vec<Verdict>) {
    let mut waiting = shared.waiting.lock();
    for ((offset, event), verdict) in facts.into_iter().zip(verdicts) {
        for sender in waiting.remove(&event.id).unwrap_or_default() {
            // The caller may have been cancelled.
            drop(sender.send(verdict.clone()));
        }
        // Nobody may be listening.
        drop(shared.folded.send(Folded { offset, event: Arc::new(event), verdict }));
    }
}
