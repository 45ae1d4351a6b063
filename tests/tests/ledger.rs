//! The request ledger: how many requests of which kind a run takes, against the formulas in
//! docs/performance.md. One request more than that is a regression, and fails here.

use std::collections::BTreeSet;

use amfj_sync_tests::ledger::{LEDGER, Run, check, dialects};
use amfj_sync_tests::pipeline::{Pipeline, Services, spec};
use amfj_sync_tests::sim::amfj::Dialect;
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

/// First sync, the run after it, an idle run, and a run with changes and hand-overs, in the words of a dialect.
async fn four_runs(dialect: Dialect) -> Result<()> {
    let devices = 130;
    let mut fleet = Fleet::generate(spec(devices, 11));
    fleet.site = Site::empty();
    let services = Services::speaking(dialect, &fleet).await?;
    let listed = services.kandji.devices();
    let people: BTreeSet<String> =
        listed.iter().filter_map(|device| device.email().map(str::to_lowercase)).collect();
    let integration = services
        .integration("acme")
        .set("mode", "apply")
        .set("sync.create_devices", "always")
        .set("sync.auto_checkout", true)
        .set("sync.change_limit", "100%")
        // Nothing is tried again in this test, however busy the machine is.
        .set("amfj.request_timeout", "30s")
        .field("OS Version", "os_version");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let mut seen = Vec::new();
    let mut look = |what: &str, run: dialects::Run| {
        if let Err(differs) = dialects::check(what, &services, run) {
            seen.push(format!("{differs:#}"));
        }
    };
    let people = people.len();
    let check_outs = services.owned_devices().len();
    let types = services.amfj.site().asset_types.len();
    let nothing = dialects::Run { types, ..dialects::Run::default() };
    let known = dialects::Run { assets: devices, records: people, ..nothing };
    pipeline.run().await?;
    let new = dialects::Run { new_assets: devices, new_records: people, check_outs, writers: 1, ..nothing };
    look("the first sync", new);
    for what in ["the next run", "an idle run"] {
        pipeline.run().await?;
        look(what, known);
    }
    for device in listed.iter().take(7) {
        services.kandji.set(&device.device_id, "os_version", "99.9".into())?;
    }
    for (number, device) in services.owned_devices().iter().rev().take(3).enumerate() {
        let email = format!("next{number}@example.com");
        services.kandji.give_to(&device.device_id, &format!("Next {number}"), &email)?;
    }
    pipeline.run().await?;
    look("a run with changes", dialects::Run { changed_assets: 7, hand_overs: 3, new_records: 3, ..known });
    ensure!(seen.is_empty(), "{}", seen.join("\n"));
    Ok(())
}

#[tokio::test]
async fn the_requests_of_runs_are_those_of_the_formula_under_offset_put() -> Result<()> {
    four_runs(Dialect::OffsetPut).await
}

#[tokio::test]
async fn the_requests_of_runs_are_those_of_the_formula_under_envelope_jobs() -> Result<()> {
    four_runs(Dialect::EnvelopeJobs).await
}

#[tokio::test]
async fn the_requests_of_runs_are_those_of_the_formula_under_prefix_members() -> Result<()> {
    four_runs(Dialect::PrefixMembers).await
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
    for dialect in Dialect::OTHERS {
        for (kind, formula, _) in dialects::ledger_of(dialect) {
            let line = format!("| `{}` | `{kind}` | {formula} |", dialect.name());
            ensure!(document.contains(&line), "docs/performance.md lacks this line:\n{line}");
        }
    }
    Ok(())
}
