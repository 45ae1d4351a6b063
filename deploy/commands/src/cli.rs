//! The command line of everything but `up`, and which command does what.

use std::path::PathBuf;
use std::time::Duration;

use amfj_sync_config::Tokens;
use amfj_sync_service::worker::{CommonArgs, Exit, Shutdown, block_on};
use clap::{Args, Subcommand};

use crate::dead::{self, DeadFilter, DeadSelection};
use crate::export::{self, ExportArgs};
use crate::history::{self, HistoryArgs};
use crate::import::{self, ImportArgs};
use crate::pausing::{self, PauseArgs};
use crate::plan::{self, PlanArgs};
use crate::replay::{self, ReplayArgs};
use crate::stopped::{self, StoppedSelection};
use crate::{
    InitArgs, check, explain, init, operator_decisions as decisions, profiles, reload, schema, status,
    trigger,
};

/// What a person wants to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask what is needed, try both services, and write the configuration; again, to change an answer
    Init(Box<InitArgs>),
    /// The JSON Schema of the configuration, for editors
    Schema,
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
    /// What AMFJ's interface really is, against the profile; with reads alone, unless --write says otherwise
    Probe {
        /// Only this integration
        id: Option<String>,
        /// Try the writes, on the asset that --scratch-asset names and no other; what was there is put back
        #[arg(long, requires = "scratch_asset")]
        write: bool,
        /// The exact name of an asset that was made for this
        #[arg(long, value_name = "NAME", requires = "write")]
        scratch_asset: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What AMFJ's interface looks like: profiles to begin with
    #[command(subcommand)]
    Profile(Profile),
    /// Ask the running fetchers for a run now
    Trigger {
        /// Only this integration
        id: Option<String>,
    },
    /// What the next run would change, field by field; writes nothing
    Plan {
        /// Only this integration
        id: Option<String>,
        /// What of the plan is shown, and how.
        #[command(flatten)]
        asked: PlanArgs,
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
    /// Integrations, runs, devices by state, queues, workers; ends with status 3 where something is wrong
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
    Link(LinkArgs),
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
        /// The integration; `--integration` names it as well
        id: Option<String>,
    },
    /// Make the next run a first sync again
    Rematch {
        /// The integration; `--integration` names it as well
        id: Option<String>,
    },
    /// Read, decide and write nothing for an integration until it is resumed; what waits stays in its queue
    Pause {
        /// The integration; `--integration` names it as well
        id: Option<String>,
        /// Why, and for how long.
        #[command(flatten)]
        asked: PauseArgs,
    },
    /// Let a paused integration go on
    Resume {
        /// The integration; `--integration` names it as well
        id: Option<String>,
    },
    /// Have every worker read its configuration again; what is wrong in it leaves the old one in force
    Reload,
    /// What could not be done
    #[command(subcommand)]
    Dead(Dead),
    /// What AMFJ refuses at the moment, and is tried again by itself
    #[command(subcommand)]
    Stopped(Stopped),
    /// What was applied, with old and new values
    History(HistoryArgs),
    /// Put past changes on the queue again, where nothing came later
    Replay(ReplayArgs),
    /// Write what only amfj-sync knows of an integration to a file: links, decisions of persons, history
    Export(ExportArgs),
    /// Take such a file into an integration that has no links yet
    Import(ImportArgs),
}

/// One device and its asset, or a file of them.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// Its Kandji id, serial or name
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    device: Option<String>,
    /// Its AMFJ id or name
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    asset: Option<String>,
    /// Many: a table with a column `device` and a column `asset`; nothing is linked where a line of it is wrong
    #[arg(long, value_name = "FILE.csv")]
    from: Option<PathBuf>,
}

/// Profiles to begin with.
#[derive(Debug, Subcommand)]
pub enum Profile {
    /// A built-in profile, as it is written
    Show {
        /// Its name; assumed-v1 if none is said
        name: Option<String>,
    },
    /// A first draft from an `OpenAPI` 3 document in JSON; every line that is a guess says so
    Draft {
        /// The document
        #[arg(long, value_name = "FILE")]
        openapi: PathBuf,
    },
}

/// What is to be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum Dead {
    /// Which, why, since when, and how often they were tried
    List {
        /// Which of them.
        #[command(flatten)]
        filter: DeadFilter,
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
        /// Which of them.
        #[command(flatten)]
        chosen: DeadSelection,
    },
    /// Take them away for good
    Drop {
        /// Which of them.
        #[command(flatten)]
        chosen: DeadSelection,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What is to be done with changes that AMFJ refuses.
#[derive(Debug, Subcommand)]
pub enum Stopped {
    /// Which, why, since when, how often they were tried, and when they are next
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try them now
    Retry {
        /// Which of them.
        #[command(flatten)]
        meant: StoppedSelection,
    },
    /// Give them up now: each becomes a dead letter
    Drop {
        /// Which of them.
        #[command(flatten)]
        meant: StoppedSelection,
    },
}

impl Command {
    /// The integration that it names beside the common options.
    fn integration(&self) -> Option<&String> {
        match self {
            Self::Init(given) => given.id.as_ref(),
            Self::Check { id, .. }
            | Self::Probe { id, .. }
            | Self::Trigger { id }
            | Self::Plan { id, .. }
            | Self::Status { id, .. }
            | Self::Release { id }
            | Self::Rematch { id }
            | Self::Pause { id, .. }
            | Self::Resume { id } => id.as_ref(),
            Self::Export(asked) => asked.id.as_ref(),
            Self::Import(asked) => Some(asked.here()),
            _ => None,
        }
    }

    /// Whether it concerns one integration, which has to be named.
    fn is_about_one(&self) -> Option<&'static str> {
        match self {
            Self::Release { .. } => Some("release"),
            Self::Rematch { .. } => Some("rematch"),
            Self::Pause { .. } => Some("pause"),
            Self::Resume { .. } => Some("resume"),
            Self::Export(_) => Some("export"),
            _ => None,
        }
    }
}

/// Does what was asked for. Results go to standard output, logs to standard error.
pub fn run(mut common: CommonArgs, command: &Command) -> Result<(), Exit> {
    name_integration(&mut common, command)?;
    common.answer_only();
    block_on(answer(&common, command))
}

/// The ID behind a command is the same as that of `--integration`.
fn name_integration(common: &mut CommonArgs, command: &Command) -> Result<(), Exit> {
    common.name_integration(command.integration())?;
    match command.is_about_one().filter(|_| common.integration.is_none()) {
        Some(name) => Err(Exit::Configuration(format!("say which integration: amfj-sync {name} ID"))),
        None => Ok(()),
    }
}

async fn answer(common: &CommonArgs, command: &Command) -> Result<(), Exit> {
    match command {
        Command::Init(given) => init::run(common, given, listening()?).await,
        Command::Schema => {
            schema::show();
            Ok(())
        }
        Command::Check { json, patience, .. } => {
            let (config, shutdown) = (common.load(Tokens::Both)?, listening()?);
            let patience = Duration::from_secs(u64::from(*patience));
            check::run(&config, shutdown, check::Manner { json: *json, patience }).await
        }
        Command::Probe { scratch_asset, json, .. } => {
            let config = common.load(Tokens::Amfj)?;
            let manner = profiles::Manner { scratch: scratch_asset.as_deref(), json: *json };
            profiles::probe(&config, manner).await
        }
        Command::Profile(Profile::Show { name }) => profiles::show(name.as_deref()),
        Command::Profile(Profile::Draft { openapi }) => profiles::draft(openapi),
        Command::Trigger { .. } => trigger::run(&common.load(Tokens::None)?, listening()?).await,
        Command::Plan { asked, .. } => plan::plan(common, asked).await,
        Command::Explain { what, json } => explain::explain(common, what, *json).await,
        Command::Status { json, watch, .. } => status::status(common, *json, *watch).await,
        Command::Link(LinkArgs { from: Some(file), .. }) => decisions::link_all(common, file).await,
        Command::Link(LinkArgs { device, asset, .. }) => {
            let named = device.as_deref().zip(asset.as_deref());
            let (device, asset) =
                named.ok_or_else(|| Exit::Configuration("name a device and an asset".into()))?;
            decisions::link(common, device, asset).await
        }
        Command::Unlink { device } => decisions::unlink(common, device).await,
        Command::LinkUser { user, record } => decisions::link_user(common, user, record).await,
        Command::UnlinkUser { user } => decisions::unlink_user(common, user).await,
        Command::Release { .. } => decisions::release(common).await,
        Command::Rematch { .. } => decisions::rematch(common).await,
        Command::Pause { asked, .. } => pausing::pause(common, asked).await,
        Command::Resume { .. } => pausing::resume(common).await,
        Command::Reload => reload::run(&common.load(Tokens::None)?, listening()?).await,
        Command::Dead(Dead::List { filter, json }) => dead::list(common, filter, *json).await,
        Command::Dead(Dead::Show { id, json }) => dead::show(common, id, *json).await,
        Command::Dead(Dead::Replay { chosen }) => dead::replay(common, chosen).await,
        Command::Dead(Dead::Drop { chosen, yes }) => dead::drop_letters(common, chosen, *yes).await,
        Command::Stopped(Stopped::List { json }) => stopped::list(common, *json).await,
        Command::Stopped(Stopped::Retry { meant }) => stopped::retry(common, meant).await,
        Command::Stopped(Stopped::Drop { meant }) => stopped::drop_stopped(common, meant).await,
        Command::History(asked) => history::history(common, asked).await,
        Command::Replay(wanted) => replay::replay(common, wanted).await,
        Command::Export(asked) => export::export(common, asked).await,
        Command::Import(asked) => import::import(common, asked).await,
    }
}

/// What a signal stops.
fn listening() -> Result<Shutdown, Exit> {
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        common: CommonArgs,
        #[command(subcommand)]
        command: Command,
    }

    /// The integration that a call is about; else the exit status.
    fn named(call: &[&str]) -> Result<Option<String>, u8> {
        let words = std::iter::once("amfj-sync").chain(call.iter().copied());
        let Line { mut common, command } =
            Line::try_parse_from(words).map_err(|error| u8::try_from(error.exit_code()).unwrap())?;
        name_integration(&mut common, &command).map_err(|exit| exit.code())?;
        Ok(common.integration)
    }

    #[test]
    fn an_integration_is_named_behind_the_command_or_by_the_option() {
        let acme = Ok(Some("acme".to_owned()));
        for command in ["check", "probe", "trigger", "plan", "status", "release", "rematch", "resume"] {
            assert_eq!(named(&[command, "acme"]), acme, "{command}");
            assert_eq!(named(&[command, "--integration", "acme"]), acme, "{command}");
            assert_eq!(named(&["--integration", "acme", command, "acme"]), acme, "{command}");
            assert_eq!(named(&["--integration", "other", command, "acme"]), Err(2), "{command}");
        }
        for command in ["check", "trigger", "plan", "status"] {
            assert_eq!(named(&[command]), Ok(None), "{command}");
        }
        for command in ["release", "rematch", "resume", "export"] {
            assert_eq!(named(&[command]), Err(2), "{command} of everything is nobody's intention");
        }
        let pause = |rest: &[&str]| named(&[&["pause", "--reason", "AMFJ moves"], rest].concat());
        assert_eq!((pause(&["acme"]), pause(&[])), (acme.clone(), Err(2)));
        assert_eq!(named(&["pause", "acme"]), Err(2), "nobody would know why");
        assert_eq!(named(&["dead", "list", "--integration", "acme"]), acme);
    }

    #[test]
    fn a_probe_writes_only_to_an_asset_that_is_named() {
        assert_eq!(
            named(&["probe", "acme", "--write", "--scratch-asset", "Scratch"]),
            Ok(Some("acme".to_owned()))
        );
        for call in
            [&["probe", "--write"][..], &["probe", "--scratch-asset", "Scratch"], &["profile", "draft"]]
        {
            assert_eq!(named(call), Err(2), "{call:?}");
        }
        assert_eq!(named(&["profile", "show"]), Ok(None));
    }

    #[test]
    fn link_takes_a_device_and_an_asset_or_a_table_and_not_both() {
        for (call, status) in [
            (&["link", "C02", "asset-1"][..], Ok(None)),
            (&["link", "--from", "links.csv"], Ok(None)),
            (&["link", "C02"], Err(2)),
            (&["link"], Err(2)),
            (&["link", "C02", "asset-1", "--from", "links.csv"], Err(2)),
        ] {
            assert_eq!(named(call), status, "{call:?}");
        }
    }
}
