//! Partitions that are being given up, while the others are served.

use std::time::Duration;

use futures::StreamExt as _;
use lapin::options::QueueDeleteOptions;
use tokio::task::JoinHandle;

use super::{Lease, Owned, PartitionId};

const LIMIT: Duration = Duration::from_secs(20);

/// Of those that are given up together, this part at a time: whoever takes them has the first before the last stands
/// still.
const PART: usize = 4;

/// The partitions that are on their way to others.
#[derive(Debug, Default)]
pub(super) struct Leaving(Vec<Batch>);

#[derive(Debug)]
struct Batch {
    leases: Vec<Lease>,
    giving: JoinHandle<()>,
}

impl Leaving {
    /// Gives these up, some at a time. They are served until it is their turn.
    pub(super) fn add(&mut self, given: Vec<Owned>) {
        if given.is_empty() {
            return;
        }
        let leases = given.iter().map(|owned| owned.lease.clone()).collect();
        let at_once = given.len().div_ceil(PART);
        let giving = futures::stream::iter(given).for_each_concurrent(at_once, give_up);
        self.0.push(Batch { leases, giving: tokio::spawn(giving) });
    }

    /// Whether this one is on its way.
    pub(super) fn contains(&self, id: &PartitionId) -> bool {
        self.0.iter().any(|batch| batch.leases.iter().any(|lease| lease.id == *id))
    }

    /// Those that are gone can be taken again, by anybody.
    pub(super) fn forget_gone(&mut self) {
        self.0.retain(|batch| !batch.giving.is_finished());
    }

    /// Nothing is started in any of them any more.
    pub(super) fn hurry(&self) {
        for lease in self.0.iter().flat_map(|batch| &batch.leases) {
            lease.stop.cancel();
        }
    }

    /// Waits until all are gone.
    pub(super) async fn gone(&mut self) {
        for batch in self.0.drain(..) {
            // A task that panicked has dropped its channels; the locks go with the connection.
            drop(batch.giving.await);
        }
    }
}

/// Gives a partition up: what is under way in it ends, then its lock is free.
pub(super) async fn give_up(owned: Owned) {
    let Owned { lease, lock, serving, channel } = owned;
    lease.stop.cancel();
    drop(serving.await);
    if !lease.session.broken().is_cancelled() {
        let delete = channel.queue_delete(lock.as_str().into(), QueueDeleteOptions::default());
        drop(tokio::time::timeout(LIMIT, delete).await);
        super::super::topology::close(&channel).await;
    }
    let PartitionId { integration, partition } = &lease.id;
    tracing::debug!(%integration, partition, "gave up a partition");
}
