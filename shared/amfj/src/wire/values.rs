//! Values as the interface writes them, and as the rest of the product knows them: dates as `2026-07-01`, numbers and booleans as JSON's,
//! the option of a choice by its name.

use amfj_sync_model::amfj::FieldType;
use amfj_sync_model::mapping::is_blank;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use serde_json::Value;

use super::definitions::Definition;
use crate::profile::types::{Label, NumberForm, TimeForm, Values};

/// Whether every value is written as the product knows it.
pub(super) fn are_plain(values: &Values) -> bool {
    values.date == TimeForm::Standard
        && values.number == NumberForm::Number
        && values.boolean.is_none()
        && !values.html
}

/// A value of the interface as the product knows it. What cannot be told stays as it is.
pub(super) fn read(values: &Values, options: Label, definition: Option<&Definition>, value: Value) -> Value {
    let value = if values.html { unescaped(value) } else { value };
    let Some(definition) = definition else { return value };
    if is_blank(&value) {
        return value;
    }
    match definition.field.field_type {
        FieldType::Date => read_date(values, &value).map_or(value, |date| date.to_string().into()),
        FieldType::Boolean => read_boolean(values, value),
        FieldType::Number => read_number(values, value),
        FieldType::Select if options == Label::Key => {
            let key = as_text(&value);
            let option = definition.options.iter().find(|(known, _)| *known == key);
            option.map_or(value, |(_, name)| name.clone().into())
        }
        _ => value,
    }
}

/// A value of the product as the interface writes it; the error says why it cannot be.
pub(super) fn write(
    values: &Values,
    options: Label,
    definition: Option<&Definition>,
    value: &Value,
) -> Result<Value, String> {
    let Some(definition) = definition else { return Ok(value.clone()) };
    if is_blank(value) {
        return Ok(value.clone());
    }
    match definition.field.field_type {
        FieldType::Date => write_date(values, value),
        FieldType::Boolean => Ok(match (&values.boolean, value) {
            (Some((yes, _)), Value::Bool(true)) => yes.clone().into(),
            (Some((_, no)), Value::Bool(false)) => no.clone().into(),
            _ => value.clone(),
        }),
        FieldType::Number => Ok(match (values.number, value) {
            (NumberForm::Text, Value::Number(number)) => number.to_string().into(),
            (NumberForm::TextComma, Value::Number(number)) => number.to_string().replace('.', ",").into(),
            _ => value.clone(),
        }),
        FieldType::Select if options == Label::Key => {
            let name = as_text(value);
            let option = definition.options.iter().find(|(_, known)| *known == name);
            let key = option.map(|(key, _)| key.clone().into());
            key.ok_or_else(|| format!("the interface lists no key for the option \"{name}\""))
        }
        _ => Ok(value.clone()),
    }
}

/// When something was created, as RFC 3339; none where that cannot be told.
pub(super) fn read_timestamp(values: &Values, value: &Value) -> Option<String> {
    let moment = match &values.timestamp {
        TimeForm::Standard => return value.as_str().map(str::to_owned),
        TimeForm::Epoch => Timestamp::from_second(integer(value)?).ok()?,
        TimeForm::EpochMilliseconds => Timestamp::from_millisecond(integer(value)?).ok()?,
        TimeForm::Format(format) => parse(values, format, value.as_str()?)?,
    };
    Some(moment.to_string())
}

fn parse(values: &Values, format: &str, text: &str) -> Option<Timestamp> {
    let parsed = strtime::parse(format, text.trim()).ok()?;
    if let Ok(moment) = parsed.to_timestamp() {
        return Some(moment);
    }
    let local = parsed.to_datetime().or_else(|_| parsed.to_date().map(DateTime::from)).ok()?;
    values.zone.to_ambiguous_zoned_datetime(local).compatible().ok().map(|zoned| zoned.timestamp())
}

fn read_date(values: &Values, value: &Value) -> Option<Date> {
    let day = |moment: Timestamp| moment.to_zoned_datetime(values.zone.clone()).date();
    match &values.date {
        TimeForm::Standard => None,
        TimeForm::Epoch => Timestamp::from_second(integer(value)?).ok().map(day),
        TimeForm::EpochMilliseconds => Timestamp::from_millisecond(integer(value)?).ok().map(day),
        TimeForm::Format(format) => {
            let parsed = strtime::parse(format, value.as_str()?.trim()).ok()?;
            match parsed.to_timestamp() {
                Ok(moment) => Some(day(moment)),
                Err(_) => parsed.to_date().ok(),
            }
        }
    }
}

fn write_date(values: &Values, value: &Value) -> Result<Value, String> {
    if values.date == TimeForm::Standard {
        return Ok(value.clone());
    }
    let text = as_text(value);
    let date: Date = text.parse().map_err(|_| format!("\"{text}\" is no date"))?;
    let midnight = date
        .to_zoned_datetime(values.zone.clone())
        .map_err(|error| format!("\"{text}\" is no date in the profile's time zone: {error}"))?;
    match &values.date {
        TimeForm::Epoch => Ok(midnight.timestamp().as_second().into()),
        TimeForm::EpochMilliseconds => Ok(midnight.timestamp().as_millisecond().into()),
        TimeForm::Format(format) => strtime::format(format, &midnight)
            .map(Value::String)
            .map_err(|error| format!("\"{text}\" cannot be written as the profile says: {error}")),
        TimeForm::Standard => Ok(value.clone()),
    }
}

fn read_boolean(values: &Values, value: Value) -> Value {
    let Some((yes, no)) = &values.boolean else { return value };
    let word = as_text(&value);
    let is = |wanted: &String| word.trim().to_lowercase() == wanted.to_lowercase();
    if is(yes) {
        true.into()
    } else if is(no) {
        false.into()
    } else {
        value
    }
}

fn read_number(values: &Values, value: Value) -> Value {
    match (&value, values.number) {
        (Value::String(text), NumberForm::TextComma) => ungrouped(text, '.', ',').replace(',', ".").into(),
        (Value::String(text), NumberForm::Text) => ungrouped(text, ',', '.').into(),
        _ => value,
    }
}

/// A number without what groups its thousands: `1.234,5` is `1234,5`. What is no number in groups of three stays as it is.
fn ungrouped(text: &str, grouping: char, decimal: char) -> String {
    let text = text.trim();
    let (whole, fraction) =
        text.split_once(decimal).map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let separates = |c: char| c == grouping || matches!(c, '\'' | '’') || c.is_whitespace();
    let groups: Vec<&str> = digits.split(separates).collect();
    let are_digits = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()));
    let are_groups = groups.len() > 1
        && (1..=3).contains(&groups[0].len())
        && groups[1..].iter().all(|group| group.len() == 3);
    let separators: std::collections::BTreeSet<char> = digits.chars().filter(|c| separates(*c)).collect();
    if !(are_digits && are_groups && separators.len() == 1) {
        return text.to_owned();
    }
    let fraction = fraction.map(|fraction| format!("{decimal}{fraction}")).unwrap_or_default();
    format!("{sign}{}{fraction}", groups.concat())
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "moments with a fraction lose it, which is no day"
        )]
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// A value without the escapes of HTML in its texts.
pub(super) fn unescaped(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('&') => unescape(&text).into(),
        Value::Array(values) => Value::Array(values.into_iter().map(unescaped).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, unescaped(value))).collect())
        }
        other => other,
    }
}

/// What the escapes stand for, once.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let escape = rest.bytes().take(11).position(|byte| byte == b';').map(|end| &rest[1..end]);
        let stands_for = escape.and_then(|name| match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "nbsp" => Some(' '),
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code).filter(|letter| *letter != '\0')
            }
        });
        if let (Some(letter), Some(name)) = (stands_for, escape) {
            plain.push(letter);
            rest = &rest[name.len() + 2..];
        } else {
            plain.push('&');
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use amfj_sync_model::amfj::Field;
    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::*;
    use crate::profile::types::Clear;

    fn definition(field_type: FieldType) -> Definition {
        Definition {
            field: Field {
                name: "F".to_owned(),
                field_type,
                required: false,
                options: vec!["Red".to_owned(), "Blue".to_owned()],
            },
            key: "7".to_owned(),
            options: vec![("r".to_owned(), "Red".to_owned()), ("b".to_owned(), "Blue".to_owned())],
            asset_types: None,
        }
    }

    fn values() -> Values {
        Values {
            clear: Clear::Null,
            date: TimeForm::Standard,
            timestamp: TimeForm::Standard,
            zone: TimeZone::UTC,
            number: NumberForm::Number,
            boolean: None,
            html: false,
        }
    }

    /// Whatever is written in a form is read back as what it was.
    fn both_ways(values: &Values, field_type: FieldType, ours: &Value, theirs: &Value) {
        let definition = definition(field_type);
        assert_eq!(write(values, Label::Key, Some(&definition), ours).as_ref(), Ok(theirs), "{ours}");
        let read = read(values, Label::Key, Some(&definition), theirs.clone());
        let comparable = |value: &Value| match value {
            Value::String(text) if field_type == FieldType::Number => {
                text.parse().map_or(value.clone(), |n: f64| json!(n))
            }
            Value::Number(number) => json!(number.as_f64()),
            other => other.clone(),
        };
        assert_eq!(comparable(&read), comparable(ours), "{theirs}");
    }

    #[test]
    fn values_are_written_in_the_profiles_forms_and_read_back() {
        let berlin = TimeZone::fixed(jiff::tz::offset(2));
        let date = |form, zone: &TimeZone| Values { date: form, zone: zone.clone(), ..values() };
        let day = json!("2026-07-01");
        for (values, theirs) in [
            (date(TimeForm::Format("%d/%m/%Y".to_owned()), &TimeZone::UTC), json!("01/07/2026")),
            (
                date(TimeForm::Format("%Y-%m-%dT%H:%M:%S%z".to_owned()), &berlin),
                json!("2026-07-01T00:00:00+0200"),
            ),
            (date(TimeForm::Epoch, &TimeZone::UTC), json!(1_782_864_000)),
            (date(TimeForm::EpochMilliseconds, &berlin), json!(1_782_856_800_000_i64)),
            (values(), day.clone()),
        ] {
            both_ways(&values, FieldType::Date, &day, &theirs);
        }
        let words = Values { boolean: Some(("Yes".to_owned(), "No".to_owned())), ..values() };
        both_ways(&words, FieldType::Boolean, &json!(true), &json!("Yes"));
        both_ways(&words, FieldType::Boolean, &json!(false), &json!("No"));
        let text = Values { number: NumberForm::Text, ..values() };
        both_ways(&text, FieldType::Number, &json!(8), &json!("8"));
        let comma = Values { number: NumberForm::TextComma, ..values() };
        both_ways(&comma, FieldType::Number, &json!(1.5), &json!("1,5"));
        both_ways(&values(), FieldType::Select, &json!("Blue"), &json!("b"));
    }

    #[test]
    fn what_groups_thousands_is_no_part_of_a_number() {
        let definition = definition(FieldType::Number);
        let of = |number, shown: &str| {
            let values = Values { number, ..values() };
            read(&values, Label::Key, Some(&definition), json!(shown))
        };
        for (shown, number) in [
            ("1.234,5", "1234.5"),
            ("1.234.567", "1234567"),
            ("-12 345,50", "-12345.50"),
            ("1\u{202f}000", "1000"),
            ("1’000,5", "1000.5"),
            ("1,5", "1.5"),
            ("1.5", "1.5"),
            ("1.23.456", "1.23.456"),
            ("soon", "soon"),
        ] {
            assert_eq!(of(NumberForm::TextComma, shown), json!(number), "{shown}");
        }
        for (shown, number) in [("1,234.5", "1234.5"), ("1,5", "1,5"), ("1234.567", "1234.567"), ("12", "12")]
        {
            assert_eq!(of(NumberForm::Text, shown), json!(number), "{shown}");
        }
    }

    #[test]
    fn what_cannot_be_told_stays_as_it_is_and_what_cannot_be_written_says_why() {
        let definition = definition(FieldType::Date);
        let epoch = Values { date: TimeForm::Epoch, ..values() };
        assert_eq!(read(&epoch, Label::Name, Some(&definition), json!("soon")), json!("soon"));
        assert_eq!(read(&epoch, Label::Name, Some(&definition), json!(null)), json!(null));
        assert!(write(&epoch, Label::Name, Some(&definition), &json!("soon")).is_err());
        let choice = self::definition(FieldType::Select);
        assert!(write(&values(), Label::Key, Some(&choice), &json!("Green")).unwrap_err().contains("Green"));
    }

    #[test]
    fn escapes_of_html_are_taken_out_once() {
        let html = Values { html: true, ..values() };
        let shown = json!({"a": ["R&amp;D &lt;1&gt; &#39;x&#x27; &nbsp", "&amp;amp; & &bogus; &#0;"]});
        let read = read(&html, Label::Name, None, shown);
        assert_eq!(read, json!({"a": ["R&D <1> 'x' &nbsp", "&amp; & &bogus; &#0;"]}));
    }

    #[test]
    fn a_moment_is_read_in_the_profiles_form() {
        let of = |form: TimeForm| Values { timestamp: form, ..values() };
        let moment = "2026-07-01T10:00:00Z";
        for (values, theirs) in [
            (of(TimeForm::Epoch), json!("1782900000")),
            (of(TimeForm::EpochMilliseconds), json!(1_782_900_000_000_i64)),
            (of(TimeForm::Format("%Y-%m-%d %H:%M:%S".to_owned())), json!("2026-07-01 10:00:00")),
            (of(TimeForm::Standard), json!(moment)),
        ] {
            assert_eq!(read_timestamp(&values, &theirs).as_deref(), Some(moment), "{theirs}");
        }
        assert_eq!(read_timestamp(&of(TimeForm::Epoch), &json!("soon")), None);
    }
}
