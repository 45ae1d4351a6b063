//! `reconciler status`: how everything stands, whether or not the workers run.

mod text;

use std::collections::BTreeMap;

use amfj_sync_shared::broker::{BrokerError, Session, Stage};
use amfj_sync_shared::config::Integration;
use amfj_sync_shared::messages::InventoryCounts;
use amfj_sync_shared::screen::{Screen, say, say_json};
use amfj_sync_shared::state::View;
use amfj_sync_shared::state::rows::RunRow;
use amfj_sync_shared::worker::{CommonArgs, Exit};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Known, plan};
use crate::worker::count;

/// The workers, in the order in which things flow.
const ROLES: [&str; 3] = ["fetcher", "reconciler", "writer"];

/// Minutes of the hour over which Kandji counts requests.
const HOUR: u64 = 60;

/// Shows how everything stands.
pub async fn status(common: &CommonArgs, json: bool) -> Result<(), Exit> {
    let known = Known::read("status", common).await?;
    let status = Status::of(&known).await.map_err(Exit::from);
    let status = known.done(status).await?;
    if json {
        say_json(&status);
    } else {
        say(&text::show(&Screen::stdout(), &status, Timestamp::now()));
    }
    Ok(())
}

/// How everything stands.
#[derive(Debug, Serialize)]
struct Status {
    integrations: Vec<SiteStatus>,
    /// Live workers by role.
    workers: BTreeMap<&'static str, u32>,
    /// Dead letters of all integrations that share the broker.
    dead_letters: u32,
    /// Requests for a run that no fetcher has taken.
    triggers: u32,
}

#[derive(Debug, Serialize)]
struct SiteStatus {
    integration: String,
    mode: &'static str,
    interval_seconds: u64,
    /// The newest run; none before the first.
    last_run: Option<Run>,
    /// When the last run that was complete started.
    last_success: Option<Timestamp>,
    /// When the next run is due; now, where none was complete yet or one was asked for.
    next_run: Timestamp,
    first_sync_over: bool,
    /// Devices by state.
    devices: BTreeMap<&'static str, u32>,
    /// Messages by stage that no worker has taken.
    queues: BTreeMap<&'static str, u32>,
    /// Requests to Kandji in the last hour.
    kandji_requests: u64,
    kandji_requests_per_hour: u32,
}

#[derive(Debug, Serialize)]
struct Run {
    id: String,
    started: Timestamp,
    first_sync: bool,
    /// Until everything was published; none while it goes on, or where it failed.
    took_ms: Option<u64>,
    counts: Option<InventoryCounts>,
    partitions_decided: usize,
    partitions: u16,
    failed: Option<String>,
    held: Option<String>,
}

impl Status {
    async fn of(known: &Known) -> Result<Self, BrokerError> {
        let broker = &known.worker.broker;
        let session = broker.session().await?;
        let mut integrations = Vec::new();
        for (config, state) in known.integrations() {
            let mut site = state.read(|view| SiteStatus::of(config, view));
            for stage in [Stage::Reconcile, Stage::Apply] {
                site.queues.insert(stage.as_str(), waiting(known, &session, config, stage).await?);
            }
            integrations.push(site);
        }
        let mut workers = BTreeMap::new();
        for role in ROLES {
            let depth = session.inspect(&broker.names().workers(role)).await?;
            workers.insert(role, depth.map_or(0, |depth| depth.consumers));
        }
        let messages =
            async |queue: String| session.inspect(&queue).await.map(|depth| depth.map_or(0, |d| d.messages));
        let dead_letters = messages(broker.names().dead()).await?;
        let triggers = messages(broker.names().triggers()).await?;
        Ok(Self { integrations, workers, dead_letters, triggers })
    }
}

async fn waiting(
    known: &Known,
    session: &Session,
    config: &Integration,
    stage: Stage,
) -> Result<u32, BrokerError> {
    let mut sum = 0_u32;
    for partition in 0..known.worker.config.broker.partitions {
        let queue = known.worker.broker.names().work(&config.id, stage, partition);
        sum = sum.saturating_add(session.inspect(&queue).await?.map_or(0, |depth| depth.messages));
    }
    Ok(sum)
}

impl SiteStatus {
    fn of(config: &Integration, view: &View) -> Self {
        let (meta, now) = (view.meta(), Timestamp::now());
        let interval = config.interval;
        let step = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
        let due = meta.last_success.and_then(|at| at.checked_add(step).ok());
        let next_run = due.filter(|_| meta.requested.is_none()).map_or(now, |due| due.max(now));
        let minute = u64::try_from(now.as_second() / 60).unwrap_or(0);
        let this_hour = view.kandji_requests().into_iter().filter(|(at, _)| *at + HOUR > minute);
        Self {
            integration: config.id.to_string(),
            mode: plan::mode(config),
            interval_seconds: interval.as_secs(),
            last_run: meta
                .latest
                .as_ref()
                .map(|run| Run::of(config, run, meta.in_force.as_ref(), meta.partitions)),
            last_success: meta.last_success,
            next_run,
            first_sync_over: meta.first_sync_over,
            devices: count(view),
            queues: BTreeMap::new(),
            kandji_requests: this_hour.map(|(_, count)| u64::from(count)).sum(),
            kandji_requests_per_hour: config.kandji.requests_per_hour,
        }
    }
}

impl Run {
    fn of(config: &Integration, run: &RunRow, in_force: Option<&RunRow>, partitions: u16) -> Self {
        let held = run.held.clone().or_else(|| in_force.and_then(|run| run.held.clone()));
        Self {
            id: run.run_id(&config.id).to_string(),
            started: run.started.at,
            first_sync: run.started.first_sync,
            took_ms: run.published_ms,
            counts: run.counts,
            partitions_decided: run.decided.len(),
            partitions,
            failed: run.failed.clone(),
            held,
        }
    }
}
