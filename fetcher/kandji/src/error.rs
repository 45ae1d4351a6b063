//! How reading Kandji fails, each with what to do about it.

use amfj_sync_backoff::{Retryable, Stopped, Verdict};
use amfj_sync_http::CallError;
use jiff::Timestamp;

/// Why Kandji could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KandjiError {
    /// 401: the token is not accepted, or may not do this; Kandji's documents contradict each other.
    #[error(
        "Kandji refused the token (401) while reading {what}: check kandji.token; it may be wrong or \
         revoked, or lack the permission “{permission}” ({})",
        .cause.said()
    )]
    Unauthorized {
        /// What was being read.
        what: &'static str,
        /// The permission that this needs.
        permission: &'static str,
        /// What Kandji said.
        cause: Box<CallError>,
    },
    /// 403: the token may not do this.
    #[error(
        "Kandji did not permit reading {what} (403): give the API token the permission “{permission}” \
         in Kandji under Settings > Access, or check that kandji.token is the right one ({})",
        .cause.said()
    )]
    Forbidden {
        /// What was being read.
        what: &'static str,
        /// The permission that this needs.
        permission: &'static str,
        /// What Kandji said.
        cause: Box<CallError>,
    },
    /// 404 on the list: another tenant's address, or none.
    #[error(
        "there is no Kandji API at {host} (404): check the subdomain in kandji.api_url, and the region: \
         https://SUBDOMAIN.api.kandji.io in the US, https://SUBDOMAIN.api.eu.kandji.io in the EU ({})",
        .cause.said()
    )]
    NoSuchTenant {
        /// Host and port.
        host: String,
        /// What the server said.
        cause: Box<CallError>,
    },
    /// HTML with status 200, or a redirect: the web console, or some other page.
    #[error(
        "{host} answered like a web page, not like the Kandji API: kandji.api_url must be the API host, \
         such as https://SUBDOMAIN.api.kandji.io (EU: https://SUBDOMAIN.api.eu.kandji.io), not the \
         address of the web console ({})",
        .cause.said()
    )]
    NotTheApi {
        /// Host and port.
        host: String,
        /// What the server said.
        cause: Box<CallError>,
    },
    /// JSON, but not what Kandji's device API answers.
    #[error(
        "{host} answered with {found} where {expected} was expected: check that kandji.api_url is the \
         address of the Kandji API and nothing in between changes its answers"
    )]
    Unexpected {
        /// Host and port.
        host: String,
        /// What should have come.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// The list does not end.
    #[error(
        "Kandji's device list does not end: after {rows} rows ({devices} devices), several times what there was \
         before or without anything new for pages, there is more; something between here and Kandji seems to ignore \
         the offset. If it is as long (more than {most} rows), set sync.longest_list"
    )]
    Endless {
        /// Rows received.
        rows: u64,
        /// Different devices among them.
        devices: u64,
        /// Rows that it may have.
        most: u64,
    },
    /// This product's share of the hour is used up.
    #[error(
        "this hour's share of Kandji requests is used up until {until}; \
         kandji.requests_per_hour sets the share"
    )]
    BudgetSpent {
        /// When there will be room again.
        until: Timestamp,
    },
    /// Any other failure of a call.
    #[error("{0}")]
    Call(CallError),
    /// Tried for long enough.
    #[error("given up after {attempts} attempts: {error}")]
    GaveUp {
        /// The last failure.
        error: Box<KandjiError>,
        /// How often it was tried.
        attempts: u32,
    },
    /// The worker is shutting down.
    #[error("stopped because the worker is shutting down")]
    Cancelled,
    /// What was read could not be kept.
    #[error("the devices read from Kandji could not be kept: {0:#}")]
    Sink(anyhow::Error),
}

impl KandjiError {
    /// What happened, and what to do about it.
    #[must_use]
    pub fn parts(&self) -> (String, Option<String>) {
        match self.last() {
            Self::Call(error) => (error.seen(), error.cure()),
            error => (error.to_string(), None),
        }
    }

    /// The failure itself, however often it was tried.
    fn last(&self) -> &Self {
        match self {
            Self::GaveUp { error, .. } => error.last(),
            error => error,
        }
    }

    /// Whether Kandji refused the token (401 or 403). For a device's details that means its state is
    /// unknown, never that it is gone (P22).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.last(), Self::Unauthorized { .. } | Self::Forbidden { .. })
    }

    /// Whether Kandji lets nobody in with this token (401).
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.last(), Self::Unauthorized { .. })
    }

    /// Whether Kandji does not offer to this token what was asked for (403 or 404), now and later.
    #[must_use]
    pub fn is_not_to_be_had(&self) -> bool {
        matches!(self.last(), Self::Forbidden { .. } | Self::NoSuchTenant { .. })
    }
}

impl Retryable for KandjiError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Call(error) => error.verdict(),
            _ => Verdict::Stop,
        }
    }
}

impl From<Stopped<KandjiError>> for KandjiError {
    fn from(stopped: Stopped<KandjiError>) -> Self {
        match stopped {
            Stopped::Cancelled => Self::Cancelled,
            Stopped::Failed(error) => error,
            Stopped::GaveUp { error, attempts, .. } => Self::GaveUp { error: Box::new(error), attempts },
        }
    }
}
