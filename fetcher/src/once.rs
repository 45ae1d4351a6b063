//! `fetcher run --once`: one run of each integration, then the end.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::profile;
use amfj_sync_config::{Config, Integration};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{Event, Fact};
use amfj_sync_projection::OnDisk;
use amfj_sync_projection::rows::{Pause, RunRow};
use amfj_sync_security::screen::{sanitize, say_line};
use amfj_sync_service::command::required;
use amfj_sync_service::worker::{Exit, Shutdown, Worker};
use amfj_sync_stream::StateHandle;
use futures::future::join_all;
use indicatif::MultiProgress;
use jiff::Timestamp;
use uuid::Uuid;

use crate::leadership::{Lead, Share};
use crate::progress::Progress;
use crate::run::{Leader, Published, RunEnd, until_paused};

/// Between two looks at a run that another fetcher leads.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two attempts to take the lead over from a fetcher that may have died.
const TRY_EVERY: u32 = 20;
/// One run of each integration. Fails unless every one is complete and none is held.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Exit> {
    profile::check(&config).map_err(Exit::Configuration)?;
    let data_dir = config.fetcher.data_dir.clone();
    let worker = Worker::start("fetcher", config, Some(OnDisk::at(&data_dir)), shutdown).await?;
    let worker = Arc::new(worker);
    let done = run_all(&worker).await;
    worker.finish().await;
    // Whoever asked for one run is told, and decides.
    done.map_err(|exit| if let Exit::Ill { reason, .. } = exit { Exit::Failed(reason) } else { exit })
}

async fn run_all(worker: &Arc<Worker>) -> Result<(), Exit> {
    required(&worker.broker, worker.config.timing.connect_timeout).await?;
    worker.caught_up().await?;
    let bars = MultiProgress::new();
    let share = Share::new(worker.config.integrations.len());
    let turns = worker.config.integrations.iter().map(|integration| {
        let progress = Progress::on_terminal(&bars, integration.id.as_str());
        let turn = Turn { worker, integration, share: &share, progress };
        async move {
            let ended = turn.take().await;
            turn.progress.done();
            ended
        }
    });
    let mut failed = Vec::new();
    for (integration, ended) in worker.config.integrations.iter().zip(join_all(turns).await) {
        match ended {
            Ok(line) => say_line(&format!("{}: {line}", integration.id)),
            Err(Exit::Configuration(reason)) => return Err(Exit::Configuration(reason)),
            Err(exit) => failed.push(format!("{}: {exit}", integration.id)),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Exit::Failed(failed.join("\n"))) }
}

/// The one run of one integration.
struct Turn<'a> {
    worker: &'a Arc<Worker>,
    integration: &'a Integration,
    share: &'a Arc<Share>,
    progress: Progress,
}

impl Turn<'_> {
    /// Leads a run, or asks the fetcher that leads for one and follows it. Returns the line to print.
    async fn take(&self) -> Result<String, Exit> {
        let id = &self.integration.id;
        let Some(state) = self.worker.states.get(id) else {
            return Err(Exit::Failed("its state is not followed".into()));
        };
        state.read_to_end().await?;
        if let Some(pause) = state.pause() {
            return Err(paused(id, &pause));
        }
        if let Some(lead) = self.try_lead().await? {
            return self.lead(lead).await;
        }
        let before = latest(state).map_or(0, |run| run.started.number);
        let request = Fact::RunRequested { token: Uuid::new_v4() };
        state.publish(vec![Event::fact(&state.origin(), Timestamp::now(), request)]).await?;
        tracing::info!(integration = %id, "another fetcher leads; it was asked for a run");
        self.follow(state, before).await
    }

    async fn try_lead(&self) -> Result<Option<Lead>, Exit> {
        let session = self.worker.broker.session().await?;
        let lock = self.worker.broker.names().leader(&self.integration.id);
        Ok(Lead::try_take(&session, lock, self.share).await?)
    }

    async fn lead(&self, lead: Lead) -> Result<String, Exit> {
        // A person may pause the integration meanwhile.
        let working = self.worker.shutdown.soft.child_token();
        let leader = Leader::new(self.worker, self.integration, self.progress.clone(), working.clone())?;
        let before = latest(&leader.state).map_or(0, |run| run.started.number);
        let ended = until_paused(&leader.state, &working, Box::pin(leader.run())).await;
        let line = match ended {
            RunEnd::Published(published) => {
                let Published { number, counts, took, rest } = *published;
                leader.checkpoint_if_due().await;
                let over = || lead.is_lost() || leader.state.pause().is_some();
                leader.read_rest(rest, &over, false).await;
                self.progress.done();
                not_held(&leader.state, number).await?;
                Ok(line(counts.devices, counts.users, counts.assets, took))
            }
            RunEnd::Failed { reason } => Err(Exit::Failed(format!("the run failed: {reason}"))),
            RunEnd::Held { reason } => Err(Exit::Failed(format!("the run is held: {reason}"))),
            RunEnd::Superseded => {
                // Whoever leads that one may need the lead; where nobody does, this fetcher takes it again.
                lead.give_up().await;
                return self.follow(&leader.state, before).await;
            }
            RunEnd::Stopped => {
                let pause = leader.state.pause();
                Err(pause.map_or_else(stopped, |pause| paused(&self.integration.id, &pause)))
            }
        };
        lead.give_up().await;
        line
    }

    /// Waits for the end of a run that another fetcher leads and that is newer than `before`.
    async fn follow(&self, state: &StateHandle, before: u64) -> Result<String, Exit> {
        let mut looks = 0_u32;
        loop {
            if self.worker.shutdown.soft.is_cancelled() {
                return Err(stopped());
            }
            if let Some(pause) = state.pause() {
                return Err(paused(&self.integration.id, &pause));
            }
            if let Some(run) = latest(state).filter(|run| run.started.number > before) {
                self.progress.say(format!("another fetcher leads run {}", run.started.number));
                if let Some(ended) = end_of(&run) {
                    return ended;
                }
            }
            looks += 1;
            if looks.is_multiple_of(TRY_EVERY)
                && let Some(lead) = self.try_lead().await?
            {
                return Box::pin(self.lead(lead)).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn latest(state: &StateHandle) -> Option<RunRow> {
    state.read(|view| view.meta().latest.clone())
}

/// How a run ended, once it has.
fn end_of(run: &RunRow) -> Option<Result<String, Exit>> {
    if let Some(reason) = &run.failed {
        return Some(Err(Exit::Failed(format!("the run failed: {reason}"))));
    }
    if let Some(reason) = &run.held {
        return Some(Err(Exit::Failed(format!("the run is held: {reason}"))));
    }
    let (counts, took) = (run.counts?, Duration::from_millis(run.published_ms?));
    Some(Ok(line(counts.devices, counts.users, counts.assets, took)))
}

/// Reconcilers may hold a run while its last messages are being published (P23).
async fn not_held(state: &StateHandle, number: u64) -> Result<(), Exit> {
    state.read_to_end().await?;
    match latest(state).filter(|run| run.started.number == number).and_then(|run| run.held) {
        Some(reason) => Err(Exit::Failed(format!("the run is held: {reason}"))),
        None => Ok(()),
    }
}

fn line(devices: u64, people: u64, assets: u64, took: Duration) -> String {
    format!(
        "{devices} devices, {people} people, {assets} assets read; published in {:.1} s",
        took.as_secs_f64()
    )
}

fn paused(id: &IntegrationId, pause: &Pause) -> Exit {
    let (by, reason) = (sanitize(&pause.by), sanitize(&pause.reason));
    Exit::Failed(format!(
        "it was paused by {by}: {reason}. Nothing is read until it is resumed (`amfj-sync resume {id}`)"
    ))
}

fn stopped() -> Exit {
    Exit::Failed("stopped before the run was published; the next run reads anew".into())
}
