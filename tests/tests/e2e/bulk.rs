//! `kandji.bulk = "prism"` (P17): details of 300 Macs in one request, with the values of the details.

use amfj_sync_tests::harness::{IntegrationBuilder, Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

const DEVICES: usize = 400;

async fn services(seed: u64) -> Result<Services> {
    let services = Services::plain(DEVICES, seed).await?;
    services.kandji.permit_prism(true)?;
    Ok(services)
}

fn mapped(services: &Services, bulk: &str) -> IntegrationBuilder {
    services
        .integration("acme")
        .set("kandji.bulk", bulk)
        .field("Notes", "details.network.local_hostname")
        .field("Model", "details.hardware_overview.model_name")
}

/// Requests to Kandji since the last call: pages of Prism, those of them with a filter, details.
fn asked(services: &Services) -> (usize, usize, Vec<String>) {
    let requests = services.kandji.requests();
    services.kandji.clear_requests();
    let prism = requests.iter().filter(|request| request.path.ends_with("/prism/device_information"));
    let filtered = prism.clone().filter(|request| request.query.contains("filter="));
    let details = requests.iter().filter_map(|request| request.path.strip_suffix("/details"));
    let ids = details.filter_map(|path| path.rsplit('/').next()).map(str::to_owned);
    (prism.count(), filtered.count(), ids.collect())
}

fn others(services: &Services) -> usize {
    services.kandji.devices().iter().filter(|device| device.platform != "Mac").count()
}

/// Every asset has what the details of its device say.
fn ensure_values(services: &Services) -> Result<()> {
    for device in services.kandji.devices() {
        let details = services.kandji.details(&device.device_id).context("its details")?;
        let asset = services.amfj.assets_named(&device.device_name).pop().context("its asset")?;
        for (field, pointer) in
            [("Notes", "/network/local_hostname"), ("Model", "/hardware_overview/model_name")]
        {
            let expected = details.pointer(pointer).filter(|value| **value != json!(""));
            let held = asset.fields.get(field).filter(|value| !value.is_null());
            if device.platform == "Mac" {
                ensure!(
                    held == expected && held.is_some(),
                    "{}: {held:?} is not {expected:?}",
                    device.device_name
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn p17_prism_takes_a_request_for_300_macs_and_the_values_are_those_of_the_details() -> Result<()> {
    let services = services(181).await?;
    let mut pipeline = Pipeline::start(vec![("acme", mapped(&services, "prism"))]).await?;
    pipeline.run().await?;
    let (pages, filtered, details) = asked(&services);
    ensure!((pages, filtered) == (2, 0), "{pages} pages, {filtered} with a filter");
    ensure!(details.len() == others(&services), "{} details", details.len());
    ensure!(details.len() < DEVICES / 2, "the fleet has too few Macs to show anything");
    ensure_values(&services)?;
    services.take_writes();
    pipeline.run().await?;
    ensure!(asked(&services).0 == 0, "no device has checked in since");
    // The same values without Prism: nothing flips.
    let all: Vec<String> = services.kandji.devices().iter().map(|device| device.device_id.clone()).collect();
    for device in &all {
        services.kandji.set(device, "last_check_in", json!("2031-01-01T00:00:00Z"))?;
    }
    pipeline.reconfigure(vec![("acme", mapped(&services, "off"))]).await?;
    pipeline.run().await?;
    let (pages, _, details) = asked(&services);
    ensure!(pages == 0 && details.len() == DEVICES, "{pages} pages, {} details", details.len());
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "details and Prism differ: {writes:?}");
    Ok(())
}

/// A fetcher that goes on asks only for what was updated since, and carries the rest over.
#[tokio::test]
async fn p17_later_runs_ask_prism_only_for_what_was_updated() -> Result<()> {
    let services = services(182).await?;
    let pipeline = Pipeline::start(vec![("acme", mapped(&services, "prism"))]).await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    eventually(RUN_LIMIT, "the first run", async || {
        ensure!(pipeline.runs_in_force().await?.contains_key("acme"));
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    asked(&services);
    let macs: Vec<_> = services.kandji.devices().into_iter().filter(|one| one.platform == "Mac").collect();
    let (renamed, quiet, last) = (&macs[0], &macs[1], &macs[2]);
    services.kandji.set_detail(&renamed.device_id, "network.local_hostname", json!("new-host"))?;
    // It checked in, and Prism has nothing new about it.
    services.kandji.set(&quiet.device_id, "last_check_in", json!("2020-01-01T00:00:00Z"))?;
    let again = async |fetcher: &amfj_sync_tests::harness::Worker| -> Result<(usize, usize, Vec<String>)> {
        let before = pipeline.runs_in_force().await?;
        let done = pipeline.command(["trigger", "acme"]).finish(RUN_LIMIT).await?;
        ensure!(done.status.success(), "{}", done.stderr);
        pipeline.settle_after(&before).await.with_context(|| fetcher.log_tail())?;
        Ok(asked(&services))
    };
    let (pages, filtered, details) = again(&fetcher).await?;
    ensure!((pages, filtered) == (1, 1) && details.is_empty(), "{pages} {filtered} {details:?}");
    ensure_values(&services)?;
    let (pages, _, details) = again(&fetcher).await?;
    ensure!(pages == 0 && details.is_empty(), "what was carried over is due no more: {pages} {details:?}");
    // Prism lost a value: it may not have it at all, so the details are asked.
    services.kandji.set_detail(&last.device_id, "network.local_hostname", json!(""))?;
    let (pages, filtered, details) = again(&fetcher).await?;
    ensure!(
        (pages, filtered) == (1, 1) && details == [last.device_id.clone()],
        "{pages} {filtered} {details:?}"
    );
    ensure!(fetcher.terminate().await?.success());
    Ok(())
}

/// 403 and 404: the details are read, one by one, with one warning; and a category that fails for the
/// moment costs no requests for details.
#[tokio::test]
async fn p17_without_the_permission_for_prism_the_details_are_read() -> Result<()> {
    let services = Services::plain(30, 183).await?;
    let pipeline = Pipeline::start(vec![("acme", mapped(&services, "prism"))]).await?;
    let done = pipeline.call(Role::Fetcher).args(["run", "--once"]).finish(RUN_LIMIT).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    ensure!(done.stderr.matches("Prism cannot be read").count() == 1, "{}", done.stderr);
    ensure!(done.stderr.contains("Device information"), "the permission is not named:\n{}", done.stderr);
    pipeline.settle().await?;
    let (pages, _, details) = asked(&services);
    ensure!(pages == 1 && details.len() == 30, "{pages} pages, {} details", details.len());
    ensure_values(&services)?;

    services.kandji.permit_prism(true)?;
    let away = amfj_sync_tests::sim::faults::Action::Status { code: 400, body: None };
    let rule = amfj_sync_tests::sim::faults::Rule::new(away).on("GET", "/api/v1/prism/*");
    let rule = services.kandji.fault(rule);
    let mac = services.kandji.devices().into_iter().find(|one| one.platform == "Mac").context("a Mac")?;
    services.kandji.set_detail(&mac.device_id, "network.local_hostname", json!("renamed"))?;
    pipeline.run().await?;
    let (pages, _, details) = asked(&services);
    ensure!(pages == 1 && details.is_empty(), "{pages} pages, {details:?}");
    services.kandji.faults().remove(rule);
    pipeline.run().await?;
    ensure!(asked(&services).2.iter().all(|id| *id != mac.device_id), "Prism has it");
    ensure_values(&services)
}

/// Where one mapped detail is not in Prism, each device is asked anyway, and Prism would only add to it.
#[tokio::test]
async fn p17_prism_is_not_asked_where_it_would_spare_nothing() -> Result<()> {
    let services = Services::plain(5, 184).await?;
    services.kandji.permit_prism(true)?;
    let settings = mapped(&services, "prism").field("Memory", "details.hardware_overview.memory");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    let done = pipeline.call(Role::Fetcher).args(["run", "--once"]).finish(RUN_LIMIT).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    ensure!(done.stderr.contains("kandji.bulk has no effect"), "{}", done.stderr);
    ensure!(done.stderr.contains("details.hardware_overview.memory"), "{}", done.stderr);
    pipeline.settle().await?;
    let (pages, _, details) = asked(&services);
    ensure!(pages == 0 && details.len() == 5, "{pages} pages, {} details", details.len());
    ensure_values(&services)
}
