//! Values of Kandji as values of AMFJ's fields, and when two of them are the same (P15).

use std::borrow::Cow;

use amfj_sync_shared::amfj::{Field, FieldType};
use amfj_sync_shared::mapping::is_blank;
use amfj_sync_shared::names::email_key;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::{Number, Value};
use url::Url;

/// Turns a value that is not blank into one that the field takes, or says why that cannot be done:
/// a clause that goes on from "is left out: ".
pub fn convert(field: &Field, value: &Value) -> Result<Value, String> {
    let value = scalar(value)?;
    match field.field_type {
        FieldType::Text => Ok(text(&value).into()),
        FieldType::Number => number(&value).map(Value::Number),
        FieldType::Boolean => boolean(&value).map(Value::Bool),
        FieldType::Date => date(&value).map(|date| date.to_string().into()),
        FieldType::Select => option(field, &text(&value)).map(Value::from),
        FieldType::Url => address(&text(&value)).map(Value::from),
        FieldType::Email => email(&text(&value)).map(Value::from),
    }
}

/// Whether AMFJ's value is the converted one already. Null and blank are the same.
#[must_use]
pub fn is_same(field: &Field, wanted: &Value, current: &Value) -> bool {
    match (is_blank(wanted), is_blank(current)) {
        (true, blank) => blank,
        (false, true) => false,
        (false, false) if wanted == current => true,
        (false, false) => convert(field, current).is_ok_and(|current| match field.field_type {
            FieldType::Number => numerically(wanted) == numerically(&current),
            // Two Kandji users of one person may spell it differently; that is no reason to write.
            FieldType::Email => email_key(&text(wanted)) == email_key(&text(&current)),
            _ => *wanted == current,
        }),
    }
}

/// A text for a name or an email: what a text field would hold.
pub(super) fn plain(value: &Value) -> Result<String, String> {
    scalar(value).map(|value| text(&value))
}

/// A list of scalars is their texts with commas between; a list or object of more has no value.
fn scalar(value: &Value) -> Result<Cow<'_, Value>, String> {
    match value {
        Value::Array(values) => {
            let texts: Result<Vec<String>, String> = values
                .iter()
                .filter(|value| !is_blank(value))
                .map(|value| match value {
                    Value::Array(_) | Value::Object(_) => Err(not_plain("a list of objects", "[0]")),
                    scalar => Ok(text(scalar)),
                })
                .collect();
            texts.map(|texts| Cow::Owned(texts.join(", ").into()))
        }
        Value::Object(members) => {
            let member = members.keys().next().map_or(String::new(), |name| format!(".{name}"));
            Err(not_plain("an object", &member))
        }
        scalar => Ok(Cow::Borrowed(scalar)),
    }
}

fn not_plain(what: &str, example: &str) -> String {
    format!("Kandji's value is {what}; map a value inside it, for example by adding \"{example}\"")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => whole(number).unwrap_or_else(|| number.clone()).to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Larger integers are not exact as floating point numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// 8.0 as 8.
fn whole(number: &Number) -> Option<Number> {
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within the exact range")]
    let whole = float as i64;
    number.is_f64().then(|| whole.into())
}

fn number(value: &Value) -> Result<Number, String> {
    match value {
        Value::Number(number) => Ok(whole(number).unwrap_or_else(|| number.clone())),
        Value::String(text) => read_number(text.trim())
            .ok_or_else(|| format!("\"{}\" is not a number; a number has digits only, no unit", text.trim())),
        other => Err(format!("{other} is not a number")),
    }
}

/// Digits with a sign and a decimal point, and nothing else: "228.27 GB", "1e5" and "inf" are texts.
fn read_number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (before, after) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(before) || !all_digits(after) {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    let number = Number::from_f64(text.parse().ok()?)?;
    Some(whole(&number).unwrap_or(number))
}

fn numerically(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn boolean(value: &Value) -> Result<bool, String> {
    let word = text(value).to_lowercase();
    match word.as_str() {
        "true" | "yes" | "on" | "1" | "y" | "enabled" => Ok(true),
        "false" | "no" | "off" | "0" | "n" | "disabled" => Ok(false),
        _ => Err(format!("\"{}\" is neither yes nor no", text(value))),
    }
}

/// Every form of Kandji's timestamps, as the day in UTC.
fn date(value: &Value) -> Result<Date, String> {
    let text = text(value);
    read_date(&text).ok_or_else(|| format!("\"{text}\" is not a date such as 2026-07-01"))
}

fn read_date(text: &str) -> Option<Date> {
    // Other forms that the parsers would take (20260701) are more often numbers than dates.
    let begins_with_date = text.len() >= 10
        && text.bytes().take(10).enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !begins_with_date {
        return None;
    }
    if text.len() == 10 {
        return text.parse().ok();
    }
    // "2022-08-15 13:51:01 +0000": the blank before the offset is what strict parsers refuse.
    let compact = match text.rsplit_once(' ') {
        Some((time, offset)) if offset.starts_with(['+', '-']) || offset == "UTC" || offset == "Z" => {
            format!("{time}{}", if offset == "UTC" { "Z" } else { offset })
        }
        _ => text.to_owned(),
    };
    compact
        .parse::<Timestamp>()
        .map(|moment| moment.to_zoned_datetime(TimeZone::UTC).date())
        .or_else(|_| compact.parse::<DateTime>().map(DateTime::date))
        .ok()
}

/// The option in the field's own spelling.
fn option(field: &Field, text: &str) -> Result<String, String> {
    if field.options.is_empty() {
        return Ok(text.to_owned());
    }
    let wanted = text.to_lowercase();
    field.options.iter().find(|option| option.trim().to_lowercase() == wanted).cloned().ok_or_else(|| {
        let options: Vec<_> = field.options.iter().map(|option| format!("\"{option}\"")).collect();
        format!("\"{text}\" is none of its options {}", options.join(", "))
    })
}

fn address(text: &str) -> Result<String, String> {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match Url::parse(text) {
        Ok(url) if is_web(&url) => Ok(text.to_owned()),
        _ => Err(format!("\"{text}\" is not a web address; one begins with https://")),
    }
}

fn email(text: &str) -> Result<String, String> {
    let well_formed = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.contains('@')
            && domain.split('.').count() > 1
            && domain.split('.').all(|label| !label.is_empty())
            && !text.contains(char::is_whitespace)
    });
    if well_formed { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is not an email address")) }
}
