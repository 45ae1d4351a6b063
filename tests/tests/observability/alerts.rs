//! The alerts of `deploy/monitoring` in a real Prometheus: the stop of each kind of worker is noticed, and
//! so is what AMFJ refuses, a held run, a record that nobody can read, and a worker without its
//! broker. Thresholds are seconds here; promtool tries the real ones.

use amfj_sync_tests::harness::{Prometheus, Role, Worker, eventually};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result, ensure};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};

use crate::monitored::{Monitored, NOTICED_WITHIN, fires, hasty_rules, integration};

/// Everything that a stopped worker sets off.
const STOPS: [&str; 3] = ["AmfjSyncNoWorker", "AmfjSyncNoSuccessfulRun", "AmfjSyncOldestMessageTooOld"];

#[tokio::test]
async fn the_stop_of_a_fetcher_is_noticed() -> Result<()> {
    let mut monitored = Monitored::start(46, "5s", &hasty_rules()?).await?;
    monitored.calm(&STOPS).await?;
    monitored.fetcher.take().context("a fetcher")?.kill9()?;
    monitored.fires("AmfjSyncNoWorker", ("role", "fetcher")).await?;
    monitored.fires("AmfjSyncNoSuccessfulRun", ("integration", "acme")).await?;
    Ok(())
}

#[tokio::test]
async fn the_stop_of_a_reconciler_is_noticed() -> Result<()> {
    let mut monitored = Monitored::start(47, "5s", &hasty_rules()?).await?;
    monitored.calm(&STOPS).await?;
    monitored.pipeline.reconcilers.pop().context("a reconciler")?.kill9()?;
    monitored.fires("AmfjSyncNoWorker", ("role", "reconciler")).await?;
    monitored.fires("AmfjSyncOldestMessageTooOld", ("stage", "reconcile")).await?;
    Ok(())
}

#[tokio::test]
async fn the_stop_of_a_writer_is_noticed() -> Result<()> {
    let mut monitored = Monitored::start(48, "5s", &hasty_rules()?).await?;
    monitored.calm(&STOPS).await?;
    monitored.pipeline.writers.pop().context("a writer")?.kill9()?;
    // Something is left for it to do.
    let device = monitored.services.kandji.devices()[0].device_id.clone();
    monitored.services.kandji.set(&device, "model", "Another model".into())?;
    monitored.fires("AmfjSyncNoWorker", ("role", "writer")).await?;
    monitored.fires("AmfjSyncOldestMessageTooOld", ("stage", "apply")).await?;
    Ok(())
}

#[tokio::test]
async fn the_end_of_all_workers_is_noticed() -> Result<()> {
    let mut monitored = Monitored::start(49, "5s", &hasty_rules()?).await?;
    monitored.fetcher.take().context("a fetcher")?.kill9()?;
    monitored.pipeline.reconcilers.pop().context("a reconciler")?.kill9()?;
    monitored.pipeline.writers.pop().context("a writer")?.kill9()?;
    monitored.fires("AmfjSyncNothingSeen", ("severity", "page")).await?;
    Ok(())
}

#[tokio::test]
async fn what_amfj_refuses_is_noticed() -> Result<()> {
    let monitored = Monitored::start(50, "2s", &hasty_rules()?).await?;
    monitored
        .calm(&["AmfjSyncCircuitOpen", "AmfjSyncDeadLettersGrowing", "AmfjSyncDevicesInTrouble"])
        .await?;
    let devices = monitored.services.kandji.devices();
    let refuse = Action::Status { code: 422, body: Some("{\"message\":\"no\"}".into()) };
    monitored.services.refuse_asset(0, refuse)?;
    monitored.services.kandji.set(&devices[0].device_id, "model", "Another model".into())?;
    monitored.fires("AmfjSyncDeadLettersGrowing", ("integration", "acme")).await?;
    monitored.fires("AmfjSyncDevicesInTrouble", ("state", "failed")).await?;

    // The token is revoked for writing and reading.
    let revoked = Action::Status { code: 401, body: None };
    for method in ["GET", "PATCH", "POST"] {
        monitored.services.amfj.fault(Rule::new(revoked.clone()).on(method, "/*"));
    }
    monitored.fires("AmfjSyncNoSuccessfulRun", ("integration", "acme")).await?;
    monitored.services.amfj.faults().clear();
    monitored.calm(&["AmfjSyncNoSuccessfulRun"]).await?;
    for method in ["PATCH", "POST"] {
        monitored.services.amfj.fault(Rule::new(revoked.clone()).on(method, "/*"));
    }
    monitored.services.kandji.set(&devices[1].device_id, "model", "Another model".into())?;
    monitored.fires("AmfjSyncCircuitOpen", ("api", "amfj")).await?;
    monitored.services.amfj.faults().clear();
    monitored.calm(&["AmfjSyncCircuitOpen"]).await
}

#[tokio::test]
async fn a_held_run_is_noticed() -> Result<()> {
    let monitored = Monitored::start(57, "2s", &hasty_rules()?).await?;
    monitored.pipeline.settle().await?;
    monitored.calm(&["AmfjSyncRunHeld"]).await?;
    let devices = monitored.services.kandji.devices();
    for device in devices.iter().take(8) {
        monitored.services.kandji.remove_device(&device.device_id)?;
    }
    monitored.fires("AmfjSyncRunHeld", ("integration", "acme")).await?;
    let release = monitored.pipeline.command(["release", "acme"]);
    ensure!(release.finish(NOTICED_WITHIN).await?.status.success());
    monitored.calm(&["AmfjSyncRunHeld"]).await
}

#[tokio::test]
async fn a_fact_that_nobody_can_read_is_noticed() -> Result<()> {
    let monitored = Monitored::start(58, "5s", &hasty_rules()?).await?;
    monitored.calm(&["AmfjSyncUnreadableFacts"]).await?;
    let broker = monitored.pipeline.broker();
    let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let stream = format!("{}.acme.state", broker.prefix());
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish("".into(), stream.as_str().into(), options, b"no fact", properties).await?.await?;
    monitored.fires("AmfjSyncUnreadableFacts", ("integration", "acme")).await?;
    Ok(())
}

/// Each of the three serves `/metrics` before it has ever reached the broker.
#[tokio::test]
async fn workers_without_their_broker_are_noticed() -> Result<()> {
    let services = Services::plain(1, 59).await?;
    let pipeline = Pipeline::idle(vec![("acme", integration(&services, "5s"))], |config| {
        config.set("broker.url", "amqp://guest:guest@127.0.0.1:1/%2f")
    })
    .await?;
    let spawn = |role| pipeline.call(role).arg("run").spawn();
    let workers = Role::ALL.into_iter().map(spawn).collect::<Result<Vec<Worker>>>()?;
    let mut targets = Vec::new();
    for worker in &workers {
        targets.push(eventually(NOTICED_WITHIN, "its address", async || worker.listen()).await?);
    }
    let targets = targets.try_into().ok().context("three workers, three targets")?;
    let prometheus = Prometheus::watching(targets, &hasty_rules()?).await?;
    for target in targets {
        fires(&prometheus, "AmfjSyncNotReady", ("instance", &target.to_string())).await?;
    }
    Ok(())
}
