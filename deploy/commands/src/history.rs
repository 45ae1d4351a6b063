//! `amfj-sync history`: what was applied, with old and new values (P26).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use amfj_sync_broker::read_stream;
use amfj_sync_config::{Integration, Tokens};
use amfj_sync_model::messages::{Edit, Event, Fact, Outcome, Payload};
use amfj_sync_security::screen::{Pager, Screen, Style, sanitize, say_json};
use amfj_sync_service::command;
use amfj_sync_service::worker::{CommonArgs, Exit, Worker};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{format, time_args};

mod meant;

use meant::Meant;

/// What somebody wants to see of the past.
#[derive(Debug, Clone, Default, Args)]
pub struct HistoryArgs {
    /// Only this device, asset or person: a name, serial, email, or id of Kandji or AMFJ
    #[arg(value_name = "DEVICE|ASSET|USER")]
    pub what: Option<String>,
    /// Only since then: a time, or a span such as `2h`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only of this run, or of the one whose id begins so
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// One applied change.
#[derive(Debug, Serialize)]
struct Applied {
    time: Timestamp,
    integration: String,
    run: Option<String>,
    change: Uuid,
    kind: String,
    key: String,
    label: String,
    asset: Option<String>,
    record: Option<String>,
    edits: BTreeMap<String, Edit>,
    /// The user records that had the asset before and after, where it changed hands.
    #[serde(skip)]
    hands: Vec<String>,
}

/// What was found of the past.
#[derive(Debug)]
struct Past {
    applied: Vec<Applied>,
    /// Who has the assets that were asked about, as of the last list; nothing where none was.
    now: Vec<String>,
}

/// Shows applied changes, oldest first.
pub(crate) async fn history(common: &CommonArgs, asked: &HistoryArgs) -> Result<(), Exit> {
    let config = common.load(Tokens::None)?;
    let now = Timestamp::now();
    let since = asked.since.as_deref().map(|text| time_args::since(text, now)).transpose()?;
    let worker = command::follow("amfj-sync-history", config).await?;
    let read = read(&worker, asked, since).await;
    worker.finish().await;
    let past = read?;
    if asked.json {
        say_json(&past.applied);
    } else {
        Pager::OnTerminal.say(&show(&Screen::stdout(), &past));
    }
    Ok(())
}

/// The past that an integration keeps (`sync.history_keep`). RabbitMQ removes older entries only in whole
/// segments of the stream, so some may still be there.
pub(super) fn kept_since(integration: &Integration) -> Timestamp {
    let now = Timestamp::now();
    let kept = SignedDuration::try_from(integration.sync.history_keep).unwrap_or(SignedDuration::MAX);
    now.checked_sub(kept).unwrap_or(Timestamp::MIN)
}

async fn read(worker: &Worker, asked: &HistoryArgs, since: Option<Timestamp>) -> Result<Past, Exit> {
    let mut all = Vec::new();
    let session = worker.broker.session().await?;
    let is_wanted =
        |one: &Applied| since.is_none_or(|since| one.time >= since) && is_of_run(one, asked.run.as_deref());
    for integration in &worker.config.integrations {
        let id = &integration.id;
        let stream = worker.broker.names().history(id);
        let kept = kept_since(integration);
        // A change that was published twice was applied once.
        let mut seen = BTreeSet::new();
        let mut visit = |event: Event| {
            let applied = Applied::of(event).filter(|one| one.time >= kept);
            // All of the past helps to find what is meant.
            let applied = applied.filter(|one| asked.what.is_some() || is_wanted(one));
            all.extend(applied.filter(|one| seen.insert(one.change)));
        };
        read_stream(&session, &worker.publisher, id, &stream, &|_| true, &mut visit).await?;
    }
    all.sort_by_key(|applied| applied.time);
    let meant = asked.what.as_deref().map(|what| Meant::of(worker, &all, what)).transpose()?;
    all.retain(|one| is_wanted(one) && meant.as_ref().is_none_or(|meant| meant.fits(one)));
    Ok(Past { applied: all, now: meant.map(|meant| meant.now).unwrap_or_default() })
}

fn is_of_run(applied: &Applied, run: Option<&str>) -> bool {
    let Some(wanted) = run.map(|run| run.trim().to_lowercase()) else { return true };
    applied.run.as_ref().is_some_and(|run| !wanted.is_empty() && run.starts_with(&wanted))
}

impl Applied {
    fn of(event: Event) -> Option<Self> {
        let Payload::Fact(Fact::ChangeEnded(outcome)) = event.payload else { return None };
        let asset = outcome.asset_id().map(ToString::to_string);
        let record = outcome.record_id().map(ToString::to_string);
        let hands = hands(&outcome);
        let Outcome { change, key, label, kind, edits, .. } = *outcome;
        Some(Self {
            time: event.time,
            integration: event.integration.to_string(),
            run: event.run.map(|run| run.to_string()),
            change,
            kind,
            key: key.to_string(),
            label,
            asset,
            record,
            edits,
            hands,
        })
    }
}

/// Who had the asset before and after, where it changed hands.
fn hands(outcome: &Outcome) -> Vec<String> {
    if !outcome.edits.contains_key(Outcome::HOLDER) {
        return Vec::new();
    }
    let after = outcome.asset.as_ref().and_then(|asset| asset.checked_out_to.as_ref());
    outcome.found_holder.iter().chain(after).map(|holder| holder.id.to_string()).collect()
}

fn show(screen: &Screen, past: &Past) -> String {
    let all = &past.applied;
    let mut out = String::new();
    let mut run: Option<&String> = None;
    for applied in all {
        if applied.run.as_ref() != run {
            run = applied.run.as_ref();
            let id = run.map_or("unknown", String::as_str);
            let _ =
                writeln!(out, "{}", screen.ink(Style::Bold, &format!("{}, run {id}", applied.integration)));
        }
        let target = applied.asset.as_ref().or(applied.record.as_ref());
        let target = target.map(|id| format!(" → {id}")).unwrap_or_default();
        let line = format!("{}  \"{}\"{target}", applied.kind, sanitize(&applied.label));
        let _ = writeln!(out, "  {}  {}", format::time(applied.time), screen.sentence(27, &line));
        out.push_str(&format::edits(screen, 6, &applied.edits));
    }
    let _ = match all.len() {
        0 => writeln!(out, "Nothing was applied that fits."),
        1 => writeln!(out, "\n1 change."),
        count => writeln!(out, "\n{count} changes."),
    };
    for now in &past.now {
        let _ = writeln!(out, "{}", screen.sentence(0, now));
    }
    out
}
