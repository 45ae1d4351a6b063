//! `fetcher run`: leads the runs of its integrations until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::profile;
use amfj_sync_backoff::Backoff;
use amfj_sync_config::{Config, Integration};
use amfj_sync_projection::OnDisk;
use amfj_sync_security::screen::sanitize;
use amfj_sync_service::backlog;
use amfj_sync_service::endpoints::Server;
use amfj_sync_service::status::keep_answering;
use amfj_sync_service::worker::{Exit, Shutdown, Worker};
use amfj_sync_stream::StateHandle;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::events;
use crate::inbox::take_events;
use crate::leadership::{Lead, Share};
use crate::lookups::LookUps;
use crate::presence::{be_counted, pass_requests_on};
use crate::progress::Progress;
use crate::run::{Leader, Rest, RunEnd, until_paused};
use crate::schedule::{Due, after, next_run};
use crate::status::{Board, Status};

/// The longest time between two looks at whether a run is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Serves until the worker is told to stop, or cannot go on.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Exit> {
    profile::check(&config).map_err(Exit::Configuration)?;
    let data_dir = config.fetcher.data_dir.clone();
    // Whoever looks an event's asset up by its name needs the names.
    let for_matching = config.integrations.iter().any(|integration| integration.amfj.events.is_some());
    let (on_disk, listen) = (OnDisk { for_matching, ..OnDisk::at(&data_dir) }, config.fetcher.listen);
    let started = Worker::start_serving("fetcher", config, on_disk, listen, shutdown.clone()).await?;
    let Some((worker, listen)) = started else { return shutdown.ended(Ok(()), None) };
    let (worker, board) = (Arc::new(worker), Arc::new(Board::default()));
    let served = serve(&worker, &board, listen).await;
    worker.finish().await;
    worker.ended(served)
}

async fn serve(worker: &Arc<Worker>, board: &Arc<Board>, listen: SocketAddr) -> Result<(), Exit> {
    let status = Arc::new(Status { worker: worker.clone(), board: board.clone() });
    worker.tasks.spawn(keep_answering(worker.clone(), status.clone()));
    Server::start(listen, status, worker.shutdown.hard.clone())
        .await
        .map_err(|error| Exit::Failed(error.to_string()))?;
    take_events(worker).await?;
    worker.tasks.spawn(worker.clone().try_disk_out());
    let share = Share::new(worker.config.integrations.len());
    worker.tasks.spawn(be_counted(worker.clone(), share.clone()));
    worker.caught_up().await?;
    worker.tasks.spawn(backlog::watch(worker.clone()));
    worker.tasks.spawn(pass_requests_on(worker.clone()));
    let (failures, mut failed) = tokio::sync::mpsc::channel(1);
    for integration in &worker.config.integrations {
        events::begin(&integration.id);
        let turns = Turns {
            worker: worker.clone(),
            board: board.clone(),
            share: share.clone(),
            integration: integration.clone(),
        };
        let failures = failures.clone();
        worker.tasks.spawn(async move {
            if let Err(exit) = turns.take().await {
                // The first failure ends the worker; the others find nobody who listens.
                drop(failures.try_send(exit));
            }
        });
    }
    drop(failures);
    tokio::select! {
        over = worker.over() => over,
        Some(exit) = failed.recv() => Err(exit),
    }
}

/// The runs of one integration: the trouble of one delays no other (P28).
struct Turns {
    worker: Arc<Worker>,
    board: Arc<Board>,
    share: Arc<Share>,
    integration: Integration,
}

impl Turns {
    /// Takes the lead whenever nobody has it, and leads, until the worker stops.
    async fn take(&self) -> Result<(), Exit> {
        let id = &self.integration.id;
        let look_every = self.worker.config.timing.ownership_interval;
        let stop = &self.worker.shutdown.soft;
        while let Some(lead) = Lead::take(&self.worker.broker, id, &self.share, look_every, stop).await {
            tracing::info!(integration = %id, "this fetcher leads the runs");
            self.lead(&lead).await?;
            self.board.update(id, |standing| *standing = crate::status::Standing::default());
            // Whoever leads next finds out by itself.
            events::kandji(id, false);
            events::requests_left_unknown(id);
            if !lead.is_lost() && !stop.is_cancelled() {
                tracing::info!(integration = %id, "gave the lead to another fetcher");
                lead.give_up().await;
                stop.run_until_cancelled(tokio::time::sleep(look_every * 2)).await;
            }
        }
        Ok(())
    }

    /// Leads runs until the lead is lost, or given up between two runs.
    async fn lead(&self, lead: &Lead) -> Result<(), Exit> {
        let worker = &self.worker;
        let stop = worker.shutdown.soft.clone();
        let timing = &worker.config.timing;
        let mut pauses = Backoff::try_new(timing.run_retry_initial, timing.run_retry_max)
            .map_err(|error| Exit::Configuration(format!("timing.run_retry_initial: {error}")))?;
        let Some(state) = worker.states.get(&self.integration.id) else { return Ok(()) };
        // What earlier leaders did, the requests they made included, is known from here on.
        if state.read_to_end().await.is_err() {
            return Ok(());
        }
        loop {
            self.wait_for_a_person(state, lead, &stop).await;
            if stop.is_cancelled() || lead.is_lost() || self.share.is_exceeded() {
                return Ok(());
            }
            // Ends with the first pause too: what is read then is read anew by the next run (P33).
            let working = stop.child_token();
            let leader = Leader::new(worker, &self.integration, Progress::silent(), working.clone())?;
            let look_ups = LookUps::of(worker, &leader, &self.board);
            let leading = async {
                let ended = self.lead_runs(&leader, lead, &mut pauses, &working).await;
                working.cancel();
                ended
            };
            let all = Box::pin(async { tokio::join!(leading, look_ups.run(lead, &working)) });
            let (ended, ()) = until_paused(state, &working, all).await;
            ended?;
        }
    }

    /// Waits while the integration is paused, and keeps the lead meanwhile: nobody else has anything to do with it.
    async fn wait_for_a_person(&self, state: &StateHandle, lead: &Lead, stop: &CancellationToken) {
        let id = &self.integration.id;
        let Some(pause) = state.pause() else { return };
        let (by, reason) = (sanitize(&pause.by), sanitize(&pause.reason));
        tracing::info!(integration = %id, %by, %reason, "paused by a person; nothing is read until it is resumed");
        self.board.update(id, |standing| {
            *standing = crate::status::Standing { leader: true, ..crate::status::Standing::default() };
        });
        while state.pause().is_some() && !stop.is_cancelled() && !lead.is_lost() && !self.share.is_exceeded()
        {
            tokio::select! {
                () = state.resumed() => tracing::info!(integration = %id, "resumed"),
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn lead_runs(
        &self,
        leader: &Leader,
        lead: &Lead,
        pauses: &mut Backoff,
        stop: &CancellationToken,
    ) -> Result<(), Exit> {
        let timing = &self.worker.config.timing;
        let mut retry_at = None;
        let mut tokens = leader.services().tokens();
        while !stop.is_cancelled() && !lead.is_lost() {
            let replaced = leader.services().tokens();
            if std::mem::replace(&mut tokens, replaced) != replaced && retry_at.take().is_some() {
                tracing::info!(integration = %self.integration.id, "a token was replaced; trying the run again now");
                pauses.reset();
            }
            let due = self.due(leader, retry_at);
            self.show(leader, due, false);
            if !due.is_due(Timestamp::now()) {
                if self.share.is_exceeded() {
                    return Ok(());
                }
                stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY.min(timing.ownership_interval))).await;
                continue;
            }
            self.show(leader, due, true);
            match leader.run().await {
                RunEnd::Published(published) => {
                    pauses.reset();
                    retry_at = None;
                    self.board.update(&self.integration.id, |standing| standing.runs = None);
                    leader.checkpoint_if_due().await;
                    self.read_rest(leader, lead, published.rest).await;
                }
                RunEnd::Held { .. } => {
                    pauses.reset();
                    retry_at = None;
                    self.board.update(&self.integration.id, |standing| standing.runs = None);
                }
                RunEnd::Failed { reason } => {
                    retry_at = Some(Instant::now() + pauses.next());
                    self.board.update(&self.integration.id, |standing| standing.fail(reason));
                }
                // Somebody else took over meanwhile; whoever holds the lock then goes on.
                RunEnd::Superseded => {
                    stop.run_until_cancelled(tokio::time::sleep(timing.ownership_interval)).await;
                }
                RunEnd::Stopped => {}
            }
        }
        Ok(())
    }

    /// The pause after a failed run is no matter of the clock, which may be set.
    fn due(&self, leader: &Leader, retry_at: Option<Instant>) -> Due {
        let now = Timestamp::now();
        let retry_at = retry_at.map(|at| after(now, at.saturating_duration_since(Instant::now())));
        leader.state.read(|view| next_run(view.meta(), self.integration.interval, retry_at, now))
    }

    /// Details go on being read until the next run is due.
    async fn read_rest(&self, leader: &Leader, lead: &Lead, rest: Rest) {
        let over = || {
            let due = self.due(leader, None);
            self.show(leader, due, false);
            lead.is_lost() || leader.state.pause().is_some() || due.is_due(Timestamp::now())
        };
        leader.read_rest(rest, &over, true).await;
    }

    fn show(&self, leader: &Leader, due: Due, running: bool) {
        let (requests_left, details_due) = (Some(leader.requests_left()), Some(leader.details_due()));
        leader.show_requests_left();
        self.board.update(&self.integration.id, |standing| {
            *standing = crate::status::Standing {
                leader: true,
                running,
                next_run: Some(due),
                requests_left,
                details_due,
                runs: standing.runs.take(),
                events: standing.events.take(),
                services: Some(leader.services()),
            };
        });
    }
}
