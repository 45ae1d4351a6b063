//! Writes that are answered with a job: it is looked at until it is done, within the time that it may take, and may have happened after
//! that. One that failed may have done part of what it was given.

use std::time::Duration;

use amfj_sync_http::{Answer, BodyForm, Call, CallError, NetworkFault, StatusCode};
use amfj_sync_security::secrets::ServiceWords;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::answers::{blamed, by_code, first};
use super::{called, unshown};
use crate::client::AmfjClient;
use crate::lenient::as_text;
use crate::profile::types::{AnswerForm, Job, Refusal};
use crate::profile::{Names, Op};

/// How a job stands.
enum State {
    Done(Option<String>),
    Failed(CallError),
    Running,
}

impl AmfjClient {
    /// How long a write may be under way, with the job that it is answered with.
    #[must_use]
    pub fn longest_write(&self) -> Duration {
        let timeout = self.api().timeout();
        let jobs = self.profile().operations.values().filter_map(|operation| match &operation.answer {
            AnswerForm::Job(job) => Some(job.within.unwrap_or(timeout)),
            _ => None,
        });
        timeout + jobs.max().unwrap_or_default()
    }

    /// Waits for a job to be done; answers the id of what it made, where it says so.
    pub(crate) async fn finish_job(
        &self,
        op: Op,
        job: &Job,
        answer: Answer,
    ) -> Result<Option<String>, CallError> {
        let answer = answer.success()?;
        let location = answer.header("location").map(str::to_owned);
        let first: Option<Value> = match answer.read(amfj_sync_http::json::value) {
            Ok(value) => Some(value),
            // An empty body and a header.
            Err(error) if error.is_unshown_success() && location.is_some() => None,
            Err(error) => return Err(error),
        };
        if let Some(ended) = first.as_ref().and_then(|body| self.state(op, job, body).ended()) {
            return ended;
        }
        let said = match &job.address {
            Some(pointer) => first.as_ref().and_then(|body| pointer.get(body)).and_then(as_text),
            None => location,
        };
        let Some(address) = said.and_then(|said| self.api().own_address(&said)) else {
            // Accepted, and nothing to look at: what it did is read.
            return Err(unshown(op));
        };
        let until = Instant::now() + job.within.unwrap_or(self.api().timeout());
        let mut pause = job.every;
        loop {
            tokio::time::sleep(pause).await;
            // A look that fails says nothing about the job.
            let looked = self.send_further(self.look_at(op, address.clone())?).await;
            let asked = looked.as_ref().ok().and_then(Answer::retry_after);
            if let Ok(body) = looked.and_then(|answer| answer.read(amfj_sync_http::json::value))
                && let Some(ended) = self.state(op, job, &body).ended()
            {
                return ended;
            }
            pause = job.every.max(asked.unwrap_or_default());
            if Instant::now() + pause > until {
                return Err(CallError::Unknown {
                    call: called(op),
                    host: self.api().host().to_owned(),
                    reason: "the job that it was given was not done in time".into(),
                    fault: NetworkFault::Slow,
                });
            }
        }
    }

    /// A look at a job, with the headers of its operation that are no matter of what was written.
    fn look_at(&self, op: Op, address: Url) -> Result<Call, CallError> {
        let nothing = Names::new();
        let mut call = Call::at(op.label(), address);
        for (name, template) in &self.operation(op)?.headers {
            let is_of_the_body = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
            if let Ok(Some(text)) = template.text(&nothing)
                && !is_of_the_body
            {
                call = call.header(name.clone(), text);
            }
        }
        Ok(call)
    }

    fn state(&self, op: Op, job: &Job, body: &Value) -> State {
        let word = job.state.get(body).and_then(as_text).unwrap_or_default();
        let is = |words: &[String]| words.iter().any(|known| known.eq_ignore_ascii_case(word.trim()));
        if is(&job.done) {
            State::Done(job.id.as_ref().and_then(|id| id.get(body)).and_then(as_text))
        } else if is(&job.failed) {
            State::Failed(self.failure(op, job, body, word))
        } else {
            State::Running
        }
    }

    /// What a job that failed says, which is read as a refusal is.
    fn failure(&self, op: Op, job: &Job, body: &Value, word: String) -> CallError {
        let errors = &self.profile().errors;
        let said = job.error.as_ref().and_then(|error| error.get(body)).unwrap_or(body);
        let message = job.message.as_ref().and_then(|message| message.get(body)).and_then(as_text);
        let message = message.or_else(|| first(&errors.message, said)).unwrap_or(word);
        let meant = match by_code(errors, said) {
            Some(Refusal::Gone) => StatusCode::NOT_FOUND,
            Some(Refusal::AlreadySo) => StatusCode::CONFLICT,
            Some(Refusal::SlowDown) => StatusCode::TOO_MANY_REQUESTS,
            Some(Refusal::Value) | None => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let refused = CallError::Status {
            call: called(op),
            status: meant.as_u16(),
            wire_status: StatusCode::ACCEPTED.as_u16(),
            retry_after: None,
            body: ServiceWords::of(&message),
            field: blamed(&errors.field, said).map(|field| ServiceWords::of(&field)),
            form: BodyForm::Json,
        };
        CallError::Later { call: called(op), error: Box::new(refused) }
    }
}

impl State {
    /// What came of it; none while it runs.
    fn ended(self) -> Option<Result<Option<String>, CallError>> {
        match self {
            Self::Running => None,
            Self::Done(id) => Some(Ok(id)),
            Self::Failed(error) => Some(Err(error)),
        }
    }
}
