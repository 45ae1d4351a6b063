//! Queue depth, the signal by which the workers are watched: measured at the broker itself, without its
//! management plugin.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::names::Stage;
use super::supervisor::Broker;
use crate::ids::IntegrationId;

/// Sets the gauge `amfj_sync_queue_messages` (messages ready in the broker, of all partitions) of these
/// integrations and one stage, again and again, until `stop`.
pub async fn watch_depth(
    broker: Broker,
    integrations: Vec<IntegrationId>,
    stage: Stage,
    partitions: u16,
    every: Duration,
    stop: CancellationToken,
) {
    metrics::describe_gauge!("amfj_sync_queue_messages", "Messages ready in the queues of a stage");
    while !stop.is_cancelled() {
        for integration in &integrations {
            if let Some(depth) = depth(&broker, integration, stage, partitions).await {
                let labels = [("integration", integration.to_string()), ("stage", stage.to_string())];
                metrics::gauge!("amfj_sync_queue_messages", &labels).set(f64::from(depth));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Messages ready in all partitions of a stage; none while the broker cannot be asked.
async fn depth(broker: &Broker, integration: &IntegrationId, stage: Stage, partitions: u16) -> Option<u32> {
    broker.trouble().is_none().then_some(())?;
    let session = broker.session().await.ok()?;
    let mut sum = 0_u32;
    for partition in 0..partitions {
        let queue = broker.names().work(integration, stage, partition);
        sum = sum.saturating_add(session.inspect(&queue).await.ok()??.messages);
    }
    Some(sum)
}
