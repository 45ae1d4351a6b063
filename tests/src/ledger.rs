//! The request ledger: how many requests of which kind a run takes, as docs/performance.md says, under the contract and in
//! the words of each dialect.

pub mod dialects;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::pipeline::Services;
use crate::sim::RequestRecord;

/// What a run does: how many there are of what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    /// Devices in Kandji.
    pub devices: usize,
    /// Assets in AMFJ when the run begins.
    pub assets: usize,
    /// User records in AMFJ when the run begins.
    pub records: usize,
    /// Devices whose details are due.
    pub details: usize,
    /// Assets that are created.
    pub new_assets: usize,
    /// User records that are created.
    pub new_records: usize,
    /// Assets that are changed.
    pub changed_assets: usize,
}

/// A kind of request, its formula as it stands in the document, and the formula.
pub type Line = (&'static str, &'static str, fn(&Run) -> usize);

/// All kinds.
pub const LEDGER: [Line; 10] = [
    ("GET Kandji devices", "⌈devices / 300⌉ + 1", |run| run.devices.div_ceil(300) + 1),
    ("GET Kandji details", "devices that checked in since, if details are mapped", |run| run.details),
    ("GET asset-types", "1", |_| 1),
    ("GET locations", "1", |_| 1),
    ("GET user-fields", "1", |_| 1),
    (
        "GET assets",
        "⌈assets / 100⌉, at least 1; as many again or one for each asset created, whichever is less",
        |run| pages(run.assets) + run.new_assets.min(pages(run.assets)),
    ),
    (
        "GET users",
        "⌈user records / 100⌉, at least 1; as many again or one for each record created, whichever is less",
        |run| pages(run.records) + run.new_records.min(pages(run.records)),
    ),
    ("POST assets", "assets created", |run| run.new_assets),
    ("PATCH assets", "assets with any difference", |run| run.changed_assets),
    ("POST users", "user records created", |run| run.new_records),
];

/// Pages of a list that names the next one.
fn pages(records: usize) -> usize {
    records.div_ceil(100).max(1)
}

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

/// Compares the requests since the last call with the formulas; one more or less is an error that names both.
///
/// # Errors
/// Where they differ.
pub fn check(what: &str, services: &Services, run: Run) -> Result<()> {
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
