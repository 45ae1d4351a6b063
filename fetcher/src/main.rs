//! The `fetcher` command.

use std::process::ExitCode;

use amfj_sync_amfj::profile;
use amfj_sync_config::Tokens;
use amfj_sync_fetcher::{once, serve};
use amfj_sync_security::hardening::harden_process;
use amfj_sync_security::screen::arguments;
use amfj_sync_service::worker::{CommonArgs, Exit, Shutdown, begin, block_on, finish};
use clap::{Parser, Subcommand};

/// Has one heap for all threads. With one for each, as the other workers have it to be faster, a large fleet takes half as
/// much memory again: what sled makes in one thread is freed in another (docs/performance.md).
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Reads Kandji and AMFJ, and hands every device and person to the reconcilers
#[derive(Debug, Parser)]
#[command(
    name = "fetcher",
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
    /// Serve: a run now, then one every interval
    Run {
        /// One run of each integration, then exit when everything is published
        #[arg(long)]
        once: bool,
        /// Only this integration
        id: Option<String>,
    },
}

fn main() -> ExitCode {
    harden_process();
    let Arguments { mut common, command: Command::Run { once, id } } = arguments::<Arguments>();
    let named = common.name_integration(id.as_ref());
    finish(named.and_then(|()| block_on(run(&common, once))))
}

async fn run(common: &CommonArgs, once: bool) -> Result<(), Exit> {
    if once {
        let config = common.load(Tokens::Both)?;
        let shutdown = Shutdown::default();
        shutdown.on_signals()?;
        return once::run(config, shutdown).await;
    }
    let (config, shutdown) = begin(common, Tokens::Both, |config| profile::check(config).map(drop))?;
    serve::run(config, shutdown).await
}
