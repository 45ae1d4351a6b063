//! Cases that come up in the life of an installation, each answered with commands alone.

use amfj_sync_tests::harness::{ConfigBuilder, IntegrationBuilder, Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Result, ensure};
use serde_json::json;

use super::page::Walk;
use super::{call, enrol, show_status};
use crate::calling::{empty, ensure_says, said};

/// Macs with their assets, which hold no model yet.
async fn macs(count: usize) -> Result<Services> {
    let services = empty().await?;
    for number in 1..=count {
        let (name, serial) = (format!("Mac {number:02}"), format!("C02MAC{number:02}"));
        enrol(&services, &format!("d{number:02}"), &name, &serial, None)?;
        services.amfj.add_asset(&name, "Laptop")?;
    }
    Ok(services)
}

fn integration(services: &Services, id: &str) -> IntegrationBuilder {
    services.integration(id).set("kandji.requests_per_hour", 6000)
}

async fn status_says(pipeline: &Pipeline, words: &[&str]) -> Result<()> {
    eventually(RUN_LIMIT, "what the status is to say", async || {
        ensure_says(&said(pipeline, &["status"]).await?, words)
    })
    .await
}

#[tokio::test]
async fn p23_devices_vanish() -> Result<()> {
    let services = macs(40).await?;
    let acme = integration(&services, "acme").field("Model", "model").set("sync.when_gone", "report");
    let pipeline = Pipeline::start(vec![("acme", acme)]).await?;
    pipeline.run().await?;
    for number in 1..=6 {
        services.kandji.remove_device(&format!("d{number:02}"))?;
    }
    // Held before anything of it is decided.
    pipeline.fetch(&[]).await?;
    services.take_writes();
    let mut walk = Walk::of("Many devices vanish")?;
    show_status(&mut walk, &pipeline, &["held"]).await?;
    call(&mut walk, &pipeline, "amfj-sync plan acme").await?;
    call(&mut walk, &pipeline, "amfj-sync explain \"Mac 01\"").await?;
    call(&mut walk, &pipeline, "amfj-sync release acme").await?;
    // No fetcher serves here. The released run misses them, the next one is sure.
    pipeline.run().await?;
    pipeline.run().await?;
    show_status(&mut walk, &pipeline, &["6 gone", "34 in sync"]).await?;
    ensure!(services.take_writes().is_empty(), "when_gone = \"report\" writes nothing");
    walk.end()
}

#[tokio::test]
async fn p15_a_field_was_mapped_wrongly() -> Result<()> {
    // One is enough: the history lists several in the order in which they were written.
    let services = macs(1).await?;
    services.amfj.set_field("Mac 01", "Model", json!("Petra's old one"))?;
    let wrong = integration(&services, "acme").field("Model", "os_version");
    let right = |mode: &str| integration(&services, "acme").set("mode", mode).field("Model", "model");
    let mut pipeline = Pipeline::start(vec![("acme", wrong)]).await?;
    pipeline.run().await?;
    let mut walk = Walk::of("A field was mapped wrongly")?;
    call(&mut walk, &pipeline, "amfj-sync explain \"Mac 01\"").await?;
    call(&mut walk, &pipeline, "amfj-sync history --since 1h").await?;
    pipeline.reconfigure(vec![("acme", right("plan"))]).await?;
    pipeline.run().await?;
    call(&mut walk, &pipeline, "amfj-sync plan").await?;
    pipeline.reconfigure(vec![("acme", right("apply"))]).await?;
    pipeline.run().await?;
    call(&mut walk, &pipeline, "amfj-sync history C02MAC01").await?;
    walk.end()
}

#[tokio::test]
async fn a_second_integration_is_added() -> Result<()> {
    let (services, branch) = (macs(2).await?, macs(3).await?);
    let acme = || integration(&services, "acme").field("Model", "model");
    let second = integration(&branch, "branch").set("mode", "plan").field("Serial Number", "serial_number");
    let mut pipeline = Pipeline::start(vec![("acme", acme())]).await?;
    pipeline.run().await?;
    pipeline.reconfigure(vec![("acme", acme()), ("branch", second)]).await?;
    let mut walk = Walk::of("A second integration is added")?;
    call(&mut walk, &pipeline, "amfj-sync check branch").await?;
    pipeline.run().await?;
    show_status(&mut walk, &pipeline, &["2 in sync", "3 plan only"]).await?;
    call(&mut walk, &pipeline, "amfj-sync plan branch").await?;
    ensure!(branch.take_writes().is_empty(), "the second one only plans");
    walk.end()
}

#[tokio::test]
async fn amfj_is_away() -> Result<()> {
    let services = macs(3).await?;
    let acme = integration(&services, "acme").field("Model", "model");
    // Of a quarter of an hour, for which requests are sent again before a run fails, nobody learns more.
    let hasty = |config: ConfigBuilder| config.set("retry.give_up_after", "2s");
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", acme)], hasty).await?;
    pipeline.run().await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    status_says(&pipeline, &["leads acme", "partitions 0-1 of acme", "3 in sync", "in 59 min"]).await?;
    let mut walk = Walk::of("AMFJ is away for two hours")?;
    services.amfj.set_offline(true);
    services.kandji.set("d01", "model", json!("MacBook Pro (14-inch, M4)"))?;
    pipeline.said(&["trigger", "acme"]).await?;
    // Not the run after it, which is held up in its turn: that begins by itself, and says of the one before that it failed.
    let failed = ["given up after", "with growing pauses", "tried again at once"];
    show_status(&mut walk, &pipeline, &failed).await?;
    services.amfj.set_offline(false);
    status_says(&pipeline, &["read in", "in 59 min", "3 in sync", "takes changes"]).await?;
    show_status(&mut walk, &pipeline, &["read in", "in 59 min", "3 in sync", "takes changes"]).await?;
    call(&mut walk, &pipeline, "amfj-sync history --since 1h C02MAC01").await?;
    ensure!(fetcher.terminate().await?.success());
    walk.end()
}
