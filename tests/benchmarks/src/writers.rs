//! Several writers against an AMFJ that takes its time.

use std::time::Duration;

use amfj_sync_benchmarks::figures::{machine, rate, table};
use amfj_sync_tests::pipeline::{Services, spec};
use amfj_sync_tests::sim::fleet::{Fleet, Site};
use anyhow::{Context as _, Result};
use clap::Args;

use super::stage::Stage;

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Devices, each of which gets an asset and a user record
    #[arg(long, default_value_t = 2_000)]
    devices: usize,
    /// Latency of AMFJ, in milliseconds
    #[arg(long, default_value_t = 20)]
    latency: u64,
    /// How many writers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4])]
    writers: Vec<usize>,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    println!("{}", machine());
    println!("AMFJ answers after {} ms; each writer has at most 16 requests under way", options.latency);
    let mut shown = table(&["writers", "writes a second", "against one", "most that the latency allows"]);
    let mut one = None;
    for writers in &options.writers {
        let reached = measure(options, *writers).await?;
        let one = *one.get_or_insert(reached);
        let most = rate(16 * writers, Duration::from_millis(options.latency));
        shown.add_row([
            writers.to_string(),
            format!("{reached:.0}"),
            format!("{:.2}", reached / one),
            format!("{most:.0}"),
        ]);
    }
    println!("{shown}");
    Ok(())
}

/// Writes a second, from the first to the last.
async fn measure(options: &Options, writers: usize) -> Result<f64> {
    let mut fleet = Fleet::generate(spec(options.devices, 7));
    fleet.site = Site::empty();
    let services = Services::start(&fleet).await?;
    services.amfj.set_latency(Duration::from_millis(options.latency));
    let integration = services
        .integration("acme")
        .set("mode", "apply")
        .set("sync.create_devices", "always")
        .set("amfj.requests_per_second", 10_000)
        .field("Model", "model");
    let stage = Stage::set(vec![("acme", integration)], 1, writers).await?;
    stage.run().await?;
    let made = services.amfj.writes();
    let (first, last) = (made.first().context("a write")?.time, made.last().context("a write")?.time);
    let took = Duration::try_from(last.duration_since(first)).unwrap_or_default();
    Ok(rate(made.len(), took))
}
