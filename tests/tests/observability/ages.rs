//! The age of the oldest message is true while nobody takes messages, which is when it matters.

use amfj_sync_tests::harness::Role;
use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};

use crate::serving::{serving_fetcher, shows};

const AGE: &str = "amfj_sync_oldest_message_age_seconds";

fn creating(services: &Services) -> amfj_sync_tests::harness::IntegrationBuilder {
    let settings = Settings { create_devices: CreateDevices::Always, ..Settings::default() };
    settings.field("Model", "model").configure(services.integration("acme"))
}

/// The circuit is open: no writer consumes, and the age grows all the same, on every worker.
#[tokio::test]
async fn changes_age_while_the_circuit_is_open_and_nobody_writes() -> Result<()> {
    let services = Services::plain(8, 42).await?;
    let refuse = Action::Status { code: 401, body: None };
    for method in ["POST", "PATCH"] {
        services.amfj.fault(Rule::new(refuse.clone()).on(method, "/*"));
    }
    let mut pipeline = Pipeline::start(vec![("acme", creating(&services))]).await?;
    ensure!(pipeline.fetch(&[]).await?.status.success());
    // Nor does the probe of the circuit get through.
    services.amfj.fault(Rule::new(refuse).on("GET", "/*"));
    let apply = [("integration", "acme"), ("stage", "apply")];
    let (reconciler, writer) = (&pipeline.reconcilers[0], &pipeline.writers[0]);
    shows(writer, "amfj_sync_circuit_open", &[("api", "amfj")], |open| open == 1.0).await?;
    let first = shows(writer, AGE, &apply, |age| age > 0.0).await?;
    shows(writer, AGE, &apply, |age| age > first + 4.0).await?;
    shows(reconciler, AGE, &apply, |age| age > first).await?;

    // Nor does it matter whether a writer runs.
    for writer in pipeline.writers.drain(..) {
        writer.terminate().await?;
    }
    let reconciler = &pipeline.reconcilers[0];
    shows(reconciler, "amfj_sync_workers", &[("role", "writer")], |live| live == 0.0).await?;
    let before = shows(reconciler, AGE, &apply, |age| age > first + 4.0).await?;
    shows(reconciler, AGE, &apply, |age| age > before + 4.0).await?;
    services.amfj.faults().clear();
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers) {
        shows(worker, AGE, &apply, |age| age == 0.0).await?;
    }
    Ok(())
}

/// No reconciler runs: the fetcher says how long its snapshots have been waiting.
#[tokio::test]
async fn snapshots_age_while_nobody_decides() -> Result<()> {
    let services = Services::plain(8, 43).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", creating(&services))], |config| config).await?;
    let fetcher = serving_fetcher(&pipeline).await?;
    let reconcile = [("integration", "acme"), ("stage", "reconcile")];
    let first = shows(&fetcher, AGE, &reconcile, |age| age > 0.0).await?;
    shows(&fetcher, AGE, &reconcile, |age| age > first + 4.0).await?;
    shows(&fetcher, "amfj_sync_queue_messages", &reconcile, |waiting| waiting >= 8.0).await?;
    shows(&fetcher, "amfj_sync_workers", &[("role", "reconciler")], |live| live == 0.0).await?;
    pipeline.spawn(Workers::default()).await?;
    ensure!(pipeline.reconcilers[0].role() == Role::Reconciler);
    shows(&fetcher, "amfj_sync_queue_messages", &reconcile, |waiting| waiting == 0.0).await?;
    shows(&fetcher, AGE, &reconcile, |age| age == 0.0).await?;
    Ok(())
}
