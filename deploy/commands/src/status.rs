//! `amfj-sync status`: how everything stands, whether or not the workers run.

mod live;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{BrokerError, Names, Session, Stage, count_dead_letters};
use amfj_sync_config::Integration;
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_security::screen::{Screen, say, say_json};
use amfj_sync_service::backlog::{Depths, KnownTimes, STAGES, Waiting, oldest_unanswered};
use amfj_sync_service::status::{
    Circuit, Duty, SiteStatus, Trouble, WorkerReport, Wrong, ask_workers, wrong_of_site, wrong_of_workers,
};
use amfj_sync_service::worker::{CommonArgs, Exit, ROLES};
use amfj_sync_stream::StateHandle;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::CommandContext;

pub(super) use text::style_of;

/// The least time between two looks into the dead letters: each is charged to them as a delivery.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// How long another reader of the dead letters is waited for.
const DEAD_PATIENCE: Duration = Duration::from_secs(2);

/// Shows how everything stands, once or until somebody has seen enough. Shown once, it ends with status 3 where something is
/// wrong: what counts as wrong is in `amfj_sync_service::status::Wrong` alone.
pub(crate) async fn status(common: &CommonArgs, json: bool, watch: bool) -> Result<(), Exit> {
    if watch {
        live::require_terminal()?;
    }
    let context = CommandContext::read("status", common).await?;
    let shown = if watch { live::watch(&context).await } else { show_once(&context, json).await };
    context.done(shown).await
}

async fn show_once(context: &CommandContext, json: bool) -> Result<(), Exit> {
    let status = Looking::default().look(context).await?;
    if json {
        say_json(&status);
    } else {
        say(&text::show(&Screen::stdout(), &status, Timestamp::now()));
    }
    if status.wrong.is_empty() { Ok(()) } else { Err(Exit::Trouble) }
}

/// How everything stands.
#[derive(Debug, Serialize)]
struct Status {
    integrations: Vec<IntegrationStatus>,
    /// Live workers by role.
    workers: BTreeMap<&'static str, u32>,
    /// What the live workers said about themselves.
    reports: Vec<WorkerReport>,
    /// Dead letters of all integrations that share the broker.
    dead_letters: u32,
    /// Requests for a run that no fetcher has taken.
    triggers: u32,
    /// What is wrong; empty where all is well.
    wrong: Vec<Wrong>,
}

/// How one integration stands.
#[derive(Debug, Serialize)]
struct IntegrationStatus {
    #[serde(flatten)]
    site: SiteStatus,
    /// Where its changes to AMFJ stand with each writer that serves it; empty where none runs.
    circuits: Vec<Circuit>,
    /// What AMFJ does not take at the moment, of each writer that has such changes in hand.
    troubles: Vec<Trouble>,
    /// None where somebody else looked at them all the time.
    dead_letters: Option<u32>,
}

impl Status {
    /// What each worker that answers does for an integration.
    fn duties<'a>(&'a self, site: &'a IntegrationStatus) -> impl Iterator<Item = &'a Duty> {
        self.reports.iter().filter_map(|report| report.integrations.get(site.id()))
    }

    /// What is wrong with an integration in this respect.
    fn wrong(&self, site: &IntegrationStatus, what: &str) -> Option<&Wrong> {
        self.wrong.iter().find(|one| one.what == what && one.integration.as_deref() == Some(site.id()))
    }
}

impl IntegrationStatus {
    fn id(&self) -> &str {
        &self.site.integration
    }
}

/// What is kept from one look to the next.
#[derive(Debug, Default)]
struct Looking {
    counted: Option<DeadLetters>,
}

#[derive(Debug, Clone)]
struct DeadLetters {
    all: u32,
    of: BTreeMap<IntegrationId, u32>,
    at: Instant,
}

impl Looking {
    async fn look(&mut self, context: &CommandContext) -> Result<Status, BrokerError> {
        let broker = &context.worker.broker;
        let names = broker.names();
        let session = broker.session().await?;
        let (workers, reports) = reports(context, &session).await?;
        let others = session.inspect_all(&[names.dead(), names.triggers()]).await?;
        let messages = |at: usize| others.get(at).copied().flatten().map_or(0, |depth| depth.messages);
        let (dead_letters, triggers) = (messages(0), messages(1));
        let dead = self.dead_letters(context, &session, dead_letters).await?;
        let mut integrations = Vec::new();
        let mut wrong = Vec::new();
        for (config, state) in context.integrations() {
            let mut site = state.read(|view| SiteStatus::of(config, view, Timestamp::now()));
            site.queues = waiting(context, &session, config, state, &reports).await?;
            let duties = || reports.iter().filter_map(|report| report.integrations.get(config.id.as_str()));
            let left = duties().find_map(|duty| duty.kandji_requests_left);
            site.kandji_requests_left = left.unwrap_or(site.kandji_requests_left);
            site.events = duties().find_map(|duty| duty.events.clone());
            if site.last_run.as_ref().is_some_and(|run| run.failed.is_some()) {
                // The pause after a failed run is known to its leader only.
                site.next_run = duties().find_map(|duty| duty.next_run).unwrap_or(site.next_run);
            }
            let dead = dead.as_ref().map(|dead| dead.of.get(&config.id).copied().unwrap_or(0));
            wrong.extend(wrong_of_site(&site, &reports, dead, Timestamp::now()));
            integrations.push(IntegrationStatus {
                circuits: duties().filter_map(|duty| duty.circuit.clone()).collect(),
                troubles: duties().filter_map(|duty| duty.trouble.clone()).collect(),
                dead_letters: dead,
                site,
            });
        }
        wrong.extend(wrong_of_workers(&workers, &reports));
        Ok(Status { integrations, workers, reports, dead_letters, triggers, wrong })
    }

    /// How many each integration has; looked at again only where something changed.
    async fn dead_letters(
        &mut self,
        context: &CommandContext,
        session: &Arc<Session>,
        all: u32,
    ) -> Result<Option<DeadLetters>, BrokerError> {
        let is_known =
            |before: &DeadLetters| before.all == all || (all > 0 && before.at.elapsed() < COUNT_EVERY);
        if all == 0 {
            return Ok(Some(DeadLetters { all, of: BTreeMap::new(), at: Instant::now() }));
        }
        if let Some(before) = self.counted.as_ref().filter(|before| is_known(before)) {
            return Ok(Some(before.clone()));
        }
        let ids: Vec<IntegrationId> = context.worker.states.keys().cloned().collect();
        let deadline = Instant::now() + DEAD_PATIENCE;
        while Instant::now() < deadline {
            let counted = count_dead_letters(session, context.worker.broker.names(), &ids).await;
            let counted = match counted {
                // Who may only read looks at none of them.
                Err(BrokerError::NotPermitted(_)) => return Ok(None),
                counted => counted?,
            };
            if let Some(counts) = counted {
                let of = counts.into_iter().filter_map(|(id, count)| Some((id?, count))).collect();
                self.counted = Some(DeadLetters { all, of, at: Instant::now() });
                return Ok(self.counted.clone());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(None)
    }
}

/// How many workers of each role live, and what they say about themselves.
pub(super) async fn reports(
    context: &CommandContext,
    session: &Arc<Session>,
) -> Result<(BTreeMap<&'static str, u32>, Vec<WorkerReport>), BrokerError> {
    let names = context.worker.broker.names();
    let workers = live_workers(session, names).await?;
    let reports = ask_workers(session, names, &workers).await?;
    Ok((workers, reports))
}

/// How many workers of each role live.
pub(super) async fn live_workers(
    session: &Session,
    names: &Names,
) -> Result<BTreeMap<&'static str, u32>, BrokerError> {
    let queues: Vec<String> = ROLES.iter().map(|role| names.workers(role)).collect();
    let depths = session.inspect_all(&queues).await?;
    let live = depths.into_iter().map(|depth| depth.map_or(0, |depth| depth.consumers));
    Ok(ROLES.into_iter().zip(live).collect())
}

/// What waits in both stages, and since when: from the broker, the stream, and what the workers have in
/// hand.
async fn waiting(
    context: &CommandContext,
    session: &Session,
    config: &Integration,
    state: &StateHandle,
    reports: &[WorkerReport],
) -> Result<BTreeMap<&'static str, Waiting>, BrokerError> {
    let worker = &context.worker;
    let partitions = worker.config.broker.partitions;
    let depths = Depths::of(session, worker.broker.names(), &config.id, partitions).await?;
    let (in_force, unanswered) = state.read(|view| (view.meta().in_force.clone(), oldest_unanswered(view)));
    let inflight = reports.iter().flat_map(|report| {
        let of = if report.role == "writer" { Stage::Apply } else { Stage::Reconcile };
        let served = report.integrations.get(config.id.as_str()).map(|duty| duty.partitions.as_slice());
        served.unwrap_or_default().iter().map(move |one| ((of, one.partition), one.oldest))
    });
    let times = KnownTimes {
        unanswered,
        in_force: in_force.as_ref(),
        inflight: inflight.collect(),
        ..KnownTimes::default()
    };
    Ok(STAGES.into_iter().map(|stage| (stage.as_str(), depths.waiting(stage, &times))).collect())
}
