//! What refusals mean, and how long a pause is asked for, as the profile says.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amfj_sync_http::{
    Answer, BodyForm, Interpreter, LONGEST_RETRY_AFTER, Limiter, StatusCode, json, parse_retry_after,
};
use serde_json::Value;

use crate::lenient::as_text;
use crate::profile::Profile;
use crate::profile::types::{ErrorPlace, Errors, OwnForm, PauseForm, Refusal};

/// The longest body of a refusal that is looked into.
const LONGEST: usize = 1 << 20;

/// Reads refusals as one profile says.
pub(crate) struct Refusals {
    profile: Arc<Profile>,
    limiter: Limiter,
}

impl Refusals {
    /// None where HTTP says it all.
    pub(crate) fn of(profile: &Arc<Profile>, limiter: &Limiter) -> Option<Arc<dyn Interpreter>> {
        let assumed = crate::profile::assumed().ok()?;
        if profile.errors == assumed.errors && profile.limits == assumed.limits {
            return None;
        }
        Some(Arc::new(Self { profile: Arc::clone(profile), limiter: limiter.clone() }))
    }

    fn pause(&self, answer: &Answer) -> Option<Duration> {
        let (header, form) = self.profile.limits.pause.as_ref()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a date in HTTP is compared with the clock of the system"
        )]
        pause_of(answer.header(header)?, *form, SystemTime::now())
    }

    /// Whether an answer with a status of success says that it is a refusal.
    fn refuses_despite_success(&self, answer: &Answer) -> bool {
        let Some((at, words)) = &self.profile.errors.despite_success else { return false };
        let said = read(answer.body()).and_then(|body| match at.get(&body)? {
            Value::Bool(said) => Some(said.to_string()),
            said => as_text(said),
        });
        said.is_some_and(|said| words.iter().any(|word| word == said.trim()))
    }

    fn means(&self, answer: &Answer, body: Option<&Value>) -> Option<Refusal> {
        let errors = &self.profile.errors;
        let by_code = body.and_then(|body| by_code(errors, body));
        let status = answer.status().as_u16();
        let by_status = || {
            let is_it = |(_, statuses): &&(Refusal, Vec<u16>)| statuses.contains(&status);
            errors.statuses.iter().find(is_it).map(|(refusal, _)| *refusal)
        };
        by_code.or_else(by_status)
    }
}

impl Interpreter for Refusals {
    fn interpret(&self, answer: &mut Answer) {
        let pause = self.pause(answer);
        let left = self.profile.limits.remaining.as_ref().and_then(|name| answer.header(name));
        if left.is_some_and(|left| left.trim() == "0")
            && let Some(pause) = pause
        {
            self.limiter.pause_for(pause);
        }
        if answer.status().is_success() && !self.refuses_despite_success(answer) {
            return;
        }
        if self.profile.limits.pause.is_some() {
            answer.asks_to_wait(pause);
        }
        if answer.form() == BodyForm::Html {
            return;
        }
        let body = read(answer.body());
        let own = &self.profile.errors.body;
        if own.contains(&form_of(answer.body(), body.as_ref())) {
            answer.is_own();
        } else {
            if !answer.body().is_empty() {
                answer.is_not_own();
            }
            // What comes from something in between means what HTTP says.
            return;
        }
        let field = body.as_ref().and_then(|body| blamed(&self.profile.errors.field, body));
        if let Some(message) = body.as_ref().and_then(|body| first(&self.profile.errors.message, body)) {
            answer.says(&message);
        }
        if let Some(field) = &field {
            answer.blames(field);
        }
        let is_success = answer.status().is_success();
        let status = match self.means(answer, body.as_ref()) {
            Some(Refusal::Gone) if answer.status() == StatusCode::GONE => return,
            Some(Refusal::Gone) => StatusCode::NOT_FOUND,
            Some(Refusal::AlreadySo) => StatusCode::CONFLICT,
            Some(Refusal::Value) => StatusCode::UNPROCESSABLE_ENTITY,
            Some(Refusal::SlowDown) => StatusCode::TOO_MANY_REQUESTS,
            // Its status says nothing of it.
            None if is_success && field.is_some() => StatusCode::UNPROCESSABLE_ENTITY,
            None if is_success => StatusCode::BAD_REQUEST,
            None => return,
        };
        answer.means(status);
    }
}

/// What the code in a refusal says, whatever its status.
pub(crate) fn by_code(errors: &Errors, body: &Value) -> Option<Refusal> {
    let code = first(&errors.code, body)?;
    let is_it = |(_, codes): &&(Refusal, Vec<String>)| codes.contains(&code);
    errors.codes.iter().find(is_it).map(|(refusal, _)| *refusal)
}

fn read(body: &[u8]) -> Option<Value> {
    if body.len() > LONGEST { None } else { json::value(body).ok() }
}

fn form_of(body: &[u8], value: Option<&Value>) -> OwnForm {
    match value {
        Some(Value::Object(_)) => OwnForm::Object,
        Some(Value::Array(_)) => OwnForm::List,
        _ if body.trim_ascii().is_empty() => OwnForm::Empty,
        _ => OwnForm::Text,
    }
}

/// The first of these places that says something.
pub(crate) fn first(places: &[ErrorPlace], body: &Value) -> Option<String> {
    places.iter().find_map(|place| sentence(only_member(place, body).map(|(_, value)| value)?))
}

/// The field that is blamed: what stands there, or what is the only member there.
pub(crate) fn blamed(places: &[ErrorPlace], body: &Value) -> Option<String> {
    places.iter().find_map(|place| {
        let (name, value) = only_member(place, body)?;
        let field = if place.is_only_member { name?.to_owned() } else { as_text(value)? };
        Some(field.trim().to_owned()).filter(|field| !field.is_empty())
    })
}

fn only_member<'v>(place: &ErrorPlace, body: &'v Value) -> Option<(Option<&'v str>, &'v Value)> {
    let found = place.pointer.get(body)?;
    if !place.is_only_member {
        return Some((None, found));
    }
    let members = found.as_object().filter(|members| members.len() == 1)?;
    members.iter().next().map(|(name, value)| (Some(name.as_str()), value))
}

/// A text, or the first one in a list.
fn sentence(value: &Value) -> Option<String> {
    match value {
        Value::Array(values) => values.first().and_then(as_text),
        other => as_text(other),
    }
}

/// How long a header asks to wait, at most an hour.
fn pause_of(text: &str, form: PauseForm, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let number = || text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let until = |seconds: f64| {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64();
        Some(Duration::from_secs_f64((seconds - since).ceil().clamp(0.0, LONGEST_RETRY_AFTER.as_secs_f64())))
    };
    match form {
        PauseForm::SecondsOrDate => parse_retry_after(text, now),
        PauseForm::Seconds => number().and_then(|_| parse_retry_after(text, now)),
        PauseForm::Date => match number() {
            Some(_) => None,
            None => parse_retry_after(text, now),
        },
        PauseForm::Milliseconds => {
            let seconds = (number()? / 1000.0).min(LONGEST_RETRY_AFTER.as_secs_f64());
            Some(Duration::from_secs_f64(seconds))
        }
        PauseForm::Epoch => until(number()?),
        PauseForm::EpochMilliseconds => until(number()? / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::Pointer;

    fn place(text: &str, is_only_member: bool) -> ErrorPlace {
        ErrorPlace { pointer: Pointer::parse(text).unwrap(), is_only_member }
    }

    #[test]
    fn a_pause_is_read_in_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, form, pause) in [
            ("5", PauseForm::Seconds, seconds(5)),
            ("1500", PauseForm::Milliseconds, Some(Duration::from_millis(1500))),
            ("1000007", PauseForm::Epoch, seconds(7)),
            ("1000007000", PauseForm::EpochMilliseconds, seconds(7)),
            ("999999", PauseForm::Epoch, seconds(0)),
            ("Mon, 12 Jan 1970 13:46:50 GMT", PauseForm::Date, seconds(10)),
            ("9", PauseForm::SecondsOrDate, seconds(9)),
            ("99999999999", PauseForm::Milliseconds, seconds(3600)),
            ("99999999999", PauseForm::Epoch, seconds(3600)),
            ("soon", PauseForm::Seconds, None),
            ("-1", PauseForm::Epoch, None),
            ("NaN", PauseForm::Milliseconds, None),
            ("5", PauseForm::Date, None),
        ] {
            assert_eq!(pause_of(text, form, now), pause, "{text} {form:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_and_which_field_in_several_shapes() {
        let body =
            json!({"errors": {"serial": ["is taken"]}, "title": "no", "list": [{"field": "a", "text": "b"}]});
        let only = [place("/errors", true)];
        assert_eq!(blamed(&only, &body).as_deref(), Some("serial"));
        assert_eq!(first(&only, &body).as_deref(), Some("is taken"));
        let several = [place("/nothing", false), place("/list/0/text", false), place("/title", false)];
        assert_eq!(first(&several, &body).as_deref(), Some("b"));
        assert_eq!(blamed(&[place("/list/0/field", false)], &body).as_deref(), Some("a"));
        assert_eq!(blamed(&[place("", true)], &body), None, "there are several");
    }
}
