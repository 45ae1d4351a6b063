//! The table at the end of a campaign.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::plan::Plan;
use super::tally::{Row, all_steps};
use super::{Stage, families};

/// What was injected and survived.
#[derive(Debug, Clone)]
pub struct Report {
    seed: u64,
    episodes: u32,
    took: Duration,
    rows: Vec<(String, String, Row)>,
    never: Vec<String>,
    /// Workers killed.
    pub kills: u64,
    /// Messages that came a second time.
    pub redeliveries: u64,
    /// Of these, messages that turned out to be answered already.
    pub repeats: u64,
    /// Failpoints at which a worker died, of all there are.
    pub reached: (usize, usize),
    unreached: Vec<String>,
    adopted: u64,
    runs: u64,
    writes: u64,
    dead_letters: u64,
}

impl Report {
    pub(super) fn of(seed: u64, episodes: u32, took: Duration, stage: &Stage, plan: &Plan) -> Self {
        let tally = &stage.tally;
        let rows = tally.faults.iter().map(|((family, fault), row)| (family.clone(), fault.clone(), *row));
        let never = plan.faults().into_iter().filter(|fault| !tally.faults.contains_key(fault));
        let steps: Vec<String> = all_steps().into_iter().map(|(_, _, name)| name).collect();
        let unreached: Vec<String> =
            steps.iter().filter(|step| !tally.reached.contains_key(*step)).cloned().collect();
        Self {
            seed,
            episodes,
            took,
            rows: rows.collect(),
            never: never.map(|(family, fault)| format!("{family}: {fault}")).collect(),
            kills: tally.kills(),
            redeliveries: count(stage, "amfj_sync_redeliveries_total"),
            repeats: count(stage, "amfj_sync_repeats_total"),
            adopted: count(stage, "amfj_sync_adopted_total"),
            reached: (steps.len() - unreached.len(), steps.len()),
            unreached,
            runs: tally.runs,
            writes: tally.writes,
            dead_letters: tally.dead_letters,
        }
    }

    /// Whether the campaign was one at all: a campaign in which nothing happened proves nothing.
    ///
    /// # Errors
    /// Names what did not happen.
    pub fn ensure_faults_happened(&self) -> Result<()> {
        ensure!(self.episodes > 0, "there was no episode");
        ensure!(self.kills > 0, "no worker was killed");
        ensure!(self.redeliveries > 0, "no message came a second time");
        ensure!(self.repeats > 0, "no repeat was suppressed");
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of messages")]
fn count(stage: &Stage, name: &str) -> u64 {
    stage.workers.count(name) as u64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Campaign with seed {}: {} episodes in {:.0} s, no violation\n",
            self.seed,
            self.episodes,
            self.took.as_secs_f64()
        )?;
        writeln!(f, "{:<12} {:<44} {:>8} {:>8} {:>8}", "family", "fault", "injected", "struck", "survived")?;
        for family in families::ALL {
            for (_, fault, row) in self.rows.iter().filter(|(name, _, _)| name == family.name()) {
                writeln!(
                    f,
                    "{:<12} {fault:<44} {:>8} {:>8} {:>8}",
                    family.name(),
                    row.episodes,
                    row.struck,
                    row.survived
                )?;
            }
        }
        let sum = |of: fn(&Row) -> u64| self.rows.iter().map(|(_, _, row)| of(row)).sum::<u64>();
        let (injected, struck, survived) =
            (sum(|row| row.episodes), sum(|row| row.struck), sum(|row| row.survived));
        writeln!(f, "{:<12} {:<44} {injected:>8} {struck:>8} {survived:>8}\n", "all", "")?;
        writeln!(f, "workers killed                    {:>6}", self.kills)?;
        writeln!(f, "steps at which one died           {:>6} of {}", self.reached.0, self.reached.1)?;
        writeln!(f, "messages delivered again          {:>6}", self.redeliveries)?;
        writeln!(f, "repeats suppressed                {:>6}", self.repeats)?;
        writeln!(f, "creations found after a lost answer {:>4}", self.adopted)?;
        writeln!(f, "complete runs                     {:>6}", self.runs)?;
        writeln!(f, "writes to AMFJ                    {:>6}", self.writes)?;
        writeln!(f, "expected dead letters             {:>6}", self.dead_letters)?;
        if !self.unreached.is_empty() {
            writeln!(f, "steps not reached: {}", self.unreached.join(", "))?;
        }
        if !self.never.is_empty() {
            writeln!(f, "not drawn in this time: {}", self.never.join("; "))?;
        }
        Ok(())
    }
}
