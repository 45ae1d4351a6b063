//! The whole pipeline as it is shipped, between simulated services, for a measurement.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use amfj_sync_tests::harness::{
    ConfigBuilder, IntegrationBuilder, Launch, PrivateBroker, Role, Scratch, Worker, WrittenConfig,
};
use anyhow::{Context as _, Result, bail, ensure};

/// Between two looks at the workers.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// No run of a measurement takes longer.
const LIMIT: Duration = Duration::from_mins(20);

/// For the first worker to be ready, which declares all queues: the broker makes some twenty a second.
const READY: Duration = Duration::from_mins(10);

/// Partitions of each integration.
pub(crate) const PARTITIONS: u16 = 4;

/// Workers that serve, and what a run needs.
pub(crate) struct Stage {
    pub(crate) reconcilers: Vec<Worker>,
    pub(crate) writers: Vec<Worker>,
    config: WrittenConfig,
    integrations: Vec<String>,
    _scratch: Scratch,
    // Last: the workers end before their broker does.
    broker: PrivateBroker,
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    /// Until every decision is made and every change is done.
    pub(crate) all: Duration,
    /// Until the fetcher had handed everything over.
    pub(crate) fetching: Duration,
    /// The most memory that the fetcher had, in bytes.
    pub(crate) fetcher_peak: u64,
}

impl Stage {
    /// One broker and so many workers for these integrations.
    pub(crate) async fn set(
        integrations: Vec<(&str, IntegrationBuilder)>,
        reconcilers: usize,
        writers: usize,
    ) -> Result<Self> {
        let broker = PrivateBroker::start().await?;
        let scratch = Scratch::new()?;
        let base = ConfigBuilder::new(&broker.url(), "bench")
            .set("broker.partitions", i64::from(PARTITIONS))
            .set("timing.ownership_interval", "200ms");
        let ids = integrations.iter().map(|(id, _)| (*id).to_owned()).collect();
        let config = integrations.into_iter().fold(base, |config, (_, one)| config.integration(one));
        let config = config.write(&scratch)?;
        let mut stage = Self {
            reconcilers: Vec::new(),
            writers: Vec::new(),
            config,
            integrations: ids,
            _scratch: scratch,
            broker,
        };
        for _ in 0..reconcilers {
            stage.reconcilers.push(stage.spawn(Role::Reconciler)?);
        }
        for _ in 0..writers {
            stage.writers.push(stage.spawn(Role::Writer)?);
        }
        for worker in stage.reconcilers.iter_mut().chain(&mut stage.writers) {
            worker.wait_ready_within(READY).await?;
        }
        Ok(stage)
    }

    /// One more worker, which may not be ready yet.
    pub(crate) fn spawn(&self, role: Role) -> Result<Worker> {
        self.call(role).arg("run").spawn()
    }

    /// A call of a worker.
    pub(crate) fn call(&self, role: Role) -> Launch {
        Launch::with(role, &self.config)
    }

    /// A call of `amfj-sync` with these arguments.
    pub(crate) fn command<I>(&self, arguments: I) -> Launch
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        Launch::command(&self.config, arguments)
    }

    /// The same when all workers have ended in good order.
    pub(crate) async fn without_workers(mut self) -> Result<Self> {
        for worker in self.reconcilers.drain(..).chain(self.writers.drain(..)) {
            worker.terminate().await?;
        }
        Ok(self)
    }

    /// Queues and streams at the broker, but for those that live with a connection.
    pub(crate) async fn count_queues(&self) -> Result<usize> {
        let shown = self.broker.ctl(&["--silent", "list_queues", "type"]).await?;
        Ok(shown.lines().filter(|kind| *kind == "quorum" || *kind == "stream").count())
    }

    /// `fetcher run --once`, and everything that follows from it.
    pub(crate) async fn run(&self) -> Result<Took> {
        let before = self.runs_in_force().await?;
        let begin = Instant::now();
        let mut fetcher = self.call(Role::Fetcher).args(["run", "--once"]).spawn()?;
        let mut fetcher_peak = 0;
        let status = loop {
            if let Some(status) = fetcher.exited()? {
                break status;
            }
            fetcher_peak = fetcher.peak_rss_bytes().unwrap_or(fetcher_peak).max(fetcher_peak);
            ensure!(begin.elapsed() < LIMIT, "the fetcher took longer than {LIMIT:?}");
            tokio::time::sleep(LOOK_EVERY / 5).await;
        };
        ensure!(status.success(), "the run ended with {status}:\n{}", fetcher.log_tail());
        let fetching = begin.elapsed();
        self.rest(&before, begin).await?;
        Ok(Took { all: begin.elapsed(), fetching, fetcher_peak })
    }

    async fn runs_in_force(&self) -> Result<BTreeMap<String, u64>> {
        let status = self.reconcilers.first().context("a reconciler")?.status().await?;
        let number = |id: &String| status["integrations"][id]["run_in_force"].as_u64().unwrap_or(0);
        Ok(self.integrations.iter().map(|id| (id.clone(), number(id))).collect())
    }

    /// Until every worker has read the same, nothing is under way, and no device waits for anything.
    async fn rest(&self, before: &BTreeMap<String, u64>, begin: Instant) -> Result<()> {
        loop {
            let reason = match self.unrest(before).await {
                Ok(None) => return Ok(()),
                Ok(Some(reason)) => reason,
                Err(error) => format!("{error:#}"),
            };
            if begin.elapsed() > LIMIT {
                bail!("after {LIMIT:?}: {reason}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn unrest(&self, before: &BTreeMap<String, u64>) -> Result<Option<String>> {
        let mut offsets: BTreeMap<&str, u64> = BTreeMap::new();
        for worker in self.reconcilers.iter().chain(&self.writers) {
            let status = worker.status().await?;
            for id in &self.integrations {
                let own = &status["integrations"][id];
                let offset = own["state_offset"].as_u64().unwrap_or(0);
                if *offsets.entry(id).or_insert(offset) != offset {
                    return Ok(Some(format!("the workers of {id} have not read the same")));
                }
                if worker.role() == Role::Reconciler {
                    let run = own["run_in_force"].as_u64().unwrap_or(0);
                    let decided = own["partitions_decided"].as_u64();
                    let pending = own["devices"]["pending"].as_u64();
                    if run <= before.get(id).copied().unwrap_or(0)
                        || decided != Some(u64::from(PARTITIONS))
                        || pending != Some(0)
                    {
                        return Ok(Some(format!("{id}: {own}")));
                    }
                }
            }
            let in_flight = worker.in_flight().await?;
            if in_flight > 0.0 {
                return Ok(Some(format!("a {} has {in_flight} in flight", worker.role().name())));
            }
        }
        Ok(None)
    }
}
