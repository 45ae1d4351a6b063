//! Claims: who may send a request for a device, an asset or a user record.
//!
//! The first open intent in the stream holds what it names. An earlier one of a worker that died is
//! waited out: after the request time-out nothing of it is under way any more, after the list delay
//! everything that it did can be seen.

use std::time::Duration;

use amfj_sync_shared::broker::BrokerError;
use amfj_sync_shared::ids::{AssetId, Key, RecordId};
use amfj_sync_shared::messages::{Event, Fact, Intent};
use amfj_sync_shared::state::rows::IntentRow;
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::requests::{Requests, Trouble};
use crate::site::Site;

/// How often the claims are looked at while another one is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a change claims.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) change: Uuid,
    pub(crate) key: Key,
    pub(crate) asset: Option<AssetId>,
    pub(crate) record: Option<RecordId>,
}

impl Claim {
    fn subjects(&self) -> Vec<String> {
        let mut subjects = vec![self.key.to_string()];
        subjects.extend(self.asset.iter().map(|id| format!("asset/{id}")));
        subjects.extend(self.record.iter().map(|id| format!("record/{id}")));
        subjects
    }

    /// Publishes the intent and reads it back.
    pub(crate) async fn publish(&self, site: &Site, cause: &Event) -> Result<(), BrokerError> {
        let intent = Intent {
            change: self.change,
            key: self.key.clone(),
            asset: self.asset.clone(),
            record: self.record.clone(),
            worker: site.worker.clone(),
            at: Timestamp::now(),
        };
        let mut origin = site.state.origin();
        origin.run.clone_from(&cause.run);
        origin.sequence = cause.sequence;
        origin.traceparent.clone_from(&cause.traceparent);
        let fact = Event::fact(&origin, Timestamp::now(), Fact::Intended(intent));
        site.state.publish_and_read_back(fact).await.map(drop)
    }

    /// The open intents before ours on anything that we claim, oldest first. Our own place is that of
    /// this worker's intent for this change.
    fn earlier(&self, site: &Site) -> Vec<IntentRow> {
        let ours = |row: &IntentRow| row.intent.change == self.change && row.intent.worker == site.worker;
        site.state.read(|view| {
            let mut earlier: Vec<IntentRow> = Vec::new();
            for subject in self.subjects() {
                let before = view.claims(&subject).into_iter().take_while(|row| !ours(row));
                earlier.extend(
                    before
                        .filter(|row| !earlier.iter().any(|known| known.offset == row.offset))
                        .collect::<Vec<_>>(),
                );
            }
            earlier
        })
    }

    /// Waits until nothing before us is open, or is old enough to be settled. Answers whether another
    /// worker had tried this very change.
    pub(crate) async fn wait_for_turn(&self, site: &Site, requests: &Requests<'_>) -> Result<bool, Trouble> {
        let first_seen = Instant::now();
        let patience = site.settling_time();
        loop {
            let earlier = self.earlier(site);
            let tried_before = earlier.iter().any(|row| row.intent.change == self.change);
            // This process has one task a key, so an older intent of its own is no longer under way:
            // only what others have begun is waited for.
            let others = earlier.iter().any(|row| row.intent.worker != site.worker);
            let busy_here = earlier
                .iter()
                .any(|row| row.intent.worker == site.worker && row.intent.change != self.change);
            if !others && !busy_here {
                return Ok(tried_before);
            }
            if first_seen.elapsed() >= patience {
                return Ok(tried_before);
            }
            requests.wait(LOOK_EVERY.min(patience)).await?;
        }
    }

    /// When the first attempt at this change was announced, and where in the stream.
    pub(crate) fn first_attempt(&self, site: &Site) -> Option<IntentRow> {
        let change = self.change;
        site.state.read(|view| {
            view.claims(&self.key.to_string()).into_iter().find(|row| row.intent.change == change)
        })
    }
}
