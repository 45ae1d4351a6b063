//! Names, serials and emails that are compared, and values that are compared with what AMFJ holds.

use amfj_sync_model::amfj::{Field, FieldType};
use amfj_sync_model::convert::{convert, is_same};
use amfj_sync_model::mapping::{is_blank, sorted};
use amfj_sync_model::names::{
    NameKey, email_key, is_placeholder_serial, serial_class, serial_in, serial_key, serial_of_type,
};
use serde_json::Value;

use crate::separated;

const TYPES: [FieldType; 7] = [
    FieldType::Text,
    FieldType::Number,
    FieldType::Boolean,
    FieldType::Date,
    FieldType::Select,
    FieldType::Url,
    FieldType::Email,
];

/// Three of each, in each order.
pub(crate) fn compared(input: &[u8]) {
    let texts: Vec<String> =
        separated(input).take(3).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    for one in &texts {
        alone(one);
        for other in &texts {
            two(one, other);
            for third in &texts {
                three(one, other, third);
            }
        }
    }
}

fn alone(text: &str) {
    if let Some(key) = NameKey::of(text) {
        assert!(!key.as_str().is_empty() && key.as_str().trim() == key.as_str());
        assert_eq!(NameKey::of(key.as_str()).as_ref(), Some(&key), "it is its own key");
        assert!(!key.is_near(&key));
    }
    if let Some(key) = email_key(text) {
        assert_eq!(email_key(&key).as_ref(), Some(&key));
    }
    for field_type in TYPES {
        if let Some(key) = serial_of_type(field_type, text) {
            assert_eq!(serial_of_type(field_type, &key), Some(key), "it is its own key in a {field_type:?}");
        }
    }
    assert_eq!(is_placeholder_serial(text), serial_key(text).is_none() && !text.trim().is_empty());
    assert_eq!(serial_in(&Value::from(text)), serial_key(text));
}

fn two(one: &str, other: &str) {
    let (Some(name), Some(second)) = (NameKey::of(one), NameKey::of(other)) else { return };
    assert_eq!(name.is_near(&second), second.is_near(&name));
    assert_eq!(name.class() == second.class(), name == second || name.is_near(&second));
    for field_type in TYPES {
        let key = serial_of_type(field_type, one);
        if key.is_some() && key == serial_of_type(field_type, other) {
            assert_eq!(serial_class(one), serial_class(other), "they are looked up in one place");
        }
    }
}

fn three(one: &str, other: &str, third: &str) {
    let (Some(one), Some(other), Some(third)) = (NameKey::of(one), NameKey::of(other), NameKey::of(third))
    else {
        return;
    };
    let is_alike = |one: &NameKey, other: &NameKey| one == other || one.is_near(other);
    if is_alike(&one, &other) && is_alike(&other, &third) {
        assert!(is_alike(&one, &third));
    }
}

/// A value of Kandji, a value of AMFJ, and the options of a select, as JSON.
pub(crate) fn converted(input: &[u8]) {
    let parsed = |part: &[u8]| {
        let as_text = || Value::from(String::from_utf8_lossy(part).into_owned());
        serde_json::from_slice(part).unwrap_or_else(|_| as_text())
    };
    let mut parts = separated(input);
    let wanted: Value = parsed(parts.next().unwrap_or_default());
    let held: Value = parsed(parts.next().unwrap_or_default());
    let options = parsed(parts.next().unwrap_or_default());
    let options: Vec<String> =
        options.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect();
    assert_eq!(sorted(sorted(wanted.clone())), sorted(wanted.clone()), "what is in order stays so");
    for field_type in TYPES {
        let field = Field { name: "Field".to_owned(), field_type, required: false, options: options.clone() };
        written(&field, &wanted, &held);
    }
}

/// What was written is the same when it is listed, or every run would write it again (P3).
fn written(field: &Field, wanted: &Value, held: &Value) {
    if is_blank(wanted) {
        return;
    }
    let Ok(value) = convert(field, wanted) else { return };
    let _: bool = is_same(field, &value, held);
    if is_blank(&value) {
        return;
    }
    assert!(is_same(field, &value, &value));
    let again = convert(field, &value);
    assert_eq!(again.as_ref(), Ok(&value), "{wanted} in a {:?}", field.field_type);
    let listed =
        serde_json::to_vec(&value).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    assert!(listed.as_ref().is_some_and(|listed| is_same(field, &value, listed)), "{value} as {listed:?}");
}
