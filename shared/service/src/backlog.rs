//! What waits, and since when: the depth of the queues and the age of their oldest message, without the
//! broker's management plugin.
//!
//! **Age.** AMQP tells nobody how old the head of a queue is, so it is put together from what is known:
//!
//! - *To apply:* a reconciler says with every decision when it published the changes, a writer says in
//!   an outcome when one ended. So the oldest change without an outcome is known to everybody, also
//!   while no writer runs or the circuit is open.
//! - *To reconcile:* whoever serves a partition has its head in hand, with its time. What nobody serves
//!   came when the inventory of its run took effect, or shortly after.
//! - *Anything else* (a replay, a message nobody can read): what nobody serves has waited at least as
//!   long as the one who looks has seen it waiting.
//!
//! Each worker sees a part of this, so of all workers the largest value counts.

pub mod counting;
mod inflight;
mod unanswered;
mod watching;

use std::collections::{BTreeMap, HashMap};

use amfj_sync_broker::{BrokerError, Depth, Names, Session, Stage};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_projection::rows::RunRow;
use jiff::Timestamp;
use serde::Serialize;

pub use inflight::{Inflight, ServedPartition};
pub use unanswered::oldest_unanswered;
pub use watching::watch;

use crate::status::WorkerReport;

/// Both stages, in the order in which things flow.
pub const STAGES: [Stage; 2] = [Stage::Reconcile, Stage::Apply];

/// What waits in a stage of an integration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Messages that are ready in the broker, in all partitions.
    pub messages: u32,
    /// Partitions that a worker serves at the moment.
    pub served: u32,
    /// Since when the oldest message waits; none where nothing waits as far as is known.
    pub oldest: Option<Timestamp>,
}

/// What a worker saw at the broker when it looked last; nothing before its first look.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Live workers by role.
    pub workers: BTreeMap<&'static str, u32>,
    /// What they said of themselves; those that did not answer at once are left out.
    pub reports: Vec<WorkerReport>,
    /// Dead letters of all integrations that share the broker.
    pub dead_letters: Option<u32>,
    /// Requests for a run that no fetcher has taken.
    pub triggers: Option<u32>,
    /// What waits, by integration and stage.
    pub queues: BTreeMap<IntegrationId, BTreeMap<&'static str, Waiting>>,
}

/// The depth of every partition of both stages; partitions whose queue does not exist are left out.
#[derive(Debug, Clone, Default)]
pub struct Depths(BTreeMap<(Stage, u16), Depth>);

impl Depths {
    /// Asks the broker.
    pub async fn of(
        session: &Session,
        names: &Names,
        integration: &IntegrationId,
        partitions: u16,
    ) -> Result<Self, BrokerError> {
        let places = STAGES.into_iter().flat_map(|stage| (0..partitions).map(move |one| (stage, one)));
        let places: Vec<(Stage, u16)> = places.collect();
        let queues: Vec<String> =
            places.iter().map(|(stage, partition)| names.work(integration, *stage, *partition)).collect();
        let depths = session.inspect_all(&queues).await?;
        Ok(Self(places.into_iter().zip(depths).filter_map(|(place, depth)| Some((place, depth?))).collect()))
    }

    fn of_stage(&self, stage: Stage) -> impl Iterator<Item = (u16, Depth)> {
        let own = self.0.iter().filter(move |((of, _), _)| *of == stage);
        own.map(|((_, partition), depth)| (*partition, *depth))
    }

    /// What waits in a stage, as far as the one who looks can know.
    #[must_use]
    pub fn waiting(&self, stage: Stage, known: &KnownTimes<'_>) -> Waiting {
        let mut waiting = Waiting::default();
        for (partition, depth) in self.of_stage(stage) {
            waiting.messages = waiting.messages.saturating_add(depth.messages);
            waiting.served += u32::from(depth.consumers > 0);
            waiting.oldest = earliest(waiting.oldest, known.oldest(stage, partition, depth));
        }
        if stage == Stage::Apply {
            waiting.oldest = earliest(waiting.oldest, known.unanswered);
        }
        waiting
    }
}

/// Where times come from.
#[derive(Debug, Default)]
pub struct KnownTimes<'a> {
    /// When the oldest change without an outcome was published.
    pub unanswered: Option<Timestamp>,
    /// The run whose inventory is in force.
    pub in_force: Option<&'a RunRow>,
    /// Partitions that this worker serves, and the time of the message it has in hand.
    pub inflight: BTreeMap<(Stage, u16), Option<Timestamp>>,
    /// Since when a partition has been seen with messages that nobody takes.
    pub seen_waiting: HashMap<(Stage, u16), Timestamp>,
}

impl KnownTimes<'_> {
    /// The oldest message of a partition, as far as known.
    fn oldest(&self, stage: Stage, partition: u16, depth: Depth) -> Option<Timestamp> {
        let inflight = self.inflight.get(&(stage, partition)).copied().flatten();
        if !self.is_left_alone(stage, partition, depth) {
            return inflight;
        }
        let seen = self.seen_waiting.get(&(stage, partition)).copied();
        let of_run = match (stage, self.in_force) {
            // Whoever serves a partition may have taken the older ones.
            (Stage::Reconcile, Some(run))
                if depth.consumers == 0 && !run.decided.contains_key(&partition) =>
            {
                run.inventory_at
            }
            _ => None,
        };
        earliest(earliest(inflight, seen), of_run)
    }

    /// Whether messages wait that nobody takes, as far as the one who looks can know: nobody consumes, or
    /// this very worker does, and works on none of them.
    ///
    /// What a writer works on is not in here: its changes are known by their missing outcomes.
    fn is_left_alone(&self, stage: Stage, partition: u16, depth: Depth) -> bool {
        let own = self.inflight.get(&(stage, partition));
        let idle = stage == Stage::Reconcile && own.is_some_and(Option::is_none);
        depth.messages > 0 && (depth.consumers == 0 || idle)
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests;
