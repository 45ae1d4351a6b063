//! Why a run ends before its time.

use amfj_sync_backoff::Stopped;
use amfj_sync_broker::BrokerError;
use amfj_sync_http::CallError;
use amfj_sync_kandji::KandjiError;
use amfj_sync_projection::StoreError;

/// Why a run ends before its time. None of these leaves anything decided (P2).
#[derive(Debug)]
pub(crate) enum Halt {
    /// Something could not be read, or the configuration does not fit (P18).
    Failed { reason: String, configuration: bool },
    /// A person has to look first (P23).
    Held { reason: String },
    /// A newer run has started.
    Superseded,
    /// The worker is stopping.
    Stopping,
}

impl Halt {
    /// Something went wrong outside.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into(), configuration: false }
    }

    /// The configuration is at fault (P18).
    pub(crate) fn configuration(problems: &[String]) -> Self {
        Self::Failed { reason: problems.join(" / "), configuration: true }
    }
}

impl Halt {
    /// One sentence.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Failed { reason, .. } | Self::Held { reason } => reason,
            Self::Superseded => "a newer run has started",
            Self::Stopping => "the worker is stopping",
        }
    }

    /// Whether something outside is out of order, rather than the configuration.
    pub(crate) fn is_trouble(&self) -> bool {
        matches!(self, Self::Failed { configuration: false, .. })
    }
}

impl From<BrokerError> for Halt {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Stopping => Self::Stopping,
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<KandjiError> for Halt {
    fn from(error: KandjiError) -> Self {
        match error {
            KandjiError::Cancelled => Self::Stopping,
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<CallError> for Halt {
    fn from(error: CallError) -> Self {
        Self::from(Stopped::Failed(error))
    }
}

impl From<Stopped<CallError>> for Halt {
    fn from(stopped: Stopped<CallError>) -> Self {
        match stopped {
            Stopped::Cancelled => Self::Stopping,
            other => Self::failed(other.to_string()),
        }
    }
}
