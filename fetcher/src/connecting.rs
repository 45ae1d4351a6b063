//! A command does not wait for a broker for ever, unlike a worker that serves.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_shared::broker::{Broker, Session};
use amfj_sync_shared::worker::Exit;

/// What to do when the broker cannot be reached.
pub(crate) const CURE: &str =
    "check broker.url (host, port, user, password, virtual host) and that RabbitMQ runs there";

/// The first session; fails with the last trouble after `limit`.
pub(crate) async fn connected(broker: &Broker, limit: Duration) -> Result<Arc<Session>, Exit> {
    match tokio::time::timeout(limit, broker.session()).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            Err(Exit::Failed(broker.trouble().unwrap_or_else(|| "the broker did not answer in time".into())))
        }
    }
}

/// The first session of a command that can do nothing without it.
pub(crate) async fn required(broker: &Broker, limit: Duration) -> Result<Arc<Session>, Exit> {
    connected(broker, limit).await.map_err(|exit| match exit {
        Exit::Failed(reason) => Exit::Failed(format!("{reason}; {CURE}")),
        configuration @ Exit::Configuration(_) => configuration,
    })
}
