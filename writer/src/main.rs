//! `writer`: applies changes to Asset Management for Jira.

use std::process::ExitCode;

use amfj_sync_amfj::profile;
use amfj_sync_config::Tokens;
use amfj_sync_security::hardening::harden_process;
use amfj_sync_security::screen::arguments;
use amfj_sync_service::worker::{CommonArgs, Exit, begin, block_on, finish};
use amfj_sync_writer::worker;
use clap::{Parser, Subcommand};

/// Takes less time than that of the C library, and a little more memory (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes to AMFJ what the reconcilers decided, each change at most once
#[derive(Debug, Parser)]
#[command(
    name = "writer",
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
    /// Serve: apply changes until told to stop
    Run,
}

fn main() -> ExitCode {
    harden_process();
    let Arguments { common, command: Command::Run } = arguments::<Arguments>();
    finish(block_on(run(&common)))
}

async fn run(common: &CommonArgs) -> Result<(), Exit> {
    let (config, shutdown) = begin(common, Tokens::Amfj, |config| profile::check(config).map(drop))?;
    worker::run(config, shutdown).await
}
