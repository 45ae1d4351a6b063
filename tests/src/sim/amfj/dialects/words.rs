//! Values and names as the dialects write them.

use jiff::tz::Offset;
use serde_json::{Value, json};

use crate::sim::amfj::store::Store;
use crate::sim::fleet::{FieldKind, FieldSpec};

/// `OS Version` as `os_version`.
pub(super) fn slug(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    letters.collect()
}

/// A path with its letters as they are.
pub(super) fn unescaped(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let hex: String =
            if byte == b'%' { rest.by_ref().take(2).map(char::from).collect() } else { String::new() };
        bytes.push(u8::from_str_radix(&hex, 16).unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text with every letter escaped, for a query.
pub(super) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        use std::fmt::Write as _;
        let _ = write!(escaped, "%{byte:02X}");
        escaped
    })
}

/// Every field of assets or of people, each once, in order of their names.
pub(super) fn all_fields(store: &Store, of_people: bool) -> Vec<FieldSpec> {
    let mut fields: Vec<FieldSpec> = if of_people {
        store.user_fields.clone()
    } else {
        store.asset_types.iter().flat_map(|kind| kind.fields.iter().cloned()).collect()
    };
    fields.sort_by(|one, other| one.name.cmp(&other.name));
    fields.dedup_by(|one, other| one.name == other.name);
    fields
}

/// The digits at the end of an id, as a number.
pub(super) fn number_of(id: &str) -> u64 {
    id.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The contract's cursor for the records after this one.
pub(crate) fn cursor_after(kind: &str, id: &str) -> String {
    format!("{kind}{}", super::super::routes::encode(id))
}

/// The words of a dialect for values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forms {
    pub(super) yes: &'static str,
    pub(super) no: &'static str,
    /// Whether numbers are texts.
    pub(super) numbers_as_text: bool,
    pub(super) date: Dates,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dates {
    /// `2026-11-30`
    Iso,
    /// `30/11/2026`
    DaysFirst,
    /// Milliseconds of the midnight two hours east of Greenwich.
    Milliseconds,
}

/// How far east.
const EAST: i64 = 2 * 3_600_000;

impl Forms {
    /// A value of the contract in the dialect.
    pub(super) fn write(self, spec: Option<&FieldSpec>, value: &Value) -> Value {
        match (spec.map(|spec| spec.kind), value) {
            (Some(FieldKind::Boolean), Value::Bool(value)) => json!(if *value { self.yes } else { self.no }),
            (Some(FieldKind::Number), Value::Number(number)) if self.numbers_as_text => {
                json!(number.to_string())
            }
            (Some(FieldKind::Date), Value::String(date)) => self.write_date(date),
            _ => value.clone(),
        }
    }

    fn write_date(self, date: &str) -> Value {
        let Ok(day) = date.parse::<jiff::civil::Date>() else { return json!(date) };
        match self.date {
            Dates::Iso => json!(date),
            Dates::DaysFirst => json!(format!("{:02}/{:02}/{:04}", day.day(), day.month(), day.year())),
            Dates::Milliseconds => {
                let midnight =
                    Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).map(jiff::Timestamp::as_millisecond);
                midnight.map_or(json!(date), |at| json!(at - EAST))
            }
        }
    }

    /// A value of the dialect in the contract; what is none of its forms stays, for the contract to refuse.
    pub(super) fn read(self, spec: Option<&FieldSpec>, value: &Value) -> Value {
        let text = value.as_str();
        match spec.map(|spec| spec.kind) {
            Some(FieldKind::Boolean) if text == Some(self.yes) => json!(true),
            Some(FieldKind::Boolean) if text == Some(self.no) => json!(false),
            Some(FieldKind::Number) if self.numbers_as_text => {
                let number = text.and_then(|text| text.parse::<serde_json::Number>().ok());
                number.map_or_else(|| value.clone(), Value::Number)
            }
            Some(FieldKind::Date) => self.read_date(value),
            _ => value.clone(),
        }
    }

    fn read_date(self, value: &Value) -> Value {
        let read = match self.date {
            Dates::Iso => None,
            Dates::DaysFirst => value.as_str().and_then(|text| {
                let mut parts = text.split('/');
                let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
                Some(format!("{year}-{month}-{day}"))
            }),
            Dates::Milliseconds => value.as_i64().and_then(|at| {
                let at = jiff::Timestamp::from_millisecond(at + EAST).ok()?;
                Some(Offset::UTC.to_datetime(at).date().to_string())
            }),
        };
        read.map_or_else(|| value.clone(), Value::String)
    }
}
