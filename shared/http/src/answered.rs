//! What an answer that was no success tells about, before anything else is known: the smallest thing that it can be
//! about. Whether it is about something larger, the record, the kind of request or the service, takes evidence that
//! one answer does not have.

use std::time::Duration;

use super::error::{BodyForm, CallError};

/// What one failed call says. Pure: status and form of the body decide, never the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// 401: the token is wrong, revoked or expired; every call fails the same way.
    TokenRefused,
    /// 3xx: the address is wrong, for every call alike.
    WrongAddress,
    /// The service asked to be left alone for a while: 429, or 503 with `Retry-After`. That is no failure.
    AskedToWait {
        /// For how long, at most an hour; none where a 429 does not say.
        pause: Option<Duration>,
        /// Whether it is out of order (503), and not merely asked too often (429).
        out_of_order: bool,
    },
    /// 422 that names a field: one value is at fault (P15).
    Value {
        /// As the service calls it.
        field: String,
    },
    /// 404 or 410 in the service's own form. To a write it proves nothing: the record is to be read by its id.
    NotThere,
    /// Any other 4xx in the service's own form, or with nothing in it.
    Refused,
    /// The service, or something in front of it, failed: 5xx, no answer in time, no connection, a page of HTML with
    /// whatever status, success without the promised JSON.
    Failed,
    /// The request could not even be written down; sending it again is of no use.
    Impossible,
}

impl Answered {
    /// What this error says.
    #[must_use]
    pub fn of(error: &CallError) -> Self {
        let (status, form) = match error {
            CallError::Invalid { .. } => return Self::Impossible,
            CallError::Unwritable { field, .. } => return Self::Value { field: field.as_str().to_owned() },
            CallError::Before { error, .. }
            | CallError::Partly { error, .. }
            | CallError::Later { error, .. } => return Self::of(error),
            CallError::NotSent { .. } | CallError::Unknown { .. } | CallError::NotJson { .. } => {
                return Self::Failed;
            }
            CallError::Status { status, form, .. } => (*status, *form),
        };
        let pause = error.retry_after();
        match (status, form) {
            (401, _) => Self::TokenRefused,
            (300..=399, _) => Self::WrongAddress,
            (429, _) => Self::AskedToWait { pause, out_of_order: false },
            (503, _) if pause.is_some() => Self::AskedToWait { pause, out_of_order: true },
            // 407 is a proxy's, 408 and 425 say nothing about the request.
            (407 | 408 | 425, _) => Self::Failed,
            (404 | 410, BodyForm::Json) => Self::NotThere,
            (400..=499, BodyForm::Json | BodyForm::Empty) => match error.field() {
                Some(field) if status == 422 => Self::Value { field: field.to_owned() },
                _ => Self::Refused,
            },
            _ => Self::Failed,
        }
    }

    /// Whether the service itself spoke, in its own form, if only to refuse: then it is not out of order. A 403 to a
    /// read that the token may not make says as much.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Value { .. } | Self::NotThere | Self::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::NetworkFault;
    use super::*;
    use amfj_sync_security::secrets::ServiceWords;

    fn answer(status: u16, form: BodyForm, retry_after: Option<u64>, field: Option<&str>) -> CallError {
        CallError::Status {
            call: "AMFJ, update asset".to_owned(),
            status,
            wire_status: status,
            retry_after: retry_after.map(Duration::from_secs),
            body: ServiceWords::default(),
            field: field.map(ServiceWords::of),
            form,
        }
    }

    const FORMS: [BodyForm; 4] = [BodyForm::Json, BodyForm::Empty, BodyForm::Html, BodyForm::Other];

    #[test]
    fn token_address_and_asked_pauses_are_told_by_the_status_alone() {
        for form in FORMS {
            assert_eq!(Answered::of(&answer(401, form, None, None)), Answered::TokenRefused);
            for status in [300, 301, 302, 307, 308] {
                assert_eq!(
                    Answered::of(&answer(status, form, None, None)),
                    Answered::WrongAddress,
                    "{status}"
                );
            }
            for asked in [None, Some(1), Some(3600)] {
                let pause = asked.map(Duration::from_secs);
                let expected = Answered::AskedToWait { pause, out_of_order: false };
                assert_eq!(Answered::of(&answer(429, form, asked, None)), expected);
            }
            let expected = Answered::AskedToWait { pause: Some(Duration::from_secs(9)), out_of_order: true };
            assert_eq!(Answered::of(&answer(503, form, Some(9), None)), expected);
            assert_eq!(Answered::of(&answer(503, form, None, None)), Answered::Failed);
        }
    }

    #[test]
    fn a_refusal_is_one_only_where_the_service_itself_says_it() {
        for status in [400, 402, 403, 405, 406, 409, 411, 412, 413, 415, 418, 422, 423, 424, 428, 431, 451] {
            for (form, expected) in [
                (BodyForm::Json, Answered::Refused),
                (BodyForm::Empty, Answered::Refused),
                (BodyForm::Html, Answered::Failed),
                (BodyForm::Other, Answered::Failed),
            ] {
                assert_eq!(Answered::of(&answer(status, form, None, None)), expected, "{status} {form:?}");
            }
        }
    }

    #[test]
    fn absence_is_said_as_json_and_by_nothing_in_between() {
        for status in [404, 410] {
            for (form, expected) in [
                (BodyForm::Json, Answered::NotThere),
                (BodyForm::Empty, Answered::Refused),
                (BodyForm::Html, Answered::Failed),
                (BodyForm::Other, Answered::Failed),
            ] {
                let error = answer(status, form, None, None);
                assert_eq!(Answered::of(&error), expected, "{status} {form:?}");
                assert_eq!(error.is_not_found(), form == BodyForm::Json, "{status} {form:?}");
            }
        }
    }

    #[test]
    fn what_failed_says_nothing_about_anything_yet() {
        for form in FORMS {
            for status in [407, 408, 425, 500, 501, 502, 503, 504, 507, 520, 599] {
                assert_eq!(
                    Answered::of(&answer(status, form, None, None)),
                    Answered::Failed,
                    "{status} {form:?}"
                );
            }
        }
        let (call, host, reason) = ("AMFJ".to_owned(), "h:1".to_owned(), ServiceWords::of("refused"));
        let not_sent = CallError::NotSent {
            call: call.clone(),
            host: host.clone(),
            reason: reason.clone(),
            fault: NetworkFault::Refused,
        };
        let unknown = CallError::Unknown {
            call: call.clone(),
            host,
            reason: reason.clone(),
            fault: NetworkFault::Slow,
        };
        assert_eq!(Answered::of(&not_sent), Answered::Failed);
        assert_eq!(Answered::of(&unknown), Answered::Failed);
        let html = CallError::NotJson {
            call: call.clone(),
            status: 200,
            reason: reason.clone(),
            html: true,
            body: ServiceWords::default(),
        };
        assert_eq!(Answered::of(&html), Answered::Failed);
        assert_eq!(Answered::of(&CallError::Invalid { call, reason }), Answered::Impossible);
    }

    #[test]
    fn only_a_422_blames_a_value() {
        let named = |status| Answered::of(&answer(status, BodyForm::Json, None, Some("Memory")));
        assert_eq!(named(422), Answered::Value { field: "Memory".to_owned() });
        assert_eq!(named(400), Answered::Refused);
    }

    /// What a probe may take as a sign of life.
    #[test]
    fn whoever_refuses_in_its_own_form_is_alive() {
        let alive = |status, form, after| Answered::of(&answer(status, form, after, None)).is_alive();
        for status in [400, 403, 404, 405, 410, 422] {
            assert!(alive(status, BodyForm::Json, None), "{status}");
            assert!(!alive(status, BodyForm::Html, None), "{status}");
        }
        for status in [301, 401, 407, 408, 425, 429, 500, 503] {
            assert!(!alive(status, BodyForm::Json, None), "{status}");
        }
        assert!(!alive(503, BodyForm::Json, Some(5)));
    }
}
