//! Everything that the writer needs to apply the changes of one integration.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_broker::{Names, Publisher};
use amfj_sync_config::{Integration, RetryConfig};
use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::Key;
use amfj_sync_service::backlog::Inflight;
use amfj_sync_stream::StateHandle;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use crate::blame::Blame;
use crate::circuit::Circuit;
use crate::creating::Walks;
use crate::slots::Slots;

/// What changes of one integration share.
#[derive(Debug)]
pub struct IntegrationContext {
    /// The configuration.
    pub integration: Integration,
    /// Its state.
    pub state: StateHandle,
    /// The states of other integrations that feed the same AMFJ site (P4).
    pub siblings: Vec<StateHandle>,
    /// AMFJ.
    pub client: AmfjClient,
    /// Whether AMFJ is to be left alone for now.
    pub circuit: Arc<Circuit>,
    /// What fails, and whose fault that is.
    pub blame: Arc<Blame>,
    /// Publishing.
    pub publisher: Publisher,
    /// Names of queues.
    pub names: Names,
    /// Partitions of each integration.
    pub partitions: u16,
    /// The partitions that are served.
    pub inflight: Inflight,
    /// How a request is tried again.
    pub retry: RetryConfig,
    /// Changes of a partition that may be taken before the first is done.
    pub window: u16,
    /// `writer/UUID`.
    pub worker: String,
    /// Requests in flight, over all integrations.
    pub requests: Arc<Semaphore>,
    /// Requests in flight of this integration: less than all, so that a slow site delays no other (P28).
    pub own_requests: Slots,
    /// Creations of this process whose outcome is unknown.
    pub unknown: Mutex<HashSet<Uuid>>,
    /// When a write that was not answered, and whose change was handed back, can no longer be carried
    /// out.
    pub late_writes: Mutex<HashMap<Key, Instant>>,
    /// What walks through the list of assets showed before and after creations.
    pub(crate) asset_walks: Walks<Asset>,
    /// The same of user records.
    pub(crate) record_walks: Walks<UserRecord>,
}

impl IntegrationContext {
    /// How long a request that another worker may have sent can still be carried out and not show:
    /// its time-out, that of its job, and the delay of AMFJ's lists.
    #[must_use]
    pub fn settling_time(&self) -> Duration {
        self.client.longest_write() + self.integration.amfj.list_delay
    }

    /// Notes that a write about this key may still be carried out until then.
    pub(crate) fn note_late_write(&self, key: &Key, at: Instant) {
        let mut late_writes = self.late_writes.lock();
        late_writes.retain(|_, at| *at > Instant::now());
        late_writes.insert(key.clone(), at);
    }

    /// How long a write about this key may still be carried out.
    pub(crate) fn until_late_writes_show(&self, key: &Key) -> Option<Duration> {
        let at = self.late_writes.lock().get(key).copied()?;
        at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}
