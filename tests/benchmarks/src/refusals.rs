//! Healthy assets beside others that AMFJ refuses for ever (P28).

use std::time::{Duration, Instant};

use amfj_sync_benchmarks::figures::{machine, rate, table};
use amfj_sync_tests::harness::Role;
use amfj_sync_tests::pipeline::{Services, spec};
use amfj_sync_tests::sim::fleet::Fleet;
use amfj_sync_tests::sim::personality::{Kind, Oddity, Personality};
use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use super::stage::Stage;

/// The ways in which assets refuse, in turn.
const STATUSES: [u16; 4] = [403, 409, 422, 500];

/// The least that healthy ones must be written at, against a run in which none is refused.
const LEAST: f64 = 0.5;

/// No run of this takes longer.
const LIMIT: Duration = Duration::from_mins(10);

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Devices, each of which has an asset and gets a new value
    #[arg(long, default_value_t = 1_500)]
    devices: usize,
    /// Latency of AMFJ, in milliseconds
    #[arg(long, default_value_t = 20)]
    latency: u64,
    /// One asset in so many is refused for ever, mixed 403, 409, 422 and 500
    #[arg(long, value_delimiter = ',', default_values_t = [10, 3])]
    one_in: Vec<usize>,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    println!("{}", machine());
    println!("{} assets; AMFJ answers after {} ms", options.devices, options.latency);
    let mut shown =
        table(&["refused for ever", "healthy", "healthy ones written a second", "against none refused"]);
    let whole = measure(options, None).await?;
    shown.add_row([
        "none".to_owned(),
        options.devices.to_string(),
        format!("{:.0}", whole.rate),
        "1.00".to_owned(),
    ]);
    let mut worst = f64::INFINITY;
    for one_in in &options.one_in {
        let reached = measure(options, Some(*one_in)).await?;
        let against = reached.rate / whole.rate;
        worst = worst.min(against);
        let refused = (options.devices - reached.healthy).to_string();
        shown.add_row([
            refused,
            reached.healthy.to_string(),
            format!("{:.0}", reached.rate),
            format!("{against:.2}"),
        ]);
    }
    println!("{shown}");
    ensure!(worst >= LEAST, "healthy assets are delayed by refused ones: {worst:.2} of the usual rate");
    Ok(())
}

struct Reached {
    healthy: usize,
    /// Healthy assets written a second.
    rate: f64,
}

/// From the first write to that of the last healthy asset.
async fn measure(options: &Options, one_in: Option<usize>) -> Result<Reached> {
    let services = Services::start(&Fleet::generate(spec(options.devices, 7))).await?;
    let integration = services
        .integration("acme")
        .set("mode", "apply")
        .set("amfj.requests_per_second", 10_000)
        .field("OS Version", "os_version");
    let stage = Stage::set(vec![("acme", integration)], 1, 1).await?;
    stage.run().await?;
    services.amfj.set_latency(Duration::from_millis(options.latency));
    let refused: Vec<String> = one_in.map_or_else(Vec::new, |one_in| {
        services.amfj.assets().iter().step_by(one_in).map(|asset| asset.id.clone()).collect()
    });
    for (number, asset) in refused.iter().enumerate() {
        let refusal = Oddity::refuse(STATUSES[number % STATUSES.len()]);
        services.amfj.personality(Personality::new(refusal).at(Kind::Writes).of(asset));
    }
    for device in services.kandji.devices() {
        services.kandji.set(&device.device_id, "os_version", json!("refusals 1"))?;
    }
    services.amfj.clear_writes();
    let done = stage.call(Role::Fetcher).args(["run", "--once"]).finish(LIMIT).await?;
    ensure!(done.status.success(), "the run ended with {}:\n{}", done.status, done.stderr);
    let healthy = options.devices - refused.len();
    let begin = Instant::now();
    while services.amfj.write_count() < healthy {
        let written = services.amfj.write_count();
        ensure!(begin.elapsed() < LIMIT, "{written} of {healthy} healthy assets were written in {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let writes = services.amfj.writes();
    let (first, last) = (writes[0].time, writes[healthy - 1].time);
    let took = Duration::try_from(last.duration_since(first)).unwrap_or_default();
    Ok(Reached { healthy, rate: rate(healthy, took) })
}
