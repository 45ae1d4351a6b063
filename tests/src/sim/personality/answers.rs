//! What is answered under the oddities that a request met.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Body, Oddity, RetryAfter};
use crate::sim::wire::Reply;

/// The page of a load balancer that has nobody behind it.
const GATEWAY_PAGE: &str = "<html>\r\n<head><title>Error</title></head>\r\n<body>\r\n\
    <center><h1>The requested page is not available</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Course {
    /// It is carried out.
    CarryOut,
    /// It is not; this is answered.
    Answer(Reply),
    /// It is not, and nothing is answered, after so many milliseconds.
    Cut(u64),
}

/// What becomes of a request before it is carried out. `error` makes the service's own answer.
pub(crate) fn decide(met: &[Oddity], body: &Value, error: impl Fn(u16) -> Reply) -> Course {
    match met.iter().find(|oddity| oddity.ends_before()) {
        Some(Oddity::Refuse { status, body: said, retry_after, .. }) => {
            Course::Answer(refusal(*status, said, retry_after.as_ref(), body, error))
        }
        Some(Oddity::Silence { ms, .. }) => Course::Cut(*ms),
        Some(Oddity::Lose { .. }) => Course::Cut(0),
        _ => Course::CarryOut,
    }
}

/// What is answered after a request was carried out; nothing, after so many milliseconds, where it is lost.
pub(crate) fn finish(
    met: &[Oddity],
    body: &Value,
    honest: Reply,
    error: impl Fn(u16) -> Reply,
) -> Result<Reply, u64> {
    // What the service refuses by itself, it refuses.
    let succeeded = (200..300).contains(&honest.status);
    for oddity in met {
        match oddity {
            Oddity::Refuse { status, body: said, retry_after, done: true } => {
                return Ok(refusal(*status, said, retry_after.as_ref(), body, error));
            }
            Oddity::Lose { done: true } => return Err(0),
            Oddity::Silence { ms, done: true } => return Err(*ms),
            Oddity::Succeed { status, body: said } if succeeded => {
                return Ok(success(*status, said, honest));
            }
            _ => {}
        }
    }
    Ok(honest)
}

fn refusal(
    status: u16,
    said: &Body,
    retry_after: Option<&RetryAfter>,
    sent: &Value,
    error: impl Fn(u16) -> Reply,
) -> Reply {
    let naming = |field: &str| {
        let message = format!("{field} was refused");
        Reply::json(status, &json!({ "error": { "code": "invalid", "message": message, "field": field } }))
    };
    let reply = match said {
        Body::Contract => error(status),
        Body::Naming(field) => naming(field),
        Body::NamingTheFirst => naming(&first_sent(sent)),
        other => bare(status, other),
    };
    match retry_after {
        None => reply,
        Some(RetryAfter::Seconds(seconds)) => reply.with("retry-after", seconds.to_string()),
        Some(RetryAfter::Text(text)) => reply.with("retry-after", text.clone()),
        Some(RetryAfter::Date(seconds)) => {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(*seconds));
            reply.with("retry-after", date)
        }
    }
}

fn first_sent(sent: &Value) -> String {
    let names = |value: Option<&Value>| {
        value.and_then(Value::as_object).and_then(|members| members.keys().next().cloned())
    };
    names(sent.get("fields")).or_else(|| names(Some(sent))).unwrap_or_default()
}

fn success(status: u16, said: &Body, honest: Reply) -> Reply {
    match said {
        Body::Contract | Body::Naming(_) | Body::NamingTheFirst => Reply { status, ..honest },
        Body::Id => {
            let record: Value = serde_json::from_slice(&honest.body).unwrap_or_default();
            Reply::json(status, &json!({ "id": record["id"] }))
        }
        other => bare(status, other),
    }
}

/// An answer in which nothing is the contract's.
fn bare(status: u16, said: &Body) -> Reply {
    match said {
        Body::Html => Reply::bytes(status, "text/html; charset=utf-8", GATEWAY_PAGE),
        Body::Foreign => {
            let message = "the upstream did not take this";
            Reply::json(status, &json!({ "message": message, "request_id": "5f1c0b7e", "status": status }))
        }
        Body::Object | Body::Contract | Body::Naming(_) | Body::NamingTheFirst => {
            Reply::json(status, &json!({}))
        }
        Body::Id => Reply::json(status, &json!({ "id": null })),
        Body::Null => Reply::json(status, &Value::Null),
        Body::Json(value) => Reply::json(status, value),
        Body::Text(text) => Reply::bytes(status, "application/json", text.as_bytes()),
        Body::Empty => Reply { status, headers: Vec::new(), body: Vec::new() },
    }
}
