//! `reconciler`: decides what AMFJ shall hold.

use std::process::ExitCode;

use amfj_sync_shared::worker::{CommonArgs, Exit, finish};
use clap::{Parser, Subcommand};

/// Matches Kandji's devices and users with AMFJ's assets, and decides what has to change.
#[derive(Debug, Parser)]
#[command(name = "reconciler", version, about)]
struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: decide snapshots until told to stop
    Run,
}

fn main() -> ExitCode {
    finish(start(&Cli::parse()))
}

fn start(cli: &Cli) -> Result<(), Exit> {
    let config = cli.common.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Failed(format!("the runtime cannot be started: {error}")))?;
    match cli.command {
        Command::Run => runtime.block_on(amfj_sync_reconciler::worker::run(config)),
    }
}
