//! Queues a change for each of many devices, takes AMFJ away for a simulated hour, and prints what
//! became of them. Ends with status 1 if one was lost, made twice, or made although out of date.

use std::time::Duration;

use amfj_sync_tests::pipeline::outage::Outage;
use clap::Parser;

/// What is simulated.
#[derive(Debug, Parser)]
struct Args {
    /// Devices, each with a change behind the outage
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// How long AMFJ is away, in simulated minutes
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// The pause between two probes, in milliseconds, instead of 15 seconds
    #[arg(long, default_value_t = 100)]
    pause: u64,
    /// Devices that change in Kandji meanwhile
    #[arg(long, default_value_t = 100)]
    outdated: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Args { devices, minutes, pause, outdated } = Args::parse();
    let outage = Outage {
        devices,
        lasts: Duration::from_secs(minutes * 60),
        pause: Duration::from_millis(pause),
        outdated,
    };
    println!("{}", outage.endure().await?);
    Ok(())
}
