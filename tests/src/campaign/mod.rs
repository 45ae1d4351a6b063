//! The fault campaign: the whole product, again and again, with something broken each time.
//!
//! A campaign is a row of **episodes** on one [`Stage`]: a private broker, both simulated services and
//! the real workers, each restarted when it ends, as a service manager would. An episode changes the
//! fleet, draws one to three **faults** from different **families**, lets them strike while a run is
//! under way, and then looks whether everything came out as the [model](crate::model) says
//! ([`checks`](self)). The seed decides changes, faults and their numbers, so a campaign can be
//! repeated; what the operating system does in between differs, so a rare failure may need several.
//!
//! **A new family** is one module in `families` and one line in [`families::ALL`].

mod changes;
mod checks;
mod episode;
pub mod families;
mod flapping;
mod plan;
mod report;
mod stage;
mod tally;
mod workers;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

pub use families::{Family, Fault, Struck};
pub use report::Report;
pub use stage::Stage;
pub use tally::Tally;
pub use workers::{Death, Workers};

use crate::sim::amfj::Dialect;
use plan::Plan;

/// What campaign to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides changes, faults and their numbers.
    pub seed: u64,
    /// No episode is begun after this.
    pub time: Duration,
    /// At most this many episodes.
    pub episodes: Option<u32>,
    /// Only families whose name contains one of these; all if empty.
    pub families: Vec<String>,
    /// Only faults whose name contains one of these; all if empty.
    pub faults: Vec<String>,
    /// Faults that come before all others of their family.
    pub opening: Vec<String>,
    /// The broker is a cluster of three nodes, and the families that need one take part.
    pub cluster: bool,
    /// How AMFJ is spoken to.
    pub dialect: Dialect,
    /// Print a line for each episode to standard error.
    pub verbose: bool,
}

/// Runs episodes until the time is over or something is not as it must be.
///
/// # Errors
/// A violation, with the story of its episode and how to repeat it.
pub async fn run(options: &Options) -> Result<Report> {
    let begin = Instant::now();
    let mut plan = Plan::new(options)?;
    let mut stage = Stage::open(options.seed, options.cluster, options.dialect).await?;
    let mut number = 0;
    let first = episode::first_sync(&mut stage, options).await;
    first.with_context(|| repeat_with(options, 1))?;
    while begin.elapsed() < options.time && options.episodes.is_none_or(|most| number < most) {
        number += 1;
        let outcome = episode::play(&mut stage, &mut plan, options, number).await;
        if let Err(violation) = outcome {
            let kept = stage.keep_evidence(options.seed, number).await;
            let kept = kept.unwrap_or_else(|error| format!("(the logs could not be kept: {error:#})"));
            return Err(violation).with_context(|| format!("{}\nlogs: {kept}", repeat_with(options, number)));
        }
    }
    let report = Report::of(options.seed, number, begin.elapsed(), &stage, &plan);
    stage.close().await.context("the end of the campaign")?;
    Ok(report)
}

fn repeat_with(options: &Options, episode: u32) -> String {
    let families = options.families.iter().map(|family| format!(" --family '{family}'"));
    let faults = options.faults.iter().map(|fault| format!(" --fault '{fault}'"));
    let cluster = options.cluster.then(|| " --cluster".to_owned());
    let dialect =
        (options.dialect != Dialect::default()).then(|| format!(" --dialect {}", options.dialect.name()));
    let only: String = families.chain(faults).chain(cluster).chain(dialect).collect();
    let call = format!("./tests/campaign --seed {} --episodes {episode}{only}", options.seed);
    format!("VIOLATION with seed {} in episode {episode}; this repeats it: {call}", options.seed)
}
