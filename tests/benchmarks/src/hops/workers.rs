//! The hop of the real reconciler and of the real writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_benchmarks::figures::rate;
use amfj_sync_benchmarks::synthetic::{self, Place};
use amfj_sync_http::StatusCode;
use amfj_sync_service::worker::Shutdown;
use amfj_sync_tests::harness::{Launch, Role, Scratch, Worker};
use amfj_sync_writer::worker::serve_with;
use anyhow::{Context as _, Result, anyhow, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::PARTITIONS;
use super::feeding::Feeder;
use super::watching::{LIMIT, Watcher};

/// Messages a second.
pub(super) struct Decided {
    /// Every snapshot asks for a change.
    pub(super) changing: f64,
    /// Nothing is new.
    pub(super) idle: f64,
}

fn prefix() -> String {
    format!("bench-{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

/// The real binary, between a queue of snapshots and a queue of changes. It is fed before it is measured,
/// so that nothing but the broker shares the machine with it.
pub(super) async fn reconciler(url: &str, messages: usize) -> Result<Decided> {
    let (scratch, prefix) = (Scratch::new()?, prefix());
    let place = Place { url, prefix: &prefix, partitions: PARTITIONS };
    let path = scratch.path().join("amfj-sync.toml");
    std::fs::write(&path, synthetic::settings(place, scratch.path()))?;
    let feeder = Feeder::start(place).await?;
    feeder.say(vec![synthetic::run_started(1, true)]).await?;
    feeder.say(synthetic::inventory(1, messages, false)?).await?;
    feeder.say(vec![synthetic::inventory_complete(1)]).await?;
    feeder.snapshots(1, messages).await?;
    feeder.stop().await;
    let watcher = Watcher::start(url, format!("{prefix}.{}", synthetic::ID)).await?;
    let mut launch = Launch::new(Role::Reconciler, &path);
    for (name, value) in synthetic::environment() {
        launch = launch.env(name, value);
    }
    let mut worker = launch.arg("run").spawn()?;
    worker.wait_ready_within(LIMIT).await?;
    let begin = watcher.wait_until_taken("reconcile", messages + usize::from(PARTITIONS)).await?;
    wait_until_decided(&worker, 1).await?;

    // It stands still while the next run is put before it.
    worker.freeze();
    let feeder = Feeder::start(place).await?;
    feeder.say(vec![synthetic::run_started(2, true)]).await?;
    feeder.say(vec![synthetic::inventory_complete(2)]).await?;
    feeder.snapshots(2, messages).await?;
    feeder.stop().await;
    let idle_begin = Timestamp::now();
    worker.thaw();
    wait_until_decided(&worker, 2).await?;
    let facts = watcher.facts("partition_decided", usize::from(PARTITIONS) * 2).await?;
    worker.terminate().await?;

    let decisions = facts.iter().filter(|fact| fact.kind == "decided").count();
    ensure!(decisions == messages, "{decisions} decisions about {messages} devices in two runs");
    let rate = |run: u64, begin: Timestamp| {
        let ends = facts.iter().filter(|fact| fact.kind == "partition_decided" && fact.run == run);
        let end = ends.map(|fact| fact.at).max().context("no partition was decided")?;
        Ok::<_, anyhow::Error>(rate(messages, Duration::try_from(end.duration_since(begin))?))
    };
    Ok(Decided { changing: rate(1, begin)?, idle: rate(2, idle_begin)? })
}

async fn wait_until_decided(worker: &Worker, run: u64) -> Result<()> {
    let begin = Instant::now();
    loop {
        let status = worker.status().await?;
        let own = &status["integrations"][synthetic::ID];
        if own["run_in_force"] == run && own["partitions_decided"] == PARTITIONS {
            return Ok(());
        }
        ensure!(begin.elapsed() < LIMIT, "run {run} was not decided in {LIMIT:?}: {own}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The real writer in this process, with an AMFJ that answers at once.
pub(super) async fn writer(url: &str, messages: usize) -> Result<f64> {
    let (scratch, prefix) = (Scratch::new()?, prefix());
    let place = Place { url, prefix: &prefix, partitions: PARTITIONS };
    let feeder = Feeder::start(place).await?;
    feeder.say(vec![synthetic::run_started(1, true), synthetic::inventory_complete(1)]).await?;
    feeder.changes(messages).await?;
    feeder.stop().await;
    let watcher = Watcher::start(url, format!("{prefix}.{}", synthetic::ID)).await?;
    let config = synthetic::config(place, scratch.path())?;
    let (shutdown, created) = (Shutdown::default(), Arc::new(AtomicUsize::new(0)));
    let serving = tokio::spawn({
        let (shutdown, created) = (shutdown.clone(), created.clone());
        async move {
            serve_with(config, shutdown, &move |amfj, limiter| {
                let created = created.clone();
                AmfjClient::in_process(amfj, limiter, Box::new(move |_, _, body| create(&created, body)))
            })
            .await
        }
    });
    let begin = watcher.wait_until_taken("apply", messages).await?;
    let since = Instant::now();
    while created.load(Ordering::Relaxed) < messages {
        ensure!(
            since.elapsed() < LIMIT,
            "only {} of {messages} were created",
            created.load(Ordering::Relaxed)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The last outcomes are still on their way.
    let facts = watcher.facts("ended", messages).await?;
    shutdown.soft.cancel();
    serving.await.context("the writer panicked")?.map_err(|error| anyhow!("{error}"))?;
    let intents = facts.iter().filter(|fact| fact.kind == "intended").count();
    ensure!(intents == messages, "{intents} intents for {messages} changes");
    let ends = facts.iter().filter(|fact| fact.kind == "ended");
    let end = ends.map(|fact| fact.at).max().context("no change was answered")?;
    Ok(rate(messages, Duration::try_from(end.duration_since(begin))?))
}

/// What AMFJ answers to a `POST` of an asset.
fn create(created: &AtomicUsize, body: &[u8]) -> (StatusCode, Vec<u8>) {
    let number = created.fetch_add(1, Ordering::Relaxed);
    let sent: Value = serde_json::from_slice(body).unwrap_or_default();
    let asset = json!({
        "id": format!("asset-{number:08}"),
        "name": sent["name"],
        "asset_type": { "id": "T1", "name": "Laptop" },
        "fields": sent["fields"],
    });
    (StatusCode::CREATED, serde_json::to_vec(&asset).unwrap_or_default())
}
