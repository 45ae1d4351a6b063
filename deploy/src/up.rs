//! `amfj-sync up`: starts everything with one command. Without a configuration it runs a simulated fleet, with one it runs
//! the three workers against the services that the configuration names.
//!
//! Everything it starts ends with it: in good order on Control-C, at once if it is killed.

mod consent;
mod own;
mod process;
mod processes;
mod screen;
mod showcase;
mod stop;
mod workers;

use std::path::Path;
use std::process::ExitCode;

use amfj_sync_security::screen::say_error;
use amfj_sync_service::worker::{CommonArgs, Exit, finish};
use anyhow::Context as _;
use clap::Args;

use processes::Processes;
use stop::Stop;

/// Devices of the simulated fleet, unless somebody wants more or fewer.
const DEVICES: u32 = 300;

/// Makes the fleet that the documentation shows.
const SEED: u64 = 7;

/// What is to be started.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct UpArgs {
    /// How many devices the simulated fleet has; Kandji answers about 50 requests a second [default: 300]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(20..=5_000))]
    devices: Option<u32>,
    /// Another number makes another fleet [default: 7]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// End after the table, also on a terminal
    #[arg(long)]
    once: bool,
    /// Keep everything running after the table, also without a terminal
    #[arg(long, conflicts_with = "once")]
    stay: bool,
    /// With --config: apply without asking, where the configuration says mode = "apply" (for scripts)
    #[arg(long)]
    yes: bool,
    /// Exit with 0 if a private broker would be started, else with 1 (for the script around this)
    #[arg(long, hide = true)]
    needs_broker: bool,
}

impl UpArgs {
    fn devices(&self) -> u32 {
        self.devices.unwrap_or(DEVICES)
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(SEED)
    }

    /// Refuses options that say nothing where they stand. The common options may stand before `up` as well, where the parser
    /// does not see both at once.
    fn refuse_what_says_nothing(&self, common: &CommonArgs) -> Result<(), Exit> {
        let of_the_show = [
            ("--devices", self.devices.is_some()),
            ("--seed", self.seed.is_some()),
            ("--once", self.once),
            ("--stay", self.stay),
        ];
        let wrong = match common.config {
            Some(_) => of_the_show.into_iter().find(|(_, given)| *given).map(|(option, _)| {
                format!("{option} is about the simulated fleet, and --config names your own services")
            }),
            None => self.yes.then(|| "--yes is about your own services: name them with --config".to_owned()),
        };
        let one = || {
            let id = common.integration.as_ref()?;
            Some(format!(
                "up serves every integration of the configuration; --integration {id} has no effect here"
            ))
        };
        wrong.or_else(one).map_or(Ok(()), |wrong| Err(Exit::Configuration(wrong)))
    }
}

/// Starts it, and returns when it has ended.
pub(crate) fn run(common: &CommonArgs, asked: &UpArgs) -> ExitCode {
    if let Err(wrong) = asked.refuse_what_says_nothing(common) {
        return finish(Err(wrong));
    }
    if asked.needs_broker {
        let needed = common.config.as_deref().is_none_or(own::needs_private_broker);
        return ExitCode::from(u8::from(!needed));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let started = runtime
        .context("the runtime cannot be started")
        .and_then(|runtime| runtime.block_on(start(common.config.as_deref(), asked)));
    started.unwrap_or_else(|error| complain(&error))
}

async fn start(config: Option<&Path>, asked: &UpArgs) -> anyhow::Result<ExitCode> {
    // Listen before anything is started that a signal would have to stop.
    let stop = Stop::on_signals()?;
    let mut processes = Processes::default();
    let started = processes.started();
    let work = async {
        match config {
            Some(path) => own::run(path, asked.yes, &mut processes, &stop).await,
            None => showcase::run(asked, &mut processes, &stop).await,
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
    processes.stop(failed).await;
    Ok(code)
}

fn complain(error: &anyhow::Error) -> ExitCode {
    say_error(&format!("error: {error:#}"));
    ExitCode::FAILURE
}
