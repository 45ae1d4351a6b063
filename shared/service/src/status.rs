//! How everything stands: one structure for `amfj-sync status` and for `/status` of every worker.
//!
//! What the state stream tells is the same for everybody who has read it, worker or not ([`SiteStatus`]).
//! The rest only a worker knows about itself: [`WorkerReport`], which it gives to whoever asks.

mod report;
mod site;
mod wrong;

use amfj_sync_model::ids::IntegrationId;
use amfj_sync_stream::StateHandle;
use serde_json::{Map, Value, json};

use crate::worker::Worker;

pub(crate) use report::ask_within;
pub use report::{
    Circuit, Duty, EventsTaken, Serving, StoppedRecord, Trouble, WaitingKind, WorkerReport, ask_workers,
    have_all_reload, keep_answering,
};
pub use site::{RunStatus, SiteStatus, devices_by_state};
pub use wrong::{Wrong, wrong_of_site, wrong_of_workers};

/// What is wrong now, as all workers together know it: this one at the moment, the others and the queues when it looked at
/// the broker last, so that a page that a probe asks for waits for nobody. Dead letters are counted over all integrations.
#[must_use]
pub fn wrong_now(worker: &Worker, own: WorkerReport) -> Vec<Wrong> {
    let now = jiff::Timestamp::now();
    let trouble = worker.broker.trouble();
    let seen = worker.seen.lock().clone();
    // Without the broker nothing is known of the others.
    let mut reports = if trouble.is_none() { seen.reports } else { Vec::new() };
    reports.retain(|report| report.worker != own.worker);
    reports.push(own);
    let mut wrong = Vec::new();
    for config in &worker.config.integrations {
        let Some(state) = worker.states.get(&config.id) else { continue };
        let mut site = state.read(|view| SiteStatus::of(config, view, now));
        site.queues = seen.queues.get(&config.id).cloned().unwrap_or_default();
        wrong.extend(wrong_of_site(&site, &reports, None, now));
    }
    if let Some(count) = seen.dead_letters.filter(|count| *count > 0) {
        wrong.push(Wrong::dead_letters(None, count));
    }
    // Before its first look at the broker this worker knows of no other.
    if !seen.workers.is_empty() {
        wrong.extend(wrong_of_workers(&seen.workers, &reports));
    }
    wrong.extend(trouble.map(|why| Wrong { says: why, ..Wrong::about("broker") }));
    wrong
}

/// `/status` of a worker: its report, and of each integration how it stands, what the worker does for it,
/// and what `own` adds.
#[must_use]
pub fn to_json(
    worker: &Worker,
    report: &WorkerReport,
    own: &dyn Fn(&IntegrationId, &StateHandle) -> Map<String, Value>,
) -> Value {
    let now = jiff::Timestamp::now();
    let seen = worker.seen.lock().clone();
    let integrations = worker.config.integrations.iter().filter_map(|config| {
        let state = worker.states.get(&config.id)?;
        let mut standing = state.read(|view| SiteStatus::of(config, view, now));
        standing.queues = seen.queues.get(&config.id).cloned().unwrap_or_default();
        let mut shown = own(&config.id, state);
        shown.insert("standing".to_owned(), json!(standing));
        shown.insert("duty".to_owned(), json!(report.integrations.get(config.id.as_str())));
        Some((config.id.to_string(), Value::Object(shown)))
    });
    let integrations: Map<String, Value> = integrations.collect();
    let mut shown = json!(report);
    shown["integrations"] = Value::Object(integrations);
    shown["workers"] = json!(seen.workers);
    shown["dead_letters"] = json!(seen.dead_letters);
    shown["triggers"] = json!(seen.triggers);
    shown
}
