//! The partitions that a worker serves, and the oldest message that it works on in each.

use std::collections::BTreeMap;
use std::sync::Arc;

use amfj_sync_broker::{PartitionId, Stage};
use amfj_sync_model::ids::IntegrationId;
use jiff::Timestamp;
use parking_lot::Mutex;

type Places = BTreeMap<(PartitionId, &'static str), Option<Timestamp>>;

/// What a worker has in hand. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Inflight(Arc<Mutex<Places>>);

impl Inflight {
    /// Says that a partition is served from now on, until what is returned is dropped.
    #[must_use]
    pub fn serving(&self, partition: &PartitionId, stage: Stage) -> ServedPartition {
        let place = (partition.clone(), stage.as_str());
        self.0.lock().insert(place.clone(), None);
        ServedPartition { all: self.clone(), place }
    }

    /// The partitions of an integration and stage that are served, each with the time of the oldest
    /// message in hand.
    #[must_use]
    pub fn of(&self, integration: &IntegrationId, stage: Stage) -> BTreeMap<u16, Option<Timestamp>> {
        let places = self.0.lock();
        let own =
            places.iter().filter(|((id, of), _)| id.integration == *integration && *of == stage.as_str());
        own.map(|((id, _), oldest)| (id.partition, *oldest)).collect()
    }
}

/// A partition that is being served.
#[derive(Debug)]
pub struct ServedPartition {
    all: Inflight,
    place: (PartitionId, &'static str),
}

impl ServedPartition {
    /// The oldest message that is being worked on; none when all are done.
    pub fn hold(&self, oldest: Option<Timestamp>) {
        self.all.0.lock().insert(self.place.clone(), oldest);
    }
}

impl Drop for ServedPartition {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.place);
    }
}
