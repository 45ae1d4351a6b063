//! `/readyz` and `/status` of a fetcher.

use std::collections::BTreeMap;
use std::sync::Arc;

use amfj_sync_backoff::Policy;
use amfj_sync_http::Api;
use amfj_sync_model::failing::Failing;
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_projection::rows::RunRow;
use amfj_sync_service::endpoints::Health;
use amfj_sync_service::status::{self, Duty, EventsTaken, WorkerReport};
use amfj_sync_service::worker::Worker;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::schedule::{Due, after};

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
    /// Devices whose details are still to be read; known to the leader only.
    pub(crate) details_due: Option<usize>,
    /// Runs that failed since the last one that did not; known to the leader only.
    pub(crate) runs: Option<Failing>,
    /// The services that it reads; the leader's only.
    pub(crate) services: Option<Services>,
    /// AMFJ's events; the leader's only, where they are taken.
    pub(crate) events: Option<EventsTaken>,
}

/// Both services, as the leader's calls show them.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    pub(crate) kandji: Api,
    pub(crate) amfj: Api,
    pub(crate) reads: Policy,
}

impl Standing {
    /// When the next run begins; none while one goes on.
    fn next(&self) -> Option<Timestamp> {
        match self.next_run.filter(|_| !self.running)? {
            Due::Now => Some(Timestamp::now()),
            Due::At(at) => Some(at),
        }
    }

    /// A run failed; what fails is wrong from the first failure on, also while the next run goes on.
    pub(crate) fn fail(&mut self, reason: String) {
        let (since, times) =
            self.runs.as_ref().map_or((Timestamp::now(), 0), |failing| (failing.since, failing.times));
        self.runs = Some(Failing { reason, since, times: times.saturating_add(1), next: None });
    }

    /// What this fetcher knows of the services and its runs.
    fn tell(&self, duty: &mut Duty) {
        (duty.runs, duty.next_run) = (self.runs.clone(), self.next());
        duty.events.clone_from(&self.events);
        let Some(services) = &self.services else { return };
        let next = services.next_read().or(duty.next_run);
        let with_next = |failing: Failing| Failing { next, ..failing };
        duty.amfj = services.amfj.pulse().failing().map(with_next);
        duty.kandji = services.kandji.pulse().failing().map(with_next);
        duty.amfj_answered = services.amfj.pulse().answered();
    }
}

impl Services {
    /// When that which failed within a run is read again.
    fn next_read(&self) -> Option<Timestamp> {
        let pause = self.reads.next_try()?.saturating_duration_since(tokio::time::Instant::now());
        Some(after(Timestamp::now(), pause))
    }

    /// How often their tokens were replaced: a run that failed because of one need not wait any longer (P35).
    pub(crate) fn tokens(&self) -> [u64; 2] {
        [self.kandji.token().times_replaced(), self.amfj.token().times_replaced()]
    }
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

    fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    fn report(&self) -> WorkerReport {
        let mut report = self.worker.report();
        for id in self.worker.states.keys() {
            let standing = self.board.get(id);
            if let Some(duty) = report.integrations.get_mut(id.as_str()) {
                duty.leads = standing.leader;
                duty.running = standing.running;
                duty.kandji_requests_left = standing.requests_left;
                standing.tell(duty);
            }
        }
        report
    }

    fn status(&self) -> Value {
        status::to_json(&self.worker, &self.report(), &|id, state| {
            let standing = self.board.get(id);
            let shown = state.read(|view| {
                let meta = view.meta();
                [
                    ("last_run", json!(meta.latest.as_ref().map(show_run))),
                    ("inventory_of_run", json!(meta.number_in_force())),
                    ("last_success", json!(meta.last_success)),
                    ("run_requested", json!(meta.requested.is_some())),
                    ("state_offset", json!(meta.offset)),
                ]
            });
            let own = [
                ("leader", json!(standing.leader)),
                ("running", json!(standing.running)),
                ("next_run", json!(standing.next_run.map(show_due))),
                ("kandji_requests_left", json!(standing.requests_left)),
                ("details_due", json!(standing.details_due)),
                ("events", json!(standing.events)),
            ];
            shown.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value)).collect()
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
