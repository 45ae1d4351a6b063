//! Messages that cannot be done, kept with the reason for a person to look at.

use amfj_sync_broker::letters::{Death, dead_letter};
use amfj_sync_broker::{BrokerError, Received, Stage};
use amfj_sync_service::backlog::counting;

use crate::site::Site;

/// Publishes a message of `queue` to the dead letters.
pub(crate) async fn bury(
    site: &Site,
    queue: &str,
    received: &Received,
    key: &str,
    reason: &str,
    attempts: u32,
) -> Result<(), BrokerError> {
    let integration = &site.integration.id;
    let death = Death { integration, stage: Stage::Apply, queue, key, reason, attempts };
    counting::dead_letter(&death);
    site.publisher.publish(vec![dead_letter(&site.names, received, &death)]).await
}
