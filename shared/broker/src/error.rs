//! What can go wrong with the broker, and what to do about it.

use std::time::Duration;

use super::topology::{ACCESS_REFUSED, reply_code};
use super::unreachable::Unreachable;

/// Why something with the broker did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// The client or the broker refused or lost the connection or channel.
    #[error("the broker connection failed: {0}")]
    Client(String),
    /// No connection, and why.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The user may enter the virtual host, and not make queues there.
    #[error(
        "RabbitMQ does not let this user make what is needed and is not there ({0}): run `amfj-sync status` once with a \
         user who may (docs/security.md), or `rabbitmqctl set_permissions -p VHOST USER '.*' '.*' '.*'` there, with the \
         user and virtual host of broker.url"
    )]
    MayNotDeclare(String),
    /// The user lacks a permission.
    #[error(
        "RabbitMQ does not permit this user what this needs ({0}): grant it, as docs/security.md says, or use another user \
         in broker.url"
    )]
    NotPermitted(String),
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
        "integration `{integration}`: broker.partitions is {configured}, but its queues were declared with {declared}: set \
         broker.partitions = {declared}. Another number needs new queues, and deleting these now would cost {} and all \
         that is known of the integration, such as links that a person made{}. docs/operating.md \
         says how it is done without loss of what waits: stop the fetchers, wait until `amfj-sync status` says that \
         nothing waits, stop the other workers, then {}",
        cost(*.to_decide, *.to_apply), again(*.to_apply), deletion(.prefix, .integration)
    )]
    Partitions {
        /// The integration.
        integration: String,
        /// What the configuration says.
        configured: u16,
        /// What the broker has.
        declared: u16,
        /// The prefix of the queues.
        prefix: String,
        /// Messages that wait for reconcilers.
        to_decide: u64,
        /// Changes that wait for writers.
        to_apply: u64,
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

impl BrokerError {
    /// Whether somebody has to change something first, so that waiting alone does not help.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Unreachable(why) => why.is_lasting(),
            Self::MayNotDeclare(_) | Self::NotPermitted(_) | Self::Partitions { .. } => true,
            _ => false,
        }
    }

    /// Whether the broker's machine answered at once, if only to refuse.
    #[must_use]
    pub(super) fn is_quick(&self) -> bool {
        match self {
            Self::Unreachable(why) => why.is_quick(),
            Self::TimedOut { .. } => false,
            _ => true,
        }
    }
}

/// What is lost with the queues.
fn cost(to_decide: u64, to_apply: u64) -> String {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    match (to_decide, to_apply) {
        (0, 0) => "no message (nothing waits in them)".to_owned(),
        _ => format!(
            "{to_decide} message{} to be decided and {to_apply} change{} to be written to AMFJ",
            plural(to_decide),
            plural(to_apply)
        ),
    }
}

/// What becomes of it.
fn again(to_apply: u64) -> &'static str {
    if to_apply == 0 { "" } else { "; the next run would have to find those changes again" }
}

/// The command that takes the queues and the state of an integration away, and leaves its history.
pub(crate) fn deletion(prefix: &str, integration: &str) -> String {
    let prefix = prefix.replace('.', r"\.");
    format!(
        "`for q in $(rabbitmqctl -q list_queues name | grep -E '^{prefix}\\.{integration}\\.(reconcile|apply|state)'); do \
         rabbitmqctl delete_queue $q; done` (with -p VHOST for another virtual host than /)"
    )
}

impl From<lapin::Error> for BrokerError {
    fn from(error: lapin::Error) -> Self {
        match reply_code(&error) {
            Some(ACCESS_REFUSED) => Self::NotPermitted(error.to_string()),
            _ => Self::Client(error.to_string()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_of_partitions_says_what_deleting_the_queues_would_cost_and_how() {
        let table = [
            (0, 0, "no message"),
            (1, 0, "1 message to be decided and 0 changes"),
            (12, 3, "12 messages to be decided and 3 changes"),
        ];
        for (to_decide, to_apply, words) in table {
            let (integration, prefix) = ("acme".to_owned(), "amfj.sync".to_owned());
            let error = BrokerError::Partitions {
                integration,
                configured: 8,
                declared: 4,
                prefix,
                to_decide,
                to_apply,
            };
            let text = error.to_string();
            for words in [words, "set broker.partitions = 4", "stop the fetchers", r"^amfj\.sync\.acme\."] {
                assert!(text.contains(words), "{words}: {text}");
            }
            assert!(!text.contains('\n'), "{text}");
        }
    }
}
