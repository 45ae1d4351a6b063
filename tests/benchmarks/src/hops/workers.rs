//! The hop of the real reconciler and of the real writer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use amfj_sync_benchmarks::figures::rate;
use amfj_sync_benchmarks::synthetic::{self, Place};
use amfj_sync_shared::amfj::client::AmfjClient;
use amfj_sync_shared::http::StatusCode;
use amfj_sync_shared::worker::Shutdown;
use amfj_sync_tests::harness::{Launch, Role, Scratch};
use amfj_sync_writer::worker::serve_with;
use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::PARTITIONS;
use super::feeding::Feeder;
use super::watching::Watcher;

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

/// The real binary, between a queue of snapshots and a queue of changes.
pub(super) async fn reconciler(url: &str, messages: usize) -> Result<Decided> {
    let (scratch, prefix) = (Scratch::new()?, prefix());
    let place = Place { url, prefix: &prefix, partitions: PARTITIONS };
    let path = scratch.path().join("amfj-sync.toml");
    std::fs::write(&path, synthetic::settings(place, scratch.path()))?;
    let feeder = Feeder::start(place).await?;
    feeder.say(vec![synthetic::run_started(1, true)]).await?;
    feeder.say(synthetic::inventory(1, messages, false)?).await?;
    feeder.snapshots(1, messages).await?;
    let mut launch = Launch::new(Role::Reconciler, &path);
    for (name, value) in synthetic::environment() {
        launch = launch.env(name, value);
    }
    // It waits for the inventory of the run with its hands full.
    let mut worker = launch.arg("run").spawn()?;
    worker.wait_ready().await?;
    let stream = format!("{prefix}.{}.state", synthetic::ID);
    let mut watcher = Watcher::start(url, &stream).await?;
    feeder.say(vec![synthetic::inventory_complete(1)]).await?;
    let seen = watcher.count("decided", "partition_decided", usize::from(PARTITIONS)).await?;
    ensure!(seen.count() >= messages, "{} decisions about {messages} devices", seen.count());
    let changing = rate(seen.count(), seen.took());

    feeder.say(vec![synthetic::run_started(2, true)]).await?;
    feeder.snapshots(2, messages).await?;
    feeder.say(vec![synthetic::inventory_complete(2)]).await?;
    let begin = Instant::now();
    let seen = watcher.count("decided", "partition_decided", usize::from(PARTITIONS)).await?;
    let idle = rate(messages, begin.elapsed());
    ensure!(seen.count() == 0, "an idle run decided {} devices anew", seen.count());
    feeder.stop().await;
    worker.terminate().await?;
    Ok(Decided { changing, idle })
}

/// The real writer in this process, with an AMFJ that answers at once.
pub(super) async fn writer(url: &str, messages: usize) -> Result<f64> {
    let (scratch, prefix) = (Scratch::new()?, prefix());
    let place = Place { url, prefix: &prefix, partitions: PARTITIONS };
    let feeder = Feeder::start(place).await?;
    feeder.say(vec![synthetic::run_started(1, true), synthetic::inventory_complete(1)]).await?;
    feeder.changes(messages).await?;
    feeder.stop().await;
    let stream = format!("{prefix}.{}.state", synthetic::ID);
    let mut watcher = Watcher::start(url, &stream).await?;
    let config = synthetic::config(place, scratch.path())?;
    let shutdown = Shutdown::default();
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            serve_with(config, shutdown, &|amfj, limiter| {
                let created = AtomicUsize::new(0);
                AmfjClient::in_process(amfj, limiter, Box::new(move |_, _, body| create(&created, body)))
            })
            .await
        }
    });
    let seen = watcher.count("intended", "ended", messages).await?;
    shutdown.soft.cancel();
    serving.await.context("the writer panicked")?.map_err(|error| anyhow!("{error}"))?;
    Ok(rate(seen.count(), seen.took()))
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
