//! A partition changes hands while a change is under way.

use std::time::Duration;

use amfj_sync_tests::harness::{Proxy, Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Result, ensure};

use super::support::{
    FAILPOINTS, armed_writer, decided, ensure_exactly_once, everything, fetch, join, killed_at, newcomers,
    queued, run_to_the_end, sent, waits_at, writes_by_asset,
};

async fn first_sync_queued(devices: usize, seed: u64) -> Result<(Services, Pipeline)> {
    let services = Services::start(&newcomers(devices, seed)).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 1).await?;
    Ok((services, pipeline))
}

/// Killed when the intent is in the stream, before anything was sent: the next owner looks, finds
/// nothing, and creates.
#[tokio::test]
async fn killed_between_the_intent_and_the_request() -> Result<()> {
    let (services, mut pipeline) = first_sync_queued(4, 81).await?;
    let first = armed_writer(&mut pipeline, "writer.turn=kill").await?;
    killed_at(&mut pipeline, first, "writer.turn").await?;
    ensure!(sent(&services, "POST", "/assets") == 0, "it should have died before its first request");
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}

/// Killed when AMFJ has answered, before the outcome was published: the next owner finds the record and
/// adopts it.
#[tokio::test]
async fn killed_between_the_request_and_the_outcome() -> Result<()> {
    let (services, mut pipeline) = first_sync_queued(4, 82).await?;
    let first = armed_writer(&mut pipeline, "writer.answered=kill").await?;
    killed_at(&mut pipeline, first, "writer.answered").await?;
    let created = services.amfj.assets().len() + services.amfj.users().len();
    ensure!(created > 0, "it should have died after a creation");
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    let adopted = pipeline.writers[0].metrics().await?.sum("amfj_sync_adopted_total", &[]);
    ensure!(adopted > 0.0, "nothing was adopted");
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}

/// Killed when the outcome is in the stream, before the acknowledgement: the change comes again and is
/// recognised; AMFJ hears nothing of it.
#[tokio::test]
async fn killed_between_the_outcome_and_the_acknowledgement() -> Result<()> {
    let (services, mut pipeline) = first_sync_queued(1, 83).await?;
    let first = armed_writer(&mut pipeline, "writer.outcome-read-back=kill").await?;
    killed_at(&mut pipeline, first, "writer.outcome-read-back").await?;
    ensure!(services.amfj.write_count() > 0, "it should have died after a request");
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    let repeats = pipeline.writers[0].metrics().await?.sum("amfj_sync_repeats_total", &[]);
    ensure!(repeats > 0.0, "the change did not come again, or was not recognised");
    for path in ["/assets", "/users"] {
        ensure!(sent(&services, "POST", path) == 1, "{path} was sent again");
    }
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}

/// A second writer starts while the first is between intent and outcome: the first finishes what it has
/// begun before it gives the partition up, and nothing is done twice.
#[tokio::test]
async fn handed_over_in_good_order_between_intent_and_outcome() -> Result<()> {
    let (services, mut pipeline) = first_sync_queued(12, 84).await?;
    let first = armed_writer(&mut pipeline, "writer.turn=wait:2s").await?;
    waits_at(&pipeline.writers[first], "writer.turn").await?;
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    for writer in &pipeline.writers {
        let done = writer.metrics().await?.sum("amfj_sync_changes_total", &[]);
        ensure!(done > 0.0, "a writer did nothing: the partition was not handed over");
    }
    ensure!(sent(&services, "POST", "/assets") == 12, "a creation was sent twice");
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}

/// A writer is frozen between its intent and its request for so long that the broker gives its partition
/// to another, which creates the record. Thawed, the first one must not send its request.
#[tokio::test]
async fn frozen_between_intent_and_request_until_another_has_done_it() -> Result<()> {
    let (services, mut pipeline) = first_sync_queued(1, 85).await?;
    // The proxy stands for the broker that notices the loss: it cuts while the writer is frozen.
    let proxy = Proxy::before(pipeline.broker().url()).await?;
    let url = proxy.url().to_owned();
    let frozen = join(&mut pipeline, Role::Writer, |launch| {
        launch.env("AMFJ_SYNC__BROKER__URL", url).env(FAILPOINTS, "writer.turn=wait:500ms")
    })
    .await?;
    let frozen = pipeline.writers.remove(frozen);
    waits_at(&frozen, "writer.turn").await?;
    frozen.freeze();
    ensure!(sent(&services, "POST", "/assets") == 0, "it was frozen too late");
    ensure!(proxy.cut("writer/") == 2, "both connections go through the proxy");
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    eventually(RUN_LIMIT, "the other writer's creation", async || {
        ensure!(!services.amfj.assets().is_empty());
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    frozen.thaw();
    pipeline.writers.push(frozen);
    tokio::time::sleep(Duration::from_secs(3)).await;
    pipeline.settle().await?;
    ensure!(sent(&services, "POST", "/assets") == 1, "the thawed writer sent its request as well");
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)?;
    ensure!(writes_by_asset(&services).values().all(|writes| writes.len() <= 2));
    Ok(())
}
