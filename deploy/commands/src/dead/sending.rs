//! `amfj-sync dead replay` and `amfj-sync dead drop`.
//!
//! A letter leaves the dead letters only after its message is in the work queue again, confirmed. Whoever
//! is killed in between leaves both, and the second one is recognised by its id.

use std::collections::BTreeSet;

use amfj_sync_broker::{Broker, BrokerError, Caller, DeadLetters, MAX_BYTES, Publisher, Received};
use amfj_sync_config::{Config, Tokens};
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_security::screen::{say, say_json, say_line};
use amfj_sync_service::worker::{CommonArgs, Exit, Shutdown};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::filter::{Admits, DeadFilter};
use super::letter::DeadLetter;
use super::reading::{known, open, take};
use super::target::Origins;
use crate::consent;

/// Whoever replays a letter signs it: so one that nobody with the key has signed stays.
const UNTRUSTED: &str =
    "it bears no right signature (broker.signing_key), and nobody knows who wrote it; drop it";

/// Which dead letters are to be replayed or dropped: by id, by filter, or all.
#[derive(Debug, Clone, Default, Args)]
pub struct DeadSelection {
    /// Their ids, or the beginnings of them
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Conditions, all of which must hold.
    #[command(flatten)]
    pub filter: DeadFilter,
    /// All of them (of the integration, if one is named)
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl DeadSelection {
    fn admits(&self, common: &CommonArgs) -> Result<Admits, Exit> {
        if self.ids.is_empty() && self.filter.is_empty() && !self.all {
            let which = "say which: ids, a filter such as --kind or --reason, or --all";
            return Err(Exit::Configuration(which.to_owned()));
        }
        Admits::of(common, &self.filter)?.with_ids(&self.ids)
    }
}

/// A letter that stays, and why.
#[derive(Debug, Serialize)]
struct Kept {
    id: String,
    reason: String,
}

/// What became of the letters.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Back in their queue, or dropped.
    done: u32,
    /// Those that could not be.
    kept: Vec<Kept>,
    /// Those that were not meant.
    others: u32,
}

/// Puts dead letters back into the queues that they came from.
pub(crate) async fn replay(common: &CommonArgs, chosen: &DeadSelection) -> Result<(), Exit> {
    let (config, admits) = prepared(common, chosen)?;
    let report = with_broker(&config, async |broker, publisher| {
        meant(&config, broker, &admits).await?;
        let mut letters = open(&config, broker).await?;
        let replayed = replay_all(&config, broker, publisher, &mut letters, &admits).await;
        letters.close().await;
        Ok(replayed?)
    })
    .await?;
    report.say(
        chosen.json,
        "replayed",
        "They are in their queues again; `amfj-sync dead list` shows what fails anew.",
    )
}

/// Takes dead letters away for good, after asking.
pub(crate) async fn drop_letters(common: &CommonArgs, chosen: &DeadSelection, yes: bool) -> Result<(), Exit> {
    let (config, admits) = prepared(common, chosen)?;
    let report = with_broker(&config, async |broker, _| {
        let ids = meant(&config, broker, &admits).await?;
        if ids.is_empty() {
            return Ok(Report::default());
        }
        if !yes {
            confirm(ids.len())?;
        }
        let mut letters = open(&config, broker).await?;
        let dropped = drop_all(&config, broker, &mut letters, &ids).await;
        letters.close().await;
        Ok(dropped?)
    })
    .await?;
    report.say(chosen.json, "dropped", "What they were about is decided anew when its values differ.")
}

fn prepared(common: &CommonArgs, chosen: &DeadSelection) -> Result<(Config, Admits), Exit> {
    // All integrations: a letter of another one must be told from one of nobody.
    let config = common.load_all(Tokens::None)?;
    common.restrict(&mut config.clone())?;
    Ok((config, chosen.admits(common)?))
}

async fn with_broker(
    config: &Config,
    work: impl AsyncFnOnce(&Broker, &Publisher) -> Result<Report, Exit>,
) -> Result<Report, Exit> {
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    let broker = Broker::start_for(
        Caller::Command,
        config,
        &format!("amfj-sync-dead/{}", Uuid::new_v4()),
        shutdown.soft.clone(),
    );
    let publisher = Publisher::start(broker.clone(), shutdown.hard.clone());
    let worked = shutdown.soft.run_until_cancelled(work(&broker, &publisher)).await;
    shutdown.hard.cancel();
    broker.close().await;
    worked.unwrap_or_else(|| {
        Err(Exit::Failed("stopped in the middle; the rest is still among the dead letters".into()))
    })
}

/// The ids of the letters that are meant; an id that names none or several is an error before anything is
/// done.
async fn meant(config: &Config, broker: &Broker, admits: &Admits) -> Result<BTreeSet<String>, Exit> {
    let known = known(config);
    let mut letters = open(config, broker).await?;
    let mut ids = BTreeSet::new();
    let read = async {
        loop {
            let some = letters.next().await?;
            if some.is_empty() {
                return Ok::<(), BrokerError>(());
            }
            let fitting = some.iter().map(|received| DeadLetter::of(received, broker.names(), &known));
            ids.extend(fitting.filter(|letter| admits.admits(letter)).map(|letter| letter.id));
        }
    };
    let read = read.await;
    letters.close().await;
    read?;
    let found: Vec<String> = ids.iter().cloned().collect();
    admits.unclear_ids(&found)?;
    Ok(ids)
}

async fn replay_all(
    config: &Config,
    broker: &Broker,
    publisher: &Publisher,
    letters: &mut DeadLetters,
    admits: &Admits,
) -> Result<Report, BrokerError> {
    let (known, origins) = (known(config), Origins::of(config, broker.names()));
    let mut report = Report::default();
    loop {
        let some = letters.next().await?;
        if some.is_empty() {
            return Ok(report);
        }
        let (mut messages, mut going): (Vec<_>, Vec<&Received>) = (Vec::new(), Vec::new());
        for received in &some {
            let letter = DeadLetter::of(received, broker.names(), &known);
            if !admits.admits(&letter) {
                report.others += 1;
                continue;
            }
            let back = if letters.is_trusted(received) {
                origins.back(&letter, received, MAX_BYTES)
            } else {
                Err(UNTRUSTED.to_owned())
            };
            match back {
                Ok(message) => {
                    messages.push(message);
                    going.push(received);
                }
                Err(reason) => report.kept.push(Kept { id: letter.id, reason }),
            }
        }
        publisher.publish(messages).await?;
        reach(Failpoint::DeadLettersReplayed).await;
        take_all(letters, &going).await?;
        report.done += u32::try_from(going.len()).unwrap_or(u32::MAX);
    }
}

async fn drop_all(
    config: &Config,
    broker: &Broker,
    letters: &mut DeadLetters,
    ids: &BTreeSet<String>,
) -> Result<Report, BrokerError> {
    let known = known(config);
    let mut report = Report::default();
    loop {
        let some = letters.next().await?;
        if some.is_empty() {
            return Ok(report);
        }
        let is_meant =
            |received: &&Received| ids.contains(&DeadLetter::of(received, broker.names(), &known).id);
        let (going, staying): (Vec<&Received>, Vec<&Received>) = some.iter().partition(is_meant);
        take_all(letters, &going).await?;
        report.done += u32::try_from(going.len()).unwrap_or(u32::MAX);
        report.others += u32::try_from(staying.len()).unwrap_or(u32::MAX);
    }
}

async fn take_all(letters: &mut DeadLetters, going: &[&Received]) -> Result<(), BrokerError> {
    for received in going {
        take(received).await?;
    }
    letters.taken(u16::try_from(going.len()).unwrap_or(u16::MAX));
    Ok(())
}

/// Asks on a terminal; elsewhere `--yes` has to say it.
fn confirm(count: usize) -> Result<(), Exit> {
    consent::ask(
        &format!("{count} dead letters will be gone for good. Type yes to drop them: "),
        format!("{count} dead letters would be gone for good; say so with --yes"),
        "nothing was dropped",
    )
}

impl Report {
    fn say(&self, json: bool, done: &str, hint: &str) -> Result<(), Exit> {
        if json {
            say_json(&serde_json::json!({ done: self.done, "kept": self.kept, "others": self.others }));
        } else {
            for kept in &self.kept {
                say_line(&format!("{} stays: {}", kept.id, kept.reason));
            }
            match self.done {
                0 => say(&format!("Nothing was {done}.")),
                1 => say(&format!("1 dead letter was {done}. {hint}")),
                count => say(&format!("{count} dead letters were {done}. {hint}")),
            }
        }
        if self.kept.is_empty() {
            Ok(())
        } else {
            Err(Exit::Failed(format!("{} dead letters could not be {done}", self.kept.len())))
        }
    }
}
