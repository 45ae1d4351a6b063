//! Queue depth, the signal by which the workers are watched: measured at the broker itself, without its
//! management plugin.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;

use super::error::BrokerError;
use super::supervisor::Session;
use super::topology::{Depth, close};

const LIMIT: Duration = Duration::from_secs(20);

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
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let answer = channel.queue_declare(queue.as_str().into(), options, FieldTable::default());
            match tokio::time::timeout(LIMIT, answer).await {
                Ok(Ok(queue)) => {
                    let (messages, consumers) = (queue.message_count(), queue.consumer_count());
                    found.push(Some(Depth { messages, consumers }));
                    open = Some(channel);
                }
                // The broker closes the channel of a passive declaration that finds nothing.
                Ok(Err(error)) if self.broken().is_cancelled() => return Err(error.into()),
                Ok(Err(_)) => found.push(None),
                Err(_) => return Err(BrokerError::TimedOut { what: "a queue inspection", limit: LIMIT }),
            }
        }
        if let Some(channel) = open {
            close(&channel).await;
        }
        Ok(found)
    }
}
