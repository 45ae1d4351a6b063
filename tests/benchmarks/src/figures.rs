//! Figures of several rounds and how they are shown.

use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

/// What was measured in several rounds.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// Takes the figure of one round.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle one; zero without any.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }

    /// The smallest and the largest.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        let fold = |first: f64, pick: fn(f64, f64) -> f64| self.0.iter().copied().fold(first, pick);
        (fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max))
    }
}

/// A table that is as readable in a terminal as in a document.
#[must_use]
pub fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head.to_vec());
    table
}

/// So many in so much time, a second.
#[must_use]
pub fn rate(count: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of messages")]
    let count = count as f64;
    count / took.as_secs_f64().max(f64::EPSILON)
}

/// The processor, the cores and the load of this machine: what figures are worth little without.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(": ")))
        .map_or_else(|| "an unknown processor".to_owned(), |(_, name)| name.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M");
    format!("{now} UTC, {processor}, {cores} cores, load before it {load}")
}

/// A watch that is read once.
#[derive(Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since then.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
