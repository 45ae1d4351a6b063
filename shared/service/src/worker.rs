//! What the three binaries have in common: options, start, readiness, and an orderly end.

mod anew;
mod ending;
mod waiting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use amfj_sync_broker::{Broker, BrokerError, Caller, PartitionId, Publisher};
use amfj_sync_config::{self as config, Config, Integration, Loaded, Rejected, Tokens, open_doors};
use amfj_sync_failpoint as failpoint;
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_projection::illness::Illness;
use amfj_sync_projection::{DataDir, Indexes, OnDisk, Projection, StoreError};
use amfj_sync_security::screen::sanitize;
use amfj_sync_stream::{Following, StateError, StateHandle};
use amfj_sync_telemetry::{LogFormat, Verbosity, flush_traces, recorder, start_logs, start_traces};
use clap::{ArgAction, Args};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::backlog::{Inflight, Seen};
use crate::reload::{self, Examine, Reload};

/// The workers, in the order in which things flow.
pub const ROLES: [&str; 3] = ["fetcher", "reconciler", "writer"];

pub use anew::Served;
pub use ending::{block_on, finish};

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The configuration file [default: `$AMFJ_SYNC_CONFIG`, else ./amfj-sync.toml]
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Only this integration
    #[arg(long, global = true, value_name = "ID")]
    pub integration: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Log warnings and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log a line for every device; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Why a command ends; each kind has its exit status.
#[derive(Debug, thiserror::Error)]
pub enum Exit {
    /// Wrong usage or configuration: status 2.
    #[error("{0}")]
    Configuration(String),
    /// Something failed: status 1.
    #[error("{0}")]
    Failed(String),
    /// The command did what was asked, and what it found is wrong: status 3. It has said so itself.
    #[error("something is wrong")]
    Trouble,
    /// The worker is ill: its process starts itself anew; status 1 where it cannot.
    #[error("{reason}")]
    Ill {
        /// What ails it.
        reason: String,
        /// Where it is served.
        served: Option<Served>,
    },
    /// The configuration has changed: the process starts itself anew with it; status 1 where it cannot.
    #[error("the configuration has changed")]
    Anew {
        /// Where it is served.
        served: Option<Served>,
        /// A variable, and what it says to the process that comes.
        kept: (&'static str, String),
    },
}

impl Exit {
    /// The exit status.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 2,
            Self::Failed(_) | Self::Ill { .. } | Self::Anew { .. } => 1,
            Self::Trouble => 3,
        }
    }
}

impl From<BrokerError> for Exit {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Partitions { .. } => Self::Configuration(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<StateError> for Exit {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Partitions { .. } => Self::Configuration(error.to_string()),
            StateError::Broker(error) => error.into(),
            StateError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Exit {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl CommonArgs {
    /// Starts logging, then reads the configuration: nothing is connected to before it is valid.
    /// The `tokens` that it uses have to be there.
    pub fn load(&self, tokens: Tokens) -> Result<Config, Exit> {
        let mut config = self.load_all(tokens)?;
        self.restrict(&mut config)?;
        Ok(config)
    }

    /// The same with all integrations, whichever was named.
    pub fn load_all(&self, tokens: Tokens) -> Result<Config, Exit> {
        self.start_logging()?;
        Ok(self.read_files(tokens)?.config)
    }

    fn start_logging(&self) -> Result<(), Exit> {
        start_logs(self.log_format, Verbosity { quiet: self.quiet, verbose: self.verbose });
        if let Some(armed) =
            failpoint::arm_from_environment().map_err(|error| Exit::Configuration(error.to_string()))?
        {
            tracing::warn!(
                armed,
                "failpoints are armed: this process is meant to die or to wait, for a test"
            );
        }
        Ok(())
    }

    /// The same with what the files say.
    pub(crate) fn load_files(&self, tokens: Tokens) -> Result<Loaded, Exit> {
        self.start_logging()?;
        self.read_files(tokens)
    }

    fn read_files(&self, tokens: Tokens) -> Result<Loaded, Exit> {
        let loaded = config::load(self.config.as_deref(), &config::process_environment(), tokens)
            .map_err(|errors| Exit::Configuration(errors.to_string()))?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        for rejected in &loaded.config.rejected {
            tracing::error!(reason = %sanitize(&rejected.line()), "a file of the configuration is wrong");
        }
        Ok(loaded)
    }

    /// Takes the integration that a command names beside the options.
    pub fn name_integration(&mut self, id: Option<&String>) -> Result<(), Exit> {
        let Some(id) = id else { return Ok(()) };
        if self.integration.as_ref().is_some_and(|other| other != id) {
            return Err(Exit::Configuration("two different integrations are named; name one".into()));
        }
        self.integration = Some(id.clone());
        Ok(())
    }

    /// For commands that answer and end: only warnings are logged, unless more was asked for.
    pub fn answer_only(&mut self) {
        self.quiet |= self.verbose == 0;
    }

    /// Leaves only the integration that was named to be served, if one was.
    pub fn restrict(&self, config: &mut Config) -> Result<(), Exit> {
        if let Some(wanted) = &self.integration {
            let known: Vec<String> = config.integrations.iter().map(|i| i.id.to_string()).collect();
            if !config.serve_only(wanted) {
                let is_it = |one: &&Rejected| one.ids.contains(wanted);
                if let Some(rejected) = config.rejected.iter().find(is_it) {
                    return Err(Exit::Configuration(rejected.errors.to_string()));
                }
                let (wanted, known) = (sanitize(wanted), known.join(", "));
                return Err(Exit::Configuration(format!(
                    "there is no integration `{wanted}` in the configuration; it has: {known}"
                )));
            }
        }
        Ok(())
    }
}

/// Reads the configuration of a worker that serves, and has it stop at signals, and begin anew where the configuration changes.
pub fn begin(common: &CommonArgs, tokens: Tokens, examine: Examine) -> Result<(Config, Shutdown), Exit> {
    let shutdown = Shutdown::default();
    let hang_ups = reload::hang_ups()?;
    anew::listen_to_hang_ups();
    let (config, reload) = Reload::begin(common, tokens, examine, shutdown.soft.clone())?;
    shutdown.on_signals()?;
    reload.watch(hang_ups);
    // Nobody has set it before.
    drop(shutdown.reload.set(reload));
    Ok((config, shutdown))
}

/// The two steps of an orderly end, each a token.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take no new work; finish or hand back what is in flight.
    pub soft: CancellationToken,
    /// Everything is done or out of time: let go of the broker and the state.
    pub hard: CancellationToken,
    /// What reads the configuration again, in a worker that serves.
    reload: Arc<OnceLock<Arc<Reload>>>,
}

/// How long work in flight may take after the signal; the process ends within 20 seconds.
const GRACE: Duration = Duration::from_secs(16);

/// The same for a worker that is ill: what it does cannot be completed, and others wait for its partitions.
const GRACE_OF_AN_ILL_WORKER: Duration = Duration::from_secs(2);

impl Shutdown {
    /// What reads the configuration again, in a worker that serves.
    #[must_use]
    pub fn reload(&self) -> Option<&Arc<Reload>> {
        self.reload.get()
    }

    /// How a worker ended, for the process: where its configuration has changed, that starts itself anew.
    pub fn ended(&self, result: Result<(), Exit>, served: Option<Served>) -> Result<(), Exit> {
        result?;
        match self.reload().and_then(|reload| reload.kept()) {
            Some(kept) => Err(Exit::Anew { served, kept }),
            None => Ok(()),
        }
    }

    /// Whether it ends to begin anew with another configuration.
    #[must_use]
    pub fn is_reload(&self) -> bool {
        self.reload().is_some_and(|reload| reload.is_under_way())
    }

    /// Cancels `soft` at SIGTERM or SIGINT.
    pub fn on_signals(&self) -> Result<(), Exit> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| Exit::Failed(format!("signals cannot be received: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let soft = self.soft.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = soft.cancelled() => return,
            }
            tracing::info!("stopping: finishing what is in flight");
            soft.cancel();
        });
        Ok(())
    }
}

/// The connections and states of a running worker or command.
#[derive(Debug)]
pub struct Worker {
    /// The configuration.
    pub config: Arc<Config>,
    /// `fetcher`, `reconciler` or `writer`; of a command, what the broker lists it as.
    pub role: String,
    /// `role/UUID`: the source of its messages.
    pub id: String,
    /// When it was started.
    pub since: Timestamp,
    /// The broker.
    pub broker: Broker,
    /// The one publisher.
    pub publisher: Publisher,
    /// The followed state of every integration that is served.
    pub states: BTreeMap<IntegrationId, StateHandle>,
    /// The same of those that are served elsewhere and feed the same AMFJ sites.
    beside: BTreeMap<IntegrationId, StateHandle>,
    /// How it ends.
    pub shutdown: Shutdown,
    /// The oldest message that is being worked on, by partition.
    pub inflight: Inflight,
    /// What was seen at the broker last; empty while nobody looks.
    pub seen: Mutex<Seen>,
    /// Work that must end before the connections do.
    pub tasks: TaskTracker,
    /// Its data directory, for a worker; commands keep their state in memory.
    pub data_dir: Option<DataDir>,
    /// What keeps it from going on in this process.
    pub illness: Illness,
    /// Where its endpoints are served.
    pub served: OnceLock<Served>,
}

impl Worker {
    /// Connects and starts to follow every integration. With a directory the projections are kept there.
    pub async fn start(
        role: &str,
        config: Config,
        on_disk: Option<OnDisk<'_>>,
        shutdown: Shutdown,
    ) -> Result<Self, Exit> {
        let data_dir = match on_disk {
            Some(OnDisk { path, cache, .. }) => Some(open_data_dir(path.to_owned(), cache).await?),
            None => None,
        };
        let matches = on_disk.is_some_and(|on_disk| on_disk.for_matching);
        Self::start_in(role, config, data_dir, matches, shutdown)
    }

    fn start_in(
        role: &str,
        config: Config,
        data_dir: Option<DataDir>,
        matches: bool,
        shutdown: Shutdown,
    ) -> Result<Self, Exit> {
        let id = format!("{role}/{}", Uuid::new_v4());
        let caller = if data_dir.is_some() { Caller::Worker } else { Caller::Command };
        if data_dir.is_some() {
            // Before anything is counted.
            recorder().map_err(|error| Exit::Failed(error.to_string()))?;
            start_traces(role, &id).map_err(|error| Exit::Configuration(error.to_string()))?;
            for open in open_doors(role, &config) {
                tracing::warn!("{open}");
            }
        }
        let worker = Self::connected(role, id, caller, config, data_dir, shutdown);
        worker.following(matches)
    }

    /// Connected, and following nothing.
    fn connected(
        role: &str,
        id: String,
        caller: Caller,
        config: Config,
        data_dir: Option<DataDir>,
        shutdown: Shutdown,
    ) -> Self {
        let broker = Broker::start_for(caller, &config, &id, shutdown.soft.clone());
        let publisher = Publisher::start(broker.clone(), shutdown.hard.clone());
        Self {
            config: Arc::new(config),
            role: role.to_owned(),
            id,
            since: Timestamp::now(),
            broker,
            publisher,
            states: BTreeMap::new(),
            beside: BTreeMap::new(),
            shutdown,
            inflight: Inflight::default(),
            seen: Mutex::default(),
            tasks: TaskTracker::new(),
            illness: data_dir.as_ref().map(|dir| dir.illness().clone()).unwrap_or_default(),
            data_dir,
            served: OnceLock::new(),
        }
    }

    fn following(mut self, matches: bool) -> Result<Self, Exit> {
        let config = self.config.clone();
        for integration in &config.integrations {
            let state = self.follow(integration, matches)?;
            self.states.insert(integration.id.clone(), state);
        }
        // Whoever only reads the services, and a command, links nothing.
        for integration in config.beside.iter().filter(|_| matches) {
            let state = self.follow(integration, matches)?;
            self.beside.insert(integration.id.clone(), state);
        }
        Ok(self)
    }

    fn follow(&self, integration: &Integration, matches: bool) -> Result<StateHandle, Exit> {
        let serial_field = serial_field(integration);
        let indexes = if matches { Indexes::All { serial_field } } else { Indexes::Links };
        let view = match &self.data_dir {
            Some(dir) => Projection::open(Box::new(dir.store(integration.id.as_str())?), indexes)?,
            None => Projection::in_memory(serial_field),
        };
        let following = Following {
            integration: integration.id.clone(),
            worker: self.id.clone(),
            partitions: self.config.broker.partitions,
        };
        let (broker, publisher) = (self.broker.clone(), self.publisher.clone());
        Ok(StateHandle::follow(following, view, broker, publisher, self.shutdown.hard.clone()))
    }

    /// Waits until every state has been read to its end. A wrong number of partitions is an error of the
    /// configuration. Ends early, without error, when the worker is told to stop.
    pub async fn caught_up(&self) -> Result<(), Exit> {
        let all = async {
            for state in self.states.values().chain(self.beside.values()) {
                state.caught_up().await?;
            }
            Ok::<(), Exit>(())
        };
        tokio::select! {
            caught_up = all => caught_up,
            over = self.over() => over,
        }
    }

    /// How it ended, for the process.
    pub fn ended(&self, result: Result<(), Exit>) -> Result<(), Exit> {
        self.shutdown.ended(result, self.served.get().cloned())
    }

    /// Waits until the worker is told to stop, or cannot go on: for good, or where it is.
    pub async fn over(&self) -> Result<(), Exit> {
        tokio::select! {
            () = self.shutdown.soft.cancelled() => Ok(()),
            why = self.broker.stopped() => why.map_or(Ok(()), |why| Err(why.into())),
            reason = self.illness.struck() => Err(Exit::Ill { reason, served: self.served.get().cloned() }),
        }
    }

    /// All partitions of all integrations.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionId> {
        let ids = self.states.keys();
        let partitions = |id: &IntegrationId| {
            let integration = id.clone();
            (0..self.config.broker.partitions)
                .map(move |partition| PartitionId { integration: integration.clone(), partition })
        };
        ids.flat_map(partitions).collect()
    }

    /// The states of the other integrations that feed the same AMFJ site (P4).
    #[must_use]
    pub fn siblings(&self, integration: &Integration) -> Vec<StateHandle> {
        let state = |id| self.states.get(id).or_else(|| self.beside.get(id)).cloned();
        self.config.siblings_of(integration).filter_map(|other| state(&other.id)).collect()
    }

    /// What is wrong with the files of its configuration, a line for each.
    #[must_use]
    pub fn wrong_files(&self) -> Vec<String> {
        match self.shutdown.reload() {
            Some(reload) => reload.wrong(),
            None => self.config.rejected.iter().map(Rejected::line).collect(),
        }
    }

    /// Everything that keeps the worker from working.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        let broker = self.broker.trouble().map(|why| format!("broker: {why}"));
        let states = self.states.iter().chain(&self.beside).filter(|(_, state)| !state.is_caught_up());
        self.illness
            .reason()
            .into_iter()
            .chain(broker)
            .chain(states.map(|(id, _)| format!("{id}: reading the state stream")))
            .collect()
    }

    /// Waits for the work in flight, then lets go of the broker.
    pub async fn finish(&self) {
        self.shutdown.soft.cancel();
        self.tasks.close();
        let grace = if self.illness.reason().is_some() { GRACE_OF_AN_ILL_WORKER } else { GRACE };
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!("some work did not end in time; the broker will deliver it again");
        }
        self.shutdown.hard.cancel();
        tokio::join!(self.broker.close(), flush_traces());
    }
}

/// What the machine calls itself.
#[must_use]
pub fn host() -> String {
    let told = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    told.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or("unknown".to_owned())
}

/// The AMFJ field that holds serials: the one mapped from Kandji's `serial_number` (P6).
#[must_use]
pub fn serial_field(integration: &Integration) -> Option<&str> {
    integration.fields.field_of("serial_number")
}

async fn open_data_dir(path: PathBuf, cache: u64) -> Result<DataDir, Exit> {
    Ok(waiting::open(path, cache).await??)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use amfj_sync_config::parse;

    use super::*;

    const INTEGRATION: &str = include_str!("../../config/src/fixture.toml");

    /// Whose work hangs. There is no broker, so nothing else takes time.
    fn hanging() -> Worker {
        let text = format!("[broker]\nurl = \"amqp://u:p@127.0.0.1:1\"\n{INTEGRATION}");
        let loaded = parse(Path::new("amfj-sync.toml"), text, &BTreeMap::new(), Tokens::None).unwrap();
        let (id, shutdown) = ("writer/1".to_owned(), Shutdown::default());
        let worker = Worker::connected("writer", id, Caller::Worker, loaded.config, None, shutdown);
        worker.tasks.spawn(std::future::pending::<()>());
        worker
    }

    /// What it holds, others wait for: seconds, where one that is well may finish what it does.
    #[tokio::test]
    async fn an_ill_worker_lets_go_of_everything_although_its_work_hangs() {
        let worker = hanging();
        worker.illness.strike(|| "its disk is full".to_owned());
        let within = GRACE.checked_sub(Duration::from_secs(4)).unwrap();
        assert!(
            tokio::time::timeout(within, worker.finish()).await.is_ok(),
            "others wait for its partitions"
        );
        assert!(worker.shutdown.hard.is_cancelled());
    }
}
