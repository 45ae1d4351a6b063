//! What a service said, in a form that fits an error message and gives no secret away.

use secrecy::ExposeSecret;
use serde_json::Value;

use super::error::BodyForm;
use super::token::Token;

/// How much of a body an error message quotes, in characters.
const QUOTED: usize = 500;

/// The first 500 characters of a body, on one line, with the token, those it replaced, and anything that looks like
/// a bearer token left out (P27).
pub(super) fn quote(body: &[u8], token: &Token) -> String {
    // Scrub before cutting: a token cut in half would no longer be recognised.
    let mut scrubbed = String::from_utf8_lossy(body).into_owned();
    for secret in token.secrets() {
        scrubbed = scrub(&scrubbed, secret.expose_secret());
    }
    let mut line = String::new();
    for word in scrubbed.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > QUOTED * 4 {
            break;
        }
    }
    line.chars().take(QUOTED).collect()
}

/// Replaces the token, and whatever follows the word `Bearer`.
fn scrub(text: &str, token: &str) -> String {
    let text = if token.is_empty() { text.to_owned() } else { text.replace(token, "***") };
    let mut result = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("Bearer ") {
        let (before, after) = rest.split_at(at + "Bearer ".len());
        result.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | ','))
            .unwrap_or(after.len());
        if end > 0 {
            result.push_str("***");
        }
        rest = after.split_at(end).1;
    }
    result.push_str(rest);
    result
}

/// The field that an error body blames: `{"error": {"field": …}}`.
pub(super) fn blamed_field(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let field = value.get("error")?.get("field")?.as_str()?.trim();
    (!field.is_empty()).then(|| field.to_owned())
}

/// The sentence inside a quoted body, for people: the shapes seen are `{"error": {"message"}}`,
/// `{"detail"}`, `{"error"}`, `{"message"}`, an array of texts, one text, HTML, nothing.
pub(super) fn sentence(quoted: &str) -> String {
    if quoted.is_empty() {
        return "without an explanation".to_owned();
    }
    if is_html(quoted.as_bytes()) {
        return match title(quoted) {
            Some(title) => format!("with an HTML page titled “{title}”"),
            None => "with an HTML page".to_owned(),
        };
    }
    let said = serde_json::from_str::<Value>(quoted).ok().and_then(|value| message(&value));
    format!("“{}”", said.as_deref().unwrap_or(quoted))
}

fn message(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(texts) => {
            let texts: Vec<_> = texts.iter().filter_map(message).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        }
        Value::Object(members) => {
            ["error", "message", "detail"].iter().find_map(|name| members.get(*name).and_then(message))
        }
        _ => None,
    }
}

/// What a body is. What a load balancer says for a service that it does not reach is no JSON, nor is nothing at all.
pub(super) fn form(body: &[u8]) -> BodyForm {
    let body = body.trim_ascii();
    if body.is_empty() {
        BodyForm::Empty
    } else if is_html(body) {
        BodyForm::Html
    } else if crate::json::value(body).is_ok_and(|value| value.is_object()) {
        BodyForm::Json
    } else {
        BodyForm::Other
    }
}

/// Whether a body is a page for people instead of an answer for programs.
pub(super) fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

fn title(page: &str) -> Option<&str> {
    let after = page.split_once("<title>")?.1;
    let title = after.split_once("</title>")?.0.trim();
    (!title.is_empty()).then_some(title)
}
