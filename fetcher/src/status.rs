//! `/readyz` and `/status` of a fetcher.

use std::collections::BTreeMap;
use std::sync::Arc;

use amfj_sync_shared::ids::IntegrationId;
use amfj_sync_shared::state::rows::RunRow;
use amfj_sync_shared::telemetry::Health;
use amfj_sync_shared::worker::Worker;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::schedule::Due;

/// How this fetcher stands with an integration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Whether it leads the runs.
    pub(crate) leader: bool,
    /// Whether a run is going on here.
    pub(crate) running: bool,
    /// When the next one is due; known to the leader only.
    pub(crate) next_run: Option<Due>,
    /// Requests to Kandji that may be made in this hour; known to the leader only.
    pub(crate) requests_left: Option<u32>,
}

/// How this fetcher stands with all integrations.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<IntegrationId, Standing>>);

impl Board {
    /// Changes what is shown of an integration.
    pub(crate) fn update(&self, id: &IntegrationId, change: impl FnOnce(&mut Standing)) {
        change(self.0.lock().entry(id.clone()).or_default());
    }

    fn get(&self, id: &IntegrationId) -> Standing {
        self.0.lock().get(id).cloned().unwrap_or_default()
    }
}

/// What a fetcher tells about itself.
pub(crate) struct Status {
    pub(crate) worker: Arc<Worker>,
    pub(crate) board: Arc<Board>,
}

impl Health for Status {
    fn not_ready(&self) -> Vec<String> {
        self.worker.not_ready()
    }

    fn status(&self) -> Value {
        let integrations: serde_json::Map<String, Value> = self
            .worker
            .states
            .iter()
            .map(|(id, state)| {
                let standing = self.board.get(id);
                let (latest, in_force, last_success, requested, offset) = state.read(|view| {
                    let meta = view.meta();
                    let requested = meta.requested.is_some();
                    (meta.latest.clone(), meta.number_in_force(), meta.last_success, requested, meta.offset)
                });
                let shown = json!({
                    "leader": standing.leader,
                    "running": standing.running,
                    "last_run": latest.as_ref().map(show_run),
                    "inventory_of_run": in_force,
                    "last_success": last_success,
                    "run_requested": requested,
                    "next_run": standing.next_run.map(show_due),
                    "kandji_requests_left": standing.requests_left,
                    "state_offset": offset,
                });
                (id.to_string(), shown)
            })
            .collect();
        json!({
            "role": "fetcher",
            "worker": self.worker.id,
            "version": env!("CARGO_PKG_VERSION"),
            "integrations": integrations,
        })
    }
}

fn show_due(due: Due) -> Value {
    match due {
        Due::Now => json!("now"),
        Due::At(at) => json!(at),
    }
}

fn show_run(run: &RunRow) -> Value {
    let result = match run {
        RunRow { failed: Some(_), .. } => "failed",
        RunRow { held: Some(_), .. } => "held",
        RunRow { published_ms: Some(_), .. } => "published",
        _ => "unfinished",
    };
    json!({
        "number": run.started.number,
        "started": run.started.at,
        "leader": run.started.leader,
        "first_sync": run.started.first_sync,
        "result": result,
        "reason": run.failed.as_ref().or(run.held.as_ref()),
        "took_ms": run.published_ms,
        "counts": run.counts,
        "partitions_decided": run.decided.len(),
    })
}
