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

use super::checkpoint::{self, Found, Loading};
use super::fold::Verdict;
use super::store::StoreError;
use super::view::View;
use crate::broker::{
    Acknowledged, Broker, BrokerError, Intake, Outgoing, Publisher, Received, STREAM_WINDOW, Session,
    StreamOffset, WINDOW,
};
use crate::failpoint::{Failpoint, reach};
use crate::ids::IntegrationId;
use crate::messages::{DecodeError, Event, FORMAT, Fact, Glance, Origin, Payload, unpack};

/// Facts that are kept for listeners that lag; who lags more looks at the view instead.
const LISTENER_BACKLOG: usize = 8_192;

/// How long the record at the stored offset may take to arrive before the stream counts as another.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the stream may bring nothing at all although it has taken a fact of this worker.
const STALLED: Duration = Duration::from_secs(20);

/// How many of the last messages of a long stream are searched for a checkpoint, the fewest first. Beyond that, reading
/// everything takes no longer. Most carry many facts.
const NEAR_END: [u64; 3] = [512, 4_096, 32_768];

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
    view: RwLock<View>,
    /// Held while facts go into the view, and while the view is copied and must stand still.
    folding: tokio::sync::Mutex<()>,
    own: Mutex<Own>,
    waiting: Mutex<HashMap<Uuid, Vec<oneshot::Sender<Verdict>>>>,
    /// How far the view has read.
    read: watch::Sender<Option<u64>>,
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
            folding: tokio::sync::Mutex::default(),
            own: Mutex::default(),
            waiting: Mutex::default(),
            read: watch::channel(None).0,
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
    ///
    /// Does not queue behind facts that wait: rules look at several integrations at once, and two that look at each
    /// other, each with facts waiting in between, would wait for ever.
    pub fn read<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        look(&self.shared.view.read_recursive())
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
        let Some(mut copying) = self.read(checkpoint::Copying::of) else { return Ok(()) };
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

    /// Empties the view, and ends the waiting for facts: those of a stream that is gone, or that only a checkpoint
    /// has, are never folded here, and who waits for one begins anew.
    fn forget(&self) -> Result<(), StoreError> {
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
        let mut intake = Intake::open_stream(session, &shared.stream, StreamOffset::At(offset)).await?;
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
    }
    let _still = shared.folding.lock().await;
    // Also what an earlier attempt may have left.
    shared.forget()?;
    attach_anew(shared, session).await
}

/// Starts from the first record of the stream; from its latest checkpoint where that is near the end of a long
/// stream, or where the first record was trimmed.
async fn attach_anew(shared: &Shared, session: &Arc<Session>) -> Result<Intake, StateError> {
    // So that there is a record at all.
    let marker = shared.fact(Fact::ReadMarker { token: Uuid::new_v4() });
    shared.publisher.publish(vec![Outgoing::to_queue(shared.stream.clone(), &marker)]).await?;
    let first = offset_found(shared, session, StreamOffset::First).await?;
    let end = offset_found(shared, session, StreamOffset::Last).await?;
    for facts in NEAR_END {
        let near = end.saturating_sub(facts);
        if near.saturating_sub(first) < facts {
            break;
        }
        if let Some(found) = find_checkpoint(shared, session, near, end).await? {
            return attach_to_checkpoint(shared, session, found, end).await;
        }
    }
    if first == 0 {
        return Ok(Intake::open_stream(session, &shared.stream, StreamOffset::First).await?);
    }
    let Some(found) = find_checkpoint(shared, session, first, end).await? else {
        tracing::error!(integration = %shared.following.integration,
            "the beginning of the state stream is gone and no checkpoint is left: links that rules made are found \
             again by the rules; links that a person made must be made again");
        return Ok(Intake::open_stream(session, &shared.stream, StreamOffset::First).await?);
    };
    if found.as_of + 1 < first {
        tracing::error!(integration = %shared.following.integration, as_of = found.as_of, first,
            "the stream was trimmed beyond what its latest checkpoint copies: what was said in between is lost, and \
             comes again with the next runs, but for what a person decided");
    }
    attach_to_checkpoint(shared, session, found, end).await
}

/// The offset of the record that comes first from there on.
async fn offset_found(
    shared: &Shared,
    session: &Arc<Session>,
    from: StreamOffset,
) -> Result<u64, BrokerError> {
    let mut intake = Intake::open_stream(session, &shared.stream, from).await?;
    let first = intake.next().await;
    intake.close().await;
    let first = first.ok_or_else(|| BrokerError::Client("the stream could not be read".into()))?;
    Ok(first.offset.unwrap_or_default())
}

/// Reads the records from one offset to another, to know which checkpoint is the latest that is complete there.
async fn find_checkpoint(
    shared: &Shared,
    session: &Arc<Session>,
    from: u64,
    end: u64,
) -> Result<Option<Found>, StateError> {
    let mut search = checkpoint::Search::default();
    read_checkpoints(shared, session, from, end, &mut |offset, glance| {
        search.look_at(offset, glance.data());
        Ok(false)
    })
    .await?;
    Ok(search.found())
}

/// Reads that checkpoint once more, now for its rows, and follows what it does not copy.
async fn attach_to_checkpoint(
    shared: &Shared,
    session: &Arc<Session>,
    found: Found,
    end: u64,
) -> Result<Intake, StateError> {
    tracing::info!(integration = %shared.following.integration, as_of = found.as_of, "reading the latest checkpoint");
    let mut loading = Loading::begin(&mut shared.view.write(), found)?;
    let mut complete = false;
    read_checkpoints(shared, session, found.begun, end, &mut |_, glance| {
        if let Ok(fact) = glance.fact() {
            complete = loading.take(&mut shared.view.write(), fact)?;
        }
        Ok(complete)
    })
    .await?;
    if !complete {
        // Trimmed between the two readings: look again.
        return Err(BrokerError::Client("the latest checkpoint was trimmed while it was read".into()).into());
    }
    loading.end(&mut shared.view.write())?;
    Ok(Intake::open_stream(session, &shared.stream, StreamOffset::At(found.as_of)).await?)
}

/// Shows every fact of a checkpoint, from one offset to another or until `look` says `true`.
async fn read_checkpoints(
    shared: &Shared,
    session: &Arc<Session>,
    from: u64,
    end: u64,
    look: &mut (dyn FnMut(u64, &Glance<'_>) -> Result<bool, StateError> + Send),
) -> Result<(), StateError> {
    let mut intake = Intake::open_stream(session, &shared.stream, StreamOffset::At(from)).await?;
    'reading: loop {
        let batch = intake.next_batch(usize::from(STREAM_WINDOW)).await;
        let Some(last) = batch.last() else {
            return Err(BrokerError::Client("the connection is over".into()).into());
        };
        // Neither markers nor the facts of checkpoints share a message with others.
        for received in &batch {
            let Some(offset) = received.offset else { continue };
            if let Ok(glance) = Glance::of(&received.body)
                && glance.subject() == Fact::CHECKPOINT
                && look(offset, &glance)?
            {
                break 'reading;
            }
            if offset >= end {
                break 'reading;
            }
        }
        acknowledged(last.acknowledge_up_to_here().await)?;
    }
    intake.close().await;
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

/// What the stream has next; an error where it has brought nothing for long, and has taken a fact of this worker
/// meanwhile.
///
/// When the node that leads the stream dies, RabbitMQ may leave a reader attached that gets nothing any more,
/// and nobody is told. On another connection it reads on, also for those that wait.
async fn next_facts(shared: &Shared, intake: &mut Intake) -> Result<Vec<Received>, BrokerError> {
    loop {
        if let Ok(batch) = tokio::time::timeout(STALLED, intake.next_batch(usize::from(STREAM_WINDOW))).await
        {
            return Ok(batch);
        }
        let owed_since = &mut shared.own.lock().owed_since;
        if owed_since.take_if(|since| since.elapsed() >= STALLED).is_some() {
            return Err(BrokerError::TimedOut { what: "with a fact that it had taken", limit: STALLED });
        }
    }
}

async fn read_until_broken(shared: &Shared, intake: &mut Intake) -> Result<(), StateError> {
    loop {
        let batch = next_facts(shared, intake).await?;
        let Some(last) = batch.last() else {
            return Err(BrokerError::Client("the state stream ended".into()).into());
        };
        reach(Failpoint::StateReceived).await;
        let mut messages = batch.iter().peekable();
        while messages.peek().is_some() {
            // Whole messages: the facts of one are in the view all at once.
            let mut facts = Facts::new();
            for received in messages.by_ref() {
                decode(shared, received, &mut facts);
                if facts.len() >= usize::from(WINDOW) {
                    break;
                }
            }
            let still = shared.folding.lock().await;
            // Short: a few hundred rows into sled's memory; the disk follows in the background.
            let verdicts = shared.view.write().apply(&facts)?;
            drop(still);
            announce(shared, facts, verdicts);
        }
        shared.brought();
        reach(Failpoint::StateStored).await;
        acknowledged(last.acknowledge_up_to_here().await)?;
    }
}

/// A record that is no fact of ours is passed over: nothing of the view depends on it.
fn decode(shared: &Shared, received: &Received, facts: &mut Facts) {
    let Some(offset) = received.offset else { return };
    let unreadable = |error: &DecodeError| {
        unreadable_facts(&shared.following.integration).increment(1);
        tracing::warn!(integration = %shared.following.integration, offset, %error,
            "a record of the state stream cannot be read; it is passed over");
    };
    match unpack(&received.body) {
        Ok(events) => {
            for event in events {
                match read(shared, event) {
                    Ok(event) => facts.push((offset, event)),
                    Err(error) => unreadable(&error),
                }
            }
        }
        Err(error) => unreadable(&error),
    }
}

/// A fact of this worker that came back need not be read. The same content at another time has the same id, so the bytes
/// decide.
fn read(shared: &Shared, bytes: &[u8]) -> Result<Arc<Event>, DecodeError> {
    let glance = Glance::of(bytes)?;
    let own = shared.own.lock().facts.remove(&glance.id());
    if let Some((_, event)) = own.filter(|(body, _)| body == bytes) {
        return Ok(event);
    }
    let event = match checkpoint::outline(&glance) {
        Some(fact) => glance.saying(Payload::Fact(fact)),
        None => glance.event()?,
    };
    Ok(Arc::new(event))
}

fn unreadable_facts(integration: &IntegrationId) -> metrics::Counter {
    metrics::counter!("amfj_sync_unreadable_facts_total", "integration" => integration.to_string())
}

fn announce(shared: &Shared, facts: Facts, verdicts: Vec<Verdict>) {
    if let Some((offset, _)) = facts.last() {
        shared.read.send_replace(Some(*offset));
    }
    let mut waiting = shared.waiting.lock();
    for ((offset, event), verdict) in facts.into_iter().zip(verdicts) {
        for sender in waiting.remove(&event.id).unwrap_or_default() {
            // The caller may have been cancelled.
            drop(sender.send(verdict.clone()));
        }
        // Nobody may be listening.
        drop(shared.folded.send(Folded { offset, event, verdict }));
    }
}
