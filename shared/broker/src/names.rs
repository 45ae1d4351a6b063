//! The names of all queues, streams and exchanges.

use std::fmt;

use amfj_sync_model::ids::IntegrationId;

/// The two kinds of work queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Snapshots, for the reconcilers.
    Reconcile,
    /// Changes, for the writers.
    Apply,
}

impl Stage {
    /// The word in queue names and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Apply => "apply",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes names from the configured prefix.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// What all names start with.
    #[must_use]
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Names that start with `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The quorum queue of one partition of one stage.
    #[must_use]
    pub fn work(&self, integration: &IntegrationId, stage: Stage, partition: u16) -> String {
        format!("{}.{integration}.{stage}.{partition:02}", self.prefix)
    }

    /// The exclusive queue whose owner owns the partition.
    #[must_use]
    pub fn owner(&self, integration: &IntegrationId, stage: Stage, partition: u16) -> String {
        format!("{}.owner", self.work(integration, stage, partition))
    }

    /// The exclusive queue whose owner leads the integration's runs.
    #[must_use]
    pub fn leader(&self, integration: &IntegrationId) -> String {
        format!("{}.{integration}.leader", self.prefix)
    }

    /// The stream of facts.
    #[must_use]
    pub fn state(&self, integration: &IntegrationId) -> String {
        format!("{}.{integration}.state", self.prefix)
    }

    /// The stream of applied changes.
    #[must_use]
    pub fn history(&self, integration: &IntegrationId) -> String {
        format!("{}.{integration}.history", self.prefix)
    }

    /// AMFJ's events, for whoever leads the integration's runs.
    #[must_use]
    pub fn events(&self, integration: &IntegrationId) -> String {
        format!("{}.{integration}.events", self.prefix)
    }

    /// Run requests.
    #[must_use]
    pub fn triggers(&self) -> String {
        format!("{}.triggers", self.prefix)
    }

    /// Dead letters: a fanout exchange and the queue bound to it.
    #[must_use]
    pub fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The exclusive queue whose owner may look at the dead letters.
    #[must_use]
    pub fn dead_reader(&self) -> String {
        format!("{}.dead.reader", self.prefix)
    }

    /// The exclusive queue whose owner counts the dead letters for the metrics.
    #[must_use]
    pub fn dead_counter(&self) -> String {
        format!("{}.dead.counter", self.prefix)
    }

    /// The fanout exchange on which workers are asked what they do.
    #[must_use]
    pub fn status_rpc(&self) -> String {
        format!("{}.roll-call", self.prefix)
    }

    /// The queue that there is not: what is published to it is dropped by the broker.
    #[must_use]
    pub(super) fn nobody(&self) -> String {
        format!("{}.nobody", self.prefix)
    }

    /// How every name of an integration begins.
    #[must_use]
    pub fn of_integration(&self, integration: &IntegrationId) -> String {
        format!("{}.{integration}.", self.prefix)
    }

    /// The queue that every worker of a role consumes from, so that it can be counted.
    #[must_use]
    pub fn workers(&self, role: &str) -> String {
        format!("{}.workers.{role}", self.prefix)
    }
}
