//! Queue depth, the signal by which the workers are watched: measured at the broker itself, without its
//! management plugin.

use super::error::BrokerError;
use super::supervisor::Session;
use super::topology::Depth;

impl Session {
    /// Looks at many queues without touching them, on one channel as long as all of them exist; none
    /// for those that do not.
    pub async fn inspect_all(&self, queues: &[String]) -> Result<Vec<Option<Depth>>, BrokerError> {
        let mut channels = self.channels();
        let mut found = Vec::with_capacity(queues.len());
        for queue in queues {
            found.push(channels.depth(queue).await?);
        }
        channels.close().await;
        Ok(found)
    }
}
