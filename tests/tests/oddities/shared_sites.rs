//! Two integrations on one AMFJ site (P4, P7, P10): what they share is made once.

use std::time::Duration;

use amfj_sync_tests::harness::{IntegrationBuilder, Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, Services, Workers, spec};
use amfj_sync_tests::sim::fleet::Fleet;
use amfj_sync_tests::sim::kandji::{KandjiOptions, KandjiSim};
use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::{ensure_people_once, newcomers};

/// A second tenant with other devices of the same people.
async fn second_tenant(fleet: &Fleet) -> Result<KandjiSim> {
    let mut second = fleet.clone();
    for (number, device) in second.devices.iter_mut().enumerate() {
        device.device_id = format!("ffffffff-0000-4000-8000-{number:012}");
        device.device_name = format!("Second {}", device.device_name);
        device.serial_number = format!("2ND{}", device.serial_number);
    }
    serve(&second).await
}

async fn serve(tenant: &Fleet) -> Result<KandjiSim> {
    let token = format!("kandji-{}", uuid::Uuid::new_v4().simple());
    let options = KandjiOptions { token, per_second: None, per_hour: None, ..KandjiOptions::default() };
    Ok(KandjiSim::start(tenant, options).await?)
}

fn settings(services: &Services, id: &str) -> IntegrationBuilder {
    services
        .integration(id)
        .set("sync.create_devices", "always")
        .set("sync.create_users", "all")
        .set("sync.auto_checkout", true)
        .field("Serial Number", "serial_number")
}

async fn first_syncs(seed: u64, writers: usize) -> Result<()> {
    let fleet = newcomers(12, seed);
    let one = Services::start(&fleet).await?;
    let other = Services { kandji: second_tenant(&fleet).await?, amfj: one.amfj.clone() };
    let integrations = vec![("one", settings(&one, "one")), ("other", settings(&other, "other"))];
    let workers = Workers { reconcilers: 1, writers: 0 };
    let mut pipeline = Pipeline::with(workers, integrations, |config| config).await?;
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    pipeline.spawn(Workers { reconcilers: 0, writers }).await?;
    pipeline.settle().await?;
    for _ in 0..2 {
        pipeline.run().await?;
    }
    ensure_people_once(&one.amfj)?;
    let assets = one.amfj.assets();
    ensure!(assets.len() == 24, "{} assets for 24 devices", assets.len());
    for device in one.kandji.devices().iter().chain(&other.kandji.devices()) {
        let serial = json!(device.serial_number);
        let own = assets.iter().find(|asset| asset.fields.get("Serial Number") == Some(&serial));
        let holder = own.and_then(|asset| asset.holder.clone()).and_then(|id| one.amfj.user(&id));
        let same = device.email().map(str::to_lowercase)
            == holder.and_then(|user| user.email).map(|e| e.to_lowercase());
        ensure!(same, "{} is with another", device.device_name);
    }
    Ok(())
}

/// Both lists were read before either integration created anybody.
#[tokio::test]
async fn people_of_two_integrations_that_begin_together_have_one_record_each() -> Result<()> {
    first_syncs(1721, 1).await
}

/// Workers that are started for one integration alone heed the links of the other one of their AMFJ site (P4): a device of the
/// same name does not take the asset.
#[tokio::test]
async fn whoever_serves_one_integration_alone_leaves_the_assets_of_the_other() -> Result<()> {
    let fleet = Fleet::generate(spec(8, 1723));
    let one = Services::start(&fleet).await?;
    let mut namesakes = fleet.clone();
    for (number, device) in namesakes.devices.iter_mut().enumerate() {
        device.device_id = format!("ffffffff-0000-4000-8000-{number:012}");
        device.serial_number = format!("2ND{}", device.serial_number);
        device.os_version = "of the other".to_owned();
    }
    let other = Services { kandji: serve(&namesakes).await?, amfj: one.amfj.clone() };
    let settings = |services: &Services, id| services.integration(id).field("OS Version", "os_version");
    let integrations = vec![("one", settings(&one, "one")), ("other", settings(&other, "other"))];
    let pipeline = Pipeline::idle(integrations, |config| config).await?;
    for id in ["one", "other"] {
        let done = pipeline.fetch(&[id]).await?;
        ensure!(done.status.success(), "{}", done.stderr);
        let mut alone = Vec::new();
        for role in [Role::Reconciler, Role::Writer] {
            let mut worker = pipeline.call(role).args(["--integration", id, "run"]).spawn()?;
            worker.wait_ready().await?;
            alone.push(worker);
        }
        eventually(Duration::from_mins(1), "the run decided and applied", async || {
            let status = alone[0].status().await?;
            let decided = &status["integrations"][id]["partitions_decided"];
            ensure!(*decided == json!(2), "{decided} partitions are decided");
            for worker in &alone {
                let in_flight = worker.in_flight().await?;
                ensure!(in_flight == 0.0, "{in_flight} in flight");
            }
            let waiting = pipeline.waiting(id, "apply").await?;
            ensure!(waiting == 0, "{waiting} changes wait");
            Ok(())
        })
        .await?;
        for worker in alone {
            worker.terminate().await?;
        }
    }
    for device in one.kandji.devices() {
        let assets = one.amfj.assets();
        let of_name = assets.iter().find(|asset| asset.name == device.device_name);
        let held = of_name.and_then(|asset| asset.fields.get("OS Version")).cloned();
        ensure!(held == Some(json!(device.os_version)), "{} holds {held:?}", device.device_name);
    }
    Ok(())
}
