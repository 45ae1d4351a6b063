//! Messages that cannot be done, kept with the reason for a person to look at.

use amfj_sync_shared::broker::letters::{Death, dead_letter};
use amfj_sync_shared::broker::{BrokerError, Received, Stage};

use crate::events;
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
    events::dead_letter(integration.as_str(), key, reason);
    let death = Death { integration, stage: Stage::Apply, queue, key, reason, attempts };
    site.publisher.publish(vec![dead_letter(&site.names, received, &death)]).await
}
