//! Claims: who may send a request for a device, an asset or a user record.
//!
//! The first open intent in the stream holds what it names. An earlier one of a worker that died is
//! waited out: after the request time-out nothing of it is under way any more, after the list delay
//! everything that it did can be seen. Who hands a change back of which nothing can have come withdraws its intent, so
//! that nobody has to wait.

use std::time::Duration;

use amfj_sync_broker::BrokerError;
use amfj_sync_model::ids::{AssetId, KandjiUserId, Key, RecordId};
use amfj_sync_model::messages::{Event, Fact, Intent};
use amfj_sync_projection::Unreadable;
use amfj_sync_projection::rows::IntentRow;
use amfj_sync_telemetry::{Span, SpanKind};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

use crate::context::IntegrationContext;
use crate::requests::{Requests, Trouble};

/// How often the claims are looked at while another one is waited for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A change that has begun and is not answered after this long was lost; so long a published change
/// counts as on its way.
pub(crate) const LOST_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Whether an intent of that moment counts as lost. One of a time to come would be waited for until then.
pub(crate) fn is_lost(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at).abs() >= LOST_AFTER
}

/// What a change claims.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) change: Uuid,
    pub(crate) key: Key,
    pub(crate) asset: Option<AssetId>,
    pub(crate) record: Option<RecordId>,
    /// The Kandji users that get a record: whatever key they go by, they get one.
    pub(crate) users: Vec<KandjiUserId>,
    /// What other integrations of the AMFJ site are excluded by.
    pub(crate) subjects: Vec<String>,
    /// Whether one of them goes first.
    pub(crate) waits: bool,
}

/// What came of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing is open before us, or what is can no longer do anything.
    Ours {
        /// Whether another worker had tried this very change.
        tried_before: bool,
    },
    /// Another change about the same person has begun and is not answered: that one goes first.
    Taken,
}

impl Claim {
    fn subjects(&self) -> Vec<String> {
        let mut subjects = vec![self.key.to_string()];
        subjects.extend(self.asset.iter().map(|id| format!("asset/{id}")));
        subjects.extend(self.record.iter().map(|id| format!("record/{id}")));
        subjects.extend(self.users.iter().map(|id| format!("kandji-user/{id}")));
        subjects.extend(self.subjects.iter().cloned());
        subjects
    }

    /// Publishes the intent and reads it back.
    pub(crate) async fn publish(
        &self,
        context: &IntegrationContext,
        cause: &Event,
    ) -> Result<(), BrokerError> {
        let intent = Intent {
            change: self.change,
            key: self.key.clone(),
            asset: self.asset.clone(),
            record: self.record.clone(),
            users: self.users.clone(),
            subjects: self.subjects.clone(),
            waits: self.waits,
            worker: context.worker.clone(),
            at: Timestamp::now(),
        };
        let mut origin = context.state.origin();
        origin.run.clone_from(&cause.run);
        origin.sequence = cause.sequence;
        let part = Span::part(SpanKind::Producer, "publish intent");
        origin.traceparent = part.traceparent().or_else(|| cause.traceparent.clone());
        let fact = Event::fact(&origin, Timestamp::now(), Fact::ChangeIntended(intent));
        context.state.publish_and_read_back(fact).await.map(drop)
    }

    /// The open intents before ours on anything that we claim, oldest first. Our own place is that of
    /// this worker's intent for this change.
    fn earlier(&self, context: &IntegrationContext) -> Result<Vec<IntentRow>, Unreadable> {
        let ours = |row: &IntentRow| row.intent.change == self.change && row.intent.worker == context.worker;
        context.state.try_read(|view| {
            let mut earlier: Vec<IntentRow> = Vec::new();
            for subject in self.subjects() {
                let before = view.claims(&subject).into_iter().take_while(|row| !ours(row));
                earlier.extend(before.filter(|row| !earlier.contains(row)).collect::<Vec<_>>());
            }
            earlier
        })
    }

    /// Who has announced an attempt at this very change: this worker, and others.
    pub(crate) fn announced_by(&self, context: &IntegrationContext) -> (bool, bool) {
        let claims = context.state.read(|view| view.claims(&self.key.to_string()));
        let attempts = claims.iter().filter(|row| row.intent.change == self.change);
        attempts.fold((false, false), |(ours, others), row| {
            let is_ours = row.intent.worker == context.worker;
            (ours || is_ours, others || !is_ours)
        })
    }

    /// Takes the intent back: nothing came of it, and nothing will. Read back, so that this worker does not meet it
    /// again; the next owner of the partition finds it in the stream before its own.
    /// `refused` where AMFJ refused what was sent.
    pub(crate) async fn withdraw(
        &self,
        context: &IntegrationContext,
        cause: &Event,
        refused: bool,
    ) -> Result<(), BrokerError> {
        let (change, key, worker) = (self.change, self.key.clone(), context.worker.clone());
        let mut origin = context.state.origin();
        origin.run.clone_from(&cause.run);
        origin.sequence = cause.sequence;
        origin.traceparent.clone_from(&cause.traceparent);
        let at = Timestamp::now();
        let fact = Event::fact(&origin, at, Fact::IntentWithdrawn { change, key, worker, refused, at });
        context.state.publish_and_read_back(fact).await.map(drop)
    }

    /// Waits until nothing before us is open, or is old enough to be settled. Meanwhile others send.
    pub(crate) async fn wait_for_turn(
        &self,
        context: &IntegrationContext,
        requests: &mut Requests<'_>,
    ) -> Result<Turn, Trouble> {
        let first_seen = Instant::now();
        let patience = context.settling_time();
        loop {
            // Built anew from the broker; what is claimed is in there.
            let Ok(earlier) = self.earlier(context) else {
                requests.wait(LOOK_EVERY).await?;
                continue;
            };
            let tried_before = earlier.iter().any(|row| row.intent.change == self.change);
            // This process has one task a key, so an older intent of its own is no longer under way:
            // only what others have begun is waited for.
            let others = earlier.iter().any(|row| row.intent.worker != context.worker);
            let busy_here = earlier
                .iter()
                .any(|row| row.intent.worker == context.worker && row.intent.change != self.change);
            if !others && !busy_here {
                return Ok(Turn::Ours { tried_before });
            }
            if first_seen.elapsed() >= patience {
                let taken = earlier.iter().any(|row| self.is_about_the_same_person(row));
                return Ok(if taken { Turn::Taken } else { Turn::Ours { tried_before } });
            }
            requests.step_back();
            requests.wait(LOOK_EVERY.min(patience)).await?;
        }
    }

    /// Whether an earlier claim is that of another change which gives one of our people a record. Such a
    /// change may be tried again for long, at another worker or here; only one that was lost with its
    /// queue is passed over.
    fn is_about_the_same_person(&self, earlier: &IntentRow) -> bool {
        let intent = &earlier.intent;
        intent.change != self.change
            && intent.users.iter().any(|user| self.users.contains(user))
            && !is_lost(intent.at, Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_of_a_time_to_come_holds_up_nobody() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let hours = |hours| now + SignedDuration::from_hours(hours);
        for (at, lost) in [(now, false), (hours(-23), false), (hours(-24), true), (hours(1), false)] {
            assert_eq!(is_lost(at, now), lost, "{at}");
        }
        assert!(is_lost(hours(24), now) && is_lost(Timestamp::MAX, now));
    }
}
