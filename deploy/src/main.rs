//! `up`: starts everything with one command. Without a configuration it runs a simulated fleet, with
//! one it runs the three workers against the services that the configuration names.
//!
//! Everything it starts ends with it: in good order on Control-C, at once if it is killed.

mod consent;
mod crew;
mod own;
mod process;
mod screen;
mod showcase;
mod stop;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use amfj_sync_security::hardening::harden_process;
use amfj_sync_security::screen::{arguments, say_error};
use clap::Parser;

use crew::Crew;
use stop::Stop;

/// Starts amfj-sync: with a simulated fleet, or with `--config` against your own services
#[derive(Debug, Clone, Parser)]
#[command(name = "up", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Arguments {
    /// Run against the services of this configuration instead of simulated ones
    #[arg(long, value_name = "FILE", conflicts_with_all = ["devices", "seed", "once"])]
    config: Option<PathBuf>,
    /// How many devices the simulated fleet has; Kandji answers about 50 requests a second
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(20..=5_000))]
    devices: u32,
    /// Another number makes another fleet
    #[arg(long, default_value_t = 7, value_name = "S")]
    seed: u64,
    /// End after the table, also on a terminal
    #[arg(long)]
    once: bool,
    /// Keep everything running after the table, also without a terminal
    #[arg(long, conflicts_with_all = ["once", "config"])]
    stay: bool,
    /// With --config: apply without asking, where the configuration says mode = "apply" (for scripts)
    #[arg(long, requires = "config")]
    yes: bool,
    /// Exit with 0 if a private broker would be started, else with 1 (for the script around this)
    #[arg(long, hide = true)]
    needs_broker: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    harden_process();
    let arguments: Arguments = arguments();
    if arguments.needs_broker {
        let needed = arguments.config.as_deref().is_none_or(own::needs_private_broker);
        return ExitCode::from(u8::from(!needed));
    }
    start(arguments).await.unwrap_or_else(|error| complain(&error))
}

async fn start(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Listen before anything is started that a signal would have to stop.
    let stop = Stop::on_signals()?;
    let mut crew = Crew::default();
    let started = crew.started();
    let work = async {
        match &arguments.config {
            Some(path) => own::run(path, arguments.yes, &mut crew, &stop).await,
            None => showcase::run(&arguments, &mut crew, &stop).await,
        }
    };
    let result = tokio::select! {
        result = work => result,
        () = stop.wanted() => {
            say_error(&format!("\n{}", started.what_stops()));
            Ok(stop.exit_code())
        }
    };
    let failed = result.is_err();
    let code = result.unwrap_or_else(|error| complain(&error));
    crew.stop(failed).await;
    Ok(code)
}

fn complain(error: &anyhow::Error) -> ExitCode {
    say_error(&format!("error: {error:#}"));
    ExitCode::FAILURE
}
