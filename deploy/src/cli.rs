//! The whole command line of `amfj-sync`.

use std::path::PathBuf;
use std::process::ExitCode;

use amfj_sync_security::hardening::harden_process;
use amfj_sync_security::screen::arguments;
use amfj_sync_service::worker::{CommonArgs, finish};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::paper;
use crate::up::{self, UpArgs};

/// Keeps Asset Management for Jira in step with Kandji: starts it, says how it stands, and takes what a person decides
#[derive(Debug, Parser)]
#[command(name = "amfj-sync", version, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything: with a simulated fleet, or with `--config` against your own services
    Up(UpArgs),
    /// What a shell sources to complete commands and options
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the pages of the manual, for packages
    #[command(hide = true)]
    Manual {
        /// A folder that is there
        folder: PathBuf,
    },
    #[command(flatten)]
    Other(amfj_sync_commands::Command),
}

/// Does what the command line says, and returns the exit status.
#[must_use]
pub fn main() -> ExitCode {
    harden_process();
    let Arguments { common, command } = arguments();
    match command {
        Command::Up(asked) => up::run(&common, &asked),
        Command::Completions { shell } => {
            paper::completions(shell);
            ExitCode::SUCCESS
        }
        Command::Manual { folder } => finish(paper::manual(&folder)),
        Command::Other(command) => finish(amfj_sync_commands::run(common, &command)),
    }
}
