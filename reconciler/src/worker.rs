//! The reconciler as a process. It has no credentials and speaks to nothing but the broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_shared::backlog;
use amfj_sync_shared::broker::{Lease, Ownership, Role, Stage};
use amfj_sync_shared::config::{Config, Integration};
use amfj_sync_shared::ids::{IntegrationId, Key};
use amfj_sync_shared::messages::State as DeviceState;
use amfj_sync_shared::state::{State, View};
use amfj_sync_shared::telemetry::{Health, Server};
use amfj_sync_shared::worker::{Exit, Shutdown, Worker};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::events;
use crate::serving::{Desk, serve};

const ROLE: Role = Role { name: "reconciler", stage: Stage::Reconcile };

/// Between two counts of devices by state.
const COUNT_EVERY: Duration = Duration::from_secs(15);

type Desks = BTreeMap<IntegrationId, Arc<Desk>>;

/// Serves until it is told to stop.
pub async fn run(config: Config) -> Result<(), Exit> {
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    let data_dir = config.reconciler.data_dir.clone();
    let listen = config.reconciler.listen;
    let worker = Arc::new(Worker::start(ROLE.name, config, Some(&data_dir), shutdown).await?);
    let health = Arc::new(ReconcilerHealth { worker: worker.clone() });
    let served = Server::start(listen, health, worker.shutdown.hard.clone()).await;
    served.map_err(|error| Exit::Failed(error.to_string()))?;
    let result = worker.caught_up().await;
    if result.is_ok() && !worker.shutdown.soft.is_cancelled() {
        tracing::info!(integrations = worker.states.len(), "ready to decide");
        serve_partitions(&worker).await;
    }
    worker.finish().await;
    result
}

async fn serve_partitions(worker: &Arc<Worker>) {
    let stop = worker.shutdown.soft.clone();
    let desks = Arc::new(desks(worker));
    let states = worker.states.clone();
    let ownership = Ownership::new(
        worker.broker.clone(),
        ROLE,
        worker.partitions(),
        worker.config.timing.ownership_interval,
        Arc::new(move |lease: Lease| {
            let desk = desks.get(&lease.id.integration).cloned();
            Box::pin(async move {
                if let Some(desk) = desk {
                    serve(desk, lease).await;
                }
            })
        }),
        stop.clone(),
    );
    worker.tasks.spawn(ownership.run());
    worker.tasks.spawn(backlog::watch(worker.clone()));
    worker.tasks.spawn(count_devices(states, stop.clone()));
    stop.cancelled().await;
}

fn desks(worker: &Worker) -> Desks {
    let config = &worker.config;
    let desk = |integration: &Integration| {
        let desk = Desk {
            state: worker.states.get(&integration.id)?.clone(),
            siblings: worker.siblings(integration),
            publisher: worker.publisher.clone(),
            names: worker.broker.names().clone(),
            in_hand: worker.in_hand.clone(),
            partitions: config.broker.partitions,
            change_lost_after: worker.config.timing.change_lost_after,
            integration: integration.clone(),
        };
        events::begin(&integration.id);
        Some((integration.id.clone(), Arc::new(desk)))
    };
    config.integrations.iter().filter_map(desk).collect()
}

/// Devices by state, for the metrics.
async fn count_devices(states: BTreeMap<IntegrationId, State>, stop: CancellationToken) {
    loop {
        for (id, state) in &states {
            for (name, count) in devices_by_state(state).await {
                events::devices(id, name, count);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(COUNT_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn devices_by_state(state: &State) -> BTreeMap<&'static str, u32> {
    let state = state.clone();
    let counted = tokio::task::spawn_blocking(move || state.read(count));
    counted.await.unwrap_or_default()
}

/// How many devices are in which state; every state is in there.
#[must_use]
pub fn count(view: &View) -> BTreeMap<&'static str, u32> {
    let mut counts: BTreeMap<_, _> = DeviceState::ALL.iter().map(|state| (state.as_str(), 0)).collect();
    view.each_decision(&mut |decision| {
        if matches!(decision.key, Key::Device(_)) {
            *counts.entry(decision.state.as_str()).or_default() += 1;
        }
        true
    });
    counts
}

struct ReconcilerHealth {
    worker: Arc<Worker>,
}

impl Health for ReconcilerHealth {
    fn not_ready(&self) -> Vec<String> {
        self.worker.not_ready()
    }

    fn status(&self) -> Value {
        let integrations: serde_json::Map<String, Value> = self
            .worker
            .states
            .iter()
            .map(|(id, state)| {
                let status = state.read(|view| {
                    let meta = view.meta();
                    json!({
                        "state_offset": meta.offset,
                        "first_sync_over": meta.first_sync_over,
                        "run_in_force": meta.number_in_force(),
                        "partitions_decided": meta.in_force.as_ref().map(|run| run.decided.len()),
                        "devices": count(view),
                    })
                });
                (id.to_string(), status)
            })
            .collect();
        json!({ "worker": self.worker.id, "not_ready": self.not_ready(), "integrations": integrations })
    }
}
