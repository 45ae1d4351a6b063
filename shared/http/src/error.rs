//! How a call fails, by what is known about it afterwards.

use std::time::Duration;

use amfj_sync_backoff::{Retryable, Verdict};
use amfj_sync_security::secrets::ServiceWords;
use reqwest::StatusCode;

use super::body::sentence;
use super::network::NetworkFault;

mod otherwise;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The request could not even be written down; repeating it is of no use.
    Invalid {
        /// Service and operation.
        call: String,
        /// Why.
        reason: ServiceWords,
    },
    /// No connection was made, so nothing was sent.
    NotSent {
        /// Service and operation.
        call: String,
        /// Host and port.
        host: String,
        /// What the network said.
        reason: ServiceWords,
        /// What that is about.
        fault: NetworkFault,
    },
    /// The request was on its way when the connection broke or the time was up.
    Unknown {
        /// Service and operation.
        call: String,
        /// Host and port.
        host: String,
        /// What the network said.
        reason: ServiceWords,
        /// What that is about.
        fault: NetworkFault,
    },
    /// The service answered with something other than success.
    Status {
        /// Service and operation.
        call: String,
        /// HTTP status, as what it means.
        status: u16,
        /// HTTP status as it was sent, where the service means something else by it.
        wire_status: u16,
        /// How long to wait, at most an hour.
        retry_after: Option<Duration>,
        /// The beginning of the body.
        body: ServiceWords,
        /// The one field at fault, if the service named it.
        field: Option<ServiceWords>,
        /// What the body is.
        form: BodyForm,
    },
    /// Success was reported, but with something that is not the promised JSON.
    NotJson {
        /// Service and operation.
        call: String,
        /// HTTP status.
        status: u16,
        /// What came instead.
        reason: ServiceWords,
        /// Whether it was an HTML page.
        html: bool,
        /// The beginning of the body.
        body: ServiceWords,
    },
    /// A value that the service has no form for: nothing was sent.
    Unwritable {
        /// Service and operation.
        call: String,
        /// The field that it is for.
        field: ServiceWords,
        /// Why.
        reason: ServiceWords,
    },
    /// Something that has to be read before a write could not be: nothing was written.
    Before {
        /// Service and operation that was to follow.
        call: String,
        /// What failed.
        error: Box<CallError>,
    },
    /// One of several requests of a write failed, after others were carried out.
    Partly {
        /// Service and operation.
        call: String,
        /// How many requests were carried out.
        done: usize,
        /// Of how many.
        of: usize,
        /// What became of the next.
        error: Box<CallError>,
    },
    /// The service accepted a write, and said later that it had failed: part of it may have been done.
    Later {
        /// Service and operation.
        call: String,
        /// What it said then.
        error: Box<CallError>,
    },
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.said())?;
        match self.cure() {
            Some(cure) => write!(f, "; {cure}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CallError {}

impl CallError {
    /// What happened, and what a write has to take from it, without what to do about it.
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            Self::Before { error, .. } => format!("{}; nothing was written", error.seen()),
            Self::NotSent { .. } => format!("{}; nothing was sent", self.seen()),
            Self::Unknown { .. } => {
                format!("{}; it is unknown whether the request was carried out", self.seen())
            }
            _ => self.seen(),
        }
    }

    /// What is wrong and what to do about it, whatever the call was for.
    #[must_use]
    pub fn trouble(&self) -> String {
        match self.cure() {
            Some(cure) => format!("{}; {cure}", self.seen()),
            None => self.seen(),
        }
    }

    /// What happened.
    ///
    /// What the service said is in it, in quotes; [`outline`](amfj_sync_security::secrets::outline) leaves that out.
    #[must_use]
    pub fn seen(&self) -> String {
        match self {
            Self::Invalid { call, reason } => format!("{call}: the request could not be made: {reason}"),
            Self::NotSent { call, host, reason, .. } => {
                format!("{call}: no connection to {host} ({reason})")
            }
            Self::Unknown { call, host, reason, .. } => {
                format!("{call}: no complete answer from {host} ({reason})")
            }
            Self::Status { call, wire_status, body, .. } => {
                format!("{call}: answered {} {}", status_text(*wire_status), sentence(body))
            }
            Self::Unwritable { call, field, reason } => {
                format!(
                    "{call}: the value of “{}” cannot be written: {reason}",
                    field.as_str().replace(['“', '”'], "\"")
                )
            }
            Self::Before { call, error } => format!("{call}: {}", error.seen()),
            Self::Partly { call, done, of, error } => {
                format!("{call}: {done} of {of} requests were carried out, then {}", error.seen())
            }
            Self::Later { call, error } => match &**error {
                Self::Status { body, .. } => {
                    format!("{call}: it was accepted and failed later {}", sentence(body))
                }
                error => format!("{call}: it was accepted, and then {}", error.seen()),
            },
            Self::NotJson { call, status, reason, .. } => {
                format!("{call}: answered {} with {reason}", status_text(*status))
            }
        }
    }

    /// What to do about it, where that is known: it fits the cause.
    #[must_use]
    pub fn cure(&self) -> Option<String> {
        let service = self.service();
        let setting = format!("{service}.api_url");
        match self {
            Self::Before { error, .. } | Self::Partly { error, .. } | Self::Later { error, .. } => {
                error.cure()
            }
            Self::Invalid { .. } | Self::Unwritable { .. } => None,
            Self::NotSent { fault, .. } | Self::Unknown { fault, .. } => Some(fault.cure(&setting)),
            Self::NotJson { .. } => Some(format!("check that {setting} is the address of the API")),
            Self::Status { status, form, .. } => match (*status, *form) {
                (300..=399, _) => Some(format!("redirects are not followed: check {setting}")),
                (401, _) => Some(format!("check {service}.token: it may be wrong, revoked or expired")),
                (403, BodyForm::Html | BodyForm::Other) => Some(
                    "that is no answer of the service itself: a firewall or proxy in between may refuse it"
                        .to_owned(),
                ),
                (403, _) => Some("check what the token is permitted to do".to_owned()),
                (404 | 410, BodyForm::Html | BodyForm::Other) => {
                    Some(format!("if it stays so, check {setting}: that is no answer of the API"))
                }
                (407, _) => Some("the proxy in HTTPS_PROXY wants a user and password".to_owned()),
                (429, _) => Some("it is asked too often, and more slowly from now on".to_owned()),
                (502..=504, _) => Some(
                    "it is out of order or under maintenance; neither token nor address is at fault"
                        .to_owned(),
                ),
                (500..=599, _) => {
                    Some("that failed over there; neither token nor address is at fault".to_owned())
                }
                _ => None,
            },
        }
    }

    /// `amfj` or `kandji`, as its section of the configuration is called.
    fn service(&self) -> String {
        let (Self::Invalid { call, .. }
        | Self::NotSent { call, .. }
        | Self::Unknown { call, .. }
        | Self::Status { call, .. }
        | Self::NotJson { call, .. }
        | Self::Unwritable { call, .. }
        | Self::Before { call, .. }
        | Self::Partly { call, .. }
        | Self::Later { call, .. }) = self;
        call.split(',').next().unwrap_or_default().to_lowercase()
    }

    /// The HTTP status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::NotJson { status, .. } => Some(*status),
            Self::Before { error, .. } | Self::Partly { error, .. } | Self::Later { error, .. } => {
                error.status()
            }
            Self::Invalid { .. } | Self::NotSent { .. } | Self::Unknown { .. } | Self::Unwritable { .. } => {
                None
            }
        }
    }

    /// The pause the service asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Before { error, .. } | Self::Partly { error, .. } | Self::Later { error, .. } => {
                error.retry_after()
            }
            _ => None,
        }
    }

    /// The one field that the service blames.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Status { field, .. } => field.as_ref().map(ServiceWords::as_str),
            Self::Unwritable { field, .. } => Some(field.as_str()),
            Self::Partly { error, .. } | Self::Later { error, .. } => error.field(),
            _ => None,
        }
    }

    /// What the body of a refusal is; none where nothing was answered, or success with something else.
    #[must_use]
    pub fn form(&self) -> Option<BodyForm> {
        match self {
            Self::Status { form, .. } => Some(*form),
            Self::Before { error, .. } | Self::Partly { error, .. } | Self::Later { error, .. } => {
                error.form()
            }
            _ => None,
        }
    }

    /// 404 or 410, said by the service itself: as a JSON object. A page of a load balancer says nothing about a
    /// record.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Before { error, .. } => error.is_not_found(),
            _ => matches!(self, Self::Status { status: 404 | 410, form: BodyForm::Json, .. }),
        }
    }

    /// 409.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Later { error, .. } => error.is_conflict(),
            _ => matches!(self, Self::Status { status: 409, .. }),
        }
    }

    /// Whether a write succeeded, but the answer does not show what was written: no body (204), half a
    /// record, no JSON. An HTML page is none: it comes from something in between.
    #[must_use]
    pub fn is_unshown_success(&self) -> bool {
        matches!(self, Self::NotJson { status: 200..=299, html: false, .. })
    }

    /// Whether a write may have been carried out all the same. If so, it must not be sent again
    /// before somebody has looked.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::NotSent { .. } | Self::Unwritable { .. } | Self::Before { .. } => {
                false
            }
            Self::Unknown { .. } | Self::NotJson { .. } | Self::Partly { .. } | Self::Later { .. } => true,
            // 408 and 5xx may come from a proxy whose back end went on working.
            Self::Status { status, .. } => *status == 408 || *status >= 500,
        }
    }

    /// Whether a write may still be under way, and be carried out after this: nobody answered, or somebody who gave up
    /// waiting.
    #[must_use]
    pub fn may_still_happen(&self) -> bool {
        match self {
            Self::Partly { error, .. } => error.may_still_happen(),
            _ => matches!(self, Self::Unknown { .. } | Self::Status { status: 408 | 504, .. }),
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::Unwritable { .. } => false,
            Self::NotSent { .. } | Self::Unknown { .. } | Self::NotJson { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            Self::Before { error, .. } | Self::Partly { error, .. } | Self::Later { error, .. } => {
                error.is_transient()
            }
        }
    }
}

fn status_text(status: u16) -> String {
    match StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

/// For reads: a write that may have happened must not be repeated on this verdict alone.
impl Retryable for CallError {
    fn verdict(&self) -> Verdict {
        if self.is_transient() { Verdict::Again(self.retry_after()) } else { Verdict::Stop }
    }
}
