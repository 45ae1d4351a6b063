//! What the histories have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use amfj_sync_tests::harness::{IntegrationBuilder, Launch, Role, Worker, eventually};
pub(crate) use amfj_sync_tests::pipeline::newcomers;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use amfj_sync_tests::sim::amfj::Write;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// The variable that arms failpoints.
pub(crate) const FAILPOINTS: &str = "AMFJ_SYNC_FAILPOINTS";

/// Everything is created, assigned and kept in step, however many change at once.
pub(crate) fn everything(services: &Services) -> IntegrationBuilder {
    services
        .everything("acme")
        .set("sync.gone_limit", "100%")
        .set("sync.change_limit", "100%")
        .field("Notes", "asset_tag")
}

/// The value of a round.
pub(crate) fn stamp(round: u32) -> String {
    format!("round {round:03}")
}

/// The owner of a round.
pub(crate) fn email(round: u32) -> String {
    format!("round-{round:03}@example.com")
}

/// New values alone: nothing about people is decided.
pub(crate) fn tag(services: &Services, round: u32) -> Result<()> {
    for device in services.kandji.devices() {
        services.kandji.set(&device.device_id, "asset_tag", json!(stamp(round)))?;
    }
    Ok(())
}

/// New values and a new owner for every device.
pub(crate) fn begin(services: &Services, round: u32) -> Result<()> {
    tag(services, round)?;
    for device in services.kandji.devices() {
        services.kandji.give_to(&device.device_id, &stamp(round), &email(round))?;
    }
    Ok(())
}

/// Starts one more worker and waits until it is ready; its place among its kind.
pub(crate) async fn join(
    pipeline: &mut Pipeline,
    role: Role,
    adapt: impl FnOnce(Launch) -> Launch,
) -> Result<usize> {
    let mut worker = adapt(pipeline.call(role).arg("run")).spawn()?;
    worker.wait_ready().await?;
    let workers = if role == Role::Reconciler { &mut pipeline.reconcilers } else { &mut pipeline.writers };
    workers.push(worker);
    Ok(workers.len() - 1)
}

/// Starts one more writer with armed failpoints. One that is to die may do so before it says that it is
/// ready, so only others are waited for.
pub(crate) async fn armed_writer(pipeline: &mut Pipeline, failpoints: &str) -> Result<usize> {
    if !failpoints.contains("=kill") {
        return join(pipeline, Role::Writer, |launch| launch.env(FAILPOINTS, failpoints)).await;
    }
    pipeline.writers.push(pipeline.call(Role::Writer).env(FAILPOINTS, failpoints).arg("run").spawn()?);
    Ok(pipeline.writers.len() - 1)
}

/// Waits until a writer has killed itself at a failpoint, and takes it out of the pipeline.
pub(crate) async fn killed_at(pipeline: &mut Pipeline, place: usize, failpoint: &str) -> Result<()> {
    let mut writer = pipeline.writers.remove(place);
    let status = writer.wait(RUN_LIMIT).await?;
    let log = writer.log();
    ensure!(!status.success(), "the writer ended with {status} before {failpoint}");
    ensure!(log.contains(&format!("killed at the failpoint {failpoint}")), "{log}");
    Ok(())
}

/// Waits until a worker waits at this failpoint.
pub(crate) async fn waits_at(worker: &Worker, failpoint: &str) -> Result<()> {
    eventually(RUN_LIMIT, failpoint, async || {
        let waits = worker.log_lines().iter().any(|line| {
            let field = |name: &str| line.pointer(&format!("/fields/{name}")).or_else(|| line.get(name));
            field("failpoint").and_then(|value| value.as_str()) == Some(failpoint)
        });
        ensure!(waits, "it has not come there");
        Ok(())
    })
    .await
}

/// One run of the fetcher; what follows from it is left to its own devices.
pub(crate) async fn fetch(pipeline: &Pipeline) -> Result<()> {
    pipeline.fetch_all().await
}

/// Waits until the reconcilers have decided everything that is in their queues.
pub(crate) async fn decided(pipeline: &Pipeline) -> Result<()> {
    eventually(RUN_LIMIT, "everything decided", async || {
        let waiting = pipeline.waiting("acme", "reconcile").await?;
        ensure!(waiting == 0, "{waiting} snapshots wait");
        for reconciler in &pipeline.reconcilers {
            let status = reconciler.status().await?;
            let own = &status["integrations"]["acme"];
            ensure!(own["partitions_decided"] == 2, "{own}");
            ensure!(own["run_allowed"] == true && own["kept_back"] == 0, "kept back: {own}");
            let in_flight = reconciler.in_flight().await?;
            ensure!(in_flight == 0.0, "{in_flight} in flight");
        }
        Ok(())
    })
    .await
}

/// Waits until that many changes are in the queues of the writers, ready or taken.
pub(crate) async fn queued(pipeline: &Pipeline, at_least: u32) -> Result<()> {
    eventually(RUN_LIMIT, "changes in the queue", async || {
        let waiting = pipeline.waiting("acme", "apply").await?;
        ensure!(waiting >= at_least, "{waiting} changes wait");
        Ok(())
    })
    .await
}

/// Runs until a run finds nothing left to do: what was found out of date is decided again.
pub(crate) async fn run_to_the_end(pipeline: &Pipeline, services: &Services) -> Result<()> {
    services.take_writes();
    for _ in 0..4 {
        pipeline.run().await?;
        if services.take_writes().is_empty() {
            return Ok(());
        }
    }
    anyhow::bail!("four runs in a row wrote something")
}

/// Requests of one method and path, carried out or not.
pub(crate) fn sent(services: &Services, method: &str, path: &str) -> usize {
    let requests = services.amfj.requests();
    requests.iter().filter(|request| request.method == method && request.path.ends_with(path)).count()
}

/// Writes that were carried out, by asset, in order.
pub(crate) fn writes_by_asset(services: &Services) -> BTreeMap<String, Vec<Write>> {
    let mut by_asset: BTreeMap<String, Vec<Write>> = BTreeMap::new();
    for write in services.amfj.writes() {
        let id = write.result["id"].as_str().unwrap_or_default();
        if write.path.contains("/assets") {
            by_asset.entry(id.to_owned()).or_default().push(write);
        }
    }
    by_asset
}

/// Every device has exactly one asset, which has its serial and is with its owner; nobody has two records.
pub(crate) fn ensure_exactly_once(services: &Services) -> Result<()> {
    let devices = services.kandji.devices();
    let users = services.amfj.users();
    let mut emails: Vec<_> = users.iter().filter_map(|user| user.email.clone()).collect();
    emails.sort();
    let all = emails.len();
    emails.dedup();
    ensure!(emails.len() == all, "a user record was created twice: {emails:?}");
    let assets = services.amfj.assets();
    ensure!(assets.len() == devices.len(), "{} assets for {} devices", assets.len(), devices.len());
    for device in &devices {
        let serial = json!(device.serial_number);
        let mut own = assets.iter().filter(|asset| asset.fields.get("Serial Number") == Some(&serial));
        let asset = own.next().with_context(|| format!("{} has no asset", device.device_name))?;
        ensure!(own.next().is_none(), "{} has two assets", device.device_name);
        let owner = device.email().map(str::to_lowercase);
        let holder = asset.holder.as_ref().and_then(|id| services.amfj.user(id)).and_then(|user| user.email);
        let holder = holder.map(|email| email.to_lowercase());
        ensure!(owner == holder, "{} is with {holder:?} instead of {owner:?}", device.device_name);
    }
    Ok(())
}

/// A moment for something that should not happen.
pub(crate) async fn a_while() {
    tokio::time::sleep(Duration::from_millis(1500)).await;
}
