//! The reconciler as a process. It has no credentials and speaks to nothing but the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{Lease, Ownership, Role, Stage};
use amfj_sync_config::{Config, Integration};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_projection::OnDisk;
use amfj_sync_projection::rows::Open;
use amfj_sync_service::backlog::{self, counting};
use amfj_sync_service::endpoints::{Health, Server};
use amfj_sync_service::status::{self, WorkerReport, devices_by_state, keep_answering};
use amfj_sync_service::worker::{Exit, Shutdown, Worker};
use amfj_sync_stream::StateHandle;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::events;
use crate::serving::{IntegrationContext, serve};

const ROLE: Role = Role { name: "reconciler", stage: Stage::Reconcile };

/// Bytes of sled's pages in memory. Each decision looks up some ten rows all over the view; reading their pages
/// from disk again and again takes a third of all time (docs/performance.md).
const CACHE: u64 = 32 << 20;

/// Between two counts of devices by state.
const COUNT_EVERY: Duration = Duration::from_secs(15);

type IntegrationContexts = BTreeMap<IntegrationId, Arc<IntegrationContext>>;

/// Serves until it is told to stop.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Exit> {
    let data_dir = config.reconciler.data_dir.clone();
    let listen = config.reconciler.listen;
    let on_disk = OnDisk { path: &data_dir, cache: CACHE, for_matching: true };
    let started = Worker::start_serving(ROLE.name, config, on_disk, listen, shutdown.clone()).await?;
    let Some((worker, listen)) = started else { return shutdown.ended(Ok(()), None) };
    let worker = Arc::new(worker);
    let health = Arc::new(ReconcilerHealth { worker: worker.clone() });
    worker.tasks.spawn(keep_answering(worker.clone(), health.clone()));
    let served = Server::start(listen, health, worker.shutdown.hard.clone()).await;
    served.map_err(|error| Exit::Failed(error.to_string()))?;
    worker.tasks.spawn(worker.clone().try_disk_out());
    let mut result = worker.caught_up().await;
    if result.is_ok() && !worker.shutdown.soft.is_cancelled() {
        tracing::info!(integrations = worker.states.len(), "ready to decide");
        result = serve_partitions(&worker).await;
    }
    worker.finish().await;
    worker.ended(result)
}

async fn serve_partitions(worker: &Arc<Worker>) -> Result<(), Exit> {
    let stop = worker.shutdown.soft.clone();
    let contexts = Arc::new(contexts(worker));
    let states = worker.states.clone();
    let ownership = Ownership::new(
        worker.broker.clone(),
        ROLE,
        worker.partitions(),
        worker.config.timing.ownership_interval,
        Arc::new(move |lease: Lease| {
            let context = contexts.get(&lease.id.integration).cloned();
            Box::pin(async move {
                if let Some(context) = context {
                    serve(context, lease).await;
                }
            })
        }),
        stop.clone(),
    );
    worker.tasks.spawn(ownership.run());
    worker.tasks.spawn(backlog::watch(worker.clone()));
    worker.tasks.spawn(count_devices(states, stop.clone()));
    worker.over().await
}

fn contexts(worker: &Worker) -> IntegrationContexts {
    let config = &worker.config;
    let context = |integration: &Integration| {
        let context = IntegrationContext {
            state: worker.states.get(&integration.id)?.clone(),
            siblings: worker.siblings(integration),
            publisher: worker.publisher.clone(),
            names: worker.broker.names().clone(),
            inflight: worker.inflight.clone(),
            partitions: config.broker.partitions,
            change_lost_after: worker.config.timing.change_lost_after,
            integration: integration.clone(),
        };
        counting::begin(&integration.id, Stage::Reconcile);
        Some((integration.id.clone(), Arc::new(context)))
    };
    config.integrations.iter().filter_map(context).collect()
}

/// Devices by state, for the metrics.
async fn count_devices(states: BTreeMap<IntegrationId, StateHandle>, stop: CancellationToken) {
    loop {
        for (id, state) in &states {
            for (name, count) in count(state).await {
                events::devices(id, name, count);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(COUNT_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn count(state: &StateHandle) -> BTreeMap<&'static str, u32> {
    let state = state.clone();
    let counted = tokio::task::spawn_blocking(move || state.read(devices_by_state));
    counted.await.unwrap_or_default()
}

struct ReconcilerHealth {
    worker: Arc<Worker>,
}

impl Health for ReconcilerHealth {
    fn not_ready(&self) -> Vec<String> {
        self.worker.not_ready()
    }

    fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    fn report(&self) -> WorkerReport {
        self.worker.report()
    }

    fn status(&self) -> Value {
        status::to_json(&self.worker, &self.report(), &|_, state| {
            let shown = state.read(|view| {
                let meta = view.meta();
                [
                    ("state_offset", json!(meta.offset)),
                    ("first_sync_over", json!(meta.first_sync_over)),
                    ("run_in_force", json!(meta.number_in_force())),
                    ("partitions_decided", json!(meta.in_force.as_ref().map(|run| run.decided.len()))),
                    ("run_allowed", json!(meta.in_force.as_ref().map(|run| run.allowed))),
                    ("run_held", json!(meta.in_force.as_ref().map(|run| run.held.is_some()))),
                    ("kept_back", json!(view.open_decisions(Open::Staged).len())),
                    ("devices", json!(devices_by_state(view))),
                ]
            });
            shown.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        })
    }
}
