//! The request ledger: how many requests of which kind a run takes, against the formulas in
//! docs/performance.md. One request more than that is a regression, and fails here.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_tests::pipeline::{Pipeline, Services, spec};
use amfj_sync_tests::sim::RequestRecord;
use amfj_sync_tests::sim::fleet::{Fleet, Site};
use anyhow::{Result, ensure};

/// What a run does: how many there are of what.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Devices in Kandji.
    devices: usize,
    /// Assets and user records in AMFJ when the run begins.
    assets: usize,
    records: usize,
    /// Devices whose details are due.
    details: usize,
    /// Assets and user records that are created, assets that are changed.
    new_assets: usize,
    new_records: usize,
    changed_assets: usize,
}

/// A kind of request, its formula as it stands in the document, and the formula.
type Line = (&'static str, &'static str, fn(&Run) -> usize);

const LEDGER: [Line; 10] = [
    ("GET Kandji devices", "⌈devices / 300⌉ + 1", |run| run.devices.div_ceil(300) + 1),
    ("GET Kandji details", "devices that checked in since, if details are mapped", |run| run.details),
    ("GET asset-types", "1", |_| 1),
    ("GET locations", "1", |_| 1),
    ("GET user-fields", "1", |_| 1),
    ("GET assets", "⌈assets / 100⌉, at least 1", |run| run.assets.div_ceil(100).max(1)),
    ("GET users", "⌈user records / 100⌉, at least 1", |run| run.records.div_ceil(100).max(1)),
    ("POST assets", "assets created", |run| run.new_assets),
    ("PATCH assets", "assets with any difference", |run| run.changed_assets),
    ("POST users", "user records created", |run| run.new_records),
];

fn kind_of(request: &RequestRecord) -> String {
    let path = request.path.trim_start_matches("/api").trim_start_matches("/v1").trim_start_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    match (request.path.starts_with("/api/"), parts.as_slice()) {
        (true, [_, _, "details"]) => format!("{} Kandji details", request.method),
        (true, [list]) => format!("{} Kandji {list}", request.method),
        (false, ["assets" | "users", _]) if request.method == "GET" => {
            format!("GET one of {}", parts[0])
        }
        (false, [list] | [list, _]) => format!("{} {list}", request.method),
        _ => format!("{} {path}", request.method),
    }
}

/// The requests since the last call, by kind.
fn counted(services: &Services) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in services.kandji.requests().iter().chain(&services.amfj.requests()) {
        *counts.entry(kind_of(request)).or_default() += 1;
    }
    services.kandji.clear_requests();
    services.amfj.clear_requests();
    counts
}

fn check(what: &str, services: &Services, run: Run) -> Result<()> {
    let expected = LEDGER.iter().map(|(kind, _, formula)| ((*kind).to_owned(), formula(&run)));
    let expected: BTreeMap<_, _> = expected.filter(|(_, count)| *count > 0).collect();
    let mut counted = counted(services);
    if run.new_assets > 0 && run.details > 0 {
        // An asset that is created before the details of its device are read gets them afterwards; how
        // many these are is a matter of speed.
        let later = counted.remove("PATCH assets").unwrap_or(0);
        ensure!(later <= run.new_assets, "{what}: {later} assets were changed, {} created", run.new_assets);
    }
    ensure!(counted == expected, "{what}:\n  made     {counted:?}\n  expected {expected:?}");
    Ok(())
}

/// A fleet whose AMFJ site is empty, and how many people its devices name.
async fn services(devices: usize) -> Result<(Services, usize)> {
    let mut fleet = Fleet::generate(spec(devices, 11));
    fleet.site = Site::empty();
    let services = Services::start(&fleet).await?;
    let devices = services.kandji.devices();
    let emails =
        devices.iter().map(|device| device.to_json()["user"]["email"].as_str().map(str::to_lowercase));
    let people: BTreeSet<String> = emails.flatten().collect();
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
