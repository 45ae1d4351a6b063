//! What is written where: members at pointers, custom fields in the form in which they are read, and what is unknown kept.

use serde_json::{Map, Value, json};

use crate::lenient::as_text;
use crate::profile::Pointer;
use crate::profile::types::{Clear, FieldsForm, FieldsShape, Update};

/// One thing to write. None clears it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) target: Target,
    pub(crate) value: Option<Value>,
}

/// Where something is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// A member of the record.
    Member(Pointer),
    /// A custom field, as records call it; its label in a list may be a number.
    Field(Value),
}

/// How custom fields are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldsAt<'a> {
    pub(crate) shape: &'a FieldsShape,
    /// Where, if that is not where they are read.
    pub(crate) at: Option<&'a Pointer>,
}

impl FieldsAt<'_> {
    fn read_at(&self) -> &Pointer {
        self.shape.form.at()
    }

    fn write_at(&self) -> &Pointer {
        self.at.unwrap_or_else(|| self.read_at())
    }

    /// The members that a change reaches, where fields stand as members.
    fn pointer(&self, label: &str) -> Option<Pointer> {
        match &self.shape.form {
            FieldsForm::Object { .. } => Some(self.write_at().join(label)),
            FieldsForm::Prefix { prefix, .. } => Some(self.write_at().join(&format!("{prefix}{label}"))),
            FieldsForm::List { .. } => None,
        }
    }
}

/// How a cleared value is written; none where it is left out.
fn cleared(clear: Clear) -> Option<Value> {
    match clear {
        Clear::Null => Some(Value::Null),
        Clear::Empty => Some(Value::String(String::new())),
        Clear::Omit => None,
    }
}

/// Puts a change into a body.
pub(crate) fn put(
    body: &mut Value,
    change: &Change,
    fields: Option<FieldsAt<'_>>,
    clear: Clear,
) -> Result<(), String> {
    let value = change.value.clone().or_else(|| cleared(clear));
    let pointer = match (&change.target, fields) {
        (Target::Member(pointer), _) => pointer.clone(),
        (Target::Field(label), Some(fields)) => match fields.pointer(&as_text(label).unwrap_or_default()) {
            Some(pointer) => pointer,
            None => return put_row(body, label, value, fields),
        },
        (Target::Field(_), None) => return Err("records have no custom fields".to_owned()),
    };
    let Some(value) = value else {
        pointer.remove(body);
        return Ok(());
    };
    if pointer.set(body, value) {
        Ok(())
    } else {
        Err(format!("\"{}\" cannot be written: something else stands on the way to it", pointer.as_str()))
    }
}

/// Puts a row into a list of fields: that of the same label, or a new one.
fn put_row(
    body: &mut Value,
    label: &Value,
    value: Option<Value>,
    fields: FieldsAt<'_>,
) -> Result<(), String> {
    let FieldsForm::List { row_label, row_value, .. } = &fields.shape.form else { return Ok(()) };
    let at = fields.write_at();
    let mut rows = match at.get(body) {
        Some(Value::Array(rows)) => rows.clone(),
        _ => Vec::new(),
    };
    let wanted = as_text(label);
    let place = rows.iter().position(|row| row_label.get(row).and_then(as_text) == wanted);
    match (place, value) {
        (Some(place), Some(value)) => drop(row_value.set(&mut rows[place], value)),
        (Some(place), None) => drop(rows.remove(place)),
        (None, Some(value)) => {
            let mut row = Value::Object(Map::new());
            let is_set = row_label.set(&mut row, label.clone()) && row_value.set(&mut row, value);
            if !is_set {
                return Err("a row of the list of fields cannot be made as the profile says".to_owned());
            }
            rows.push(row);
        }
        (None, None) => {}
    }
    if at.set(body, Value::Array(rows)) {
        Ok(())
    } else {
        Err(format!("\"{}\" cannot be written", at.as_str()))
    }
}

/// Whether the record has to be read before these changes can be written.
pub(crate) fn needs_record(update: Update, changes: &[Change], fields: Option<FieldsAt<'_>>) -> bool {
    let is_list = fields.is_some_and(|fields| matches!(fields.shape.form, FieldsForm::List { .. }));
    let has_field = changes.iter().any(|change| matches!(change.target, Target::Field(_)));
    match update {
        Update::Merge | Update::Holder => false,
        Update::Replace => true,
        Update::JsonPatch => is_list && has_field,
        Update::Changed => {
            let is_nested = |change: &Change| match &change.target {
                Target::Member(pointer) => pointer.tokens().len() > 1,
                Target::Field(label) => {
                    let label = as_text(label).unwrap_or_default();
                    let pointer = fields.and_then(|fields| fields.pointer(&label));
                    pointer.is_none_or(|pointer| pointer.tokens().len() > 1)
                }
            };
            changes.iter().any(is_nested)
        }
    }
}

/// The body of an update. `record` is what was read before, where that is needed.
pub(crate) fn update(
    update: Update,
    own: Option<Value>,
    record: Option<Value>,
    changes: &[Change],
    fields: Option<FieldsAt<'_>>,
    clear: Clear,
) -> Result<Value, String> {
    let own = own.unwrap_or_else(|| json!({}));
    match update {
        Update::Merge | Update::Holder => {
            let mut body = own;
            for change in changes {
                put(&mut body, change, fields, clear)?;
            }
            Ok(body)
        }
        Update::Replace => {
            let mut body = record.unwrap_or_else(|| json!({}));
            carry_over(&mut body, fields);
            for change in changes {
                put(&mut body, change, fields, clear)?;
            }
            overlay(&mut body, own);
            Ok(body)
        }
        Update::Changed => {
            let mut whole = record.unwrap_or_else(|| json!({}));
            carry_over(&mut whole, fields);
            let mut touched: Vec<String> = Vec::new();
            for change in changes {
                put(&mut whole, change, fields, clear)?;
                touched.extend(top_member(change, fields));
            }
            let mut body = own;
            for member in touched {
                if let (Value::Object(body), Some(value)) = (&mut body, whole.get(&member)) {
                    body.insert(member, value.clone());
                }
            }
            Ok(body)
        }
        Update::JsonPatch => {
            let operations: Result<Vec<Value>, String> =
                changes.iter().map(|change| patch(change, record.as_ref(), fields, clear)).collect();
            operations.map(Value::Array)
        }
    }
}

/// Where fields are written elsewhere than they are read, those that are there go along.
fn carry_over(body: &mut Value, fields: Option<FieldsAt<'_>>) {
    let Some(fields) = fields else { return };
    if fields.at.is_some_and(|at| at != fields.read_at())
        && let Some(found) = fields.read_at().get(body).cloned()
    {
        fields.read_at().remove(body);
        fields.write_at().set(body, found);
    }
}

/// Puts the members of one object over those of another.
fn overlay(body: &mut Value, over: Value) {
    match (body, over) {
        (Value::Object(members), Value::Object(over)) => {
            for (name, value) in over {
                overlay(members.entry(name).or_insert(Value::Null), value);
            }
        }
        (body, over) => *body = over,
    }
}

fn top_member(change: &Change, fields: Option<FieldsAt<'_>>) -> Option<String> {
    let pointer = match &change.target {
        Target::Member(pointer) => pointer.clone(),
        Target::Field(label) => {
            let fields = fields?;
            let label = as_text(label).unwrap_or_default();
            fields.pointer(&label).unwrap_or_else(|| fields.write_at().clone())
        }
    };
    pointer.tokens().first().cloned()
}

/// One operation of JSON Patch. `add` replaces a member that is there.
fn patch(
    change: &Change,
    record: Option<&Value>,
    fields: Option<FieldsAt<'_>>,
    clear: Clear,
) -> Result<Value, String> {
    let value = change.value.clone().or_else(|| cleared(clear));
    let path = match (&change.target, fields) {
        (Target::Member(pointer), _) => pointer.as_str().to_owned(),
        (Target::Field(label), Some(fields)) => {
            let text = as_text(label).unwrap_or_default();
            match (fields.pointer(&text), &fields.shape.form) {
                (Some(pointer), _) => pointer.as_str().to_owned(),
                (None, FieldsForm::List { row_label, row_value, .. }) => {
                    return Ok(patch_row(label, value, record, fields, (row_label, row_value)));
                }
                (None, _) => return Err("records have no such field".to_owned()),
            }
        }
        (Target::Field(_), None) => return Err("records have no custom fields".to_owned()),
    };
    Ok(match value {
        Some(value) => json!({"op": "add", "path": path, "value": value}),
        None => json!({"op": "remove", "path": path}),
    })
}

fn patch_row(
    label: &Value,
    value: Option<Value>,
    record: Option<&Value>,
    fields: FieldsAt<'_>,
    (row_label, row_value): (&Pointer, &Pointer),
) -> Value {
    let at = fields.write_at();
    let rows = record.and_then(|record| at.get(record)).and_then(Value::as_array);
    let wanted = as_text(label);
    let place =
        rows.and_then(|rows| rows.iter().position(|row| row_label.get(row).and_then(as_text) == wanted));
    match (place, value) {
        (Some(place), Some(value)) => {
            let path = format!("{}/{place}{}", at.as_str(), row_value.as_str());
            json!({"op": "add", "path": path, "value": value})
        }
        (Some(place), None) => json!({"op": "remove", "path": format!("{}/{place}", at.as_str())}),
        (None, value) => {
            let mut row = Value::Object(Map::new());
            row_label.set(&mut row, label.clone());
            row_value.set(&mut row, value.unwrap_or(Value::Null));
            if rows.is_some() {
                json!({"op": "add", "path": format!("{}/-", at.as_str()), "value": row})
            } else {
                json!({"op": "add", "path": at.as_str(), "value": [row]})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::types::Label;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn shape(form: FieldsForm) -> FieldsShape {
        FieldsShape { form, label: Label::Name, options: Label::Name, optional: false }
    }

    fn forms() -> [FieldsShape; 3] {
        [
            shape(FieldsForm::Object { at: pointer("/a/fields") }),
            shape(FieldsForm::List {
                at: pointer("/fields"),
                row_label: pointer("/id"),
                row_value: pointer("/value"),
            }),
            shape(FieldsForm::Prefix { at: pointer(""), prefix: "cf_".to_owned() }),
        ]
    }

    /// The name, one field set and one cleared.
    fn changes() -> [Change; 3] {
        [
            Change { target: Target::Member(pointer("/a/name")), value: Some(json!("n")) },
            Change { target: Target::Field(json!(7)), value: Some(json!("8 GB")) },
            Change { target: Target::Field(json!(8)), value: None },
        ]
    }

    fn body(how: Update, shape: &FieldsShape, record: Value, clear: Clear) -> Value {
        let fields = Some(FieldsAt { shape, at: None });
        update(how, None, Some(record), &changes(), fields, clear).unwrap()
    }

    #[test]
    fn a_merge_names_what_changes_in_the_form_of_the_fields() {
        let [object, list, prefix] = forms();
        let merge = |shape| body(Update::Merge, shape, Value::Null, Clear::Null);
        assert_eq!(merge(&object), json!({"a": {"name": "n", "fields": {"7": "8 GB", "8": null}}}));
        assert_eq!(
            merge(&list),
            json!({"a": {"name": "n"}, "fields": [{"id": 7, "value": "8 GB"}, {"id": 8, "value": null}]})
        );
        assert_eq!(merge(&prefix), json!({"a": {"name": "n"}, "cf_7": "8 GB", "cf_8": null}));
    }

    #[test]
    fn the_whole_record_is_written_back_with_what_is_unknown_kept() {
        let [object, list, prefix] = forms();
        let replace = |shape, record, clear| body(Update::Replace, shape, record, clear);
        assert_eq!(
            replace(
                &object,
                json!({"a": {"name": "o", "fields": {"7": "4 GB", "8": "x", "9": 1}}, "more": [1]}),
                Clear::Omit
            ),
            json!({"a": {"name": "n", "fields": {"7": "8 GB", "9": 1}}, "more": [1]})
        );
        assert_eq!(
            replace(
                &list,
                json!({"fields": [{"id": 9, "value": 1, "x": 2}, {"id": "7", "value": 4}, {"id": 8}]}),
                Clear::Omit
            ),
            json!({"a": {"name": "n"}, "fields": [{"id": 9, "value": 1, "x": 2}, {"id": "7", "value": "8 GB"}]})
        );
        assert_eq!(
            replace(&prefix, json!({"cf_8": "x", "cf_9": 1}), Clear::Empty),
            json!({"a": {"name": "n"}, "cf_7": "8 GB", "cf_8": "", "cf_9": 1})
        );
    }

    #[test]
    fn members_that_change_are_sent_whole_and_no_others() {
        let [object, ..] = forms();
        let record = json!({"a": {"name": "o", "fields": {"8": "x", "9": 1}, "kept": true}, "more": 1});
        let sent = body(Update::Changed, &object, record, Clear::Null);
        assert_eq!(
            sent,
            json!({"a": {"name": "n", "fields": {"7": "8 GB", "8": null, "9": 1}, "kept": true}})
        );
    }

    #[test]
    fn json_patch_finds_the_row_of_a_field() {
        let [object, list, _] = forms();
        let sent = body(Update::JsonPatch, &object, json!({}), Clear::Null);
        assert_eq!(sent[1], json!({"op": "add", "path": "/a/fields/7", "value": "8 GB"}));
        let record = json!({"fields": [{"id": 8, "value": "x"}]});
        let sent = body(Update::JsonPatch, &list, record, Clear::Omit);
        assert_eq!(sent[1], json!({"op": "add", "path": "/fields/-", "value": {"id": 7, "value": "8 GB"}}));
        assert_eq!(sent[2], json!({"op": "remove", "path": "/fields/0"}));
    }

    #[test]
    fn a_record_is_read_first_only_where_something_would_be_lost_without() {
        let [object, list, prefix] = forms();
        let needs =
            |how, shape, changes: &[Change]| needs_record(how, changes, Some(FieldsAt { shape, at: None }));
        let all = changes();
        let name = [Change { target: Target::Member(pointer("/name")), value: Some(json!("n")) }];
        assert!(!needs(Update::Merge, &list, &all) && needs(Update::Replace, &prefix, &name));
        assert!(needs(Update::JsonPatch, &list, &all) && !needs(Update::JsonPatch, &object, &all));
        assert!(needs(Update::Changed, &object, &all) && !needs(Update::Changed, &object, &name));
        assert!(!needs(Update::Changed, &prefix, &all[1..]) && needs(Update::Changed, &list, &all[1..]));
    }
}
