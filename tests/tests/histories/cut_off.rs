//! A worker that is cut off from the broker, in part or whole.

use std::time::Duration;

use amfj_sync_tests::harness::{Proxy, Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};

use super::support::{
    decided, ensure_exactly_once, everything, fetch, join, newcomers, queued, run_to_the_end, sent,
};

/// Only the consuming connection breaks while requests are in flight: the partition goes to another
/// writer, which gets the same changes, while the first may still publish. Nothing is created twice.
#[tokio::test]
async fn a_writer_loses_only_its_consuming_connection_while_requests_are_in_flight() -> Result<()> {
    cut_while_creating("consuming", 91).await
}

/// Only the publishing connection breaks: the answer of AMFJ is known to nobody until it is made anew.
#[tokio::test]
async fn a_writer_loses_only_its_publishing_connection_while_requests_are_in_flight() -> Result<()> {
    cut_while_creating("publishing", 92).await
}

async fn cut_while_creating(connection: &str, seed: u64) -> Result<()> {
    let services = Services::start(&newcomers(8, seed)).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 8).await?;
    // Slower than anything that the workers do in the meantime, faster than the time-out of a request.
    services.amfj.fault(Rule::new(Action::Delay { ms: 1200 }).on("POST", "/assets"));
    let proxy = Proxy::before(pipeline.broker().url()).await?;
    let url = proxy.url().to_owned();
    join(&mut pipeline, Role::Writer, |launch| launch.env("AMFJ_SYNC__BROKER__URL", url)).await?;
    eventually(RUN_LIMIT, "requests in flight", async || {
        let reads = pipeline.writers[0].in_flight().await?;
        ensure!(reads > 0.0, "nothing in flight");
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    proxy.refuse(true);
    ensure!(proxy.cut(connection) == 1, "one {connection} connection goes through the proxy");
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.refuse(false);
    pipeline.settle().await?;
    services.amfj.faults().clear();
    ensure!(sent(&services, "POST", "/assets") == 8, "{} creations", sent(&services, "POST", "/assets"));
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}

/// Every byte of both connections is held back, as when a cable is pulled, and comes through later.
/// What the writer publishes then is too late to matter.
#[tokio::test]
async fn a_writer_whose_cable_is_pulled_comes_back_late() -> Result<()> {
    let services = Services::start(&newcomers(8, 93)).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 8).await?;
    services.amfj.fault(Rule::new(Action::Delay { ms: 700 }).on("POST", "/assets"));
    let proxy = Proxy::before(pipeline.broker().url()).await?;
    // Nobody waits a minute for a heartbeat in a test.
    let url = format!("{}?heartbeat=2", proxy.url());
    let first = join(&mut pipeline, Role::Writer, |launch| launch.env("AMFJ_SYNC__BROKER__URL", url)).await?;
    let first = pipeline.writers.remove(first);
    eventually(RUN_LIMIT, "a request", async || {
        ensure!(first.in_flight().await? > 0.0);
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    ensure!(proxy.silence("writer/") == 2);
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    // The broker notices after two missed heartbeats; then the other writer takes over.
    eventually(RUN_LIMIT, "everything created by the other", async || {
        ensure!(services.amfj.assets().len() == 8, "{} of 8", services.amfj.assets().len());
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    proxy.speak();
    pipeline.writers.push(first);
    pipeline.settle().await?;
    services.amfj.faults().clear();
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}
