//! A second run comes before the first is done with.

use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::support::{
    decided, ensure_exactly_once, everything, fetch, newcomers, queued, run_to_the_end, sent, writes_by_asset,
};

/// The reconcilers are away while two runs are published. The snapshots of the first are passed over:
/// no value of it reaches AMFJ.
#[tokio::test]
async fn reconcilers_are_down_while_a_second_run_starts() -> Result<()> {
    let services = Services::start(&newcomers(12, 121)).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    let set = |value: &str| -> Result<()> {
        for device in services.kandji.devices() {
            services.kandji.set(&device.device_id, "asset_tag", json!(value))?;
        }
        Ok(())
    };
    set("first run")?;
    fetch(&pipeline).await?;
    set("second run")?;
    fetch(&pipeline).await?;
    ensure!(pipeline.waiting("acme", "reconcile").await? >= 24, "both runs wait");
    pipeline.spawn(Workers { reconcilers: 2, writers: 0 }).await?;
    pipeline.settle().await?;
    for (asset, writes) in writes_by_asset(&services) {
        let old = writes.iter().any(|write| write.body["fields"]["Notes"] == json!("first run"));
        ensure!(!old, "asset {asset} was written as the older run saw it");
    }
    ensure_exactly_once(&services)?;
    run_to_the_end(&pipeline, &services).await
}

/// AMFJ takes no changes for longer than the interval, in the first sync: what the first run decided
/// stands, although the second run is no first sync any more (P5, P7).
#[tokio::test]
async fn p5_p7_the_first_sync_is_not_lost_when_its_changes_outlast_the_interval() -> Result<()> {
    for create in ["never", "first-sync"] {
        let fleet = if create == "never" {
            amfj_sync_tests::sim::fleet::Fleet::generate(amfj_sync_tests::pipeline::spec(20, 122))
        } else {
            newcomers(20, 122)
        };
        let services = Services::start(&fleet).await?;
        let settings = everything(&services).set("sync.create_devices", create);
        let mut pipeline = Pipeline::idle(vec![("acme", settings)], |config| config).await?;
        pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
        fetch(&pipeline).await?;
        decided(&pipeline).await?;
        queued(&pipeline, 20).await?;
        fetch(&pipeline).await?;
        decided(&pipeline).await?;
        let device = services.kandji.devices().pop().context("devices")?;
        services.kandji.set(&device.device_id, "asset_tag", json!("changed meanwhile"))?;
        fetch(&pipeline).await?;
        decided(&pipeline).await?;
        pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
        pipeline.settle().await?;
        run_to_the_end(&pipeline, &services).await?;
        ensure_exactly_once(&services).context(create)?;
    }
    Ok(())
}

/// A device that left Kandji, and a person whom no device names any more, while their creations were
/// still queued: neither is created.
#[tokio::test]
async fn what_left_kandji_while_its_creation_was_queued_is_not_created() -> Result<()> {
    let services = Services::start(&newcomers(6, 123)).await?;
    let device = services.kandji.devices().pop().context("devices")?;
    services.kandji.give_to(&device.device_id, "Soon Gone", "soon.gone@example.com")?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 6).await?;
    services.kandji.remove_device(&device.device_id)?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    ensure!(services.amfj.users_with_email("soon.gone@example.com").is_empty(), "the person was created");
    ensure!(sent(&services, "POST", "/assets") == 5, "the device's asset was created");
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}
