//! The task that looks at the broker again and again and shows what it sees as metrics.
#![expect(clippy::disallowed_macros, reason = "what is seen at the broker is shown here, and nowhere else")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{BrokerError, LookedThrough, Session, Stage, look_through_dead_letters};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_stream::StateHandle;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::unanswered::Unanswered;
use super::{Depths, KnownTimes, STAGES, Seen, Waiting};
use crate::status::ask_within;
use crate::worker::{ROLES, Worker};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// For what the other workers say of themselves; it takes milliseconds, unless one hangs.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// How often the facts are taken up between two looks.
const FOLLOWS_A_LOOK: u32 = 20;

/// The least time between two looks into the dead letters: each is charged to them as a delivery.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// The least and the most time between two looks for letters that have waited too long; in between, a quarter of the time
/// that they may wait.
const LOOK_FOR_OLD: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_hours(1);

/// The label of dead letters that belong to no integration of this configuration.
const UNKNOWN: &str = "unknown";

type Places = HashMap<(Stage, u16), Timestamp>;

/// Shows queues, ages, workers, dead letters and runs as metrics until the worker stops. Start it when
/// the states have been read to their end.
pub async fn watch(worker: Arc<Worker>) {
    let stop = worker.shutdown.soft.clone();
    let sites = worker.states.iter().map(|(id, state)| WatchedIntegration {
        id: id.clone(),
        interval: worker.config.integration(id).map(|integration| integration.interval),
        state: state.clone(),
        unanswered: Unanswered::of(state),
        seen_waiting: Places::new(),
    });
    let mut watch = Watch { sites: sites.collect(), dead: DeadLetters::default(), worker: worker.clone() };
    while let Some(Ok(session)) = stop.run_until_cancelled(worker.broker.session()).await {
        let Some(looked) = stop.run_until_cancelled(watch.look(&session)).await else { break };
        if let Err(error) = looked {
            tracing::debug!(%error, "the queues could not be looked at");
        }
        if stop.run_until_cancelled(watch.follow_for(LOOK_EVERY)).await.is_none() {
            break;
        }
    }
    *worker.seen.lock() = Seen::default();
}

struct Watch {
    worker: Arc<Worker>,
    sites: Vec<WatchedIntegration>,
    dead: DeadLetters,
}

/// One integration.
struct WatchedIntegration {
    id: IntegrationId,
    interval: Option<Duration>,
    state: StateHandle,
    unanswered: Unanswered,
    seen_waiting: Places,
}

impl Watch {
    /// Waits, and takes up the facts that come meanwhile: whoever listens without taking them keeps them
    /// in memory.
    async fn follow_for(&mut self, pause: Duration) {
        for _ in 0..FOLLOWS_A_LOOK {
            tokio::time::sleep(pause / FOLLOWS_A_LOOK).await;
            for site in &mut self.sites {
                site.unanswered.follow_up();
            }
        }
    }

    async fn look(&mut self, session: &Arc<Session>) -> Result<(), BrokerError> {
        let names = self.worker.broker.names();
        let roles = ROLES.iter().map(|role| names.workers(role));
        let queues: Vec<String> = roles.chain([names.dead(), names.triggers()]).collect();
        let depths = session.inspect_all(&queues).await?;
        let mut workers = BTreeMap::new();
        for (role, depth) in ROLES.into_iter().zip(&depths) {
            let live = depth.map_or(0, |depth| depth.consumers);
            metrics::gauge!("amfj_sync_workers", "role" => role).set(live);
            workers.insert(role, live);
        }
        let mut waiting =
            depths.iter().skip(ROLES.len()).map(|depth| depth.map_or(0, |depth| depth.messages));
        let (dead, triggers) = (waiting.next(), waiting.next());
        // Whoever may make no queue of its own still sees the rest.
        let reports = ask_within(session, names, &workers, ANSWERS_WITHIN).await.unwrap_or_default();
        {
            let mut seen = self.worker.seen.lock();
            // All at once: a worker that is counted and was not asked yet would seem silent.
            (seen.workers, seen.reports) = (workers, reports);
            (seen.dead_letters, seen.triggers) = (dead, triggers);
        }
        for site in &mut self.sites {
            site.show_run();
            let depths = Depths::of(session, names, &site.id, self.worker.config.broker.partitions).await?;
            let waiting = site.judge(&depths, &self.worker, Timestamp::now());
            self.worker.seen.lock().queues.insert(site.id.clone(), waiting);
        }
        self.dead.look(&self.worker, session).await
    }
}

impl WatchedIntegration {
    /// What waits by stage, which is also shown.
    fn judge(&mut self, depths: &Depths, worker: &Worker, now: Timestamp) -> BTreeMap<&'static str, Waiting> {
        let inflight = STAGES.into_iter().flat_map(|stage| {
            let own = worker.inflight.of(&self.id, stage).into_iter();
            own.map(move |(partition, oldest)| ((stage, partition), oldest))
        });
        let in_force = self.state.read(|view| view.meta().in_force.clone());
        let mut known = KnownTimes {
            unanswered: self.unanswered.oldest(),
            in_force: in_force.as_ref(),
            inflight: inflight.collect(),
            seen_waiting: std::mem::take(&mut self.seen_waiting),
        };
        known.note_what_waits(depths, now);
        let mut shown = BTreeMap::new();
        for stage in STAGES {
            let waiting = depths.waiting(stage, &known);
            show(&self.id, stage, &waiting, now);
            shown.insert(stage.as_str(), waiting);
        }
        self.seen_waiting = known.seen_waiting;
        shown
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    fn show_run(&self) {
        let (held, success) = self.state.read(|view| {
            let meta = view.meta();
            let held = [&meta.latest, &meta.in_force].into_iter().flatten().any(|run| run.held.is_some());
            (held, meta.last_success)
        });
        let integration = self.id.to_string();
        metrics::gauge!("amfj_sync_held", "integration" => integration.clone())
            .set(f64::from(u8::from(held)));
        metrics::gauge!("amfj_sync_paused", "integration" => integration.clone())
            .set(f64::from(u8::from(self.state.pause().is_some())));
        metrics::gauge!("amfj_sync_run_last_success_timestamp_seconds", "integration" => integration.clone())
            .set(success.map_or(0, Timestamp::as_second) as f64);
        if let Some(interval) = self.interval {
            metrics::gauge!("amfj_sync_run_interval_seconds", "integration" => integration)
                .set(interval.as_secs_f64());
        }
    }
}

impl KnownTimes<'_> {
    /// Keeps since when each partition waits that nobody takes anything from.
    pub(super) fn note_what_waits(&mut self, depths: &Depths, now: Timestamp) {
        let mut seen = Places::new();
        for stage in STAGES {
            for (partition, depth) in depths.of_stage(stage) {
                if self.is_left_alone(stage, partition, depth) {
                    let place = (stage, partition);
                    seen.insert(place, self.seen_waiting.get(&place).copied().unwrap_or(now));
                }
            }
        }
        self.seen_waiting = seen;
    }
}

fn show(integration: &IntegrationId, stage: Stage, waiting: &Waiting, now: Timestamp) {
    let labels = [("integration", integration.to_string()), ("stage", stage.to_string())];
    metrics::gauge!("amfj_sync_queue_messages", &labels).set(f64::from(waiting.messages));
    let age = waiting.oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64().max(0.0));
    metrics::gauge!("amfj_sync_oldest_message_age_seconds", &labels).set(age);
}

/// One worker of all counts the dead letters: whoever holds the lock for it.
#[derive(Default)]
struct DeadLetters {
    counting: Option<Arc<Session>>,
    /// How many there were at the last count, and when that was.
    counted: Option<(u32, Instant)>,
}

impl DeadLetters {
    async fn look(&mut self, worker: &Worker, session: &Arc<Session>) -> Result<(), BrokerError> {
        let names = worker.broker.names();
        if self.counting.as_ref().is_none_or(|counting| !Arc::ptr_eq(counting, session)) {
            self.counting = None;
            self.counted = None;
            if session.try_lock(&names.dead_counter()).await? {
                self.counting = Some(session.clone());
            }
        }
        if self.counting.is_none() {
            // Whoever counts knows; of all workers the largest counts.
            worker.states.keys().for_each(|id| show_dead(id.as_str(), 0));
            show_dead(UNKNOWN, 0);
            return Ok(());
        }
        let there = session.inspect(&names.dead()).await?.map_or(0, |depth| depth.messages);
        let keep = worker.config.broker.dead_letter_keep;
        let look_for_old = (keep / 4).clamp(*LOOK_FOR_OLD.start(), *LOOK_FOR_OLD.end());
        let is_known = self.counted.is_some_and(|(before, at)| {
            let unchanged = before == there && (there == 0 || at.elapsed() < look_for_old);
            unchanged || (there > 0 && at.elapsed() < COUNT_EVERY.min(look_for_old))
        });
        if is_known {
            return Ok(());
        }
        let ids: Vec<IntegrationId> = worker.states.keys().cloned().collect();
        let oldest =
            SignedDuration::try_from(keep).ok().and_then(|keep| Timestamp::now().checked_sub(keep).ok());
        let looked =
            look_through_dead_letters(session, names, &ids, oldest.unwrap_or(Timestamp::MIN)).await?;
        if let Some(LookedThrough { there: counts, dropped }) = looked {
            for (id, count) in &counts {
                show_dead(label(id.as_ref()), *count);
            }
            for (id, count) in dropped {
                say_dropped(label(id.as_ref()), count, keep);
            }
            self.counted =
                Some((counts.values().fold(0, |sum, count| sum.saturating_add(*count)), Instant::now()));
        }
        Ok(())
    }
}

fn label(id: Option<&IntegrationId>) -> &str {
    id.map_or(UNKNOWN, IntegrationId::as_str)
}

/// One line for all of an integration that were dropped at once.
fn say_dropped(integration: &str, letters: u32, keep: Duration) {
    metrics::counter!("amfj_sync_dead_letters_dropped_total", "integration" => integration.to_owned())
        .increment(u64::from(letters));
    tracing::warn!(
        integration,
        letters,
        kept_days = keep.as_secs() / 86_400,
        "dead letters were dropped, as they had waited longer than broker.dead_letter_keep"
    );
}

fn show_dead(integration: &str, count: u32) {
    metrics::gauge!("amfj_sync_dead_letters", "integration" => integration.to_owned()).set(count);
}
