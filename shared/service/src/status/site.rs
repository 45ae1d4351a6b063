//! How one integration stands, as its state stream tells.

use std::collections::BTreeMap;

use amfj_sync_config::Integration;
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{DeviceStatus, InventoryCounts, Unusables};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::{Pause, RunRow};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::EventsTaken;
use crate::backlog::Waiting;

/// Minutes of the hour over which Kandji counts requests.
const HOUR: u64 = 60;

/// How one integration stands.
#[derive(Debug, Clone, Serialize)]
pub struct SiteStatus {
    /// Which.
    pub integration: String,
    /// `plan` or `apply`.
    pub mode: &'static str,
    /// From one run to the next.
    pub interval_seconds: u64,
    /// The newest run; none before the first.
    pub last_run: Option<RunStatus>,
    /// When the last run that was complete started.
    pub last_success: Option<Timestamp>,
    /// When the next run is due; now, where none was complete yet or one was asked for.
    pub next_run: Timestamp,
    /// Whether a run was asked for that has not started.
    pub run_requested: bool,
    /// Whether names are matched no more (P5).
    pub first_sync_over: bool,
    /// The pause that a person ordered and that holds now (P33).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// Devices by state (P24).
    pub devices: BTreeMap<&'static str, u32>,
    /// What waits, by stage.
    pub queues: BTreeMap<&'static str, Waiting>,
    /// What the last complete run could not use of what it read, and went on without (P18, P30).
    pub unusable: Unusables,
    /// Requests to Kandji in the last hour.
    pub kandji_requests: u64,
    /// The share of the tenant's requests that may be used in an hour.
    pub kandji_requests_per_hour: u32,
    /// What is left of it.
    pub kandji_requests_left: u32,
    /// How it stands with AMFJ's events, as the fetcher tells that takes them; none where none are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsTaken>,
}

/// How a run went.
#[derive(Debug, Clone, Serialize)]
pub struct RunStatus {
    /// Its id in messages and commands.
    pub id: String,
    /// When it started.
    pub started: Timestamp,
    /// Whether names are matched in it (P5).
    pub first_sync: bool,
    /// Until everything was published; none while it goes on, or where it failed.
    pub took_ms: Option<u64>,
    /// How many of what it found.
    pub counts: Option<InventoryCounts>,
    /// Partitions in which everything of it is decided.
    pub partitions_decided: usize,
    /// All partitions.
    pub partitions: u16,
    /// Why it failed.
    pub failed: Option<String>,
    /// Why it is held (P23).
    pub held: Option<String>,
}

impl SiteStatus {
    /// What the projection tells; queues are to be filled in.
    #[must_use]
    pub fn of(config: &Integration, view: &Projection, now: Timestamp) -> Self {
        let meta = view.meta();
        let step = SignedDuration::try_from(config.interval).unwrap_or(SignedDuration::MAX);
        let due = meta.last_success.and_then(|at| at.checked_add(step).ok());
        let next_run = due.filter(|_| meta.requested.is_none()).map_or(now, |due| due.max(now));
        let minute = u64::try_from(now.as_second() / 60).unwrap_or(0);
        let this_hour = view.kandji_requests().into_iter().filter(|(at, _)| at.saturating_add(HOUR) > minute);
        let made: u64 = this_hour.map(|(_, count)| u64::from(count)).sum();
        let share = config.kandji.requests_per_hour;
        let run = |run: &RunRow| RunStatus::of(config, run, meta.in_force.as_ref(), meta.partitions);
        Self {
            integration: config.id.to_string(),
            mode: config.mode.as_str(),
            interval_seconds: config.interval.as_secs(),
            last_run: meta.latest.as_ref().map(run),
            last_success: meta.last_success,
            next_run,
            run_requested: meta.requested.is_some(),
            first_sync_over: meta.first_sync_over,
            paused: meta.paused(now).cloned(),
            devices: devices_by_state(view),
            queues: BTreeMap::new(),
            unusable: view.reading_report().unusable,
            kandji_requests: made,
            kandji_requests_per_hour: share,
            kandji_requests_left: share.saturating_sub(u32::try_from(made).unwrap_or(u32::MAX)),
            events: None,
        }
    }
}

impl RunStatus {
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

/// How many devices are in which state; every state is in there.
#[must_use]
pub fn devices_by_state(view: &Projection) -> BTreeMap<&'static str, u32> {
    let mut counted = view.meta().devices.clone();
    // Of what vanished nothing was decided: as long as the run is held, that is what they are (P23, P24).
    for device in view.vanished_devices() {
        let Some(decision) = view.decision(&Key::Device(device)) else { continue };
        if let Some(count) = counted.get_mut(&decision.state).filter(|count| **count > 0) {
            *count -= 1;
            *counted.entry(DeviceStatus::Held).or_default() += 1;
        }
    }
    DeviceStatus::ALL.iter().map(|state| (state.as_str(), counted.get(state).copied().unwrap_or(0))).collect()
}
