//! Partitions that are being given up, while the others are served.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use lapin::options::QueueDeleteOptions;
use tokio::task::JoinHandle;

use super::{Lease, Owned, PartitionId};

const LIMIT: Duration = Duration::from_secs(20);

/// Those that are given up together go in so many groups, one after the other: whoever takes them has the first before
/// the last stands still.
const GROUPS: usize = 4;

/// From one group to the next. A request under way in one partition does not hold up the others.
const APART: Duration = Duration::from_millis(250);

/// The partitions that are on their way to others.
#[derive(Debug, Default)]
pub(super) struct Leaving(Vec<Batch>);

#[derive(Debug)]
struct Batch {
    leases: Vec<Lease>,
    giving: JoinHandle<()>,
}

impl Leaving {
    /// Gives these up, some sooner and some later. They are served until it is their turn.
    pub(super) fn add(&mut self, given: Vec<Owned>) {
        if given.is_empty() {
            return;
        }
        let leases = given.iter().map(|owned| owned.lease.clone()).collect();
        let in_group = given.len().div_ceil(GROUPS);
        let groups = given.into_iter().enumerate().map(|(place, owned)| (place / in_group, owned));
        let giving = groups.map(|(group, owned)| give_up_after(delay(group), owned));
        self.0.push(Batch { leases, giving: tokio::spawn(join_all(giving).map(drop)) });
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

fn delay(group: usize) -> Duration {
    APART * u32::try_from(group).unwrap_or_default()
}

async fn give_up_after(delay: Duration, owned: Owned) {
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = owned.lease.over() => {}
    }
    give_up(owned).await;
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
