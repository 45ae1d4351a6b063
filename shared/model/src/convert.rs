//! Values of Kandji as values of AMFJ's fields, and when two of them are the same (P15).

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::{Number, Value};
use url::Url;

use crate::amfj::{Field, FieldType};
use crate::mapping::is_blank;
use crate::names::email_key;

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
            FieldType::Number => same_number(wanted, &current),
            // Two Kandji users of one person may spell it differently; that is no reason to write.
            FieldType::Email => email_key(&text(wanted)) == email_key(&text(&current)),
            _ => *wanted == current,
        }),
    }
}

/// A text for a name or an email: what a text field would hold.
pub fn plain(value: &Value) -> Result<String, String> {
    scalar(value).map(|value| text(&value))
}

/// A list of scalars is their texts in sorted order with commas between (P16); a list or object of more has no value.
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
            texts.map(|mut texts| {
                texts.sort_unstable();
                Cow::Owned(texts.join(", ").into())
            })
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
        Value::Number(number) if is_inexact(number) => {
            Err(format!("{number} has more digits than a number can hold exactly"))
        }
        Value::Number(number) => Ok(whole(number).unwrap_or_else(|| number.clone())),
        Value::String(text) => read_number(text.trim()),
        other => Err(format!("{other} is not a number")),
    }
}

/// Whether it was read as a floating point number that stands for several integers.
fn is_inexact(number: &Number) -> bool {
    number.is_f64() && number.as_f64().is_some_and(|float| float.abs() >= EXACT)
}

/// Digits with a sign and a decimal point, and nothing else: "228.27 GB", "1e5" and "inf" are texts. What a number
/// cannot hold exactly is refused, never rounded (P15).
fn read_number(text: &str) -> Result<Number, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (before, after) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(before) || !all_digits(after) {
        return Err(format!("\"{text}\" is not a number; a number has digits only, no unit"));
    }
    let (before, after) = (before.trim_start_matches('0'), after.trim_end_matches('0'));
    let plain = format!("{sign}{}", if before.is_empty() { "0" } else { before });
    let number = if after.is_empty() {
        let signed = plain.parse::<i64>().map(Number::from);
        signed.or_else(|_| plain.parse::<u64>().map(Number::from)).ok()
    } else {
        let exact = format!("{plain}.{after}");
        // The shortest text of a floating point number reads back as the number: any other text stands for another.
        exact.parse::<f64>().ok().filter(|float| float.to_string() == exact).and_then(Number::from_f64)
    };
    number.ok_or_else(|| format!("\"{text}\" has more digits than a number can hold exactly"))
}

/// Integers are compared as such: as floating point numbers, neighbours above 2^53 are the same.
fn same_number(one: &Value, other: &Value) -> bool {
    let integer = |value: &Value| {
        let number = value.as_number()?;
        number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
    };
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.as_f64() == other.as_f64(),
        _ => false,
    }
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

/// The option in the field's own spelling: the one that is there letter for letter, else the only one that differs in
/// case and nothing else.
fn option(field: &Field, text: &str) -> Result<String, String> {
    if field.options.is_empty() {
        return Ok(text.to_owned());
    }
    let exact = field.options.iter().find(|option| *option == text);
    if let Some(exact) = exact.or_else(|| field.options.iter().find(|option| option.trim() == text)) {
        return Ok(exact.clone());
    }
    let wanted = text.to_lowercase();
    let alike: Vec<&String> =
        field.options.iter().filter(|option| option.trim().to_lowercase() == wanted).collect();
    match alike.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(format!("\"{text}\" is none of its options {}", listed(field.options.iter()))),
        _ => Err(format!("\"{text}\" may be any of its options {}", listed(alike.into_iter()))),
    }
}

fn listed<'a>(options: impl Iterator<Item = &'a String>) -> String {
    options.map(|option| format!("\"{option}\"")).collect::<Vec<_>>().join(", ")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A number is read as it was written, to its last digit: else it would be written again in every run (P3, P15).
        #[test]
        fn p15_a_number_is_the_same_when_it_is_listed(number in proptest::num::f64::NORMAL) {
            let field =
                Field { name: "N".to_owned(), field_type: FieldType::Number, required: false, options: Vec::new() };
            for wanted in [Value::from(number), Value::from(number.to_string())] {
                let Ok(value) = convert(&field, &wanted) else { continue };
                let listed: Value = serde_json::from_str(&value.to_string()).unwrap();
                prop_assert!(is_same(&field, &value, &listed), "{} as {}", value, listed);
            }
        }
    }
}
