//! The commands for people on a large fleet: `amfj-sync plan` and what one types beside it, each a
//! process of its own that reads everything from the broker, with no worker running.

use std::time::{Duration, Instant};

use amfj_sync_benchmarks::figures::{Rounds, machine, table};
use amfj_sync_tests::harness::IntegrationBuilder;
use amfj_sync_tests::pipeline::{Services, spec};
use amfj_sync_tests::sim::fleet::Fleet;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;

use super::stage::Stage;

/// No command takes longer.
const LIMIT: Duration = Duration::from_mins(10);

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Devices of the fleet
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// How often each command is called
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    println!("{}", machine());
    let fleet = Fleet::generate(spec(options.devices, 7));
    let mut shown = table(&["no worker runs; median (range)", "plan", "plan --json", "explain", "status"]);
    for mode in ["plan", "apply"] {
        let services = Services::start(&fleet).await?;
        let stage = Stage::set(vec![("acme", integration(&services, mode))], 1, 1).await?;
        let mut situation = format!("first sync of {} devices, planned", options.devices);
        stage.run().await?;
        if mode == "apply" {
            stage.run().await?;
            situation = format!("{} devices in sync", options.devices);
        }
        let device = services.kandji.devices().into_iter().next().context("a device")?.device_id;
        let stage = stage.without_workers().await?;
        let changes = planned(&stage).await?;
        println!("{situation}: {changes} changes in the plan");
        ensure!((changes > 0) == (mode == "plan"), "{changes} changes with mode {mode}");
        let mut cells = vec![situation];
        for command in [&["plan"][..], &["plan", "--json"], &["explain", &device], &["status"]] {
            cells.push(measure(&stage, command, options.rounds).await?);
        }
        shown.add_row(cells);
    }
    println!("{shown}");
    Ok(())
}

/// Everything that a plan may show: links, values, check-outs, and people to be created.
fn integration(services: &Services, mode: &str) -> IntegrationBuilder {
    services
        .integration("acme")
        .set("mode", mode)
        .set("sync.create_devices", "always")
        .set("sync.auto_checkout", true)
        .set("amfj.requests_per_second", 10_000)
        .set("amfj.request_timeout", "30s")
        .field("Serial Number", "serial_number")
        .field("Model", "model")
        .field("OS Version", "os_version")
}

/// How many changes the plan has.
async fn planned(stage: &Stage) -> Result<usize> {
    let done = stage.command(["plan", "--json"]).finish(LIMIT).await?;
    ensure!(done.status.success(), "plan ended with {}:\n{}", done.status, done.stderr);
    let plans: Value = serde_json::from_str(&done.stdout)?;
    Ok(plans[0]["changes"].as_array().context("changes")?.len())
}

async fn measure(stage: &Stage, command: &[&str], rounds: usize) -> Result<String> {
    let mut took = Rounds::default();
    for _ in 0..rounds {
        let begin = Instant::now();
        let done = stage.command(command).finish(LIMIT).await?;
        took.add(begin.elapsed().as_secs_f64());
        ensure!(done.status.success(), "{command:?} ended with {}:\n{}", done.status, done.stderr);
    }
    let (least, most) = took.range();
    Ok(format!("{:.2} s ({least:.2} to {most:.2})", took.median()))
}
