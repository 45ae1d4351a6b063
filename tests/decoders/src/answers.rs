//! Refusals: what a service, or something in front of it, says in place of what was asked for.

use std::time::{Duration, SystemTime};

use amfj_sync_http::{
    Answer, Answered, BodyForm, CallError, HeaderMap, LONGEST_RETRY_AFTER, StatusCode, parse_retry_after,
};
use amfj_sync_kandji::Limits;
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_security::secrets::{ServiceWords, outline};
use jiff::Timestamp;

use crate::screen::is_on_one_line;
use crate::secrets::holds_no_secret;

/// Characters of what a service said that are kept.
const QUOTED: usize = 500;

/// Headers that are read.
const HEADERS: [&str; 6] = [
    "retry-after",
    "x-ratelimit-remaining-hour",
    "x-ratelimit-limit-second",
    "ratelimit-remaining",
    "ratelimit-reset",
    "content-type",
];

/// Two bytes of a status; `value` of each header on a line of its own; a blank line; the body.
pub(crate) fn refusals(input: &[u8]) {
    let Some((status, rest)) = input.split_at_checked(2) else { return };
    let status = 100 + u16::from_be_bytes([status[0], status[1]]) % 900;
    let (values, body) = halves(rest);
    let mut headers = HeaderMap::new();
    for (name, value) in HEADERS.into_iter().zip(values.split(|byte| *byte == b'\n')) {
        if let Ok(value) = value.try_into() {
            headers.insert(name, value);
        }
    }
    let answer = |service: &str| {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        Answer::new(format!("{service}, read asset"), status, headers.clone(), body.to_vec())
    };
    pauses(&answer("Kandji"));
    for service in ["Kandji", "AMFJ"] {
        match answer(service).success() {
            Err(error) => is_harmless(&error),
            Ok(answer) => {
                if let Err(error) = answer.read(|body| serde_json::from_slice::<serde_json::Value>(body)) {
                    is_harmless(&error);
                }
            }
        }
    }
    let words = ServiceWords::of_body(body);
    assert!(words.as_str().chars().count() <= QUOTED);
    is_on_one_line(&amfj_sync_security::screen::sanitize(words.as_str()));
    assert!(!words.as_str().contains('\n'), "{words}");
    holds_no_secret(words.as_str());
}

fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    match input.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&input[..at], &input[at + 2..]),
        None => (&input[..0], input),
    }
}

/// No header makes anybody wait for more than an hour, or ask faster than a tenant allows.
fn pauses(answer: &Answer) {
    if let Some(pause) = answer.retry_after() {
        assert!(pause <= LONGEST_RETRY_AFTER);
    }
    if let Some(value) = answer.header("retry-after") {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        assert!(parse_retry_after(value, at).is_none_or(|pause| pause <= LONGEST_RETRY_AFTER));
    }
    let Ok(acme) = IntegrationId::new("acme") else { return };
    let limits = Limits::with_clock(&acme, 6_000, Vec::new(), || Timestamp::UNIX_EPOCH);
    limits.learn(answer);
    assert!(limits.available() <= 6_000);
    assert!(limits.paused_for().is_none_or(|pause| pause <= LONGEST_RETRY_AFTER));
    let waits = limits.next_free().duration_since(Timestamp::UNIX_EPOCH);
    assert!(waits.as_secs() <= 3_660, "{waits}");
}

/// What is said about it is short, on one line, and holds no secret; what it means hangs together.
pub(crate) fn is_harmless(error: &CallError) {
    for said in [error.to_string(), error.said(), error.trouble(), error.seen()] {
        assert!(said.chars().count() < 3 * QUOTED, "{said}");
        is_on_one_line(&amfj_sync_security::screen::sanitize(&said));
        holds_no_secret(&said);
        let outlined = outline(&said);
        assert_eq!(outline(&outlined), outlined);
        quotes_nobody(&said, &outlined);
    }
    if let Some(field) = error.field() {
        assert!(!field.trim().is_empty() && field.chars().count() <= QUOTED);
    }
    assert!(error.retry_after().is_none_or(|pause| pause <= LONGEST_RETRY_AFTER));
    let answered = Answered::of(error);
    if error.is_not_found() {
        assert_eq!((answered.clone(), error.form()), (Answered::NotThere, Some(BodyForm::Json)));
    }
    if answered == Answered::Impossible {
        assert!(!error.may_have_happened() && !error.is_transient());
    }
    assert!(!error.may_still_happen() || error.may_have_happened());
}

/// What a service answered is between quotation marks, and left out of pages that more people may read.
fn quotes_nobody(said: &str, outlined: &str) {
    let quoted = said.split_once('“').and_then(|(_, rest)| rest.rsplit_once('”'));
    if let Some((quoted, _)) = quoted.filter(|(quoted, _)| said.contains("answered ") && quoted.len() > 8) {
        assert!(!outlined.contains(quoted), "{outlined}");
    }
}
