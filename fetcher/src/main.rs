//! The `fetcher` command.

use std::process::ExitCode;
use std::time::Duration;

use amfj_sync_config::Tokens;
use amfj_sync_fetcher::{check, once, serve, trigger};
use amfj_sync_security::hardening::harden_process;
use amfj_sync_security::screen::arguments;
use amfj_sync_service::worker::{CommonArgs, Exit, Shutdown, block_on, finish};
use clap::{Parser, Subcommand};

/// Has one heap for all threads. With one for each, as the other workers have it to be faster, a large fleet takes half as
/// much memory again: what sled makes in one thread is freed in another (docs/performance.md).
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Reads Kandji and AMFJ, and hands every device and person to the reconcilers
#[derive(Debug, Parser)]
#[command(name = "fetcher", version, propagate_version = true)]
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
    /// Prove the configuration against the real services
    Check {
        /// Only this integration
        id: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// How long the first answer of the broker and of each service may take
        #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=600))]
        patience: u16,
    },
    /// Ask the running fetchers for a run now
    Trigger {
        /// Only this integration
        id: Option<String>,
    },
}

impl Command {
    fn integration(&self) -> Option<&String> {
        match self {
            Self::Run { id, .. } | Self::Check { id, .. } | Self::Trigger { id } => id.as_ref(),
        }
    }
}

fn main() -> ExitCode {
    harden_process();
    let Arguments { mut common, command } = arguments::<Arguments>();
    finish(block_on(run(&mut common, command)))
}

async fn run(common: &mut CommonArgs, command: Command) -> Result<(), Exit> {
    if let Some(id) = command.integration() {
        if common.integration.as_ref().is_some_and(|other| other != id) {
            return Err(Exit::Configuration("two different integrations are named; name one".into()));
        }
        common.integration = Some(id.clone());
    }
    if !matches!(command, Command::Run { .. }) {
        common.answer_only();
    }
    let tokens = if matches!(command, Command::Trigger { .. }) { Tokens::None } else { Tokens::Both };
    let config = common.load(tokens)?;
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    match command {
        Command::Run { once: true, .. } => once::run(config, shutdown).await,
        Command::Run { once: false, .. } => serve::run(config, shutdown).await,
        Command::Check { json, patience, .. } => {
            let patience = Duration::from_secs(u64::from(patience));
            check::run(&config, shutdown, check::Manner { json, patience }).await
        }
        Command::Trigger { .. } => trigger::run(&config, shutdown).await,
    }
}
