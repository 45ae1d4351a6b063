//! `writer history`: what was applied, with old and new values (P26).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use amfj_sync_shared::broker::read_stream;
use amfj_sync_shared::command;
use amfj_sync_shared::config::{Integration, Tokens};
use amfj_sync_shared::ids::{DeviceId, Key};
use amfj_sync_shared::messages::{Edit, Event, Fact, LinkOutcome, Outcome, Payload};
use amfj_sync_shared::names::NameKey;
use amfj_sync_shared::screen::{Ink, Pager, Screen, legible, say_json, value};
use amfj_sync_shared::worker::{CommonArgs, Exit, Worker};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::moments;

/// What somebody wants to see of the past.
#[derive(Debug, Clone, Default, Args)]
pub struct Asked {
    /// Only this device: its Kandji id, serial or name
    pub device: Option<String>,
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
}

/// Shows applied changes, oldest first.
pub async fn history(common: &CommonArgs, asked: &Asked) -> Result<(), Exit> {
    let config = common.load(Tokens::None)?;
    let now = Timestamp::now();
    let since = asked.since.as_deref().map(|text| moments::since(text, now)).transpose()?;
    let worker = command::follow("writer-history", config).await?;
    let read = read(&worker, asked, since).await;
    worker.finish().await;
    let applied = read?;
    if asked.json {
        say_json(&applied);
    } else {
        Pager::OnTerminal.say(&show(&Screen::stdout(), &applied));
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

async fn read(worker: &Worker, asked: &Asked, since: Option<Timestamp>) -> Result<Vec<Applied>, Exit> {
    let mut all = Vec::new();
    let session = worker.broker.session().await?;
    for integration in &worker.config.integrations {
        let id = &integration.id;
        let stream = worker.broker.names().history(id);
        let since = since.unwrap_or(Timestamp::MIN).max(kept_since(integration));
        // A change that was published twice was applied once.
        let mut seen = BTreeSet::new();
        let mut visit = |event: Event| {
            let applied = Applied::of(event).filter(|one| one.time >= since);
            let applied = applied.filter(|one| is_of_run(one, asked.run.as_deref()));
            all.extend(applied.filter(|one| seen.insert(one.change)));
        };
        read_stream(&session, &worker.publisher, id, &stream, &|_| true, &mut visit).await?;
    }
    all.sort_by_key(|applied| applied.time);
    match &asked.device {
        None => Ok(all),
        Some(device) => of_device(worker, all, device),
    }
}

fn is_of_run(applied: &Applied, run: Option<&str>) -> bool {
    let Some(wanted) = run.map(|run| run.trim().to_lowercase()) else { return true };
    applied.run.as_ref().is_some_and(|run| !wanted.is_empty() && run.starts_with(&wanted))
}

/// Those of one device; what fits several is refused with their ids.
fn of_device(worker: &Worker, all: Vec<Applied>, device: &str) -> Result<Vec<Applied>, Exit> {
    let mut keys: BTreeSet<String> = BTreeSet::new();
    for state in worker.states.values() {
        let ids = state.read(|view| {
            let known = DeviceId::new(device).ok().filter(|id| view.device(id).is_some());
            known.map_or_else(|| view.devices_with_serial(device), |id| vec![id])
        });
        keys.extend(ids.into_iter().map(|id| Key::Device(id).to_string()));
    }
    if keys.is_empty() {
        let name = NameKey::of(device);
        let named = |one: &&Applied| name.is_some() && NameKey::of(&one.label) == name;
        let id = format!("device/{}", device.trim());
        let devices = all.iter().filter(|one| one.key.starts_with("device/"));
        keys.extend(devices.filter(|one| one.key == id || named(one)).map(|one| one.key.clone()));
    }
    if keys.len() > 1 {
        let ids: Vec<&str> = keys.iter().map(|key| key.trim_start_matches("device/")).collect();
        let ids = ids.join("\n  ");
        return Err(Exit::Failed(format!("several fit device \"{device}\"; give the id:\n  {ids}")));
    }
    Ok(all.into_iter().filter(|one| keys.contains(&one.key)).collect())
}

impl Applied {
    fn of(event: Event) -> Option<Self> {
        let Payload::Fact(Fact::Ended(outcome)) = event.payload else { return None };
        let Outcome { change, key, label, kind, asset, link, record, user_link, edits, .. } = *outcome;
        // A link without a write taught nothing else about the asset.
        let linked = link.map(|(LinkOutcome::Linked { asset, .. } | LinkOutcome::Broken { asset })| asset);
        let asset = asset.map(|asset| asset.id).or(linked);
        let record = record.map(|record| record.id).or(user_link.map(|link| link.record));
        Some(Self {
            time: event.time,
            integration: event.integration.to_string(),
            run: event.run.map(|run| run.to_string()),
            change,
            kind,
            key: key.to_string(),
            label,
            asset: asset.map(|id| id.to_string()),
            record: record.map(|id| id.to_string()),
            edits,
        })
    }
}

fn show(screen: &Screen, all: &[Applied]) -> String {
    let mut out = String::new();
    let mut run: Option<&String> = None;
    for applied in all {
        if applied.run.as_ref() != run {
            run = applied.run.as_ref();
            let id = run.map_or("unknown", String::as_str);
            let _ = writeln!(out, "{}", screen.ink(Ink::Bold, &format!("{}, run {id}", applied.integration)));
        }
        let target = applied.asset.as_ref().or(applied.record.as_ref());
        let target = target.map(|id| format!(" → {id}")).unwrap_or_default();
        let line = format!("{}  \"{}\"{target}", applied.kind, legible(&applied.label));
        let _ = writeln!(out, "  {}  {}", moments::shown(applied.time), screen.sentence(27, &line));
        let rows: Vec<Vec<String>> = applied
            .edits
            .iter()
            .map(|(field, edit)| vec![field.clone(), value(&edit.old), format!("→ {}", value(&edit.new))])
            .collect();
        out.push_str(&screen.columns(6, &rows));
    }
    let _ = match all.len() {
        0 => writeln!(out, "Nothing was applied that fits."),
        1 => writeln!(out, "\n1 change."),
        count => writeln!(out, "\n{count} changes."),
    };
    out
}
