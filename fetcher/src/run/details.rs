//! Details: one request a device, so only if a mapping needs them (P17), only after a check-in, and
//! only within the hour's share. What cannot be had now is unknown, and unknown overwrites nothing.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amfj_sync_backoff::retry;
use amfj_sync_broker::{BrokerError, Outgoing};
use amfj_sync_kandji::{KandjiError, parse_timestamp};
use amfj_sync_model::ids::{DeviceId, RunId};
use amfj_sync_model::messages::{Details, DeviceSnapshot, Event, Fact, Origin, Payload, Sequence};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::bulk::BulkRead;
use super::fleet::ListedDevice;
use super::walk::Fleet;
use super::{Halt, Leader, Run};

/// Requests for details at the same time.
pub(super) const AT_ONCE: usize = 8;
/// How long the inventory waits for details that can still go into it.
const BEFORE_THE_MARKER: Duration = Duration::from_secs(20);
/// Failures in a row after which Kandji is left alone until the next run.
const FAILURES: u32 = 5;
/// Devices that are published together after the run.
const BATCH: usize = 256;
/// Requests after which they are told, so that whoever takes over does not make them again in the same hour.
const TELL_EVERY: usize = 64;
/// Between two looks at the budget.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The details that a run has not read yet.
#[derive(Debug)]
pub(crate) struct Rest {
    due: VecDeque<DeviceId>,
    origin: Origin,
    number: u64,
    /// Requests that stay for the walks of the next hour.
    reserve: u32,
}

/// What came of reading details of several devices.
#[derive(Debug, Default)]
struct Readings {
    read: Vec<ListedDevice>,
    /// Not tried for want of time or budget.
    left: VecDeque<DeviceId>,
    /// Kandji refuses, or fails again and again.
    gave_up: bool,
}

impl Run<'_> {
    /// Reads what is due, for a while, so that it goes into the inventory. Returns what is left.
    pub(super) async fn read_details_before_the_marker(&self, fleet: &mut Fleet) -> Result<Rest, Halt> {
        let rest = self.read_what_is_due(fleet).await?;
        self.prove_details(fleet).await?;
        Ok(rest)
    }

    async fn read_what_is_due(&self, fleet: &Fleet) -> Result<Rest, Halt> {
        let leader = self.leader;
        let mut rest = Rest {
            due: VecDeque::new(),
            origin: self.origin.clone(),
            number: self.started.number,
            reserve: leader.reserve(fleet.pages),
        };
        if !leader.config.fields.needs_details() {
            return Ok(rest);
        }
        let due = self.due(fleet)?;
        let unread = due.len();
        let due = match leader.read_in_bulk(due, rest.reserve).await? {
            BulkRead::Left(due) => VecDeque::from(due),
            BulkRead::Later => {
                leader.details_due.store(unread, Ordering::Relaxed);
                return Ok(rest);
            }
        };
        let all = due.len();
        let deadline = Instant::now() + BEFORE_THE_MARKER;
        let over = || Instant::now() >= deadline;
        let mut done = 0;
        let mut tick = || {
            done += 1;
            leader.progress.say(format!("reading details: {done} of {all}"));
        };
        let readings = leader.read_many(due, rest.reserve, &over, &mut tick).await?;
        for listed in &readings.read {
            leader.keep_again(listed)?;
        }
        leader.publish_budget().await;
        leader.details_due.store(readings.left.len(), Ordering::Relaxed);
        if !readings.gave_up {
            rest.due = readings.left;
        }
        tracing::debug!(integration = %leader.config.id, run = self.run_id(), read = readings.read.len(), left = rest.due.len(),
            "details read before the inventory");
        Ok(rest)
    }

    /// Devices whose details are older than their last check-in, or lack a mapped property: those never
    /// read first, then those read longest ago, and last those that could not be read the last time.
    fn due(&self, fleet: &Fleet) -> Result<Vec<DeviceId>, Halt> {
        let mut due = Vec::new();
        for id in &fleet.ids {
            let Some(listed) = self.leader.listed(id)? else { continue };
            let known = self.leader.state.read(|view| view.device(id)).and_then(|row| row.entry.details);
            let proofs = self.leader.proofs.lock();
            let is_covered = |known: &Details| self.leader.mapped.is_covered_by(known, &proofs.left_out);
            if is_due(&listed, known.as_ref(), is_covered) && !proofs.has_looked_at(&listed) {
                due.push((known.as_ref().map(|known| parse_timestamp(&known.check_in)), id.clone()));
            }
        }
        // Behind the others come those that failed last time, or five of them would keep all others from being read.
        let failed = self.leader.details_failed.lock();
        due.sort_unstable_by_key(|(read, id)| (failed.contains(id), *read, id.clone()));
        Ok(due.into_iter().map(|(_, id)| id).collect())
    }
}

/// Whether the details of a listed device are to be read.
fn is_due(listed: &ListedDevice, known: Option<&Details>, covered: impl Fn(&Details) -> bool) -> bool {
    let counts = listed.entry.in_scope && !listed.entry.removed && listed.entry.details.is_none();
    counts && known.is_none_or(|known| known.check_in != listed.check_in || !covered(known))
}

impl Leader {
    /// Requests that the walks of the next hour need; never more than half of the share.
    fn reserve(&self, pages: u64) -> u32 {
        let walks = (3_600.0 / self.config.interval.as_secs_f64().max(1.0)).ceil().clamp(1.0, 3_600.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 3,600")]
        let walks = walks as u32;
        let wanted = u32::try_from(pages).unwrap_or(u32::MAX).saturating_mul(walks);
        wanted.min(self.config.kandji.requests_per_hour / 2)
    }

    /// The details of one device, tried again for a short while.
    pub(super) async fn details_of(&self, id: &DeviceId) -> Result<Option<Value>, KandjiError> {
        let reading = retry(&self.details, &self.stop, || self.kandji.details(id));
        let trace = self.traces.device(id);
        match trace.around(self.stop.run_until_cancelled(reading)).await {
            Some(read) => Ok(read?),
            None => Err(KandjiError::Cancelled),
        }
    }

    /// Reads details, several at a time, until they are read, `over` says so, or only the reserve is
    /// left. A device that fails is passed over: its details stay as they are known.
    async fn read_many(
        &self,
        mut due: VecDeque<DeviceId>,
        reserve: u32,
        over: &(dyn Fn() -> bool + Send + Sync),
        tick: &mut (dyn FnMut() + Send),
    ) -> Result<Readings, Halt> {
        let mut readings = Readings::default();
        let mut running = FuturesUnordered::new();
        let (mut failures, mut answers) = (0, 0_usize);
        loop {
            while running.len() < AT_ONCE
                && !readings.gave_up
                && !over()
                && self.requests_left() > reserve
                && let Some(id) = due.pop_front()
            {
                running.push(async move {
                    let answer = self.details_of(&id).await;
                    (id, answer)
                });
            }
            let Some((id, answer)) = running.next().await else { break };
            tick();
            answers += 1;
            if answers % TELL_EVERY == 0 {
                self.publish_budget().await;
            }
            match answer {
                Ok(Some(details)) => {
                    failures = 0;
                    self.details_failed.lock().remove(&id);
                    self.proofs.lock().see(&self.config, &details);
                    if let Some(mut listed) = self.listed(&id)? {
                        listed.entry.details = Some(self.mapped.details_of(&details, &listed.check_in));
                        readings.read.push(listed);
                    }
                }
                // Gone between the list and now; the next run will see.
                Ok(None) => failures = 0,
                Err(KandjiError::BudgetSpent { .. }) => due.push_front(id),
                Err(KandjiError::Cancelled) => return Err(Halt::Stopping),
                Err(error) => {
                    failures += 1;
                    self.details_failed.lock().insert(id.clone());
                    // A token that is refused is refused for all; anything else may be about this device (P30).
                    readings.gave_up |= error.is_unauthorized() || failures >= FAILURES;
                    self.report(&id, &error, readings.gave_up);
                }
            }
        }
        readings.left = due;
        Ok(readings)
    }

    fn report(&self, id: &DeviceId, error: &KandjiError, gave_up: bool) {
        let run = self.latest_run();
        if gave_up {
            tracing::warn!(integration = %self.config.id, run, device = %id, %error,
                "details cannot be read; mapped details stay as they are until the next run");
        } else {
            tracing::debug!(integration = %self.config.id, run, device = %id, %error, "the details of a device could not be read");
        }
    }

    /// Goes on reading after the run is published: each device gets a second snapshot of the same run.
    /// With `wait`, waits for requests of the next hour until `over`; else ends with the budget.
    pub(crate) async fn read_rest(&self, rest: Rest, over: &(dyn Fn() -> bool + Send + Sync), wait: bool) {
        let number = rest.number;
        if let Err(Halt::Failed { reason, .. }) = self.read_batches(rest, over, wait).await {
            let run = RunId::of(&self.config.id, number);
            tracing::warn!(integration = %self.config.id, %run, reason, "reading details ended early");
        }
        self.traces.end();
        self.publish_budget().await;
    }

    async fn read_batches(
        &self,
        mut rest: Rest,
        over: &(dyn Fn() -> bool + Send + Sync),
        wait: bool,
    ) -> Result<(), Halt> {
        let all = rest.due.len();
        let ended = || over() || self.stop.is_cancelled() || !self.is_latest(rest.number);
        while !rest.due.is_empty() && !ended() {
            if self.requests_left() <= rest.reserve {
                if !wait {
                    tracing::info!(integration = %self.config.id, run = self.latest_run(), left = rest.due.len(),
                        "this hour's share of Kandji requests is used up; the next run reads the other details");
                    return Ok(());
                }
                self.stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await;
                continue;
            }
            let batch: VecDeque<DeviceId> = rest.due.drain(..rest.due.len().min(BATCH)).collect();
            let readings = self.read_many(batch, rest.reserve, &ended, &mut || {}).await?;
            for id in readings.left.into_iter().rev() {
                rest.due.push_front(id);
            }
            self.details_due.store(rest.due.len(), Ordering::Relaxed);
            self.publish_details(&rest, readings.read).await?;
            self.publish_budget().await;
            self.progress.say(format!("reading details: {} of {all} left", rest.due.len()));
            if readings.gave_up {
                break;
            }
        }
        Ok(())
    }

    async fn publish_details(&self, rest: &Rest, mut read: Vec<ListedDevice>) -> Result<(), Halt> {
        while let Err(error) = self.try_to_publish_details(rest, &read).await {
            let BrokerError::TooLarge { limit, .. } = error else { return Err(error.into()) };
            let all = read.len();
            read.retain(|listed| {
                let messages = self.details_as_messages(rest, listed);
                let bytes = messages.iter().map(|(fact, snapshot)| fact.encode().len().max(snapshot.body.len()));
                let bytes = bytes.max().unwrap_or(0);
                if bytes > limit {
                    tracing::warn!(integration = %self.config.id, run = self.latest_run(), device = %listed.entry.device_id, bytes,
                        limit, "what the details of a device say is larger than a message may be, and is left out");
                }
                bytes <= limit
            });
            if read.len() == all {
                return Err(error.into());
            }
        }
        self.traces.batch_published();
        Ok(())
    }

    async fn try_to_publish_details(&self, rest: &Rest, read: &[ListedDevice]) -> Result<(), BrokerError> {
        let messages = read.iter().filter_map(|listed| self.details_as_messages(rest, listed));
        let (facts, snapshots): (Vec<_>, Vec<_>) = messages.unzip();
        self.state.publish(facts).await?;
        self.publisher.publish(snapshots).await
    }

    /// The fact, and the second snapshot of the same run.
    fn details_as_messages(&self, rest: &Rest, listed: &ListedDevice) -> Option<(Event, Outgoing)> {
        let entry = listed.entry.clone();
        let fact = Fact::DetailsRead { device: entry.device_id.clone(), details: entry.details.clone()? };
        let fact = Event::fact(&rest.origin, Timestamp::now(), fact);
        let sequence = Some(Sequence::first(rest.number).next());
        let origin = Origin { sequence, ..rest.origin.clone() };
        let snapshot = Payload::DeviceSnapshot(DeviceSnapshot { device: entry });
        Some((fact, self.to_reconcilers(&origin, snapshot)?))
    }

    /// For log lines: the id of the latest run.
    pub(super) fn latest_run(&self) -> Option<String> {
        let run = self.state.read(|view| view.meta().latest.as_ref().map(|run| run.run_id(&self.config.id)));
        run.map(|run| run.to_string())
    }

    fn is_latest(&self, number: u64) -> bool {
        let latest = self.state.read(|view| view.meta().latest.as_ref().map(|run| run.started.number));
        latest == Some(number)
    }
}
