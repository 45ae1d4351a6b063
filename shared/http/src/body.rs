//! What a service said, in a form that fits an error message and gives no secret away.

use amfj_sync_security::secrets::ServiceWords;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::BodyForm;

/// The field that an error body blames: `{"error": {"field": …}}`.
pub(super) fn blamed_field(body: &[u8]) -> Option<ServiceWords> {
    let refusal: Refusal<'_> = serde_json::from_slice(body).ok()?;
    let field: std::borrow::Cow<'_, str> = serde_json::from_str(refusal.error.field.get()).ok()?;
    (!field.trim().is_empty()).then(|| ServiceWords::of(field.trim()))
}

/// What is looked for in a refusal, which may be as large as any answer.
#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: Blame<'a>,
}

#[derive(Deserialize)]
struct Blame<'a> {
    #[serde(borrow)]
    field: &'a RawValue,
}

/// The sentence inside a quoted body, for people: the shapes seen are `{"error": {"message"}}`,
/// `{"detail"}`, `{"error"}`, `{"message"}`, an array of texts, one text, HTML, nothing.
pub(super) fn sentence(words: &ServiceWords) -> String {
    let quoted = words.as_str();
    if quoted.is_empty() {
        return "without an explanation".to_owned();
    }
    if is_html(quoted.as_bytes()) {
        return match title(quoted) {
            Some(title) => format!("with an HTML page titled {}", in_quotes(title)),
            None => "with an HTML page".to_owned(),
        };
    }
    let said = serde_json::from_str::<Value>(quoted).ok().and_then(|value| message(&value));
    in_quotes(said.as_deref().unwrap_or(quoted))
}

/// Words as they are decoded, in quotes that nothing in them ends: [`outline`](amfj_sync_security::secrets::outline) leaves out what is
/// between.
fn in_quotes(said: &str) -> String {
    format!("“{}”", ServiceWords::of(said).as_str().replace(['“', '”'], "\""))
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
    } else if body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).starts_with(b"{") && is_json(body) {
        BodyForm::Json
    } else {
        BodyForm::Other
    }
}

/// Whether it is one value of JSON, as it is or mended.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
        || serde_json::from_str::<IgnoredAny>(&crate::json::mend(body).0).is_ok()
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
