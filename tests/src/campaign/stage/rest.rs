//! Complete runs, and waiting until nothing moves.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lapin::Channel;
use serde_json::Value;

use super::{INTEGRATION, Letter, PARTITIONS, PREFIX, Stage};
use crate::harness::Role;

/// How long a run and all that follows may take on a machine that is busy.
const LIMIT: Duration = Duration::from_mins(2);
/// Looks in a row that must find everything at rest.
const LOOKS: u32 = 3;
const LOOK: Duration = Duration::from_millis(80);

/// The runs that anybody knew of, by their numbers; none where nobody did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known(Option<(u64, u64)>);

impl Known {
    fn and(self, number: u64) -> Self {
        let (oldest, newest) = self.0.unwrap_or((number, number));
        Self(Some((oldest.min(number), newest.max(number))))
    }

    /// Numbers grow with time. Only where the stream of facts began anew, and a clock had been ahead before, is a later
    /// one smaller than all others.
    fn is_followed_by(self, number: u64) -> bool {
        number > 0 && self.0.is_none_or(|(oldest, newest)| number > newest || number < oldest)
    }
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some((oldest, newest)) => write!(f, "runs {oldest} to {newest}"),
            None => f.write_str("none"),
        }
    }
}

impl Stage {
    /// A channel to the broker.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn channel(&mut self) -> Result<Channel> {
        self.probe.channel().await
    }

    /// The runs that anybody knows of now.
    pub async fn known_runs(&self) -> Known {
        let mut known = Known::default();
        for worker in self.workers.all() {
            let Ok(status) = worker.status().await else { continue };
            let own = &status["integrations"][INTEGRATION];
            let numbers = [&own["last_run"]["number"], &own["run_in_force"]];
            let numbers = numbers.iter().filter_map(|number| number.as_u64()).filter(|number| *number > 0);
            known = numbers.fold(known, Known::and);
        }
        known
    }

    /// The largest offset that anybody has read.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn last_offset(&self) -> Result<u64> {
        let mut last = None;
        for worker in self.workers.all() {
            let Ok(status) = worker.status().await else { continue };
            last = status["integrations"][INTEGRATION]["state_offset"].as_u64().max(last);
        }
        last.context("nobody answers")
    }

    /// Which of the fetchers leads.
    pub async fn leader(&self) -> Option<usize> {
        for (at, fetcher) in self.workers.of(Role::Fetcher).enumerate() {
            let Ok(status) = fetcher.status().await else { continue };
            if status["integrations"][INTEGRATION]["leader"] == Value::Bool(true) {
                return Some(at);
            }
        }
        None
    }

    /// A run that starts now and is in the queues, whoever takes it from there.
    ///
    /// # Errors
    /// When that takes longer than it may.
    pub async fn publish_a_run(&mut self) -> Result<()> {
        let before = self.known_runs().await;
        self.ask_until_heard().await?;
        let begin = Instant::now();
        loop {
            for fetcher in self.workers.of(Role::Fetcher) {
                let Ok(status) = fetcher.status().await else { continue };
                let last = &status["integrations"][INTEGRATION]["last_run"];
                if before.is_followed_by(last["number"].as_u64().unwrap_or(0))
                    && last["result"] == "published"
                {
                    return Ok(());
                }
            }
            ensure!(begin.elapsed() < LIMIT, "no run was published within {LIMIT:?}");
            self.pass(LOOK).await;
        }
    }

    /// Everybody serves again.
    ///
    /// # Errors
    /// When a worker does not get ready.
    pub async fn heal(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            match self.workers.all_ready().await {
                Ok(()) => return Ok(()),
                // One may have died on the way, and is started again.
                Err(error) if begin.elapsed() > LIMIT => {
                    return Err(error).context("the workers do not get ready");
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// A run that starts now, complete, and everything that follows from it.
    ///
    /// # Errors
    /// After the limit, with what still moved.
    pub async fn complete_run(&mut self) -> Result<()> {
        let before = self.known_runs().await;
        self.ask_until_heard().await?;
        self.settle_after(before).await?;
        self.tally.runs += 1;
        Ok(())
    }

    /// Waits until a run newer than this is decided, every change is done and nothing moves.
    ///
    /// # Errors
    /// After the limit, with what still moved.
    pub async fn settle_after(&mut self, run: Known) -> Result<()> {
        let begin = Instant::now();
        let mut calm = 0;
        let mut last = None;
        loop {
            tokio::time::sleep(LOOK).await;
            self.workers.revive()?;
            let reason = match tokio::time::timeout(Duration::from_secs(30), self.rest(run)).await {
                Ok(Ok(offset)) if last == Some(offset) => {
                    calm += 1;
                    if calm >= LOOKS {
                        return Ok(());
                    }
                    continue;
                }
                Ok(Ok(offset)) => {
                    (calm, last) = (0, Some(offset));
                    continue;
                }
                Ok(Err(reason)) => reason,
                Err(_) => anyhow::anyhow!("the look at it never came to an end"),
            };
            calm = 0;
            if begin.elapsed() > LIMIT {
                bail!("waited {LIMIT:?} for everything at rest after run {run}: {reason:#}");
            }
        }
    }

    /// The offset of the state stream if all is done: queues empty, every partition decided, every worker
    /// at the same offset and nothing in flight.
    async fn rest(&mut self, run: Known) -> Result<u64> {
        self.workers.note_all().await;
        for stage in ["reconcile", "apply"] {
            for partition in 0..PARTITIONS {
                let waiting = self.probe.waiting(&work_queue(stage, partition)).await?;
                ensure!(waiting == 0, "{waiting} messages wait in partition {partition} of {stage}");
            }
        }
        for role in Role::ALL {
            let waiting = self.probe.waiting(&workers_queue(role)).await?;
            ensure!(waiting == 0, "{waiting} messages wait where every {} is counted", role.name());
        }
        let mut common = None;
        for worker in self.workers.all() {
            let name = worker.role().name();
            let status = worker.status().await?;
            let own = &status["integrations"][INTEGRATION];
            let offset = own["state_offset"].as_u64().unwrap_or(0);
            let same = *common.get_or_insert(offset);
            ensure!(same == offset, "a {name} is at offset {offset}, not at {same}");
            match worker.role() {
                Role::Fetcher => ensure!(own["running"] != Value::Bool(true), "a run is under way"),
                Role::Reconciler => decided(own, run)?,
                Role::Writer | Role::Operator => {}
            }
            let in_flight = worker.in_flight().await?;
            ensure!(in_flight == 0.0, "a {name} has {in_flight} in flight");
        }
        common.context("nobody serves")
    }

    /// Takes out and returns what is among the dead letters.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub(in crate::campaign) async fn take_dead_letters(&mut self) -> Result<Vec<Letter>> {
        self.probe.take_all(&format!("{PREFIX}.dead")).await
    }
}

/// The name of a work queue.
pub(in crate::campaign) fn work_queue(stage: &str, partition: u16) -> String {
    format!("{PREFIX}.{INTEGRATION}.{stage}.{partition:02}")
}

/// The name of the queue by whose consumers the workers of a role are counted.
pub(in crate::campaign) fn workers_queue(role: Role) -> String {
    format!("{PREFIX}.workers.{}", role.name())
}

fn decided(own: &Value, known: Known) -> Result<()> {
    let in_force = own["run_in_force"].as_u64().unwrap_or(0);
    ensure!(known.is_followed_by(in_force), "run {in_force} is still in force, not one after {known}");
    let decided = own["partitions_decided"].as_u64();
    ensure!(decided == Some(u64::from(PARTITIONS)), "{decided:?} partitions are decided");
    Ok(())
}
