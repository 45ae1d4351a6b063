//! Messages that cannot be done, kept with the reason for a person to look at.

use amfj_sync_shared::broker::{BrokerError, Outgoing};
use jiff::Timestamp;
use uuid::Uuid;

use crate::events;
use crate::site::Site;

/// Why a message is a dead letter.
pub(crate) struct Death<'a> {
    /// What it is about; blank where it could not be read.
    pub(crate) key: &'a str,
    /// One sentence.
    pub(crate) reason: &'a str,
    /// Requests that were tried.
    pub(crate) attempts: u32,
}

/// Publishes a message to the dead letters, unchanged, with the reason in headers. Keeps its id, so
/// that a replay is recognised as what it is.
pub(crate) async fn bury(
    site: &Site,
    id: Option<Uuid>,
    body: Vec<u8>,
    death: Death<'_>,
) -> Result<(), BrokerError> {
    events::dead_letter(site.integration.id.as_str(), death.reason);
    let letter = Outgoing {
        exchange: site.names.dead(),
        routing_key: String::new(),
        id: id.unwrap_or_else(Uuid::new_v4),
        body,
        headers: lapin_headers(),
    }
    .with_header("x-reason", death.reason)
    .with_header("x-stage", "apply")
    .with_header("x-integration", site.integration.id.as_str())
    .with_header("x-key", death.key)
    .with_header("x-attempts", &death.attempts.to_string())
    .with_header("x-time", &Timestamp::now().to_string());
    site.publisher.publish(vec![letter]).await
}

fn lapin_headers() -> amfj_sync_shared::broker::Headers {
    amfj_sync_shared::broker::Headers::default()
}
