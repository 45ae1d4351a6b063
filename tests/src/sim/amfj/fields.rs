//! What a custom field accepts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::requests::Refusal;
use crate::sim::fleet::{FieldKind, FieldSpec};

/// Merges what was sent into the fields of a record: null clears, and each value must be of the
/// field's type.
///
/// # Errors
/// 422 that names the field.
pub(crate) fn merge(
    into: &mut BTreeMap<String, Value>,
    sent: &serde_json::Map<String, Value>,
    specs: &[FieldSpec],
) -> Result<(), Refusal> {
    for (name, value) in sent {
        let Some(spec) = specs.iter().find(|spec| spec.name == *name) else {
            return Err(Refusal::field(name, "there is no such field"));
        };
        if value.is_null() {
            into.remove(name);
            continue;
        }
        check(spec, value).map_err(|wanted| Refusal::field(name, &format!("must be {wanted}")))?;
        into.insert(name.clone(), value.clone());
    }
    let missing = specs.iter().find(|spec| {
        spec.required
            && into.get(&spec.name).is_none_or(|value| value.as_str().is_some_and(|v| v.trim().is_empty()))
    });
    missing.map_or(Ok(()), |spec| Err(Refusal::field(&spec.name, "is required")))
}

/// # Errors
/// What the field wants instead.
fn check(spec: &FieldSpec, value: &Value) -> Result<(), String> {
    let text = value.as_str();
    let (fits, wanted) = match spec.kind {
        FieldKind::Text => (text.is_some(), "text"),
        FieldKind::Number => (value.is_number(), "a number"),
        FieldKind::Boolean => (value.is_boolean(), "true or false"),
        FieldKind::Date => {
            let is_date = |text: &str| text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
            (text.is_some_and(is_date), "a date, YYYY-MM-DD")
        }
        FieldKind::Select => {
            if text.is_some_and(|text| spec.options.iter().any(|option| option == text)) {
                return Ok(());
            }
            return Err(format!("one of {}", spec.options.join(", ")));
        }
        FieldKind::Url => (text.is_some_and(is_url), "an http or https address"),
        FieldKind::Email => (text.is_some_and(is_email), "an email address"),
    };
    if fits { Ok(()) } else { Err(wanted.to_owned()) }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// Whether AMFJ takes this for an email address.
pub(crate) fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_accepts_its_own_and_nothing_else() {
        let table = [
            (FieldKind::Text, json!("x"), json!(1)),
            (FieldKind::Number, json!(1.5), json!("1.5")),
            (FieldKind::Boolean, json!(true), json!("true")),
            (FieldKind::Date, json!("2026-02-28"), json!("2026-02-30")),
            (FieldKind::Date, json!("2026-02-28"), json!("2026-02-28T10:00:00Z")),
            (FieldKind::Url, json!("https://example.com/x"), json!("example.com")),
            (FieldKind::Email, json!("a@example.com"), json!("a at example.com")),
        ];
        for (kind, good, bad) in table {
            let spec = FieldSpec::new("F", kind);
            assert!(check(&spec, &good).is_ok(), "{kind:?} {good}");
            assert!(check(&spec, &bad).is_err(), "{kind:?} {bad}");
        }
        let select = FieldSpec::select("F", &["Mac"]);
        assert!(check(&select, &json!("Mac")).is_ok());
        assert!(check(&select, &json!("mac")).is_err());
    }

    #[test]
    fn null_clears_and_a_required_field_stays() {
        let specs = [FieldSpec::new("A", FieldKind::Text), FieldSpec::new("B", FieldKind::Text).required()];
        let mut fields = BTreeMap::from([("A".to_owned(), json!("a")), ("B".to_owned(), json!("b"))]);
        let sent = |value: Value| value.as_object().cloned().unwrap_or_default();
        merge(&mut fields, &sent(json!({ "A": null })), &specs).unwrap();
        assert!(!fields.contains_key("A"));
        let refusal = merge(&mut fields, &sent(json!({ "B": null })), &specs).unwrap_err();
        assert_eq!(refusal.reply().status, 422);
    }
}
