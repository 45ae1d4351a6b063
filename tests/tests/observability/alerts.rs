//! The alerts of `deploy/monitoring` in a real Prometheus: the stop of each kind of worker is noticed, and
//! so is what AMFJ refuses. Thresholds are seconds here; promtool tries the real ones.

use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result};

use crate::monitored::{Monitored, hasty_rules};

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
    monitored.services.amfj.fault(Rule::new(refuse).on("PATCH", "/assets/*").times(1));
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
