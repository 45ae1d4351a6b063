//! Mapped values and their conversion to the types of fields (P13–P16).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{settings::Settings, words};
use crate::sim::fleet::{FieldKind, FieldSpec, SiteAsset};

/// What Kandji says about one mapped field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Value(Value),
    /// Absent, null or blank (P14).
    Nothing,
    /// The value does not fit the field (P15), or details that are not known.
    LeftOut,
}

/// The values of one device for one type of asset.
#[derive(Debug, Default)]
pub(super) struct WantedValues {
    name: Option<String>,
    fields: BTreeMap<String, Wanted>,
}

impl WantedValues {
    /// Writes what differs (P13).
    pub(super) fn write_to(self, asset: &mut SiteAsset, clear: bool, specs: &[FieldSpec]) {
        // White space around a value in AMFJ makes no difference (P15).
        if let Some(name) = self.name.filter(|name| *name != asset.name.trim()) {
            asset.name = name;
        }
        for (field, wanted) in self.fields {
            let is_required = specs.iter().any(|spec| spec.name == field && spec.required);
            match wanted {
                Wanted::Value(value) => {
                    let is_same = |held: &Value| match held.as_str() {
                        Some(held) => value.as_str() == Some(held.trim()),
                        None => *held == value,
                    };
                    if asset.fields.get(&field).is_some_and(is_same) {
                        continue;
                    }
                    asset.fields.insert(field, value);
                }
                Wanted::Nothing if clear && !is_required => {
                    asset.fields.remove(&field);
                }
                Wanted::Nothing | Wanted::LeftOut => {}
            }
        }
    }
}

/// What the mapping wants of an asset with these fields.
pub(super) fn wanted(
    settings: &Settings,
    row: &Value,
    details: Option<&Value>,
    specs: &[FieldSpec],
) -> WantedValues {
    let mut values = WantedValues::default();
    for (field, source) in &settings.fields {
        let Some(value) = evaluate(source, row, details) else { continue };
        if field == "Name" {
            values.name = text(&value).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        } else if let Some(spec) = specs.iter().find(|spec| spec.name == *field) {
            values.fields.insert(field.clone(), convert(&value, spec));
        }
    }
    values
}

/// The mapped fields of a person's record (P11); `Name` and `Email` are not among them.
pub(super) fn wanted_of_person(
    settings: &Settings,
    name: &str,
    email: &str,
    specs: &[FieldSpec],
) -> BTreeMap<String, Value> {
    let row = json!({ "user": { "name": name, "email": email } });
    let mut values = BTreeMap::new();
    for (field, source) in &settings.user_fields {
        let Some(spec) = specs.iter().find(|spec| spec.name == *field) else { continue };
        if let Some(value) = evaluate(source, &row, None)
            && let Wanted::Value(value) = convert(&value, spec)
        {
            values.insert(field.clone(), value);
        }
    }
    values
}

/// A property or a template of the simplest kind; `None` where details are needed and not known.
fn evaluate(source: &str, row: &Value, details: Option<&Value>) -> Option<Value> {
    if !source.contains("{{") {
        return property(source, row, details);
    }
    let mut rendered = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{{") {
        let (path, after) = after.split_once("}}").unwrap_or((after, ""));
        rendered.push_str(before);
        // P14: a template is blank where one of its properties is.
        let Some(value) = text(&property(path.trim(), row, details)?).filter(|text| !words::is_blank(text))
        else {
            return Some(Value::Null);
        };
        rendered.push_str(&value);
        rest = after;
    }
    rendered.push_str(rest);
    Some(Value::String(rendered))
}

fn property(path: &str, row: &Value, details: Option<&Value>) -> Option<Value> {
    let (path, mut place) = match path.strip_prefix("details.") {
        Some(rest) => (rest, details?),
        None => (path, row),
    };
    for step in path.split('.') {
        let (member, position) = match step.split_once('[') {
            Some((member, position)) => (member, position.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        place = &place[member];
        // What makers write where there is no serial is no value (P14).
        if member == "serial_number" && place.as_str().is_some_and(|serial| words::serial(serial).is_empty())
        {
            return Some(Value::Null);
        }
        if let Some(position) = position {
            place = &place[position];
        }
    }
    Some(place.clone())
}

/// A value in words; `None` for null and for what has no words.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(items) => {
            let texts = items.iter().filter_map(text).map(|text| text.trim().to_owned());
            let mut texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
            texts.sort();
            Some(texts.join(", "))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// P15.
fn convert(value: &Value, spec: &FieldSpec) -> Wanted {
    let Some(text) = text(value).filter(|text| !words::is_blank(text)) else { return Wanted::Nothing };
    let trimmed = text.trim();
    let converted = match spec.kind {
        FieldKind::Text | FieldKind::Url | FieldKind::Email => Some(json!(trimmed)),
        FieldKind::Number => number(trimmed),
        FieldKind::Boolean => match trimmed.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(json!(true)),
            "false" | "no" | "off" | "0" => Some(json!(false)),
            _ => None,
        },
        // Every moment that Kandji shows is UTC and begins with the day.
        FieldKind::Date => {
            trimmed.get(..10).filter(|day| day.parse::<jiff::civil::Date>().is_ok()).map(|day| json!(day))
        }
        FieldKind::Select => spec
            .options
            .iter()
            .find(|option| *option == trimmed)
            .or_else(|| spec.options.iter().find(|option| option.eq_ignore_ascii_case(trimmed)))
            .map(|option| json!(option)),
    };
    converted.map_or(Wanted::LeftOut, Wanted::Value)
}

fn number(text: &str) -> Option<Value> {
    text.parse::<i64>()
        .map(|number| json!(number))
        .ok()
        .or_else(|| text.parse::<f64>().ok().map(|n| json!(n)))
}
