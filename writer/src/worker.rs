//! The writer as a process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_amfj::profile;
use amfj_sync_broker::{Lease, Ownership, Role, Stage};
use amfj_sync_config::{AmfjConfig, Config, Integration};
use amfj_sync_http::{Limiter, SetupError};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_projection::OnDisk;
use amfj_sync_service::backlog;
use amfj_sync_service::endpoints::{Health, Server};
use amfj_sync_service::status::{self, WorkerReport, keep_answering};
use amfj_sync_service::worker::{Exit, Shutdown, Worker};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::blame::{Blame, Limits};
use crate::circuit::{Circuit, Position};
use crate::context::IntegrationContext;
use crate::creating::Walks;
use crate::events;
use crate::obeying::obey;
use crate::serving::{serve, window};
use crate::slots::Slots;

const ROLE: Role = Role { name: "writer", stage: Stage::Apply };

type IntegrationContexts = BTreeMap<IntegrationId, Arc<IntegrationContext>>;

/// Makes the client of an integration's site.
pub type Connect = dyn Fn(&AmfjConfig, Limiter) -> Result<AmfjClient, SetupError> + Send + Sync;

/// Serves until it is told to stop.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Exit> {
    serve_with(config, shutdown, &AmfjClient::from_config).await
}

/// The same with clients of the caller's.
pub async fn serve_with(config: Config, shutdown: Shutdown, connect: &Connect) -> Result<(), Exit> {
    profile::check(&config).map_err(Exit::Configuration)?;
    let data_dir = config.writer.data_dir.clone();
    let listen = config.writer.listen;
    // What an integration makes, another one of the same AMFJ site finds by its serial.
    let of_one_site = |one: &Integration| config.siblings_of(one).next().is_some();
    let for_matching = config.integrations.iter().any(of_one_site);
    let on_disk = OnDisk { for_matching, ..OnDisk::at(&data_dir) };
    let started = Worker::start_serving(ROLE.name, config, on_disk, listen, shutdown.clone()).await?;
    let Some((worker, listen)) = started else { return shutdown.ended(Ok(()), None) };
    let worker = Arc::new(worker);
    let contexts = Arc::new(contexts(&worker, connect)?);
    let health = Arc::new(WriterHealth { worker: worker.clone(), contexts: contexts.clone() });
    worker.tasks.spawn(keep_answering(worker.clone(), health.clone()));
    let served = Server::start(listen, health, worker.shutdown.hard.clone()).await;
    served.map_err(|error| Exit::Failed(error.to_string()))?;
    worker.tasks.spawn(worker.clone().try_disk_out());
    let mut result = worker.caught_up().await;
    if result.is_ok() && !worker.shutdown.soft.is_cancelled() {
        tracing::info!(integrations = contexts.len(), "ready to apply changes");
        result = serve_partitions(&worker, &contexts).await;
    }
    worker.finish().await;
    worker.ended(result)
}

async fn serve_partitions(worker: &Arc<Worker>, contexts: &Arc<IntegrationContexts>) -> Result<(), Exit> {
    let stop = worker.shutdown.soft.clone();
    for context in contexts.values() {
        let (client, blame, state) = (context.client.clone(), context.blame.clone(), context.state.clone());
        let resumed = async move || state.resumed().await;
        worker.tasks.spawn(context.circuit.clone().watch(client, blame, resumed, stop.clone()));
        worker.tasks.spawn(obey(context.clone(), stop.clone()));
        worker.tasks.spawn(take_up_tokens(context.clone(), stop.clone()));
    }
    let serving = contexts.clone();
    let ownership = Ownership::new(
        worker.broker.clone(),
        ROLE,
        worker.partitions(),
        worker.config.timing.ownership_interval,
        Arc::new(move |lease: Lease| {
            let context = serving.get(&lease.id.integration).cloned();
            Box::pin(async move {
                if let Some(context) = context {
                    serve(context, lease).await;
                }
            })
        }),
        stop.clone(),
    );
    worker.tasks.spawn(share_rate(contexts.clone(), ownership.live_workers(), stop));
    worker.tasks.spawn(ownership.run());
    worker.tasks.spawn(backlog::watch(worker.clone()));
    worker.over().await
}

/// While AMFJ refuses the token, a new one is tried as soon as it is there, not only when the next probe is due (P35).
async fn take_up_tokens(context: Arc<IntegrationContext>, stop: tokio_util::sync::CancellationToken) {
    let token = context.client.api().token().clone();
    let mut times = token.times_replaced();
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
        let now = token.times_replaced();
        if now != times && context.circuit.position() == Position::Open {
            context.circuit.try_now();
        }
        times = now;
    }
}

/// `requests_per_second` is shared by all writers.
async fn share_rate(
    contexts: Arc<IntegrationContexts>,
    live: Arc<AtomicUsize>,
    stop: tokio_util::sync::CancellationToken,
) {
    loop {
        let live = u32::try_from(live.load(Ordering::Relaxed).max(1)).unwrap_or(u32::MAX);
        for context in contexts.values() {
            let rate = f64::from(context.integration.amfj.requests_per_second) / f64::from(live);
            if (context.client.limiter().rate() - rate).abs() > f64::EPSILON {
                context.client.limiter().set_rate(rate);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn contexts(worker: &Worker, connect: &Connect) -> Result<IntegrationContexts, Exit> {
    let config = &worker.config;
    let requests = Arc::new(Semaphore::new(config.writer.concurrency));
    let every = config.timing.probe_interval;
    let limits = Limits::of(&config.retry, Circuit::longest_pause(every));
    let mut contexts = IntegrationContexts::new();
    for integration in &config.integrations {
        let limiter = Limiter::new(f64::from(integration.amfj.requests_per_second));
        let client = connect(&integration.amfj, limiter)
            .map_err(|error| Exit::Configuration(format!("integration `{}`: {error}", integration.id)))?
            // A long pause that AMFJ asks for must not hold up a hand-over.
            .limited_by_caller();
        client.api().pulse().belongs_to(&integration.id);
        let Some(state) = worker.states.get(&integration.id).cloned() else { continue };
        let context = IntegrationContext {
            state,
            siblings: worker.siblings(integration),
            client,
            circuit: Circuit::new(integration.id.clone(), every),
            blame: Arc::new(Blame::new(integration.id.clone(), limits)),
            publisher: worker.publisher.clone(),
            names: worker.broker.names().clone(),
            partitions: config.broker.partitions,
            inflight: worker.inflight.clone(),
            retry: config.retry.clone(),
            window: window(config),
            worker: worker.id.clone(),
            requests: requests.clone(),
            own_requests: Slots::new(own_share(config)),
            unknown: parking_lot::Mutex::default(),
            late_writes: parking_lot::Mutex::default(),
            asset_walks: Walks::default(),
            record_walks: Walks::default(),
            integration: integration.clone(),
        };
        events::begin(&integration.id);
        contexts.insert(integration.id.clone(), Arc::new(context));
    }
    Ok(contexts)
}

/// A site that does not answer must not hold all requests of the writer (P28).
fn own_share(config: &Config) -> usize {
    let all = config.writer.concurrency;
    if config.integrations.len() == 1 { all } else { (all / 2).max(1) }
}

struct WriterHealth {
    worker: Arc<Worker>,
    contexts: Arc<IntegrationContexts>,
}

impl Health for WriterHealth {
    fn not_ready(&self) -> Vec<String> {
        self.worker.not_ready()
    }

    fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    fn report(&self) -> WorkerReport {
        let mut report = self.worker.report();
        for (id, context) in self.contexts.iter() {
            if let Some(duty) = report.integrations.get_mut(id.as_str()) {
                duty.circuit = Some(context.circuit.report());
                duty.trouble = context.blame.trouble();
                let pulse = context.client.api().pulse();
                (duty.amfj, duty.amfj_answered) = (pulse.failing(), pulse.answered());
            }
        }
        report
    }

    fn status(&self) -> Value {
        status::to_json(&self.worker, &self.report(), &|id, state| {
            let mut shown = Map::new();
            let mut show = |name: &str, value: Value| shown.insert(name.to_owned(), value);
            show("state_offset", json!(state.read(|view| view.meta().offset)));
            if let Some(context) = self.contexts.get(id) {
                show("mode", json!(context.integration.mode.as_str()));
                show("circuit", json!(context.circuit.position().as_str()));
                show("circuit_reason", json!(context.circuit.reason()));
                show("trouble", json!(context.blame.trouble()));
            }
            shown
        })
    }
}
