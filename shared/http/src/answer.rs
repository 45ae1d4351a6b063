//! What a service answered, and what that means.

use std::time::{Duration, SystemTime};

use amfj_sync_security::secrets::{self, ServiceWords};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;

use super::body;
use super::error::{BodyForm, CallError};
use super::retry_after::parse_retry_after;

/// What a service answered.
pub struct Answer {
    call: String,
    /// What it means.
    pub(super) status: StatusCode,
    /// What it was sent as.
    pub(super) wire_status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    means: Meaning,
}

/// What an interpreter found in an answer, where it is not what any service would have meant.
#[derive(Default)]
#[expect(
    clippy::option_option,
    reason = "none outside where nobody looked, none inside where no pause is asked for"
)]
struct Meaning {
    pause: Option<Option<Duration>>,
    field: Option<ServiceWords>,
    message: Option<ServiceWords>,
    form: Option<BodyForm>,
}

impl Answer {
    /// An answer as it came; `call` names service and operation, as in "AMFJ, read asset".
    #[must_use]
    pub fn new(call: impl Into<String>, status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Self {
        Self { call: call.into(), status, wire_status: status, headers, body, means: Meaning::default() }
    }

    /// Its body, to be interpreted.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What the body is.
    #[must_use]
    pub fn form(&self) -> BodyForm {
        self.means.form.unwrap_or_else(|| body::form(&self.body))
    }

    /// Notes that it means what another status does.
    pub fn means(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// Notes how long a pause it asks for, in place of `Retry-After`; none where it asks for none.
    pub fn asks_to_wait(&mut self, pause: Option<Duration>) {
        self.means.pause = Some(pause);
    }

    /// Notes which field it blames.
    pub fn blames(&mut self, field: &str) {
        self.means.field = Some(ServiceWords::of(field));
    }

    /// Notes its sentence for people.
    pub fn says(&mut self, message: &str) {
        self.means.message = Some(ServiceWords::of(message));
    }

    /// Notes that a body of this form is the service's own way to refuse.
    pub fn is_own(&mut self) {
        self.means.form = Some(BodyForm::Json);
    }

    /// Notes that it comes from something in between.
    pub fn is_not_own(&mut self) {
        self.means.form = Some(BodyForm::Other);
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// A header as text, to be parsed. Whoever quotes it makes [`ServiceWords`] of it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The pause asked for by `Retry-After`, at most an hour.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a date in HTTP is compared with the clock of the system")]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Some(pause) = self.means.pause {
            return pause;
        }
        parse_retry_after(self.header(RETRY_AFTER.as_str())?, SystemTime::now())
    }

    /// Turns every status but 2xx into an error.
    pub fn success(self) -> Result<Self, CallError> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    /// What a status other than success says.
    pub(super) fn refusal(&self) -> CallError {
        CallError::Status {
            status: self.status.as_u16(),
            wire_status: self.wire_status.as_u16(),
            retry_after: self.retry_after(),
            body: self.means.message.clone().unwrap_or_else(|| ServiceWords::of_body(&self.body)),
            field: self.means.field.clone().or_else(|| body::blamed_field(&self.body)),
            form: self.form(),
            call: self.call.clone(),
        }
    }

    /// A page for people where data was to come: it is from something in between.
    pub(super) fn page(&self) -> Option<CallError> {
        body::is_html(&self.body).then(|| CallError::NotJson {
            status: self.status.as_u16(),
            html: true,
            body: ServiceWords::default(),
            reason: "an HTML page instead of JSON".into(),
            call: self.call.clone(),
        })
    }

    /// The JSON of a successful answer.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, CallError> {
        self.read(|body| serde_json::from_slice(body))
    }

    /// What somebody reads in the JSON of a successful answer. A secret in it, as the name of an asset or in its notes, does
    /// not get any further: it goes to queues, streams and files from here (P27).
    pub fn read<T>(self, read: impl FnOnce(&[u8]) -> serde_json::Result<T>) -> Result<T, CallError> {
        let answer = self.success()?;
        let reason = if body::is_html(&answer.body) {
            "an HTML page instead of JSON".to_owned()
        } else if answer.body.trim_ascii().is_empty() {
            "an empty body instead of JSON".to_owned()
        } else {
            match secrets::scrub_bytes(&answer.body).map(|body| read(&body)) {
                Some(Ok(value)) => return Ok(value),
                Some(Err(error)) => format!("JSON that cannot be understood ({error})"),
                None => "a secret of this process in it, in too much else to be read without that".to_owned(),
            }
        };
        Err(CallError::NotJson {
            status: answer.status.as_u16(),
            html: body::is_html(&answer.body),
            body: ServiceWords::of_body(&answer.body),
            reason: reason.into(),
            call: answer.call,
        })
    }
}
