//! The table at the end.

use std::collections::BTreeMap;

use amfj_sync_model::messages::{DeviceStatus, Ending, Outcome};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::watching::{Standings, Tally};
use crate::up::screen::WIDTH_WITHOUT_TERMINAL;

/// What one run did.
#[derive(Debug, Clone)]
pub(super) struct RunReport {
    /// The head of its column.
    pub(super) title: &'static str,
    /// What became of its changes.
    pub(super) tally: Tally,
    /// Writes that AMFJ carried out.
    pub(super) writes: usize,
    /// Requests that Kandji answered.
    pub(super) requests: usize,
    /// How long it took, in seconds.
    pub(super) seconds: f64,
}

impl RunReport {
    fn edits<'a>(
        &'a self,
        wanted: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a amfj_sync_model::messages::Edit> {
        let applied = self.tally.outcomes.iter().filter(|one| one.ending == Ending::Applied);
        applied.flat_map(|one| &one.edits).filter(move |(field, _)| wanted(field)).map(|(_, edit)| edit)
    }

    fn handed(&self, out: bool) -> usize {
        let holders = self.edits(|field| field == Outcome::HOLDER);
        holders.filter(|edit| !(if out { &edit.new } else { &edit.old }).is_null()).count()
    }

    fn values_of_assets(&self) -> usize {
        let of_assets = |one: &&Outcome| {
            one.ending == Ending::Applied
                && matches!(one.kind.as_str(), "link-asset" | "create-asset" | "update-asset")
        };
        self.tally.outcomes.iter().filter(of_assets).map(|one| one.edits.len()).sum()
    }
}

/// One row: what it counts, and how.
type Row = (&'static str, fn(&RunReport) -> usize);

const ROWS: [Row; 9] = [
    ("devices linked to their assets", |run| run.tally.applied("link-asset")),
    ("values written to assets", RunReport::values_of_assets),
    ("people linked to user records", |run| run.tally.applied("link-user")),
    ("user records created", |run| run.tally.applied("create-user")),
    ("assets checked in", |run| run.handed(false)),
    ("assets checked out", |run| run.handed(true)),
    ("changes that failed", |run| run.tally.failed().count()),
    ("writes that AMFJ received", |run| run.writes),
    ("requests to Kandji", |run| run.requests),
];

/// What each run did.
pub(super) fn of_runs(runs: &[RunReport]) -> String {
    let mut table = new_table();
    let mut head = vec![Cell::new("")];
    head.extend(runs.iter().map(|run| Cell::new(run.title).set_alignment(CellAlignment::Right)));
    table.set_header(head);
    for (what, count) in ROWS {
        let mut row = vec![Cell::new(what)];
        row.extend(runs.iter().map(|run| number(count(run))));
        table.add_row(row);
    }
    let mut row = vec![Cell::new("seconds")];
    row.extend(
        runs.iter().map(|run| Cell::new(format!("{:.1}", run.seconds)).set_alignment(CellAlignment::Right)),
    );
    table.add_row(row);
    table.to_string()
}

/// How devices and people stand, with one example each of what needs a person.
pub(super) fn of_standings(
    devices: &BTreeMap<DeviceStatus, Standings>,
    people: &BTreeMap<DeviceStatus, Standings>,
) -> String {
    let mut table = new_table();
    let right = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    table.set_header(vec![Cell::new("state"), right("devices"), right("people"), Cell::new("for example")]);
    for state in DeviceStatus::ALL {
        let (device, person) = (devices.get(&state), people.get(&state));
        let Some(example) = device.or(person) else { continue };
        let example = if state == DeviceStatus::InSync { "" } else { &example.example };
        let count = |standings: Option<&Standings>| number(standings.map_or(0, |standings| standings.count));
        table.add_row(vec![Cell::new(state.as_str()), count(device), count(person), Cell::new(example)]);
    }
    table.to_string()
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH_WITHOUT_TERMINAL);
    }
    table
}

fn number(count: usize) -> Cell {
    let text = if count == 0 { "–".to_owned() } else { count.to_string() };
    Cell::new(text).set_alignment(CellAlignment::Right)
}
