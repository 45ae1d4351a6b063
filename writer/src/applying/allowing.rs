//! What becomes of a change that this worker may not make (`allowed.rs`).
//!
//! One that a reconciler decided is out of date: the configuration, or what it was decided on, is not what it was, and the
//! next run decides it anew. A mapping that was taken away while a thousand changes were queued makes no thousand dead
//! letters. One that nobody decided is a dead letter, and nothing is said about it in the stream: who writes messages
//! would end the order of a key with it.

use std::time::Duration;

use amfj_sync_model::ids::AssetId;
use amfj_sync_model::messages::{Action, Change, Event};
use amfj_sync_projection::Unreadable;
use amfj_sync_stream::StateHandle;
use tokio::time::Instant;

use super::{Applying, LeaseLost};
use crate::allowed::{Asked, NotAllowed, check};
use crate::context::IntegrationContext;
use crate::dead_letters::dead_letter_message;

/// How a dead letter begins that is none of AMFJ's doing.
const REFUSED: &str = "not allowed by this worker's configuration";

/// How long a decision may be behind its change: it is published right after it.
const DECISION_LATE: Duration = Duration::from_secs(2);

/// Between two looks for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why the change may not be made by this worker, as far as its view knows.
pub(crate) fn not_allowed(
    context: &IntegrationContext,
    event: &Event,
    change: &Change,
    partition: u16,
) -> Result<Option<NotAllowed>, Unreadable> {
    let failed = || context.siblings.iter().map(StateHandle::failed_reads).sum::<u64>();
    let linked_elsewhere = |asset: &AssetId| {
        let linked = |sibling: &StateHandle| sibling.read(|view| view.linked_device(asset).is_some());
        context.siblings.iter().any(linked)
    };
    let before = failed();
    let checked = context.state.try_read(|view| {
        check(&Asked {
            event,
            change,
            partition: Some((partition, context.partitions)),
            config: &context.integration,
            view,
            linked_elsewhere: &linked_elsewhere,
        })
    })?;
    if failed() == before { Ok(checked.err()) } else { Err(Unreadable) }
}

impl Applying<'_> {
    /// Why the change is refused for good: it may not be made, and nobody decided it. One that was decided and may not
    /// be made goes on, and is found to be out of date.
    pub(super) async fn refusal(&mut self) -> Result<Option<NotAllowed>, LeaseLost> {
        self.until_somebody_is_known().await?;
        if self.why_not().await?.is_none() {
            return Ok(None);
        }
        // On all that was said until now: a view that lags knows neither the inventory nor the decision.
        let read = self.requests.wait_for(self.context.state.read_to_end()).await;
        read.map_err(|_| LeaseLost)??;
        let began = Instant::now();
        loop {
            let Some(why) = self.why_not().await? else { return Ok(None) };
            if self.is_decided()? {
                return Ok(None);
            }
            if began.elapsed() >= DECISION_LATE {
                return Ok(Some(why));
            }
            self.requests.wait(LOOK_EVERY).await.map_err(|_| LeaseLost)?;
        }
    }

    /// A creation waits until an inventory is in force. Before the first one, and after the stream was declared anew, the
    /// view is empty: all else finds nothing there to change, and nothing tells whether there is such a device or person.
    async fn until_somebody_is_known(&mut self) -> Result<(), LeaseLost> {
        if !matches!(self.change.action, Action::CreateAsset { .. } | Action::CreateUser { .. }) {
            return Ok(());
        }
        while self.context.state.read(|view| view.meta().in_force.is_none()) {
            self.requests.wait(LOOK_EVERY).await.map_err(|_| LeaseLost)?;
        }
        Ok(())
    }

    async fn why_not(&self) -> Result<Option<NotAllowed>, LeaseLost> {
        loop {
            match not_allowed(self.context, self.event, self.change, self.lease.id.partition) {
                Ok(why) => return Ok(why),
                Err(Unreadable) => self.until_readable().await?,
            }
        }
    }

    /// Whether a decision asks for this very change, or was made after it and does not ask for it any more.
    fn is_decided(&self) -> Result<bool, LeaseLost> {
        let place = self.event.sequence.unwrap_or_default();
        let looked = self.context.state.try_read(|view| {
            view.decision(&self.change.key).is_some_and(|decision| {
                let asks = |decided: &amfj_sync_model::messages::PlannedChange| {
                    decided.id == self.event.id && decided.change == *self.change
                };
                decision.changes.iter().any(asks) || decision.supersedes(self.event.id, place)
            })
        });
        looked.map_err(|_| LeaseLost)
    }

    /// Keeps it for a person to look at. Once the configuration allows it, a replay makes it.
    pub(super) async fn refuse(&mut self, why: &NotAllowed) -> Result<(), LeaseLost> {
        let key = self.change.key.to_string();
        tracing::warn!(integration = %self.context.integration.id, change = %self.event.id, kind = self.change.action.kind(),
            source = ?self.event.source, %why,
            "a change that nobody decided is not allowed by this worker's configuration; it is kept as a dead letter");
        let reason = format!("{REFUSED}: {why}");
        dead_letter_message(self.context, &self.lease.queue, self.received, &key, &reason, 0).await?;
        Ok(())
    }
}
