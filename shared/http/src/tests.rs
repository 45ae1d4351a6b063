use std::time::{Duration, SystemTime};

use amfj_sync_config::Token;
use amfj_sync_security::secrets::{ServiceWords, outline};
use proptest::prelude::*;
use secrecy::SecretString;
use tokio::time::Instant;

use super::body::{blamed_field, sentence};
use super::retry_after::{LONGEST_RETRY_AFTER, parse_retry_after};
use super::*;

fn secret() -> Token {
    Token::from(SecretString::from("b3c1-token"))
}

#[test]
fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let at = |seconds: u64| httpdate::fmt_http_date(now + Duration::from_secs(seconds));
    for (value, seconds) in [
        ("30".to_owned(), Some(30)),
        (" 0 ".to_owned(), Some(0)),
        ("1.2".to_owned(), Some(2)),
        ("-5".to_owned(), Some(0)),
        ("86400".to_owned(), Some(3600)),
        ("1e300".to_owned(), Some(3600)),
        (at(90), Some(90)),
        (at(100_000), Some(3600)),
        ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), Some(0)),
        ("soon".to_owned(), None),
        ("NaN".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(parse_retry_after(&value, now), seconds.map(Duration::from_secs), "{value:?}");
    }
    assert_eq!(LONGEST_RETRY_AFTER, Duration::from_hours(1));
}

#[test]
fn p27_a_quoted_body_gives_no_token_away() {
    let _known = secret();
    let body = br#"{"error": "bad token b3c1-token", "headers": {"authorization": "Bearer other-secret"}}"#;
    let quoted = ServiceWords::of_body(body).to_string();
    assert!(!quoted.contains("b3c1") && !quoted.contains("other-secret"), "{quoted}");
    assert!(quoted.contains("bad token ***"), "{quoted}");
}

#[test]
fn a_quoted_body_is_one_line_of_500_characters_at_most() {
    let quoted = ServiceWords::of(&format!("a\n\tb {}", "é".repeat(2000)));
    assert!(quoted.as_str().starts_with("a b é"));
    assert_eq!(quoted.as_str().chars().count(), 500);
    assert!(ServiceWords::of_body(b"").is_empty());
    assert_eq!(ServiceWords::of_body(b"\xff\xfe").as_str(), "\u{fffd}\u{fffd}");
    assert!(ServiceWords::of(&"é".repeat(100_000)).as_str().starts_with("éé"));
}

#[test]
fn a_token_at_the_cut_is_scrubbed_too() {
    let _known = secret();
    let quoted = ServiceWords::of(&format!("{}b3c1-token", "x".repeat(496))).to_string();
    assert!(quoted.ends_with("x***"), "{quoted}");
}

/// kandji/API: seven shapes of error bodies; each becomes a sentence.
#[test]
fn every_shape_of_error_body_becomes_a_sentence() {
    for (body, said) in [
        (r#"{"detail": "Invalid token."}"#, "“Invalid token.”"),
        (r#"{"error": "nope"}"#, "“nope”"),
        (r#"{"message": "Not found", "request_id": "1"}"#, "“Not found”"),
        (r#"{"error": {"code": "invalid", "message": "Bad value", "field": "Memory"}}"#, "“Bad value”"),
        (r#"["one", "two"]"#, "“one; two”"),
        (r#""just text""#, "“just text”"),
        ("<html><head><title>Oops</title></head></html>", "with an HTML page titled “Oops”"),
        ("<html>", "with an HTML page"),
        ("plain", "“plain”"),
        ("{\"unfinished\": ", "“{\"unfinished\":”"),
        ("", "without an explanation"),
    ] {
        assert_eq!(sentence(&ServiceWords::of(body)), said, "{body}");
    }
}

/// A page for probes leaves out what a service said, and nothing of ours.
#[test]
fn an_outline_has_no_words_of_a_service() {
    for (said, shown) in [
        (
            "AMFJ, list: answered 500 Oops “sam@example.com fell ”; check it",
            "AMFJ, list: answered 500 Oops …; check it",
        ),
        (
            "given up: AMFJ: answered 503 X “a”; b (Kandji: answered 401 “c”)",
            "given up: AMFJ: answered 503 X …; b (Kandji: answered 401 …)",
        ),
        (
            "give it the permission “Device list” (Kandji, x: answered 403 “no”)",
            "give it the permission “Device list” (Kandji, x: answered 403 …)",
        ),
        ("answered 500 “without an end", "answered 500 “without an end"),
    ] {
        assert_eq!(outline(said), shown);
    }
    let words = sentence(&ServiceWords::of(r#"{"message": "“sam” is ”not“ there"}"#));
    assert_eq!(outline(&format!("answered 404 {words}")), "answered 404 …");
}

#[test]
fn the_field_at_fault_is_found_where_the_contract_puts_it() {
    let field = blamed_field(br#"{"error": {"field": "Memory"}}"#);
    assert_eq!(field, Some(ServiceWords::of("Memory")));
    for other in [&b"{}"[..], b"<html>", b"{\"error\": \"text\"}", b"{\"error\": {\"field\": \"\"}}", b"[]"] {
        assert_eq!(blamed_field(other), None);
    }
}

#[test]
fn p27_the_credentials_do_not_print_their_token() {
    let credentials = Credentials::bearer(secret());
    assert!(!format!("{credentials:?}").contains("b3c1"));
    let base = "http://127.0.0.1:1".parse().unwrap();
    let api = Api::new("AMFJ", base, &credentials, Duration::from_secs(1)).unwrap();
    assert!(!format!("{api:?}").contains("b3c1"));
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_without_printing_it() {
    let credentials = Credentials::bearer(SecretString::from("b3c1\ntoken"));
    let base = "http://127.0.0.1:1".parse().unwrap();
    let error = Api::new("AMFJ", base, &credentials, Duration::from_secs(1)).unwrap_err().to_string();
    assert!(error.contains("copy it again") && !error.contains("b3c1"), "{error}");
}

#[test]
fn an_https_client_can_be_built() {
    let base = "https://acme.api.kandji.io".parse().unwrap();
    let api = Api::new("Kandji", base, &Credentials::bearer(secret()), Duration::from_secs(1)).unwrap();
    assert_eq!(api.host(), "acme.api.kandji.io:443");
}

#[tokio::test]
async fn an_id_that_would_leave_its_path_is_not_sent() {
    let base = "http://127.0.0.1:1".parse().unwrap();
    let api = Api::new("AMFJ", base, &Credentials::bearer(secret()), Duration::from_secs(1)).unwrap();
    for id in ["..", ".", ""] {
        let error = api.execute(Call::get("read asset", ["assets", id])).await.err().unwrap();
        assert!(matches!(error, CallError::Invalid { .. }), "{error}");
        assert!(!error.may_have_happened() && !error.is_transient());
    }
}

#[tokio::test]
async fn a_limiter_keeps_to_its_rate() {
    let limiter = Limiter::new(100.0);
    let started = Instant::now();
    // A tenth of a second's worth passes at once, the rest at the rate.
    for _ in 0..40 {
        limiter.acquire().await;
    }
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(290), "40 calls in {elapsed:?}");
    assert!(elapsed < Duration::from_millis(1500), "40 calls in {elapsed:?}");
}

#[tokio::test]
async fn a_new_rate_reaches_those_who_wait() {
    let limiter = Limiter::new(0.001);
    limiter.acquire().await;
    let waiting = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.acquire().await }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!waiting.is_finished());
    limiter.set_rate(50.0);
    tokio::time::timeout(Duration::from_secs(2), waiting).await.expect("still waiting").unwrap();
    assert!((limiter.rate() - 50.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_pause_holds_every_caller_and_the_longer_one_wins() {
    let limiter = Limiter::new(1000.0);
    limiter.pause_for(Duration::from_millis(200));
    limiter.pause_for(Duration::from_millis(20));
    assert!(limiter.paused_for().unwrap() > Duration::from_millis(100));
    let started = Instant::now();
    limiter.acquire().await;
    assert!(started.elapsed() >= Duration::from_millis(190));
    assert_eq!(limiter.paused_for(), None);
}

#[tokio::test]
async fn a_pause_that_comes_while_waiting_is_kept() {
    let limiter = Limiter::new(20.0);
    limiter.acquire().await;
    limiter.acquire().await;
    let started = Instant::now();
    let waiting = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.acquire().await }
    });
    tokio::task::yield_now().await;
    limiter.pause_for(Duration::from_millis(300));
    waiting.await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(290));
}

proptest! {
    /// No rate, however odd, panics.
    #[test]
    fn any_rate_makes_a_limiter(rate in any::<f64>()) {
        let limiter = Limiter::new(rate);
        limiter.set_rate(-rate);
        prop_assert!(limiter.rate() > 0.0);
    }

    /// Nothing that a server may say panics, and the token is never quoted.
    #[test]
    fn any_body_can_be_quoted(body in any::<Vec<u8>>(), value in ".*") {
        let _known = secret();
        let quoted = ServiceWords::of_body(&body);
        prop_assert!(quoted.as_str().chars().count() <= 500);
        let _ = outline(&sentence(&quoted));
        let _ = blamed_field(&body);
        if let Some(pause) = parse_retry_after(&value, SystemTime::now()) {
            prop_assert!(pause <= LONGEST_RETRY_AFTER);
        }
    }
}
