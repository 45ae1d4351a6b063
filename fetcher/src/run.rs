//! One run: both sides read to the end, what differs said in one step, then every device and person
//! handed to the reconcilers.
//!
//! The order of facts in the state stream decides who leads: a leader acts only on its own *started*
//! fact after reading it back, and looks before every later step whether a newer run has started.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_backoff::{InvalidBackoff, Policy};
use amfj_sync_broker::{Names, Publisher};
use amfj_sync_config::{Assignment, FirstAssignment, Integration, Mode, RetryConfig};
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_http::Limiter;
use amfj_sync_kandji::{KandjiClient, Limits};
use amfj_sync_model::ids::{DeviceId, RunId};
use amfj_sync_model::mapping::fingerprint::hashes;
use amfj_sync_model::messages::{Event, Fact, InventoryCounts, Origin, ReadingReport, RunStarted};
use amfj_sync_projection::rows::Meta;
use amfj_sync_projection::{Store, Unreadable, Verdict};
use amfj_sync_service::worker::{Exit, Worker};
use amfj_sync_stream::StateHandle;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::events::{self, RunEnded, RunResult};
use crate::progress::Progress;
use crate::status::Services;

mod absence;
mod aside;
pub(crate) mod bulk;
mod catalogue;
mod details;
mod difference;
pub(crate) mod fleet;
mod halt;
mod inventory;
mod missing;
mod missing_assets;
pub(crate) mod properties;
mod proving;
mod publishing;
mod request_budget;
mod run_traces;
mod unusable;
mod walk;

pub(crate) use details::Rest;
pub(crate) use difference::asset_differs;
pub(crate) use halt::Halt;
pub(crate) use inventory::completed;
pub(crate) use unusable::{is_of_service, last};

use bulk::Bulk;
use fleet::Mapped;
use proving::Proofs;
use request_budget::RequestBudget;
use run_traces::RunTraces;

/// A read is given up after this, so that a failed run is reported soon; the run is tried again (P2).
const GIVE_UP_READS: Duration = Duration::from_mins(2);
/// Details of one device can wait for another run.
const GIVE_UP_DETAILS: Duration = Duration::from_secs(10);
/// So many messages after the last copy, or after the beginning, are copied without waiting for a day to pass: a worker
/// or command that starts has to read them all. Most carry many facts.
const LONG_STREAM: u64 = 5_000;

/// Does `work`, and cancels `working`, which stops it, as soon as a person pauses the integration (P33).
pub(crate) async fn until_paused<T>(
    state: &StateHandle,
    working: &CancellationToken,
    mut work: impl Future<Output = T> + Unpin,
) -> T {
    tokio::select! {
        done = &mut work => return done,
        () = state.paused() => working.cancel(),
    }
    work.await
}

/// What leading the runs of one integration takes.
pub(crate) struct Leader {
    pub(crate) config: Integration,
    pub(crate) state: StateHandle,
    publisher: Publisher,
    names: Names,
    partitions: u16,
    worker: String,
    kandji: KandjiClient,
    pub(crate) amfj: AmfjClient,
    reads: Policy,
    pub(crate) details: Policy,
    mapped: Mapped,
    bulk: Bulk,
    budget: RequestBudget,
    /// The devices of the walk, until the end of the run.
    scratch: Mutex<Box<dyn Store>>,
    progress: Progress,
    checkpoint_every: Duration,
    traces: RunTraces,
    stop: CancellationToken,
    /// Devices whose details are still to be read.
    details_due: AtomicUsize,
    /// Devices whose details could not be read when they were asked for last: they come after all others.
    details_failed: Mutex<BTreeSet<DeviceId>>,
    /// What is learnt about mapped details that Kandji does not document.
    proofs: Mutex<Proofs>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum RunEnd {
    /// Everything is in the queues.
    Published(Box<Published>),
    /// Nothing was decided (P2, P18).
    Failed { reason: String },
    /// Nothing was published until a person has looked (P23).
    Held { reason: String },
    /// Another fetcher leads.
    Superseded,
    /// The worker is stopping.
    Stopped,
}

/// A run whose snapshots are in the queues.
#[derive(Debug)]
pub(crate) struct Published {
    /// Its number.
    pub(crate) number: u64,
    /// How many of what.
    pub(crate) counts: InventoryCounts,
    /// Since its start.
    pub(crate) took: Duration,
    /// The details that are still to be read.
    pub(crate) rest: Rest,
}

/// A run that has started.
struct Run<'a> {
    leader: &'a Leader,
    /// Envelope of everything that belongs to the run.
    origin: Origin,
    started: RunStarted,
    /// Of the *started* fact: what a list says is true as of here.
    offset: u64,
    /// Reads of the view that had failed when it started.
    failed_reads: u64,
    /// Rows of facts that are kept aside.
    aside: AtomicU64,
    /// What it goes on without.
    report: Mutex<ReadingReport>,
}

impl Leader {
    /// Sets up the clients. Call it when the lead was taken: the requests that earlier leaders made are
    /// counted from the state.
    pub(crate) fn new(
        worker: &Worker,
        config: &Integration,
        progress: Progress,
        stop: CancellationToken,
    ) -> Result<Self, Exit> {
        let fault = |error: &dyn std::fmt::Display| Exit::Configuration(format!("{}: {error}", config.id));
        let Some(state) = worker.states.get(&config.id).cloned() else {
            return Err(fault(&"its state is not followed"));
        };
        let made = state.read(amfj_sync_projection::Projection::kandji_requests);
        let ledger: Vec<(i64, u32)> =
            made.into_iter().filter_map(|(minute, count)| Some((minute.try_into().ok()?, count))).collect();
        let limits = Limits::new(&config.id, config.kandji.requests_per_hour, ledger.clone());
        let limiter = Limiter::new(f64::from(config.amfj.requests_per_second));
        let (reads, details) = policies(&worker.config.retry).map_err(|error| fault(&error))?;
        let mut scratch: Box<dyn Store> = match &worker.data_dir {
            Some(dir) => Box::new(dir.scratch(config.id.as_str())?),
            None => Box::<amfj_sync_projection::MemoryStore>::default(),
        };
        scratch.clear()?;
        let kandji = KandjiClient::from_config(&config.kandji, limits).map_err(|error| fault(&error))?;
        let amfj = AmfjClient::from_config(&config.amfj, limiter).map_err(|error| fault(&error))?;
        kandji.api().pulse().belongs_to(&config.id);
        amfj.api().pulse().belongs_to(&config.id);
        Ok(Self {
            config: config.clone(),
            state,
            publisher: worker.publisher.clone(),
            names: worker.broker.names().clone(),
            partitions: worker.config.broker.partitions,
            worker: worker.id.clone(),
            kandji,
            amfj,
            reads,
            details,
            mapped: Mapped::of(config),
            bulk: Bulk::of(config),
            budget: RequestBudget::of(&ledger),
            scratch: Mutex::new(scratch),
            progress,
            checkpoint_every: worker.config.timing.checkpoint_every,
            traces: RunTraces::of(&config.id),
            stop,
            details_due: AtomicUsize::new(0),
            details_failed: Mutex::default(),
            proofs: Mutex::default(),
        })
    }

    /// Both services, as the calls of the runs show them.
    pub(crate) fn services(&self) -> Services {
        let (kandji, amfj) = (self.kandji.api().clone(), self.amfj.api().clone());
        Services { kandji, amfj, reads: self.reads.clone() }
    }

    /// How many devices wait for their details to be read.
    pub(crate) fn details_due(&self) -> usize {
        self.details_due.load(Ordering::Relaxed)
    }

    /// Requests to Kandji that may still be made in this hour.
    pub(crate) fn requests_left(&self) -> u32 {
        self.kandji.limits().available()
    }

    /// Shows them as a metric: after a run they grow without any request.
    pub(crate) fn show_requests_left(&self) {
        self.kandji.limits().show();
    }

    /// Leads one run to its end, and says how it ended: to everybody, as a fact, and to the caller.
    pub(crate) async fn run(&self) -> RunEnd {
        let began = Instant::now();
        let span = self.traces.begin();
        let run = match span.around(Box::pin(self.start())).await {
            Ok(run) => run,
            Err(halt) => return self.end(0, began, Err(halt)),
        };
        let ended = span.around(Box::pin(run.to_the_end(began))).await;
        if let Err(halt) = &ended {
            span.fail(halt.reason());
            run.say_why(halt).await;
        }
        self.publish_budget().await;
        self.end(run.started.number, began, ended)
    }

    /// Announces a run. Whoever's announcement comes first in the stream leads it.
    async fn start(&self) -> Result<Run<'_>, Halt> {
        self.progress.say("starting a run".into());
        self.state.read_to_end().await?;
        let (latest, first_sync, linked) = self.state.read(|view| {
            let latest = view.meta().latest.as_ref().map_or(0, |run| run.started.number);
            (latest, !view.meta().first_sync_over, view.count_links() > 0)
        });
        let at = Timestamp::now();
        let number = u64::try_from(at.as_millisecond()).unwrap_or(0).max(latest + 1);
        let started = RunStarted {
            number,
            leader: self.worker.clone(),
            at,
            first_sync,
            applies_to_all: self.config.mode == Mode::Apply && self.config.apply_only.is_empty(),
            auto_checkout: self.config.sync.auto_checkout,
            list_delay_ms: u64::try_from(self.config.amfj.list_delay.as_millis()).unwrap_or(u64::MAX),
            judged: first_sync && self.may_take_over(linked),
            mapping: hashes(&self.config.fields),
        };
        let run = RunId::of(&self.config.id, number);
        self.traces.name_run(&run);
        let traceparent = self.traces.run_traceparent();
        let origin = Origin { run: Some(run.clone()), traceparent, ..self.state.origin() };
        let event = Event::fact(&origin, at, Fact::RunStarted(started.clone()));
        if let Verdict::Rejected(why) = self.state.publish_and_read_back(event).await? {
            let newer = self.state.read(|view| view.meta().latest.as_ref().map(|run| run.started.number));
            return Err(if newer >= Some(number) { Halt::Superseded } else { self.refused(&why) });
        }
        let offset = self.state.read(|view| {
            view.meta().latest.as_ref().filter(|run| run.started.number == number).map(|run| run.offset)
        });
        let offset = offset.ok_or(Halt::Superseded)?;
        let failed_reads = self.state.failed_reads();
        tracing::debug!(integration = %self.config.id, %run, first_sync, "run started");
        let (aside, report) = (AtomicU64::new(0), Mutex::default());
        Ok(Run { leader: self, origin, started, offset, failed_reads, aside, report })
    }

    /// Nobody else has started a run, and this one may not start.
    fn refused(&self, why: &str) -> Halt {
        Halt::failed(format!(
            "the run of {} could not start: {why}; check the clock of this machine, and who else writes to the state stream \
             (docs/security.md)",
            self.config.id
        ))
    }

    /// Whether a first sync may take something from people: their assets, or, where it is not the first one, what they
    /// wrote (P23).
    fn may_take_over(&self, linked: bool) -> bool {
        let sync = &self.config.sync;
        let takes =
            sync.first_assignment == FirstAssignment::TakeOver || sync.assignment == Assignment::Enforce;
        self.config.mode == Mode::Apply && (linked || sync.auto_checkout && takes)
    }

    fn end(&self, number: u64, began: Instant, ended: Result<Published, Halt>) -> RunEnd {
        let end = match ended {
            Ok(published) => RunEnd::Published(Box::new(published)),
            Err(Halt::Failed { reason, .. }) => RunEnd::Failed { reason },
            Err(Halt::Held { reason }) => RunEnd::Held { reason },
            Err(Halt::Superseded) => RunEnd::Superseded,
            Err(Halt::Stopping) => RunEnd::Stopped,
        };
        let result = match &end {
            RunEnd::Published(published) => {
                let counts = published.counts;
                RunResult::Published { devices: counts.devices, users: counts.users, assets: counts.assets }
            }
            RunEnd::Failed { reason } => RunResult::Failed { reason },
            RunEnd::Held { reason } => RunResult::Held { reason },
            RunEnd::Superseded => RunResult::Superseded,
            RunEnd::Stopped => RunResult::Stopped,
        };
        RunEnded { integration: &self.config.id, number, took: began.elapsed(), result }.emit();
        if !matches!(end, RunEnd::Published(_)) {
            self.traces.end();
        }
        end
    }

    /// Copies the state into its stream once a day, so that the beginning of the stream may be trimmed.
    pub(crate) async fn checkpoint_if_due(&self) {
        let due =
            self.state.read(|view| is_checkpoint_due(view.meta(), Timestamp::now(), self.checkpoint_every));
        if due && let Err(error) = self.state.write_checkpoint().await {
            tracing::warn!(integration = %self.config.id, %error, "the daily copy of the state failed; the next run tries again");
        }
    }

    /// Says how many requests were made, so that the next leader stays within the hour's share.
    async fn publish_budget(&self) {
        let origin = self.state.origin();
        let facts = self.budget.news(&self.kandji.limits().ledger()).into_iter().map(|(minute, count)| {
            let fact = Fact::KandjiRequests { minute, count, token: Uuid::new_v4() };
            Event::fact(&origin, Timestamp::now(), fact)
        });
        let facts: Vec<Event> = facts.collect();
        if !facts.is_empty()
            && let Err(error) = self.state.publish(facts).await
        {
            tracing::debug!(integration = %self.config.id, %error, "the count of requests was not kept");
        }
    }
}

/// What both sides have.
struct Read {
    site: inventory::Site,
    fleet: walk::Fleet,
    rest: Rest,
}

impl Run<'_> {
    async fn to_the_end(&self, began: Instant) -> Result<Published, Halt> {
        reach(Failpoint::FetcherRunStarted).await;
        self.leader.scratch.lock().clear()?;
        let Read { site, fleet, rest } = self.read_within_its_time().await?;
        self.say_in_use(fleet.unproven.proven(&self.leader.config));
        self.is_current()?;
        self.say_what_was_kept_aside().await?;
        self.say_what_differs(&fleet).await?;
        self.say_what_is_missing(&fleet).await?;
        reach(Failpoint::FetcherSaid).await;
        let counts = InventoryCounts {
            devices: fleet.ids.len() as u64,
            in_scope: fleet.in_scope,
            users: fleet.people.len() as u64,
            assets: site.assets,
            records: site.records,
        };
        self.warn_of_unusable();
        let report = Box::new(self.report.lock().clone());
        self.settle(Fact::InventoryComplete { number: self.started.number, counts, report }).await?;
        self.leader.bulk.is_said();
        reach(Failpoint::FetcherInventoryComplete).await;
        self.publish_snapshots(&fleet).await?;
        reach(Failpoint::FetcherHandedOver).await;
        let took = began.elapsed();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.settle(Fact::RunPublished { number: self.started.number, took_ms }).await?;
        reach(Failpoint::FetcherRunPublished).await;
        Ok(Published { number: self.started.number, counts, took, rest })
    }

    /// Reads both sides, for so long at most: a service that ever has more to say must not hold up every run to come.
    async fn read_within_its_time(&self) -> Result<Read, Halt> {
        let longest = self.leader.config.sync.longest_run;
        let reading = tokio::time::timeout(longest, Box::pin(self.read_all())).await;
        reading.unwrap_or_else(|_| {
            Err(Halt::failed(format!(
                "reading both services took more than {longest:?} and was given up; if it takes as long, set \
                 sync.longest_run"
            )))
        })
    }

    async fn read_all(&self) -> Result<Read, Halt> {
        let first = self.first_page().await;
        events::kandji(&self.leader.config.id, first.as_ref().is_err_and(Halt::is_trouble));
        let first = first?;
        let site = self.read_amfj().await?;
        reach(Failpoint::FetcherAmfjRead).await;
        self.is_current()?;
        let fleet = self.walk(first).await;
        events::kandji(&self.leader.config.id, fleet.as_ref().is_err_and(Halt::is_trouble));
        let mut fleet = fleet?;
        reach(Failpoint::FetcherWalked).await;
        self.leader.publish_budget().await;
        self.is_current()?;
        self.hold_if_devices_vanished(&fleet).await?;
        let rest = self.read_details_before_the_marker(&mut fleet).await?;
        Ok(Read { site, fleet, rest })
    }

    /// Publishes a fact that ends a step, and goes on only if it was accepted.
    async fn settle(&self, fact: Fact) -> Result<(), Halt> {
        self.is_current()?;
        match self.leader.state.publish_and_read_back(self.fact(fact)).await? {
            Verdict::Accepted => Ok(()),
            Verdict::Rejected(_) => Err(Halt::Superseded),
        }
    }

    /// Whether this is still the run that counts, and the worker goes on.
    fn is_current(&self) -> Result<(), Halt> {
        if self.leader.stop.is_cancelled() {
            return Err(Halt::Stopping);
        }
        // What could not be read looks as if it were not there: new to a list, or absent from none.
        if self.leader.state.failed_reads() != self.failed_reads {
            return Err(Halt::failed(Unreadable.to_string()));
        }
        let latest = self.leader.state.read(|view| view.meta().latest.as_ref().map(|run| run.started.number));
        if latest == Some(self.started.number) { Ok(()) } else { Err(Halt::Superseded) }
    }

    /// For log lines.
    fn run_id(&self) -> Option<tracing::field::DisplayValue<&RunId>> {
        self.origin.run.as_ref().map(tracing::field::display)
    }

    fn fact(&self, fact: Fact) -> Event {
        Event::fact(&self.origin, Timestamp::now(), fact)
    }

    /// Tells everybody why the run ended early; a run that was overtaken or stopped says nothing.
    async fn say_why(&self, halt: &Halt) {
        let number = self.started.number;
        let fact = match halt {
            Halt::Failed { reason, configuration } => {
                Fact::RunFailed { number, reason: bounded(reason), configuration: *configuration }
            }
            Halt::Held { reason } => Fact::RunHeld { number, reason: bounded(reason) },
            Halt::Superseded | Halt::Stopping => return,
        };
        if let Err(error) = self.leader.state.publish_and_read_back(self.fact(fact)).await {
            tracing::warn!(integration = %self.leader.config.id, run = self.run_id(), %error,
                "the end of the run could not be told");
        }
    }
}

/// Characters of a reason that are said to everybody: a run that fails at every try must not fill the stream with it (P2).
const LONGEST_REASON: usize = 2_000;

fn bounded(reason: &str) -> String {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((at, _)) => format!("{}…", &reason[..at]),
        None => reason.to_owned(),
    }
}

/// Whether the state is to be copied into its stream. A stream that was never copied is as old as its
/// first record, so that a slow stream has a copy as well before its beginning is trimmed.
fn is_checkpoint_due(meta: &Meta, now: Timestamp, every: Duration) -> bool {
    let copied = meta.last_checkpoint.map_or(0, |(_, offset)| offset);
    let is_long = meta.offset.is_some_and(|offset| offset > copied.saturating_add(LONG_STREAM));
    // A view of an earlier release does not know when the stream was opened.
    let last = meta.last_checkpoint.map(|(at, _)| at).or(meta.opened);
    is_long || last.is_none_or(|last| now.duration_since(last).unsigned_abs() > every)
}

/// How reads, and how details are tried again.
pub(crate) fn policies(retry: &RetryConfig) -> Result<(Policy, Policy), InvalidBackoff> {
    let give_up = retry.give_up_after.min(GIVE_UP_READS);
    let details = retry.give_up_after.min(GIVE_UP_DETAILS);
    Ok((
        Policy::try_new(retry.initial, retry.max, give_up)?,
        Policy::try_new(retry.initial, retry.max, details)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_stream_gets_its_first_copy_a_day_after_it_was_opened_however_short_it_is() {
        let at = |hours: i64| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(hours);
        let due = |meta: &Meta, hours| is_checkpoint_due(meta, at(hours), DAY);
        let young = Meta { opened: Some(at(0)), offset: Some(20), ..Meta::default() };
        assert!(!due(&young, 23) && due(&young, 25));
        let long = Meta { offset: Some(LONG_STREAM + 1), ..young.clone() };
        assert!(due(&long, 1), "a long stream does not wait for a day to pass");
        let copied = Meta { last_checkpoint: Some((at(30), 10)), offset: Some(LONG_STREAM + 10), ..long };
        assert!(!due(&copied, 53) && due(&copied, 55));
        let busy = Meta { offset: Some(LONG_STREAM + 11), ..copied };
        assert!(due(&busy, 31), "much has happened since");
        assert!(due(&Meta { opened: None, ..young }, 1), "of an earlier release");
    }

    #[test]
    fn p2_a_reason_stays_short_however_long_the_answer_was() {
        let said = bounded(&"é".repeat(3 * LONGEST_REASON));
        assert!(said.ends_with('…') && said.chars().count() == LONGEST_REASON + 1);
        assert_eq!(bounded("short"), "short");
    }
}
