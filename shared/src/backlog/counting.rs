//! What a stage counts about the messages of its queues.

use crate::broker::Stage;
use crate::ids::IntegrationId;

/// Whatever an alert compares is there before the first message.
pub fn begin(integration: &IntegrationId, stage: Stage) {
    redelivered(stage, 0);
    metrics::counter!("amfj_sync_repeats_total", "stage" => stage.as_str()).increment(0);
    metrics::counter!("amfj_sync_dead_lettered_total", "integration" => integration.to_string()).increment(0);
    done(integration, stage, 0);
    metrics::gauge!("amfj_sync_in_flight", "integration" => integration.to_string(), "stage" => stage.as_str())
        .set(0.0);
}

/// So many messages were acknowledged.
pub fn done(integration: &IntegrationId, stage: Stage, messages: usize) {
    metrics::counter!("amfj_sync_messages_done_total",
        "integration" => integration.to_string(), "stage" => stage.as_str())
    .increment(messages as u64);
}

/// So many messages were delivered that had been delivered before.
pub fn redelivered(stage: Stage, messages: usize) {
    metrics::counter!("amfj_sync_redeliveries_total", "stage" => stage.as_str()).increment(messages as u64);
}

/// A message was met that had been answered, or is older than what is known: nothing is done.
pub fn repeat_met(stage: Stage) {
    metrics::counter!("amfj_sync_repeats_total", "stage" => stage.as_str()).increment(1);
}

/// Messages that were taken and are not done with, in the metrics for as long as this lives.
#[derive(Debug)]
pub struct InFlight {
    integration: IntegrationId,
    stage: Stage,
    messages: usize,
}

impl InFlight {
    /// So many messages were taken.
    #[must_use]
    pub fn of(integration: &IntegrationId, stage: Stage, messages: usize) -> Self {
        let in_flight = Self { integration: integration.clone(), stage, messages };
        in_flight.add(in_flight.count());
        in_flight
    }

    /// How many.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages
    }

    fn count(&self) -> f64 {
        f64::from(u32::try_from(self.messages).unwrap_or(u32::MAX))
    }

    fn add(&self, difference: f64) {
        metrics::gauge!("amfj_sync_in_flight",
            "integration" => self.integration.to_string(), "stage" => self.stage.as_str())
        .increment(difference);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.add(-self.count());
    }
}
