//! `amfj-sync replay`: puts past changes on the queue again (P29).
//!
//! Only the latest change of each field of each device and person, whenever it was made, is considered, and
//! the writer makes it only where AMFJ still holds the value found or written then. So a replay never
//! undoes what came later, whoever did it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use amfj_sync_broker::{Outgoing, Stage, WINDOW, read_stream};
use amfj_sync_config::mode::withheld;
use amfj_sync_config::{Integration, Tokens};
use amfj_sync_model::ids::{IntegrationId, Key};
use amfj_sync_model::messages::{Change, Event, Fact, Origin, Outcome, Past, Payload};
use amfj_sync_projection::Projection;
use amfj_sync_security::screen::{Pager, Screen, Style, sanitize, say, say_json, value};
use amfj_sync_service::command;
use amfj_sync_service::worker::{CommonArgs, Exit, Worker};
use amfj_sync_stream::StateHandle;
use amfj_sync_writer::restorable;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::history::kept_since;
use super::past::{History, Latest, again};
use super::time_args;

/// Which part of the past is to be made again.
#[derive(Debug, Clone, Default, Args)]
pub struct ReplayArgs {
    /// Changes made since then: a time, or a span such as `2h`
    #[arg(long, value_name = "TIME", required_unless_present = "run")]
    pub since: Option<String>,
    /// Only of this run, or of the one whose id begins so
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Show them and put nothing on the queue
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// One value of the past.
#[derive(Debug, Serialize)]
struct Row {
    integration: String,
    key: String,
    label: String,
    time: Timestamp,
    run: Option<String>,
    asset: Option<String>,
    record: Option<String>,
    field: String,
    found: Value,
    written: Value,
    /// What AMFJ held when it was listed last; none where it no longer has the record.
    listed: Option<Value>,
}

/// What is put on the queue, and what is not.
#[derive(Debug, Default)]
struct Plan {
    rows: Vec<Row>,
    messages: Vec<Outgoing>,
    /// Reason to number of changes.
    withheld: BTreeMap<String, u32>,
}

/// Shows or publishes.
pub(crate) async fn replay(common: &CommonArgs, wanted: &ReplayArgs) -> Result<(), Exit> {
    let config = common.load(Tokens::None)?;
    let now = Timestamp::now();
    let since = wanted.since.as_deref().map(|text| time_args::since(text, now)).transpose()?;
    let run = wanted.run.as_deref().map(|run| run.trim().to_lowercase());
    if run.as_ref().is_some_and(String::is_empty) {
        return Err(Exit::Configuration("a blank id names no run".into()));
    }
    let worker = command::follow("amfj-sync-replay", config).await?;
    let done = work(&worker, since, run.as_deref(), wanted.dry_run).await;
    worker.finish().await;
    let plan = done?;
    report(&plan, wanted);
    Ok(())
}

async fn work(
    worker: &Worker,
    since: Option<Timestamp>,
    run: Option<&str>,
    dry_run: bool,
) -> Result<Plan, Exit> {
    let mut plan = Plan::default();
    for integration in &worker.config.integrations {
        let Some(state) = worker.states.get(&integration.id) else { continue };
        let history = read(worker, &integration.id, kept_since(integration)).await?;
        for (key, fields) in history.meant(since, run) {
            plan.add(worker, state, &key, &fields);
        }
    }
    if !dry_run {
        for window in plan.messages.chunks(usize::from(WINDOW)) {
            worker.publisher.publish(window.to_vec()).await?;
        }
    }
    Ok(plan)
}

async fn read(worker: &Worker, id: &IntegrationId, kept: Timestamp) -> Result<History, Exit> {
    let mut history = History::default();
    let mut visit = |event: Event| {
        if let Payload::Fact(Fact::ChangeEnded(outcome)) = &event.payload
            && event.time >= kept
        {
            history.take(event.time, event.run.as_ref(), outcome);
        }
    };
    let session = worker.broker.session().await?;
    let stream = worker.broker.names().history(id);
    read_stream(&session, &worker.publisher, id, &stream, &|_| true, &mut visit).await?;
    Ok(history)
}

impl Plan {
    /// What the writers would write again: not what is no longer mapped.
    fn allowed(
        &mut self,
        integration: &Integration,
        key: &Key,
        fields: &BTreeMap<String, Latest>,
    ) -> BTreeMap<String, Latest> {
        let mut allowed = fields.clone();
        allowed.retain(|field, latest| {
            if field == Outcome::HOLDER {
                return true;
            }
            let past =
                Past { found: latest.edit.old.clone(), written: latest.edit.new.clone(), stored: None };
            let Err(why) = restorable(integration, key, field, &past) else { return true };
            *self.withheld.entry(format!("not allowed by this configuration: {why}")).or_default() += 1;
            false
        });
        allowed
    }

    fn add(&mut self, worker: &Worker, state: &StateHandle, key: &Key, fields: &BTreeMap<String, Latest>) {
        let id = state.integration();
        let Some(integration) = worker.config.integrations.iter().find(|known| known.id == *id) else {
            return;
        };
        let fields = &self.allowed(integration, key, fields);
        let origin = Origin { source: worker.id.clone(), ..state.origin() };
        let (events, rows, read) = state.read(|view| {
            let rows: Vec<Row> =
                fields.iter().map(|(field, latest)| row(view, id, key, field, latest)).collect();
            (again(view, &origin, key, fields), rows, view.meta().offset.unwrap_or_default())
        });
        let mut any = false;
        for event in events {
            let Payload::Change(change) = &event.payload else { continue };
            if let Some(reason) = withheld(integration, change) {
                *self.withheld.entry(reason).or_default() += 1;
                continue;
            }
            any = true;
            self.messages.push(outgoing(worker, id, &event, change, read));
        }
        if any {
            self.rows.extend(rows);
        }
    }
}

fn outgoing(worker: &Worker, id: &IntegrationId, event: &Event, change: &Change, read: u64) -> Outgoing {
    let partition = change.key.partition(worker.config.broker.partitions);
    let queue = worker.broker.names().work(id, Stage::Apply, partition);
    Outgoing::to_queue(queue, event).with_header(Outgoing::DECIDED_ON, &read.to_string())
}

fn row(view: &Projection, id: &IntegrationId, key: &Key, field: &str, latest: &Latest) -> Row {
    Row {
        integration: id.to_string(),
        key: key.to_string(),
        label: latest.label.clone(),
        time: latest.time,
        run: latest.run.as_ref().map(ToString::to_string),
        asset: latest.asset.as_ref().map(ToString::to_string),
        record: latest.record.as_ref().map(ToString::to_string),
        field: field.to_owned(),
        found: latest.edit.old.clone(),
        written: latest.edit.new.clone(),
        listed: listed(view, field, latest),
    }
}

/// What AMFJ held in a field when it was listed last, or an outcome told.
fn listed(view: &Projection, field: &str, latest: &Latest) -> Option<Value> {
    if let Some(id) = &latest.asset {
        return Some(Outcome::shown_by_asset(&view.asset(id)?.asset, field));
    }
    let record = view.record(latest.record.as_ref()?)?.record;
    Some(Outcome::shown_by_record(&record, field))
}

fn report(plan: &Plan, wanted: &ReplayArgs) {
    if wanted.json {
        let queued = if wanted.dry_run { 0 } else { plan.messages.len() };
        say_json(&serde_json::json!({
            "changes": plan.messages.len(), "queued": queued, "withheld": plan.withheld, "values": plan.rows,
        }));
        return;
    }
    if wanted.dry_run {
        Pager::OnTerminal.say(&show(&Screen::stdout(), &plan.rows));
    }
    for (reason, count) in &plan.withheld {
        say(&format!("{count} not considered: {reason}."));
    }
    say(&match (plan.messages.len(), wanted.dry_run) {
        (0, _) => "There is nothing to replay.".to_owned(),
        (count, true) => format!(
            "{count} in all would be put on the queue. Each value is written only where AMFJ then still holds what was \
             found or written."
        ),
        (count, false) => format!(
            "{count} on the queue again. Each value is written only where AMFJ still holds what was found or written; \
             `amfj-sync history --since 1h` shows what was."
        ),
    });
}

fn show(screen: &Screen, rows: &[Row]) -> String {
    let mut out = String::new();
    let mut last = None;
    for row in rows {
        let target = row.asset.as_ref().or(row.record.as_ref());
        if last != Some((&row.integration, &row.key, target)) {
            last = Some((&row.integration, &row.key, target));
            let target = target.map(|id| format!(" → {id}")).unwrap_or_default();
            let line = format!("{}  \"{}\"{target}", row.integration, sanitize(&row.label));
            let _ = writeln!(out, "{}", screen.ink(Style::Bold, &line));
        }
        let now = row
            .listed
            .as_ref()
            .map_or("gone from AMFJ".to_owned(), |listed| format!("listed last as {}", value(listed)));
        let columns = vec![row.field.clone(), value(&row.found), format!("→ {}", value(&row.written)), now];
        out.push_str(&screen.columns(2, &[columns]));
    }
    out
}
