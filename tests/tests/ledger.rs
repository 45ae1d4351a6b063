//! The request ledger: how many requests of which kind a run takes, against the formulas in
//! docs/performance.md. One request more than that is a regression, and fails here.

use std::collections::BTreeSet;

use amfj_sync_tests::ledger::{LEDGER, Run, check};
use amfj_sync_tests::pipeline::{Pipeline, Services, spec};
use amfj_sync_tests::sim::fleet::{Fleet, Site};
use anyhow::{Result, ensure};

/// A fleet whose AMFJ site is empty, and how many people its devices name.
async fn services(devices: usize) -> Result<(Services, usize)> {
    let mut fleet = Fleet::generate(spec(devices, 11));
    fleet.site = Site::empty();
    let services = Services::start(&fleet).await?;
    let devices = services.kandji.devices();
    let people: BTreeSet<String> =
        devices.iter().filter_map(|device| device.email().map(str::to_lowercase)).collect();
    Ok((services, people.len()))
}

/// First sync, idle run and a run with one device in a hundred changed.
async fn three_runs(devices: usize, with_details: bool) -> Result<()> {
    let (services, people) = services(devices).await?;
    let mut integration = services
        .integration("acme")
        .set("mode", "apply")
        .set("sync.create_devices", "always")
        .field("OS Version", "os_version");
    if with_details {
        integration = integration.field("Memory", "details.hardware_overview.memory");
    }
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let details = |due: usize| if with_details { due } else { 0 };
    pipeline.run().await?;
    let (new_assets, new_records) = (devices, people);
    let first = Run { devices, new_assets, new_records, details: details(devices), ..Run::default() };
    check("the first sync", &services, first)?;

    let known = Run { devices, assets: devices, records: people, ..Run::default() };
    pipeline.run().await?;
    check("an idle run", &services, known)?;

    let changed = devices / 100;
    for device in services.kandji.devices().iter().take(changed) {
        services.kandji.set(&device.device_id, "os_version", "99.9".into())?;
        services.kandji.set(&device.device_id, "last_check_in", "2031-01-01T00:00:00Z".into())?;
    }
    pipeline.run().await?;
    let some = Run { changed_assets: changed, details: details(changed), ..known };
    check("a run with one device in a hundred changed", &services, some)
}

#[tokio::test]
async fn p17_the_requests_for_1000_devices_are_those_of_the_formula() -> Result<()> {
    three_runs(1_000, false).await
}

#[tokio::test]
async fn p17_the_requests_for_1000_devices_with_details_are_those_of_the_formula() -> Result<()> {
    three_runs(1_000, true).await
}

/// Ten times as many, in plan mode: what is read does not depend on what is written.
#[tokio::test]
async fn p3_the_reads_for_10000_devices_are_those_of_the_formula() -> Result<()> {
    let devices = 10_000;
    let (services, _) = services(devices).await?;
    let integration = services.integration("acme").set("mode", "plan").field("OS Version", "os_version");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    for what in ["the first run", "an idle run"] {
        pipeline.run().await?;
        check(what, &services, Run { devices, ..Run::default() })?;
    }
    Ok(())
}

/// The document says what is asserted here.
#[test]
fn the_formulas_are_in_the_document() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
    let document = std::fs::read_to_string(path)?;
    for (kind, formula, _) in LEDGER {
        let line = format!("| `{kind}` | {formula} |");
        ensure!(document.contains(&line), "docs/performance.md lacks this line:\n{line}");
    }
    Ok(())
}
