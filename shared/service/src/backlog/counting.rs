//! What a stage counts about the messages of its queues.
#![expect(clippy::disallowed_macros, reason = "what is worth counting of a queue is counted here")]

use amfj_sync_broker::Stage;
use amfj_sync_broker::dead_letter::DeadLetterReason;
use amfj_sync_model::ids::IntegrationId;

/// Whatever an alert compares is there before the first message.
pub fn begin(integration: &IntegrationId, stage: Stage) {
    redelivered(stage, 0);
    metrics::counter!("amfj_sync_repeats_total", "stage" => stage.as_str()).increment(0);
    metrics::counter!("amfj_sync_dead_lettered_total", "integration" => integration.to_string()).increment(0);
    done(integration, stage, 0);
    in_flight(integration, stage).set(0.0);
}

/// So many messages were acknowledged.
pub fn done(integration: &IntegrationId, stage: Stage, messages: u32) {
    metrics::counter!("amfj_sync_messages_done_total",
        "integration" => integration.to_string(), "stage" => stage.as_str())
    .increment(messages.into());
}

/// So many messages were delivered that had been delivered before.
pub fn redelivered(stage: Stage, messages: usize) {
    metrics::counter!("amfj_sync_redeliveries_total", "stage" => stage.as_str()).increment(messages as u64);
}

/// A message was met that had been answered, or is older than what is known: nothing is done.
pub fn repeat_met(stage: Stage) {
    metrics::counter!("amfj_sync_repeats_total", "stage" => stage.as_str()).increment(1);
}

/// A message becomes a dead letter. What failed says so by itself; nobody has heard of what was never understood.
pub fn dead_letter(DeadLetterReason { integration, key, reason, .. }: &DeadLetterReason<'_>) {
    metrics::counter!("amfj_sync_dead_lettered_total", "integration" => integration.to_string()).increment(1);
    if key.is_empty() {
        tracing::warn!(%integration, reason, "a message that cannot be read became a dead letter");
    }
}

fn in_flight(integration: &IntegrationId, stage: Stage) -> metrics::Gauge {
    metrics::gauge!("amfj_sync_in_flight", "integration" => integration.to_string(), "stage" => stage.as_str())
}

/// Messages that were taken and are not done with, in the metrics for as long as this lives.
#[derive(Debug)]
pub struct InflightGuard {
    gauge: metrics::Gauge,
    messages: u32,
}

impl InflightGuard {
    /// So many messages were taken.
    #[must_use]
    pub fn of(integration: &IntegrationId, stage: Stage, messages: usize) -> Self {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        let gauge = in_flight(integration, stage);
        gauge.increment(messages);
        Self { gauge, messages }
    }

    /// How many.
    #[must_use]
    pub fn messages(&self) -> u32 {
        self.messages
    }
}

impl Drop for InflightGuard {
    fn drop(&mut self) {
        self.gauge.decrement(self.messages);
    }
}
