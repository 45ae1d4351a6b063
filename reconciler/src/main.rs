//! `reconciler`: decides what AMFJ shall hold.

use std::process::ExitCode;

use amfj_sync_config::Tokens;
use amfj_sync_reconciler::worker;
use amfj_sync_security::hardening::harden_process;
use amfj_sync_security::screen::arguments;
use amfj_sync_service::worker::{CommonArgs, Exit, begin, block_on, finish};
use clap::{Parser, Subcommand};

/// Takes less time than that of the C library, and a little more memory (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Matches Kandji's devices and users with AMFJ's assets, and decides what has to change
#[derive(Debug, Parser)]
#[command(
    name = "reconciler",
    version,
    propagate_version = true,
    after_help = "The commands for people are those of amfj-sync."
)]
struct Arguments {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: decide what the fetchers read
    Run,
}

fn main() -> ExitCode {
    harden_process();
    let Arguments { common, command: Command::Run } = arguments::<Arguments>();
    finish(block_on(run(&common)))
}

async fn run(common: &CommonArgs) -> Result<(), Exit> {
    let (config, shutdown) = begin(common, Tokens::None, |_| Ok(()))?;
    worker::run(config, shutdown).await
}
