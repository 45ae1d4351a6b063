//! Queue depth, the signal by which the workers are watched: measured at the broker itself, without its
//! management plugin.

use super::error::BrokerError;
use super::supervisor::Session;
use super::topology::{Depth, close, depth};

impl Session {
    /// Looks at many queues without touching them, on one channel as long as all of them exist; none
    /// for those that do not.
    pub async fn inspect_all(&self, queues: &[String]) -> Result<Vec<Option<Depth>>, BrokerError> {
        let mut found = Vec::with_capacity(queues.len());
        let mut open = None;
        for queue in queues {
            let channel = match open.take() {
                Some(channel) => channel,
                None => self.consuming_channel(1).await?,
            };
            match depth(&channel, queue).await {
                Ok(depth) => {
                    found.push(Some(depth));
                    open = Some(channel);
                }
                Err(error @ BrokerError::TimedOut { .. }) => return Err(error),
                Err(error) if self.broken().is_cancelled() => return Err(error),
                Err(_) => found.push(None),
            }
        }
        if let Some(channel) = open {
            close(&channel).await;
        }
        Ok(found)
    }
}
