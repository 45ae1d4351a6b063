//! Writes that are answered with a job: it is looked at until it is done, within the time of one request, and may have happened after that.

use amfj_sync_http::{Answer, Call, CallError, NetworkFault};
use serde_json::Value;
use tokio::time::Instant;

use super::{called, unshown};
use crate::client::AmfjClient;
use crate::lenient::as_text;
use crate::profile::Op;
use crate::profile::types::Job;

/// How a job stands.
enum State {
    Done(Option<String>),
    Failed(String),
    Running,
}

impl AmfjClient {
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
        if let Some(state) = first.as_ref().map(|body| state(job, body))
            && let Some(ended) = ended(op, state)
        {
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
        let until = Instant::now() + self.api().timeout();
        loop {
            tokio::time::sleep(job.every).await;
            let call = Call::at(op.label(), address.clone());
            let looked =
                self.send_further(call).await.and_then(|answer| answer.read(amfj_sync_http::json::value));
            // A look that fails says nothing about the job.
            if let Ok(body) = looked
                && let Some(ended) = ended(op, state(job, &body))
            {
                return ended;
            }
            if Instant::now() + job.every > until {
                return Err(CallError::Unknown {
                    call: called(op),
                    host: self.api().host().to_owned(),
                    reason: "the job that it was given was not done in time".into(),
                    fault: NetworkFault::Slow,
                });
            }
        }
    }
}

fn state(job: &Job, body: &Value) -> State {
    let word = job.state.get(body).and_then(as_text).unwrap_or_default();
    let is = |words: &[String]| words.iter().any(|known| known.eq_ignore_ascii_case(word.trim()));
    if is(&job.done) {
        State::Done(job.id.as_ref().and_then(|id| id.get(body)).and_then(as_text))
    } else if is(&job.failed) {
        let message = job.message.as_ref().and_then(|message| message.get(body)).and_then(as_text);
        State::Failed(message.unwrap_or(word))
    } else {
        State::Running
    }
}

fn ended(op: Op, state: State) -> Option<Result<Option<String>, CallError>> {
    match state {
        State::Running => None,
        State::Done(id) => Some(Ok(id)),
        State::Failed(why) => {
            let body = amfj_sync_security::secrets::ServiceWords::of(&why);
            let form = amfj_sync_http::BodyForm::Json;
            let refused = CallError::Status {
                call: called(op),
                status: 422,
                wire_status: 202,
                retry_after: None,
                body,
                field: None,
                form,
            };
            Some(Err(refused))
        }
    }
}
