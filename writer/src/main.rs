//! `writer`: applies changes to Asset Management for Jira.

use std::process::ExitCode;

use amfj_sync_config::Tokens;
use amfj_sync_security::hardening::harden_process;
use amfj_sync_security::screen::arguments;
use amfj_sync_service::worker::{CommonArgs, Exit, block_on, finish};
use amfj_sync_writer::{commands, worker};
use clap::{Parser, Subcommand};

/// Takes less time than that of the C library, and a little more memory (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes to AMFJ what the reconcilers decided, each change at most once
#[derive(Debug, Parser)]
#[command(name = "writer", version, propagate_version = true)]
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
    /// What could not be done
    #[command(subcommand)]
    Dead(Dead),
    /// What AMFJ refuses at the moment, and is tried again by itself
    #[command(subcommand)]
    Stopped(Stopped),
    /// What was applied, with old and new values
    History(commands::Asked),
    /// Put past changes on the queue again, where nothing came later
    Replay(commands::Wanted),
}

#[derive(Debug, Subcommand)]
enum Dead {
    /// Which, why, since when, and how often they were tried
    List {
        #[command(flatten)]
        filter: commands::Filter,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// One of them, whole
    Show {
        /// Its id, or the beginning of it
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put them back into the queues that they came from, to be tried again
    Replay {
        #[command(flatten)]
        chosen: commands::Chosen,
    },
    /// Take them away for good
    Drop {
        #[command(flatten)]
        chosen: commands::Chosen,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Stopped {
    /// Which, why, since when, how often they were tried, and when they are next
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try them now
    Retry {
        #[command(flatten)]
        meant: commands::Meant,
    },
    /// Give them up now: each becomes a dead letter
    Drop {
        #[command(flatten)]
        meant: commands::Meant,
    },
}

fn main() -> ExitCode {
    harden_process();
    let Arguments { mut common, command } = arguments::<Arguments>();
    finish(start(&mut common, &command))
}

fn start(common: &mut CommonArgs, command: &Command) -> Result<(), Exit> {
    if !matches!(command, Command::Run) {
        common.answer_only();
    }
    block_on(run(common, command))
}

async fn run(common: &CommonArgs, command: &Command) -> Result<(), Exit> {
    match command {
        Command::Run => worker::run(common.load(Tokens::Amfj)?).await,
        Command::Dead(Dead::List { filter, json }) => commands::list(common, filter, *json).await,
        Command::Dead(Dead::Show { id, json }) => commands::show(common, id, *json).await,
        Command::Dead(Dead::Replay { chosen }) => commands::replay(common, chosen).await,
        Command::Dead(Dead::Drop { chosen, yes }) => commands::drop_letters(common, chosen, *yes).await,
        Command::Stopped(Stopped::List { json }) => commands::list_stopped(common, *json).await,
        Command::Stopped(Stopped::Retry { meant }) => commands::retry_stopped(common, meant).await,
        Command::Stopped(Stopped::Drop { meant }) => commands::drop_stopped(common, meant).await,
        Command::History(asked) => commands::history(common, asked).await,
        Command::Replay(wanted) => commands::replay_history(common, wanted).await,
    }
}
