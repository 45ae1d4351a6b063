//! Benchmarks of the pipeline. Each prints a table with its baseline, measured in the same run.
//!
//! `tests/bench NAME` builds everything as it is shipped and runs one; docs/performance.md has the
//! figures of a run and what limits them.

mod baseline;
mod crowd;
mod events;
mod fleets;
mod hops;
mod plan;
mod refusals;
mod stage;
mod writers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// That of the writer, which `hops` serves in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the pipeline on this machine, on a private broker, on loopback only
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One message through a bare client, the reconciler and the writer
    Hops(hops::Options),
    /// First sync and idle run for fleets of several sizes: time, memory, start-up
    Fleets(fleets::Options),
    /// One request after the other, as scripts do it, against the pipeline
    Baseline(baseline::Options),
    /// Several writers against an AMFJ that takes its time
    Writers(writers::Options),
    /// Healthy assets beside a tenth and a third that AMFJ refuses for ever
    Refusals(refusals::Options),
    /// A storm of AMFJ's events: how long the answers take
    Events(events::Options),
    /// Many small integrations on two workers of each kind
    Crowd(crowd::Options),
    /// `plan`, `explain` and `status` on a large fleet, with no worker running
    Plan(plan::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Hops(options) => hops::run(&options).await,
        What::Fleets(options) => fleets::run(&options).await,
        What::Baseline(options) => baseline::run(&options).await,
        What::Writers(options) => writers::run(&options).await,
        What::Refusals(options) => refusals::run(&options).await,
        What::Events(options) => events::run(&options).await,
        What::Crowd(options) => crowd::run(&options).await,
        What::Plan(options) => plan::run(&options).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
