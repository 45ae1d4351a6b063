//! A long outage of AMFJ, on purpose: how much is asked meanwhile, how much memory that takes, and
//! whether everything drains afterwards, each change at most once.
//!
//! An hour is simulated by shortening the pause between two probes: as many probes are made as the real
//! pause fits into the hour.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Pipeline, Services, Workers};
use crate::harness::{Role, Worker, eventually};
use crate::sim::faults::{Action, Rule};

/// The product's own pause between two probes.
const REAL_PAUSE: Duration = Duration::from_secs(15);

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// How many devices, each of which has one change in the queue.
    pub devices: usize,
    /// How long AMFJ is away.
    pub lasts: Duration,
    /// How long the pause between two probes is instead.
    pub pause: Duration,
    /// How many devices change in Kandji while AMFJ takes no writes, so that their queued changes are
    /// out of date when it is back.
    pub outdated: usize,
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Report {
    /// Changes in the queue when the outage began.
    pub queued: u32,
    /// Probes that the simulated outage has room for.
    pub probes_at_most: u32,
    /// Requests to AMFJ during the outage.
    pub requests: usize,
    /// Resident memory of the writer in KiB, sampled during the outage.
    pub memory_kib: Vec<u64>,
    /// Until the queue was empty again.
    pub drained_in: Duration,
    /// Successful writes afterwards.
    pub writes: usize,
    /// Dead letters at the end.
    pub dead_letters: u32,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, most) = (self.memory_kib.first(), self.memory_kib.iter().max());
        writeln!(f, "changes behind the outage   {}", self.queued)?;
        writeln!(
            f,
            "requests during the outage  {} (room for {} probes)",
            self.requests, self.probes_at_most
        )?;
        writeln!(f, "memory of the writer        {} KiB at first, {} KiB at most", show(first), show(most))?;
        writeln!(f, "drained in                  {:.1} s", self.drained_in.as_secs_f64())?;
        writeln!(f, "successful writes           {}", self.writes)?;
        write!(f, "dead letters                {}", self.dead_letters)
    }
}

fn show(number: Option<&u64>) -> String {
    number.map_or_else(|| "?".to_owned(), ToString::to_string)
}

impl Outage {
    fn shortened(&self) -> Duration {
        let pauses = self.lasts.as_secs_f64() / REAL_PAUSE.as_secs_f64();
        self.pause.mul_f64(pauses)
    }

    /// Goes through it and says what was seen.
    ///
    /// # Errors
    /// If anything was lost, done twice, done although out of date, or declared dead; or if the requests
    /// or the memory grew with the length of the outage.
    pub async fn endure(&self) -> Result<Report> {
        let services = Services::plain(self.devices, 161).await?;
        set_all(&services, "as queued", usize::MAX)?;
        let integration = services.integration("acme").field("Notes", "asset_tag");
        let pause = format!("{}ms", self.pause.as_millis());
        let mut pipeline = Pipeline::idle(vec![("acme", integration)], |config| {
            config.set("timing.probe_interval", pause).set("retry.give_up_after", "5s")
        })
        .await?;
        pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
        let queued = self.queue(&pipeline).await?;
        services.amfj.clear_requests();
        let mut memory_kib = Vec::new();
        // First nothing is answered well, then reads are and writes are not.
        let everything = Rule::new(Action::Status { code: 503, body: None }).on("*", "*");
        let rule = services.amfj.fault(everything);
        pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
        is_open(&pipeline.writers[0]).await?;
        last(&pipeline.writers[0], self.shortened() / 2, &mut memory_kib).await?;
        for method in ["POST", "PATCH"] {
            services.amfj.fault(Rule::new(Action::Status { code: 503, body: None }).on(method, "*"));
        }
        services.amfj.faults().remove(rule);
        let before = services.amfj.request_count();
        if self.outdated > 0 {
            set_all(&services, "as it was changed meanwhile", self.outdated)?;
            self.queue(&pipeline).await?;
        }
        let of_the_run = services.amfj.requests().iter().skip(before).filter(|r| r.method == "GET").count();
        last(&pipeline.writers[0], self.shortened() / 2, &mut memory_kib).await?;
        let requests = services.amfj.request_count() - of_the_run;
        let waiting = f64::from(pipeline.waiting("acme", "apply").await?);
        let inflight = pipeline.writers[0].in_flight().await?;
        ensure!(waiting + inflight > 0.0, "the changes are not where they can be seen");
        ensure!(pipeline.dead_letters().await? == 0, "an outage is no reason for a dead letter");
        services.amfj.faults().clear();
        let began = Instant::now();
        drained(&pipeline).await?;
        pipeline.settle().await?;
        let report = Report {
            queued,
            probes_at_most: probes(self.shortened(), self.pause),
            requests,
            memory_kib,
            drained_in: began.elapsed(),
            writes: services.amfj.write_count(),
            dead_letters: pipeline.dead_letters().await?,
        };
        self.judge(&services, &report)?;
        Ok(report)
    }

    /// A run, until everything of it is decided; answers how many changes wait.
    async fn queue(&self, pipeline: &Pipeline) -> Result<u32> {
        let before = pipeline.runs_in_force().await?;
        let limit = Duration::from_mins(20);
        let done = pipeline.call(Role::Fetcher).args(["run", "--once"]).finish(limit).await?;
        ensure!(done.status.success(), "{}", done.stderr);
        eventually(limit, "everything decided", async || {
            let status = pipeline.reconcilers[0].status().await?;
            let own = &status["integrations"]["acme"];
            let run = own["run_in_force"].as_u64();
            ensure!(run > before.get("acme").copied() && own["partitions_decided"] == 2, "{own}");
            ensure!(pipeline.waiting("acme", "reconcile").await? == 0, "snapshots wait");
            Ok(())
        })
        .await?;
        pipeline.waiting("acme", "apply").await
    }

    fn judge(&self, services: &Services, report: &Report) -> Result<()> {
        ensure!(report.queued as usize >= self.devices, "only {} changes were queued", report.queued);
        // What was in flight before the circuit knew; then a probe a pause, and in the second half a
        // change after a good probe.
        let most = 100 + 2 * report.probes_at_most as usize;
        ensure!(report.requests <= most, "{} requests, {most} are enough", report.requests);
        let (first, last) = (report.memory_kib.first(), report.memory_kib.last());
        let (first, last) = (first.context("no sample of the memory")?, last.context("no sample")?);
        ensure!(*last <= first + 20_000, "the memory grew from {first} to {last} KiB");
        ensure!(report.dead_letters == 0, "{} dead letters", report.dead_letters);
        let mut by_asset: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for write in services.amfj.writes() {
            let notes = write.body["fields"]["Notes"].clone();
            by_asset
                .entry(write.result["id"].as_str().unwrap_or_default().to_owned())
                .or_default()
                .push(notes);
        }
        for (asset, notes) in &by_asset {
            ensure!(notes.len() == 1, "asset {asset} was written {} times: {notes:?}", notes.len());
        }
        for device in services.kandji.devices() {
            let asset = services.amfj.assets_named(&device.device_name).pop().context("its asset")?;
            let notes = asset.fields.get("Notes").cloned().unwrap_or_default();
            ensure!(notes == json!(device.asset_tag), "{} has {notes}", asset.name);
        }
        Ok(())
    }
}

/// Waits as long as there are fewer and fewer: ten thousand changes take a while.
async fn drained(pipeline: &Pipeline) -> Result<()> {
    let mut left = pipeline.waiting("acme", "apply").await?;
    while left > 0 {
        left = eventually(super::RUN_LIMIT, "fewer changes", async || {
            let waiting = pipeline.waiting("acme", "apply").await?;
            ensure!(waiting < left, "{waiting} changes wait");
            Ok(waiting)
        })
        .await?;
    }
    Ok(())
}

fn probes(lasts: Duration, pause: Duration) -> u32 {
    u32::try_from(lasts.as_millis() / pause.as_millis().max(1)).unwrap_or(u32::MAX)
}

fn set_all(services: &Services, value: &str, most: usize) -> Result<()> {
    for device in services.kandji.devices().iter().take(most) {
        services.kandji.set(&device.device_id, "asset_tag", json!(value))?;
    }
    Ok(())
}

async fn is_open(writer: &Worker) -> Result<()> {
    eventually(super::RUN_LIMIT, "an open circuit", async || {
        let open = writer.metrics().await?.sum("amfj_sync_circuit_open", &[("integration", "acme")]);
        ensure!(open > 0.0, "the circuit is closed");
        Ok(())
    })
    .await
}

/// Lets it last, and looks at the memory now and then.
async fn last(writer: &Worker, lasts: Duration, memory_kib: &mut Vec<u64>) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < lasts {
        memory_kib.push(resident_kib(writer.id())?);
        tokio::time::sleep(Duration::from_millis(500).min(lasts)).await;
    }
    Ok(())
}

fn resident_kib(process: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
