//! Runs: who leads, what failed, when the first sync is over.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_model::ids::DeviceId;
use amfj_sync_model::messages::{MassCounts, RunStarted};

use super::super::keys::table;
use super::super::rows::RunRow;
use super::super::store::StoreError;
use super::{Projector, Verdict};

/// Minutes of Kandji requests that are kept: the sliding hour and one to spare.
const LEDGER_MINUTES: u64 = 120;

/// In milliseconds since 1970 the year 2200: whatever says that it is later is a mistake or a lie.
const LATEST_TIME: u64 = 7_258_118_400_000;
/// How far the clocks of two machines may differ, in milliseconds.
const A_DAY: u64 = 86_400_000;
const MILLISECONDS_A_MINUTE: u64 = 60_000;

/// Rows of staged facts that are forgotten at once.
const STEP: usize = 256;

impl Projector<'_, '_> {
    /// The first announcement of a number wins, and numbers only grow: by one, or to what the clock of its leader shows. A
    /// number that no clock can have reached would be the last one, and the integration stand still for ever.
    pub(super) fn run_started(&mut self, started: &RunStarted) -> Result<Verdict, StoreError> {
        let latest = self.meta.latest.as_ref().map_or(0, |latest| latest.started.number);
        if self.meta.latest.is_some() && latest >= started.number {
            return Ok(Verdict::Rejected("another run has started".into()));
        }
        if started.number > self.latest_moment().max(latest.saturating_add(1)) {
            return Ok(Verdict::Rejected(format!(
                "no clock gives a run the number {} at {}",
                started.number, self.event.time
            )));
        }
        // What an abandoned run staged never takes effect (P2).
        self.forget_staged()?;
        self.meta.latest = Some(RunRow {
            started: started.clone(),
            offset: self.offset,
            counts: None,
            inventory_at: None,
            published_ms: None,
            decided: BTreeMap::new(),
            staged: BTreeMap::new(),
            amounts: BTreeMap::new(),
            // A first sync links as it must; one that may take assets from people is judged like any other run (P23).
            allowed: started.first_sync && !started.judged,
            failed: None,
            configuration: false,
            held: None,
        });
        self.meta.requested = None;
        if !started.auto_checkout {
            self.meta.forgotten_until = self.offset;
        }
        Ok(Verdict::Accepted)
    }

    /// The latest moment that a clock can show where the fact was written, in milliseconds since 1970. Taken from the fact
    /// itself, so that everybody who reads it comes to the same.
    fn latest_moment(&self) -> u64 {
        let time = u64::try_from(self.event.time.as_millisecond()).unwrap_or(0);
        time.min(LATEST_TIME).saturating_add(A_DAY)
    }

    /// Whether somebody claims a place in a run that is newer than the latest: nobody has started that, and all that comes
    /// later for its key would look older. Without any run, as after the stream was declared anew, nothing tells.
    pub(super) fn is_of_no_run(&self, run: u64) -> bool {
        self.meta.latest.as_ref().is_some_and(|latest| run > latest.started.number)
    }

    fn forget_staged(&mut self) -> Result<(), StoreError> {
        self.forget_rows(table::STAGED)
    }

    /// In steps, since a table may hold a whole fleet.
    pub(super) fn forget_rows(&mut self, table: &str) -> Result<(), StoreError> {
        let rows = format!("{table}/");
        if !self.batch.has_keys(rows.as_bytes())? {
            return Ok(());
        }
        self.commit_so_far()?;
        let prefix = rows.into_bytes();
        loop {
            let rows = self.batch.first_rows(&prefix, STEP)?;
            if rows.is_empty() {
                return Ok(());
            }
            for (key, _) in rows {
                self.batch.delete_row(key);
            }
            self.batch.commit()?;
        }
    }

    fn change_run(&mut self, number: u64, mut change: impl FnMut(&mut RunRow)) -> Verdict {
        let mut known = false;
        for run in [&mut self.meta.latest, &mut self.meta.in_force].into_iter().flatten() {
            if run.started.number == number {
                change(run);
                known = true;
            }
        }
        Verdict::unless((!known).then_some("a newer run has taken its place"))
    }

    pub(super) fn run_failed(&mut self, number: u64, reason: &str, configuration: bool) -> Verdict {
        self.change_run(number, |run| {
            run.failed = Some(reason.to_owned());
            run.configuration = configuration;
        })
    }

    pub(super) fn run_published(&mut self, number: u64, took_ms: u64) -> Verdict {
        let event_source = self.meta.latest.as_ref().map(|run| run.started.at);
        let verdict = self.change_run(number, |run| run.published_ms = Some(took_ms));
        if verdict == Verdict::Accepted {
            self.meta.last_success = event_source;
            self.meta.released = None;
        }
        verdict
    }

    pub(super) fn mass_changes_allowed(&mut self, number: u64) -> Verdict {
        let verdict = self.change_run(number, |run| run.allowed = true);
        self.apply_in_force();
        verdict
    }

    /// What follows once a run is decided by all partitions and may be written: the first sync is over (P5), and what it
    /// maps is what was applied last (P23).
    pub(super) fn apply_in_force(&mut self) {
        let Some(run) = &self.meta.in_force else { return };
        let is_decided = run.decided.len() == usize::from(self.meta.partitions)
            && run.decided.values().all(|complete| *complete);
        if is_decided && run.allowed && run.held.is_none() && run.started.applies_to_all {
            self.meta.first_sync_over = true;
            self.meta.applied_mapping = Some(run.started.mapping.clone());
        }
    }

    pub(super) fn run_held(&mut self, number: u64, reason: &str) -> Verdict {
        self.change_run(number, |run| run.held = Some(reason.to_owned()))
    }

    /// What a run that is held does not see of the linked devices, beside what runs before it said (P23).
    pub(super) fn devices_vanished(
        &mut self,
        number: u64,
        vanished: &BTreeSet<DeviceId>,
        back: &BTreeSet<DeviceId>,
    ) -> Verdict {
        if self.meta.latest.as_ref().is_none_or(|run| run.started.number != number) {
            return Verdict::Rejected("a newer run has started".into());
        }
        for device in vanished {
            self.batch.put(table::VANISHED, device.as_str(), &number);
        }
        for device in back {
            self.batch.delete(table::VANISHED, device.as_str());
        }
        Verdict::Accepted
    }

    pub(super) fn partition_decided(
        &mut self,
        number: u64,
        partition: u16,
        complete: bool,
        (staged, counts): (u32, MassCounts),
    ) -> Verdict {
        let verdict = self.change_run(number, |run| {
            run.decided.insert(partition, complete);
            run.staged.insert(partition, staged);
            run.amounts.insert(partition, counts);
        });
        self.apply_in_force();
        verdict
    }

    pub(super) fn kandji_requests(&mut self, minute: u64, count: u32) -> Result<Verdict, StoreError> {
        if minute > self.latest_moment() / MILLISECONDS_A_MINUTE {
            return Ok(Verdict::Rejected("no clock shows such a minute".into()));
        }
        let id = format!("{minute:012}");
        let before: u32 = self.batch.row(table::KANDJI, &id)?.unwrap_or(0);
        self.batch.put(table::KANDJI, &id, &before.saturating_add(count));
        for id in self.batch.keys(format!("{}/", table::KANDJI).as_bytes())? {
            if id.parse::<u64>().is_ok_and(|kept| kept.saturating_add(LEDGER_MINUTES) < minute) {
                self.batch.delete(table::KANDJI, &id);
            }
        }
        Ok(Verdict::Accepted)
    }
}
