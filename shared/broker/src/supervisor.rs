//! The one place that connects: both connections of a worker, the topology, and all of it again when it breaks.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_backoff::Backoff;
use amfj_sync_config::Config;
use lapin::options::BasicQosOptions;
use lapin::{Channel, Connection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::alarm::{ALARM, AlarmWatch};
use super::connector::{Connector, frame};
use super::error::{BrokerError, within};
use super::locks::LockProbe;
use super::names::Names;
use super::signing::Signing;
use super::topology::{ChannelCache, Depth, Topology, open};

/// How long a command tries again where it is told at once that there is no broker: it may be starting.
const BRIEF: Duration = Duration::from_secs(2);

/// How often the connections are looked at; lapin tells the rest through failing calls.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The two connections that belong together. When either breaks, both are replaced.
#[derive(Debug)]
pub struct Session {
    consuming: Connection,
    publishing: Connection,
    looks: LockProbe,
    broken: CancellationToken,
    topology: Topology,
    signing: Option<Arc<Signing>>,
}

impl Session {
    /// How messages are signed, if they are.
    #[must_use]
    pub fn signing(&self) -> Option<&Arc<Signing>> {
        self.signing.as_ref()
    }

    /// Where locks are looked at.
    pub(super) fn looks(&self) -> &LockProbe {
        &self.looks
    }

    /// A channel to consume on, with that many deliveries before the first acknowledgement.
    pub async fn consuming_channel(&self, prefetch: u16) -> Result<Channel, BrokerError> {
        let channel = open(&self.consuming).await?;
        let limit = Duration::from_secs(20);
        within("basic.qos", limit, channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        Ok(channel)
    }

    /// A channel to publish on.
    pub(super) async fn publishing_channel(&self) -> Result<Channel, BrokerError> {
        open(&self.publishing).await
    }

    /// Whether the broker blocks publishing because it is short of memory or disk.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.publishing.status().blocked()
    }

    /// Waits until the broker takes messages, or the session is over.
    pub(super) async fn until_it_takes_messages(&self) {
        while self.is_blocked() && !self.broken.is_cancelled() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Declares the topology again, because something of it is missing.
    pub(super) async fn declare(&self) -> Result<(), BrokerError> {
        self.topology.declare(&self.consuming).await
    }

    /// Where queues are looked at.
    pub(super) fn channels(&self) -> ChannelCache<'_> {
        ChannelCache::new(&self.consuming)
    }

    /// Looks at a queue without touching it; none where it does not exist.
    pub async fn inspect(&self, queue: &str) -> Result<Option<Depth>, BrokerError> {
        let mut channels = self.channels();
        let depth = channels.depth(queue).await?;
        channels.close().await;
        Ok(depth)
    }

    /// Asks the supervisor to replace this session.
    pub fn give_up(&self, reason: &BrokerError) {
        if !self.broken.is_cancelled() {
            tracing::warn!(%reason, "the broker connection is given up and made anew");
            self.broken.cancel();
        }
    }

    /// Cancelled when the session is over.
    #[must_use]
    pub fn broken(&self) -> &CancellationToken {
        &self.broken
    }

    fn is_alive(&self) -> bool {
        self.consuming.status().connected() && self.publishing.status().connected()
    }
}

/// Where the supervisor stands.
#[derive(Debug, Clone)]
enum Link {
    Pending {
        last_error: Option<BrokerError>,
        /// Connected, and the queues are not all there yet.
        declaring: bool,
    },
    Connected(Arc<Session>),
    Stopped {
        why: Option<BrokerError>,
    },
}

/// A handle to the supervised connections. Clones share them.
#[derive(Debug, Clone)]
pub struct Broker {
    link: watch::Receiver<Link>,
    names: Names,
    closed: CancellationToken,
    connector: Connector,
    caller: Caller,
}

/// Who asks for connections: a worker that waits for the broker and says so in its log, or a command that says itself why it
/// ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A worker.
    Worker,
    /// A command.
    Command,
}

impl Caller {
    /// Says that there is no connection, for whoever reads the log. What waiting cannot help is no mere warning.
    fn tell(self, error: &BrokerError) {
        match self {
            Self::Command => tracing::debug!(%error, "no connection to the broker"),
            Self::Worker if error.is_lasting() => {
                tracing::error!(%error, "the broker lets nobody in; trying again until somebody mends that");
            }
            Self::Worker => tracing::warn!(%error, "no connection to the broker; trying again"),
        }
    }
}

impl Broker {
    /// Starts the supervisor. It connects, and reconnects with growing pauses, until `stop`; the
    /// connections stay until [`Broker::close`], so that what is in flight can be finished.
    #[must_use]
    pub fn start(config: &Config, worker: &str, stop: CancellationToken) -> Self {
        Self::start_for(Caller::Worker, config, worker, stop)
    }

    /// The same for whoever calls.
    #[must_use]
    pub fn start_for(caller: Caller, config: &Config, worker: &str, stop: CancellationToken) -> Self {
        let connector = Connector::of(config, worker);
        let topology = Topology::of(config);
        let names = topology.names().clone();
        let (sender, link) = watch::channel(Link::Pending { last_error: None, declaring: false });
        let closed = CancellationToken::new();
        let supervisor = Supervisor {
            config: config.clone(),
            signing: config.broker.signing.as_ref().and_then(Signing::of).map(Arc::new),
            connector: connector.clone(),
            caller,
            topology,
            link: sender,
            stop,
            closed: closed.clone(),
        };
        tokio::spawn(supervisor.run());
        Self { link, names, closed, connector, caller }
    }

    /// Names of queues and exchanges.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whether somebody waits for an answer who cannot wait for permissions.
    pub(super) fn is_for_a_command(&self) -> bool {
        self.caller == Caller::Command
    }

    /// The current session; waits for one where there is none.
    pub async fn session(&self) -> Result<Arc<Session>, BrokerError> {
        let mut link = self.link.clone();
        loop {
            match &*link.borrow_and_update() {
                Link::Connected(session) if !session.broken.is_cancelled() => return Ok(session.clone()),
                Link::Stopped { why } => return Err(why.clone().unwrap_or(BrokerError::Stopping)),
                _ => {}
            }
            link.changed().await.map_err(|_| BrokerError::Stopping)?;
        }
    }

    /// Why there is no session at the moment, or none that takes messages; none while there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match &*self.link.borrow() {
            Link::Connected(session) if !session.broken.is_cancelled() => {
                session.is_blocked().then(|| ALARM.to_owned())
            }
            Link::Connected(_) => Some("the broker connection broke".into()),
            Link::Pending { last_error: Some(error), .. } => Some(error.to_string()),
            Link::Pending { last_error: None, declaring: true } => Some("declaring the queues".into()),
            Link::Pending { last_error: None, declaring: false } => Some("connecting to the broker".into()),
            Link::Stopped { .. } => Some("stopping".into()),
        }
    }

    /// Waits for the first session as long as that makes sense to somebody who waits: until `limit`, less where the
    /// broker is reached and lets nobody in. Declaring the queues takes as long as there are queues.
    pub async fn session_within(&self, limit: Duration) -> Result<Arc<Session>, BrokerError> {
        let began = tokio::time::Instant::now();
        let mut link = self.link.clone();
        loop {
            let until = match &*link.borrow_and_update() {
                Link::Connected(session) if !session.broken.is_cancelled() => return Ok(session.clone()),
                Link::Stopped { why } => return Err(why.clone().unwrap_or(BrokerError::Stopping)),
                Link::Pending { last_error: Some(error), .. } if error.is_lasting() => {
                    return Err(error.clone());
                }
                Link::Pending { last_error: Some(error), .. } if error.is_quick() => Some(limit.min(BRIEF)),
                Link::Pending { declaring: true, .. } => None,
                _ => Some(limit),
            };
            let changed = link.changed();
            let changed = match until {
                Some(until) => tokio::time::timeout_at(began + until, changed).await,
                None => Ok(changed.await),
            };
            match changed {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(BrokerError::Stopping),
                Err(_) => return Err(self.last_error().unwrap_or_else(|| self.connector.silent(limit))),
            }
        }
    }

    fn last_error(&self) -> Option<BrokerError> {
        match &*self.link.borrow() {
            Link::Pending { last_error, .. } => last_error.clone(),
            _ => None,
        }
    }

    /// Waits until the supervisor has stopped for good, and says why if that was an error.
    pub async fn stopped(&self) -> Option<BrokerError> {
        let mut link = self.link.clone();
        loop {
            if let Link::Stopped { why } = &*link.borrow_and_update() {
                return why.clone();
            }
            if link.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Closes the connections after the last work is done.
    pub async fn close(&self) {
        self.closed.cancel();
        drop(tokio::time::timeout(Duration::from_secs(5), self.stopped()).await);
    }
}

struct Supervisor {
    config: Config,
    signing: Option<Arc<Signing>>,
    connector: Connector,
    caller: Caller,
    topology: Topology,
    link: watch::Sender<Link>,
    stop: CancellationToken,
    closed: CancellationToken,
}

impl Supervisor {
    async fn run(self) {
        let first = Duration::from_millis(200);
        let most = self.config.timing.broker_reconnect_max;
        // Both are positive and in order: the configuration was checked when it was loaded.
        let Ok(mut backoff) = Backoff::try_new(first.min(most), most) else {
            self.link.send_replace(Link::Stopped { why: None });
            return;
        };
        let why = loop {
            if self.closed.is_cancelled() {
                break None;
            }
            // A host that does not answer must not hold up the end.
            let Some(connected) = self.closed.run_until_cancelled(self.connect()).await else { break None };
            match connected {
                Ok(session) => {
                    backoff.reset();
                    let session = Arc::new(session);
                    self.link.send_replace(Link::Connected(session.clone()));
                    tracing::info!("connected to the broker");
                    self.watch(&session).await;
                    session.broken.cancel();
                    self.link.send_replace(Link::Pending { last_error: None, declaring: false });
                    disconnect(&session).await;
                }
                Err(error @ BrokerError::Partitions { .. }) => break Some(error),
                Err(error) => {
                    self.caller.tell(&error);
                    self.link.send_replace(Link::Pending { last_error: Some(error), declaring: false });
                    // Nothing is in flight that a connection could still finish.
                    if self.stop.is_cancelled() {
                        break None;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = self.closed.cancelled() => {}
                () = self.stop.cancelled() => {}
            }
        };
        self.link.send_replace(Link::Stopped { why });
    }

    async fn connect(&self) -> Result<Session, BrokerError> {
        let connector = self.connector.clone();
        let consuming = connector.open("consuming", frame::CONSUMING).await?;
        let publishing = connector.open("publishing", frame::PUBLISHING).await?;
        self.link.send_if_modified(|link| {
            let Link::Pending { declaring, .. } = link else { return false };
            *declaring = true;
            true
        });
        self.topology.declare(&consuming).await?;
        Ok(Session {
            consuming,
            publishing,
            looks: LockProbe::new(connector),
            broken: CancellationToken::new(),
            topology: self.topology.clone(),
            signing: self.signing.clone(),
        })
    }

    /// Until the session breaks or the worker has finished.
    async fn watch(&self, session: &Session) {
        let mut alarm = AlarmWatch::new(self.caller, self.topology.names());
        loop {
            tokio::select! {
                () = session.broken.cancelled() => return,
                () = self.closed.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if !session.is_alive() {
                        tracing::warn!("the broker connection is lost");
                        return;
                    }
                    alarm.look(session).await;
                }
            }
        }
    }
}

async fn disconnect(session: &Session) {
    let limit = Duration::from_secs(2);
    for connection in [&session.consuming, &session.publishing] {
        drop(tokio::time::timeout(limit, connection.close(200, "done".into())).await);
    }
}
