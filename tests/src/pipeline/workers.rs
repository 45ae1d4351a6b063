//! The workers of a test and what they are told to do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use serde_json::Value;

use crate::harness::workers::Finished;
use crate::harness::{
    ConfigBuilder, IntegrationBuilder, Launch, Role, Scratch, SharedBroker, Worker, WrittenConfig, eventually,
};

/// How long a run of a test's fleet may take on a machine that is busy.
pub const RUN_LIMIT: Duration = Duration::from_mins(2);

/// Looks in a row that must find everything at rest, [`LOOK`] apart.
const LOOKS: u32 = 3;
const LOOK: Duration = Duration::from_millis(100);

/// How many workers of each kind serve.
#[derive(Debug, Clone, Copy)]
pub struct Workers {
    /// Workers that decide.
    pub reconcilers: usize,
    /// Workers that write.
    pub writers: usize,
}

impl Default for Workers {
    fn default() -> Self {
        Self { reconcilers: 1, writers: 1 }
    }
}

/// Reconcilers and writers that serve, and a broker with queues of their own.
#[derive(Debug)]
pub struct Pipeline {
    /// The serving reconcilers.
    pub reconcilers: Vec<Worker>,
    /// The serving writers.
    pub writers: Vec<Worker>,
    /// The configuration they read.
    pub config: WrittenConfig,
    channel: Channel,
    /// Carries the channel.
    _connection: Connection,
    broker: SharedBroker,
    scratch: Scratch,
    integrations: Vec<String>,
    partitions: u16,
    extra_arguments: Vec<String>,
    /// The folder of other binaries than those of this source.
    binaries: Option<PathBuf>,
}

impl Pipeline {
    /// One worker of each kind for these integrations, waiting for a run.
    ///
    /// # Errors
    /// When the broker or a worker does not come up.
    pub async fn start(integrations: Vec<(&str, IntegrationBuilder)>) -> Result<Self> {
        Self::with(Workers::default(), integrations, |config| config).await
    }

    /// The same with as many workers and a configuration of one's own.
    ///
    /// # Errors
    /// When the broker or a worker does not come up.
    pub async fn with(
        workers: Workers,
        integrations: Vec<(&str, IntegrationBuilder)>,
        adapt: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Result<Self> {
        let mut pipeline = Self::idle(integrations, adapt).await?;
        pipeline.spawn(workers).await?;
        Ok(pipeline)
    }

    /// The same without any worker.
    ///
    /// # Errors
    /// When the broker does not come up.
    pub async fn idle(
        integrations: Vec<(&str, IntegrationBuilder)>,
        adapt: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Result<Self> {
        Self::idle_at(SharedBroker::join().await?, integrations, adapt).await
    }

    /// The same at a broker of one's own.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn idle_at(
        broker: SharedBroker,
        integrations: Vec<(&str, IntegrationBuilder)>,
        adapt: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Result<Self> {
        let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await?;
        let scratch = Scratch::new()?;
        let partitions = 2;
        let ids = integrations.iter().map(|(id, _)| (*id).to_owned()).collect();
        let config = adapt(Self::builder(&broker, partitions, integrations)).write(&scratch)?;
        let (reconcilers, writers) = (Vec::new(), Vec::new());
        let channel = connection.create_channel().await?;
        let extra_arguments = Vec::new();
        let integrations = ids;
        Ok(Self {
            reconcilers,
            writers,
            config,
            channel,
            _connection: connection,
            broker,
            scratch,
            integrations,
            partitions,
            extra_arguments,
            binaries: None,
        })
    }

    fn builder(
        broker: &SharedBroker,
        partitions: u16,
        integrations: Vec<(&str, IntegrationBuilder)>,
    ) -> ConfigBuilder {
        let base = ConfigBuilder::new(broker.url(), broker.prefix())
            .set("broker.partitions", i64::from(partitions))
            .set("timing.ownership_interval", "100ms");
        integrations.into_iter().fold(base, |config, (_, integration)| config.integration(integration))
    }

    /// From now on workers are started with this argument before the command, for instance `-vv`.
    pub fn extra_argument(&mut self, argument: &str) {
        self.extra_arguments.push(argument.to_owned());
    }

    /// From now on the binaries in this folder are called, for instance those of an earlier release; with none, those of
    /// this source.
    pub fn use_binaries(&mut self, folder: Option<&Path>) {
        self.binaries = folder.map(Path::to_owned);
    }

    /// Starts more workers and waits until they are ready.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn spawn(&mut self, workers: Workers) -> Result<()> {
        for _ in 0..workers.reconcilers {
            let worker = self.call(Role::Reconciler).arg("run").spawn()?;
            self.reconcilers.push(worker);
        }
        for _ in 0..workers.writers {
            let worker = self.call(Role::Writer).arg("run").spawn()?;
            self.writers.push(worker);
        }
        for worker in self.reconcilers.iter_mut().chain(&mut self.writers) {
            worker.wait_ready().await?;
        }
        Ok(())
    }

    /// A call of a worker with this pipeline's configuration.
    #[must_use]
    pub fn call(&self, role: Role) -> Launch {
        let launch = Launch::with(role, &self.config).args(&self.extra_arguments);
        match &self.binaries {
            Some(folder) => launch.program(&folder.join(role.name())),
            None => launch,
        }
    }

    /// A call of `amfj-sync` with these arguments and this pipeline's configuration. It is always that of this source: people
    /// upgrade their own program first, and it reads what older workers wrote.
    #[must_use]
    pub fn command<I>(&self, arguments: I) -> Launch
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let all =
            self.extra_arguments.iter().map(OsString::from).chain(arguments.into_iter().map(Into::into));
        Launch::command(&self.config, all)
    }

    /// What a command that must succeed prints.
    ///
    /// # Errors
    /// When it fails, or does not end in time.
    pub async fn said(&self, arguments: &[&str]) -> Result<String> {
        let done = self.command(arguments).finish(RUN_LIMIT).await?;
        // A status that shows something wrong, such as that no fetcher runs all the time, is one that was shown.
        let is_status = arguments.first() == Some(&"status") && done.status.code() == Some(3);
        ensure!(
            done.status.success() || is_status,
            "{arguments:?} ended with {}:\n{}{}",
            done.status,
            done.stdout,
            done.stderr
        );
        Ok(done.stdout)
    }

    /// The same, as JSON.
    ///
    /// # Errors
    /// As [`Pipeline::said`], and when it is no JSON.
    pub async fn said_as_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.said(arguments).await?;
        serde_json::from_str(&text).with_context(|| format!("{arguments:?} printed no JSON:\n{text}"))
    }

    /// What the workers read from now on: all are ended in good order and started again.
    ///
    /// # Errors
    /// When one does not end or come up again.
    pub async fn reconfigure(&mut self, integrations: Vec<(&str, IntegrationBuilder)>) -> Result<()> {
        let workers = Workers { reconcilers: self.reconcilers.len(), writers: self.writers.len() };
        self.dismiss().await?;
        self.integrations = integrations.iter().map(|(id, _)| (*id).to_owned()).collect();
        self.config = Self::builder(&self.broker, self.partitions, integrations).write(&self.scratch)?;
        self.spawn(workers).await
    }

    /// Ends all workers with `SIGTERM`.
    ///
    /// # Errors
    /// When one does not end with status 0 within the promised time.
    pub async fn dismiss(&mut self) -> Result<()> {
        for worker in self.reconcilers.drain(..).chain(self.writers.drain(..)) {
            let name = worker.role().name();
            let status = worker.terminate().await?;
            ensure!(status.success(), "the {name} ended with {status} after SIGTERM");
        }
        Ok(())
    }

    /// `fetcher run --once` to its end, however that is.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn fetch(&self, arguments: &[&str]) -> Result<Finished> {
        self.call(Role::Fetcher).args(["run", "--once"]).args(arguments).finish(RUN_LIMIT).await
    }

    /// A run that must be complete; what follows from it is left to its own devices.
    ///
    /// # Errors
    /// When the run is not complete.
    pub async fn fetch_all(&self) -> Result<()> {
        let done = self.fetch(&[]).await?;
        ensure!(done.status.success(), "the run failed with {}:\n{}", done.status, done.stderr);
        Ok(())
    }

    /// A complete run of every integration, and everything that follows from it.
    ///
    /// # Errors
    /// When the run is not complete, or things do not come to rest.
    pub async fn run(&self) -> Result<()> {
        let before = self.runs_in_force().await.unwrap_or_default();
        self.fetch_all().await?;
        self.settle_after(&before).await
    }

    /// Waits until a run newer than these is decided, every change is done and nothing moves.
    ///
    /// # Errors
    /// After the limit, with what still moved.
    pub async fn settle_after(&self, before: &BTreeMap<String, u64>) -> Result<()> {
        let mut calm = 0;
        let mut last = None;
        eventually(RUN_LIMIT, "everything at rest", async || {
            tokio::time::sleep(LOOK).await;
            match self.rest(before).await {
                Ok(offsets) if last.as_ref() == Some(&offsets) => calm += 1,
                Ok(offsets) => (calm, last) = (0, Some(offsets)),
                Err(reason) => {
                    calm = 0;
                    return Err(reason);
                }
            }
            ensure!(calm >= LOOKS, "facts were still being published");
            Ok(())
        })
        .await
    }

    /// Waits until nothing moves, whatever run is in force.
    ///
    /// # Errors
    /// After the limit, with what still moved.
    pub async fn settle(&self) -> Result<()> {
        self.settle_after(&BTreeMap::new()).await
    }

    /// The number of the run in force, by integration.
    ///
    /// # Errors
    /// When no reconciler answers.
    pub async fn runs_in_force(&self) -> Result<BTreeMap<String, u64>> {
        let worker = self.reconcilers.first().context("no reconciler serves")?;
        let status = worker.status().await?;
        let number = |id: &String| status["integrations"][id]["run_in_force"].as_u64().unwrap_or(0);
        Ok(self.integrations.iter().map(|id| (id.clone(), number(id))).collect())
    }

    /// The offset of the state stream if all is done: queues empty, every partition decided, every
    /// worker at the same offset and nothing in flight.
    async fn rest(&self, before: &BTreeMap<String, u64>) -> Result<BTreeMap<String, u64>> {
        for id in &self.integrations {
            self.ensure_empty(id).await?;
        }
        let mut offsets: BTreeMap<String, u64> = BTreeMap::new();
        for worker in self.reconcilers.iter().chain(&self.writers) {
            let status = worker.status().await?;
            for id in &self.integrations {
                let own = &status["integrations"][id];
                let offset = own["state_offset"].as_u64().unwrap_or(0);
                let same = *offsets.entry(id.clone()).or_insert(offset);
                ensure!(same == offset, "a {} of {id} is at {offset}, not at {same}", worker.role().name());
                if worker.role() == Role::Reconciler {
                    let run = own["run_in_force"].as_u64().unwrap_or(0);
                    ensure!(
                        run > before.get(id).copied().unwrap_or(0),
                        "run {run} of {id} is still in force"
                    );
                    let decided = own["partitions_decided"].as_u64();
                    ensure!(
                        decided == Some(u64::from(self.partitions)),
                        "{decided:?} partitions of {id} are decided"
                    );
                    let published = own["run_allowed"] == true && own["kept_back"] == 0;
                    ensure!(
                        published || own["run_held"] == true,
                        "changes of run {run} of {id} are kept back"
                    );
                }
            }
            let in_flight = worker.in_flight().await?;
            ensure!(in_flight == 0.0, "the {} has {in_flight} in flight", worker.role().name());
        }
        Ok(offsets)
    }

    /// Whether nothing waits, and somebody serves every partition: whoever takes one over may find something left to do.
    async fn ensure_empty(&self, id: &str) -> Result<()> {
        let serving = [!self.reconcilers.is_empty(), !self.writers.is_empty()];
        for (stage, is_served) in ["reconcile", "apply"].into_iter().zip(serving) {
            for partition in 0..self.partitions {
                let queue = self.queue(id, stage, partition);
                let found = self.inspect(&queue).await?;
                let waiting = found.message_count();
                ensure!(waiting == 0, "{waiting} messages wait in {queue}");
                ensure!(found.consumer_count() > 0 || !is_served, "nobody serves {queue}");
            }
        }
        Ok(())
    }

    fn queue(&self, id: &str, stage: &str, partition: u16) -> String {
        format!("{}.{id}.{stage}.{partition:02}", self.broker.prefix())
    }

    /// Messages that wait in the queues of a stage.
    ///
    /// # Errors
    /// When the queues are not there.
    pub async fn waiting(&self, id: &str, stage: &str) -> Result<u32> {
        let mut waiting = 0;
        for partition in 0..self.partitions {
            waiting += self.messages_in(&self.queue(id, stage, partition)).await?;
        }
        Ok(waiting)
    }

    /// Dead letters of all integrations.
    ///
    /// # Errors
    /// When the queue is not there.
    pub async fn dead_letters(&self) -> Result<u32> {
        self.messages_in(&format!("{}.dead", self.broker.prefix())).await
    }

    async fn messages_in(&self, queue: &str) -> Result<u32> {
        Ok(self.inspect(queue).await?.message_count())
    }

    async fn inspect(&self, queue: &str) -> Result<lapin::Queue> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        found.with_context(|| format!("no queue {queue}"))
    }

    /// The broker's address and the first part of the names of this pipeline's queues.
    #[must_use]
    pub fn broker(&self) -> &SharedBroker {
        &self.broker
    }

    /// What every worker that still serves has logged.
    #[must_use]
    pub fn logs(&self) -> String {
        self.reconcilers.iter().chain(&self.writers).map(Worker::log).collect::<Vec<_>>().join("\n")
    }
}
