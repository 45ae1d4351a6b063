//! The same under other interfaces, in their own words.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::pages;
use crate::pipeline::Services;
use crate::sim::RequestRecord;
use crate::sim::amfj::Dialect;

/// What a run does: how many there are of what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    /// Assets in AMFJ when the run begins.
    pub assets: usize,
    /// User records in AMFJ when the run begins.
    pub records: usize,
    /// Assets that are created.
    pub new_assets: usize,
    /// User records that are created.
    pub new_records: usize,
    /// Assets of which one field is changed.
    pub changed_assets: usize,
    /// Assets that are checked out and that nobody had.
    pub check_outs: usize,
    /// Assets that somebody has and that go to somebody else.
    pub hand_overs: usize,
    /// Asset types of the site.
    pub types: usize,
    /// Writers that create, change or check out and have not done so before, or not for five minutes, for creations ten.
    pub writers: usize,
}

/// A request as it stands in the document, how many there are, and the formula.
pub type Line = (&'static str, &'static str, fn(&Run) -> usize);

/// The lines of a dialect.
#[must_use]
pub fn ledger_of(dialect: Dialect) -> &'static [Line] {
    match dialect {
        Dialect::AssumedV1 => &[],
        Dialect::OffsetPut => &OFFSET_PUT,
        Dialect::EnvelopeJobs => &ENVELOPE_JOBS,
        Dialect::PrefixMembers => &PREFIX_MEMBERS,
    }
}

const BEGINS: &str = "1, and 1 for each writer that begins";

/// Holders are a resource of their own, nothing is shown by the answer to a write, and people are looked for in their list.
const OFFSET_PUT: [Line; 13] = [
    ("GET inventory/types", BEGINS, |run| 1 + run.writers),
    ("GET inventory/definitions", BEGINS, |run| 1 + run.writers),
    ("GET people/definitions", BEGINS, |run| 1 + run.writers),
    ("GET inventory/places", "1", |_| 1),
    (
        "GET inventory/assets",
        "⌊assets / 50⌋ + 1; for each writer that begins as many again or one for each asset created, whichever is less",
        |run| numbered(run.assets, 50) + run.writers * run.new_assets.min(numbered(run.assets, 50)),
    ),
    (
        "GET people",
        "⌊user records / 50⌋ + 1; as many again for each writer that begins, if it creates one",
        |run| numbered(run.records, 50) * (1 + if run.new_records > 0 { run.writers } else { 0 }),
    ),
    ("POST inventory/assets", "assets created", |run| run.new_assets),
    ("PUT inventory/asset", "assets changed", |run| run.changed_assets),
    (
        "GET inventory/asset",
        "assets created, 2 for each asset changed, 1 for each check-out, 3 for each hand-over",
        |run| run.new_assets + 2 * run.changed_assets + run.check_outs + 3 * run.hand_overs,
    ),
    ("POST inventory/asset/{id}/custody", "check-outs and hand-overs", |run| run.check_outs + run.hand_overs),
    ("DELETE inventory/asset/{id}/custody", "hand-overs", |run| run.hand_overs),
    ("POST people", "user records created", |run| run.new_records),
    ("GET people/{id}", "user records created", |run| run.new_records),
];

/// Assets are created and changed by jobs, and people are told by their email.
const ENVELOPE_JOBS: [Line; 13] = [
    ("GET v3/types", BEGINS, |run| 1 + run.writers),
    ("GET v3/types/{type}/fields", "asset types, and as many again for each writer that begins", |run| {
        run.types * (1 + run.writers)
    }),
    ("GET v3/people-fields", BEGINS, |run| 1 + run.writers),
    ("GET v3/sites", "1", |_| 1),
    (
        "GET v3/assets",
        "⌈assets / 100⌉, at least 1; for each writer that begins as many again or one for each asset created, whichever is less",
        |run| pages(run.assets) + run.writers * run.new_assets.min(pages(run.assets)),
    ),
    (
        "GET v3/people",
        "⌈user records / 100⌉, at least 1; twice that where somebody has an asset; for each writer that begins as often again as \
         it creates a record or checks an asset out",
        |run| {
            let walks = usize::from(run.new_records > 0) + usize::from(run.check_outs > 0);
            pages(run.records) * (1 + usize::from(run.assets > 0) + run.writers * walks)
        },
    ),
    ("POST v3/assets", "assets created", |run| run.new_assets),
    ("PATCH v3/assets/{id}", "assets changed", |run| run.changed_assets),
    ("GET v3/jobs/{id}", "assets created and changed, as often as their job is looked at", |run| {
        run.new_assets + run.changed_assets
    }),
    ("GET v3/assets/{id}", "assets created, changed and checked out, 2 for each hand-over", |run| {
        run.new_assets + run.changed_assets + run.check_outs + 2 * run.hand_overs
    }),
    ("POST v3/actions", "check-outs, 2 for each hand-over", |run| run.check_outs + 2 * run.hand_overs),
    ("GET v3/people/{id}", "check-outs and hand-overs", |run| run.check_outs + run.hand_overs),
    ("POST v3/people", "user records created", |run| run.new_records),
];

/// One request a field, nothing is searched for, and the holder is a member of the asset.
const PREFIX_MEMBERS: [Line; 11] = [
    ("GET rows/types", BEGINS, |run| 1 + run.writers),
    ("GET rows/columns/assets", BEGINS, |run| 1 + run.writers),
    ("GET rows/columns/people", BEGINS, |run| 1 + run.writers),
    ("GET rows/locations", "1", |_| 1),
    (
        "GET rows/assets",
        "⌊assets / 100⌋ + 1; as many again for each writer that begins, if it creates one",
        |run| numbered(run.assets, 100) * (1 + if run.new_assets > 0 { run.writers } else { 0 }),
    ),
    (
        "GET rows/people",
        "⌊user records / 100⌋ + 1; as many again for each writer that begins, if it creates one",
        |run| numbered(run.records, 100) * (1 + if run.new_records > 0 { run.writers } else { 0 }),
    ),
    ("POST rows/assets", "assets created", |run| run.new_assets),
    ("PUT rows/assets/{id}/{field}", "fields changed", |run| run.changed_assets),
    ("GET rows/assets/{id}", "assets changed and checked out, 2 for each hand-over", |run| {
        run.changed_assets + run.check_outs + 2 * run.hand_overs
    }),
    ("PATCH rows/assets/{id}", "check-outs, 2 for each hand-over", |run| run.check_outs + 2 * run.hand_overs),
    ("POST rows/people", "user records created", |run| run.new_records),
];

/// Pages of a list that is numbered: a full page is no end, whatever the total says.
fn numbered(records: usize, size: usize) -> usize {
    records / size + 1
}

/// What begins with how long access tokens are good for, and is no matter of a run.
const TOKENS: &str = "POST oauth/token";

/// A request in the words that it was asked in, with `{id}` for what differs from record to record.
fn kind_of(request: &RequestRecord) -> String {
    let own = format!("{} {}", request.method, request.path);
    let asked = request.asked.as_ref().unwrap_or(&own);
    let (method, path) = asked.split_once(' ').unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches("/v1").trim_start_matches('/').split('/').collect();
    let is_id = |part: &str| {
        let digits = part.rsplit('-').next().unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut shown: Vec<&str> = parts.iter().map(|part| if is_id(part) { "{id}" } else { part }).collect();
    match shown.as_mut_slice() {
        ["v3", "types", kind, "fields"] => *kind = "{type}",
        ["rows", _, "{id}", field] => *field = "{field}",
        _ => {}
    }
    let search =
        if request.query.starts_with("name=") || request.query.starts_with("email=") { "?" } else { "" };
    format!("{method} {}{search}", shown.join("/"))
}

/// The requests to AMFJ since the last call, by kind.
fn counted(services: &Services) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in services.amfj.requests() {
        *counts.entry(kind_of(&request)).or_default() += 1;
    }
    services.amfj.clear_requests();
    counts
}

/// Compares the requests since the last call with the formulas of the dialect; one more or less is an error that names both.
///
/// # Errors
/// Where they differ.
pub fn check(what: &str, services: &Services, run: Run) -> Result<()> {
    let lines = ledger_of(services.amfj.dialect());
    let expected = lines.iter().map(|(kind, _, formula)| ((*kind).to_owned(), formula(&run)));
    let expected: BTreeMap<_, _> = expected.filter(|(_, count)| *count > 0).collect();
    let mut counted = counted(services);
    counted.remove(TOKENS);
    ensure!(counted == expected, "{what}, {run:?}:\n  made     {counted:#?}\n  expected {expected:#?}");
    Ok(())
}
