//! `reconciler`: decides what AMFJ shall hold.

use std::process::ExitCode;

use amfj_sync_config::Tokens;
use amfj_sync_reconciler::{commands, worker};
use amfj_sync_security::hardening::harden_process;
use amfj_sync_security::screen::arguments;
use amfj_sync_service::worker::{CommonArgs, Exit, block_on, finish};
use clap::{Parser, Subcommand};

/// Takes less time than that of the C library, and a little more memory (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Matches Kandji's devices and users with AMFJ's assets, and decides what has to change
#[derive(Debug, Parser)]
#[command(name = "reconciler", version, propagate_version = true)]
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
    /// What the next run would change, field by field; writes nothing
    Plan {
        /// Only this integration
        id: Option<String>,
        #[command(flatten)]
        asked: commands::Asked,
    },
    /// Why a device, an asset or a person is in its state, and what to do
    Explain {
        /// A name, serial, email, or id of Kandji or AMFJ
        #[arg(value_name = "DEVICE|ASSET|USER")]
        what: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Integrations, runs, devices by state, queues, workers
    Status {
        /// Only this integration
        id: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Show it again and again on the terminal, until `q`
        #[arg(long, conflicts_with = "json")]
        watch: bool,
    },
    /// This device is this asset
    Link {
        /// Its Kandji id, serial or name
        device: String,
        /// Its AMFJ id or name
        asset: String,
    },
    /// This device is no asset, and no rule shall say otherwise
    Unlink {
        /// Its Kandji id, serial or name
        device: String,
    },
    /// This Kandji user is this user record
    LinkUser {
        /// Their email or Kandji user id
        user: String,
        /// Its AMFJ id or email
        record: String,
    },
    /// This Kandji user is no user record, and no rule shall say otherwise
    UnlinkUser {
        /// Their email or Kandji user id
        user: String,
    },
    /// Let a held run go on
    Release {
        /// The integration
        id: String,
    },
    /// Make the next run a first sync again
    Rematch {
        /// The integration
        id: String,
    },
}

impl Command {
    fn integration(&self) -> Option<&String> {
        match self {
            Self::Plan { id, .. } | Self::Status { id, .. } => id.as_ref(),
            Self::Release { id } | Self::Rematch { id } => Some(id),
            _ => None,
        }
    }
}

fn main() -> ExitCode {
    harden_process();
    let Arguments { mut common, command } = arguments::<Arguments>();
    finish(start(&mut common, &command))
}

fn start(common: &mut CommonArgs, command: &Command) -> Result<(), Exit> {
    common.name_integration(command.integration())?;
    if !matches!(command, Command::Run) {
        common.answer_only();
    }
    block_on(run(common, command))
}

async fn run(common: &CommonArgs, command: &Command) -> Result<(), Exit> {
    match command {
        Command::Run => worker::run(common.load(Tokens::None)?).await,
        Command::Plan { asked, .. } => commands::plan(common, asked).await,
        Command::Explain { what, json } => commands::explain(common, what, *json).await,
        Command::Status { json, watch, .. } => commands::status(common, *json, *watch).await,
        Command::Link { device, asset } => commands::link(common, device, asset).await,
        Command::Unlink { device } => commands::unlink(common, device).await,
        Command::LinkUser { user, record } => commands::link_user(common, user, record).await,
        Command::UnlinkUser { user } => commands::unlink_user(common, user).await,
        Command::Release { .. } => commands::release(common).await,
        Command::Rematch { .. } => commands::rematch(common).await,
    }
}
