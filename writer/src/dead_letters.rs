//! Messages that cannot be done, kept with the reason for a person to look at.

use amfj_sync_broker::dead_letter::{DeadLetterReason, dead_letter};
use amfj_sync_broker::{BrokerError, Received, Stage};
use amfj_sync_service::backlog::counting;

use crate::context::IntegrationContext;

/// Publishes a message of `queue` to the dead letters.
pub(crate) async fn dead_letter_message(
    context: &IntegrationContext,
    queue: &str,
    received: &Received,
    key: &str,
    reason: &str,
    attempts: u32,
) -> Result<(), BrokerError> {
    let integration = &context.integration.id;
    let death = DeadLetterReason { integration, stage: Stage::Apply, queue, key, reason, attempts };
    counting::dead_letter(&death);
    context.publisher.publish(vec![dead_letter(&context.names, received, &death)]).await
}
