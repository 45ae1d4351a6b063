//! How a call fails, by what is known about it afterwards.

use std::time::Duration;

use reqwest::StatusCode;

use super::body;

/// What the body of a refusal is: it tells who answered, the service or something in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// A JSON object, as the contracts of both services have it.
    Json,
    /// Nothing.
    Empty,
    /// A page for people: a load balancer, a log-in page, a maintenance page.
    Html,
    /// Something else, or JSON of another shape.
    Other,
}

/// Why a call brought nothing back.
///
/// The variants differ in what a write may assume: after [`NotSent`](Self::NotSent) and
/// [`Invalid`](Self::Invalid) nothing happened; after [`Unknown`](Self::Unknown) and
/// [`NotJson`](Self::NotJson) it may have. Ask [`may_have_happened`](Self::may_have_happened).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request could not even be written down; repeating it is of no use.
    #[error("{call}: the request could not be made: {reason}")]
    Invalid {
        /// Service and operation.
        call: String,
        /// Why.
        reason: String,
    },
    /// No connection was made, so nothing was sent.
    #[error("{call}: no connection to {host} ({reason}); nothing was sent")]
    NotSent {
        /// Service and operation.
        call: String,
        /// Host and port.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// The request was on its way when the connection broke or the time was up.
    #[error(
        "{call}: no complete answer from {host} ({reason}); it is unknown whether the request was carried out"
    )]
    Unknown {
        /// Service and operation.
        call: String,
        /// Host and port.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// The service answered with something other than success.
    #[error("{call}: answered {} {}{}", status_text(*.status), body::sentence(.body), cure(*.status))]
    Status {
        /// Service and operation.
        call: String,
        /// HTTP status.
        status: u16,
        /// How long to wait, at most an hour.
        retry_after: Option<Duration>,
        /// The first 500 characters of the body, scrubbed of secrets.
        body: String,
        /// The one field at fault, if the service named it.
        field: Option<String>,
        /// What the body is.
        form: BodyForm,
    },
    /// Success was reported, but with something that is not the promised JSON.
    #[error("{call}: answered {} with {reason}; check that the configured address is that of the API", status_text(*.status))]
    NotJson {
        /// Service and operation.
        call: String,
        /// HTTP status.
        status: u16,
        /// What came instead.
        reason: String,
        /// Whether it was an HTML page.
        html: bool,
        /// The first 500 characters of the body, scrubbed of secrets.
        body: String,
    },
}

impl CallError {
    /// The HTTP status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::NotJson { status, .. } => Some(*status),
            Self::Invalid { .. } | Self::NotSent { .. } | Self::Unknown { .. } => None,
        }
    }

    /// The pause the service asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The one field that the service blames.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Status { field, .. } => field.as_deref(),
            _ => None,
        }
    }

    /// What the body of a refusal is; none where nothing was answered, or success with something else.
    #[must_use]
    pub fn form(&self) -> Option<BodyForm> {
        match self {
            Self::Status { form, .. } => Some(*form),
            _ => None,
        }
    }

    /// 404 or 410, said by the service itself: as a JSON object. A page of a load balancer says nothing about a
    /// record.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404 | 410, form: BodyForm::Json, .. })
    }

    /// 409.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Status { status: 409, .. })
    }

    /// Whether a write may have been carried out all the same. If so, it must not be sent again
    /// before somebody has looked.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::NotSent { .. } => false,
            Self::Unknown { .. } | Self::NotJson { .. } => true,
            // 408 and 5xx may come from a proxy whose back end went on working.
            Self::Status { status, .. } => *status == 408 || *status >= 500,
        }
    }

    /// Whether a write may still be under way, and be carried out after this: nobody answered, or somebody who gave up
    /// waiting.
    #[must_use]
    pub fn may_still_happen(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Status { status: 408 | 504, .. })
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Invalid { .. } => false,
            Self::NotSent { .. } | Self::Unknown { .. } | Self::NotJson { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
        }
    }
}

fn status_text(status: u16) -> String {
    match StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

fn cure(status: u16) -> &'static str {
    match status {
        300..=399 => "; redirects are not followed: check the configured address",
        401 => "; check the token: it may be wrong, revoked or expired",
        403 => "; check what the token is permitted to do",
        _ => "",
    }
}
