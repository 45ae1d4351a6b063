//! What can go wrong with the broker, and what to do about it.

use std::time::Duration;

/// Why something with the broker did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// The client or the broker refused or lost the connection or channel.
    #[error("the broker connection failed: {0}")]
    Client(String),
    /// No answer within the time limit.
    #[error("the broker did not answer {what} within {limit:?}")]
    TimedOut {
        /// What was asked.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The worker is stopping.
    #[error("the worker is stopping")]
    Stopping,
    /// The queues were declared with another number of partitions.
    #[error(
        "integration `{integration}`: broker.partitions is {configured}, but its queues were declared with \
         {declared}; set broker.partitions = {declared}, or delete the queues of this integration to start anew"
    )]
    Partitions {
        /// The integration.
        integration: String,
        /// What the configuration says.
        configured: u16,
        /// What the broker has.
        declared: u16,
    },
    /// A message is larger than the broker takes.
    #[error("a message of {size} bytes is larger than the broker takes ({limit} bytes)")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl From<lapin::Error> for BrokerError {
    fn from(error: lapin::Error) -> Self {
        Self::Client(error.to_string())
    }
}

/// Waits for an answer of the broker, but not for ever.
pub(super) async fn within<T, E: Into<BrokerError>>(
    what: &'static str,
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(BrokerError::TimedOut { what, limit }),
    }
}
