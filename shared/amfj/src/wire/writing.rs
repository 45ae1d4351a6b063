//! Creations and updates. A creation is one request, and no write is repeated here; what has to be read before is, and says that nothing was
//! written where it fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use amfj_sync_http::{Answered, CallError};
use amfj_sync_model::amfj::FieldType;
use amfj_sync_model::mapping::is_blank;
use amfj_sync_security::secrets::ServiceWords;
use serde_json::{Value, json};

use super::bodies::{self, Change, FieldsAt, Target};
use super::definitions::{Definition, Definitions, Meant, meant};
use super::kept::{Kept, Of};
use super::records::plain;
use super::shown::named;
use super::{called, invalid, unshown, values};
use crate::client::AmfjClient;
use crate::profile::types::{Clear, FieldsShape, Label, Update, WriteShape};
use crate::profile::{Body, Names, Op, Pointer};

/// How often an update is tried anew when the record changed between reading and writing it.
pub(crate) const ROUNDS: usize = 3;

/// The operations and shapes of one kind of record.
pub(crate) struct Side<'a> {
    pub(super) of: Of,
    pub(super) read: Op,
    pub(super) list: Op,
    set_field: Op,
    clear_field: Op,
    pub(super) write: &'a WriteShape,
    pub(super) fields: Option<&'a FieldsShape>,
}

/// Values for members of a record; none clears one.
pub(crate) type Members<'a> = Vec<(&'a Pointer, Option<Value>)>;

/// A record as it was before a write.
pub(crate) struct Before {
    pub(crate) value: Value,
    pub(crate) etag: Option<String>,
}

impl AmfjClient {
    pub(crate) fn side(&self, of: Of) -> Side<'_> {
        let profile = self.profile();
        match of {
            Of::Assets => Side {
                of,
                read: Op::ReadAsset,
                list: Op::ListAssets,
                set_field: Op::SetAssetField,
                clear_field: Op::ClearAssetField,
                write: &profile.asset.write,
                fields: profile.asset.fields.as_ref(),
            },
            Of::Users => Side {
                of,
                read: Op::ReadUser,
                list: Op::ListUsers,
                set_field: Op::SetUserField,
                clear_field: Op::ClearUserField,
                write: &profile.user.write,
                fields: profile.user.fields.as_ref(),
            },
        }
    }

    /// Creates a record.
    pub(crate) async fn create<T: Kept>(
        &self,
        op: Op,
        names: &Names,
        members: Members<'_>,
        fields: &BTreeMap<String, Value>,
        asset_type: Option<&str>,
    ) -> Result<T, CallError> {
        let side = self.side(T::OF);
        let definitions = self.definitions_of(T::OF).await.map_err(|error| error.before(&called(op)))?;
        let mut body = self.own_body(op, names)?.unwrap_or_else(|| json!({}));
        let clear = self.profile().values.clear;
        let at = side.fields.map(|shape| FieldsAt { shape, at: side.write.fields.as_ref() });
        let mut changes: Vec<Change> = members
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .map(|(pointer, value)| Change { target: Target::Member(pointer.clone()), value })
            .collect();
        for (name, value) in fields.iter().filter(|(_, value)| !is_blank(value)) {
            let definition = definition_for(op, &side, &definitions, name, asset_type)?;
            changes.push(self.field_change(op, &side, definition, name, value)?);
        }
        for change in &changes {
            bodies::put(&mut body, change, at, clear).map_err(|why| invalid(op, &why))?;
        }
        let call = self.call(op, names)?.json(&body);
        let answer = self.judged(op, self.send(call).await?)?;
        self.shown::<T>(op, answer, None, &definitions)
            .await
            .map_err(|error| named(&side, &definitions, error))
    }

    /// Changes a record.
    pub(crate) async fn update<T: Kept>(
        &self,
        op: Op,
        id: &str,
        members: Members<'_>,
        fields: &BTreeMap<String, Value>,
    ) -> Result<T, CallError> {
        let side = self.side(T::OF);
        let definitions = self.definitions_of(T::OF).await.map_err(|error| error.before(&called(op)))?;
        let one_by_one = self.profile().has(side.set_field);
        let (with_members, alone): (Vec<_>, Vec<_>) = fields.iter().partition(|_| !one_by_one);
        let has_members = !members.is_empty() || !with_members.is_empty();
        let of = usize::from(has_members) + alone.len();
        let mut done = 0;
        let mut last = Err(unshown(op));
        if has_members {
            last = self.update_at_once::<T>(op, id, &members, &with_members, &definitions).await;
            match &last {
                Err(error) if !error.is_unshown_success() => return last,
                _ => done += 1,
            }
        }
        for (name, value) in alone {
            last = self.set_field::<T>(op, id, name, value, &definitions).await;
            match last {
                Err(error) if !error.is_unshown_success() => {
                    return Err(if done == 0 {
                        error
                    } else {
                        CallError::Partly { call: called(op), done, of, error: Box::new(error) }
                    });
                }
                _ => done += 1,
            }
        }
        // Of several requests no answer shows the whole.
        if of > 1 { Err(unshown(op)) } else { last }
    }

    /// One request for all that changes.
    async fn update_at_once<T: Kept>(
        &self,
        op: Op,
        id: &str,
        members: &Members<'_>,
        fields: &[(&String, &Value)],
        definitions: &Arc<Definitions>,
    ) -> Result<T, CallError> {
        let mut round = 0;
        loop {
            round += 1;
            let outcome = self.update_once::<T>(op, id, (members, fields), definitions, None).await;
            if !(self.changed_meanwhile(op, &outcome)? && round < ROUNDS) {
                return outcome;
            }
        }
    }

    /// Whether the record is another one by now than the one that was read before a write: nothing was written.
    pub(crate) fn changed_meanwhile<T>(
        &self,
        op: Op,
        outcome: &Result<T, CallError>,
    ) -> Result<bool, CallError> {
        let is_refused = matches!(outcome, Err(CallError::Status { wire_status: 412, .. }));
        Ok(is_refused && self.operation(op)?.if_match)
    }

    /// One request for all that changes in a record, which is read before where it is not known yet and has to be.
    pub(crate) async fn update_once<T: Kept>(
        &self,
        op: Op,
        id: &str,
        (members, fields): (&Members<'_>, &[(&String, &Value)]),
        definitions: &Arc<Definitions>,
        known: Option<Before>,
    ) -> Result<T, CallError> {
        let side = self.side(T::OF);
        let operation = self.operation(op)?;
        let names = Names::from_iter([("id".to_owned(), self.id_value(id))]);
        let at = side.fields.map(|shape| FieldsAt { shape, at: side.write.fields.as_ref() });
        let depends = fields.iter().any(|(name, _)| {
            matches!(meant(definitions, None, |one| one.field.name == **name), Meant::Several)
        });
        let mut changes: Vec<Change> = members
            .iter()
            .map(|(pointer, value)| Change {
                target: Target::Member((*pointer).clone()),
                value: value.clone(),
            })
            .collect();
        let placeholder = |_: &_| Change { target: Target::Field(Value::Null), value: None };
        let shaped: Vec<Change> = changes.iter().cloned().chain(fields.iter().map(placeholder)).collect();
        let reads = depends || operation.if_match || bodies::needs_record(operation.update, &shaped, at);
        let before = match known {
            None if reads => Some(self.before(&side, op, id).await?),
            known => known,
        };
        let is_further = before.is_some();
        let asset_type = match (&before, side.of) {
            (Some(before), Of::Assets) => self.asset_type_in(&before.value, id),
            _ => None,
        };
        for (name, value) in fields {
            let definition = definition_for(op, &side, definitions, name, asset_type.as_deref())?;
            changes.push(self.field_change(op, &side, definition, name, value)?);
        }
        let etag = before.as_ref().and_then(|before| before.etag.clone());
        let mut record = before.map(|before| before.value);
        match (&mut record, operation.update) {
            (Some(record), Update::Replace) => {
                self.complete::<T>(&side, operation, record, id, definitions);
            }
            (Some(record), Update::Changed) => *record = plain(self.profile(), record.take()),
            _ => {}
        }
        let own = self.own_body(op, &names)?;
        let clear = self.profile().values.clear;
        let body = bodies::update(operation.update, own, record, &changes, at, clear)
            .map_err(|why| invalid(op, &why))?;
        let mut call = self.call(op, &names)?.json(&body);
        if let Some(etag) = etag.filter(|_| operation.if_match) {
            call = call.header("If-Match", etag);
        }
        let sent = if is_further { self.send_further(call).await? } else { self.send(call).await? };
        let answer = self.judged(op, sent)?;
        let shown = self.shown::<T>(op, answer, Some(id), definitions).await;
        shown.map_err(|error| named(&side, definitions, error))
    }

    /// One request for one custom field, which is refused by itself.
    async fn set_field<T: Kept>(
        &self,
        op: Op,
        id: &str,
        name: &str,
        value: &Value,
        definitions: &Arc<Definitions>,
    ) -> Result<T, CallError> {
        let side = self.side(T::OF);
        let mut asset_type = None;
        if matches!(meant(definitions, None, |one| one.field.name == name), Meant::Several) {
            let before = self.before(&side, op, id).await?;
            asset_type = self.asset_type_in(&before.value, id);
        }
        let definition = definition_for(op, &side, definitions, name, asset_type.as_deref())?;
        let change = self.field_change(op, &side, definition, name, value)?;
        let clears = change.value.is_none() && self.profile().has(side.clear_field);
        let single = if clears { side.clear_field } else { side.set_field };
        let label = match &change.target {
            Target::Field(label) => label.clone(),
            Target::Member(_) => Value::Null,
        };
        let value = change.value.clone().unwrap_or_else(|| match self.profile().values.clear {
            Clear::Empty => Value::String(String::new()),
            _ => Value::Null,
        });
        let names = Names::from_iter([
            ("id".to_owned(), self.id_value(id)),
            ("field".to_owned(), json!({"name": name, "key": label})),
            ("value".to_owned(), value.clone()),
        ]);
        let mut call = self.call(single, &names)?;
        if let Some(mut body) = self.own_body(single, &names)? {
            if value.is_null()
                && let Some(parts) = &self.operation(single)?.body
            {
                keep_null(parts, &mut body);
            }
            call = call.json(&body);
        }
        let answer = self.judged(single, self.send_further(call).await?)?;
        match self.shown::<T>(single, answer, Some(id), definitions).await {
            // Whatever it says, it is about the one value that was sent.
            Err(error)
                if error.status().is_some_and(|status| matches!(status, 400 | 409 | 422))
                    && matches!(Answered::of(&error), Answered::Refused | Answered::Value { .. }) =>
            {
                Err(error.refusing(name))
            }
            shown => shown,
        }
    }

    fn field_change(
        &self,
        op: Op,
        side: &Side<'_>,
        definition: Option<&Definition>,
        name: &str,
        value: &Value,
    ) -> Result<Change, CallError> {
        let Some(shape) = side.fields else {
            return Err(invalid(op, "the profile has no custom fields"));
        };
        let label = match (shape.label, definition) {
            (Label::Key, Some(definition)) => self.id_value(&definition.key),
            _ => Value::String(name.to_owned()),
        };
        let value = if value.is_null() {
            None
        } else {
            let written = values::write(&self.profile().values, shape.options, definition, value);
            let written = written.map_err(|why| CallError::Unwritable {
                call: called(op),
                field: ServiceWords::of(name),
                reason: why.into(),
            })?;
            let is_choice = definition.is_some_and(|one| one.field.field_type == FieldType::Select);
            Some(match written {
                Value::String(key) if is_choice && shape.options == Label::Key => self.id_value(&key),
                written => written,
            })
        };
        Ok(Change { target: Target::Field(label), value })
    }
}

/// What is known of a field that is to be written; the error is about this field alone.
fn definition_for<'d>(
    op: Op,
    side: &Side<'_>,
    definitions: &'d Definitions,
    name: &str,
    asset_type: Option<&str>,
) -> Result<Option<&'d Definition>, CallError> {
    let is_it = |one: &Definition| one.field.name == name;
    let unknown = |why: &str| CallError::Unwritable {
        call: called(op),
        field: ServiceWords::of(name),
        reason: why.into(),
    };
    match meant(definitions, asset_type, is_it) {
        Meant::One(definition) => Ok(Some(definition)),
        _ if side.fields.is_none_or(|shape| shape.label == Label::Name) => Ok(None),
        Meant::Several => Err(unknown("several fields have this name")),
        Meant::None => Err(unknown("the interface lists no field of this name for it")),
    }
}

/// A value that is null is no member that is left out, where the body is about nothing else.
fn keep_null(body: &Body, filled: &mut Value) {
    match (body, filled) {
        (Body::Table(members), Value::Object(filled)) => {
            for (name, part) in members.iter().filter(|(_, part)| part.looks_up("value")) {
                keep_null(part, filled.entry(name.clone()).or_insert(Value::Null));
            }
        }
        (Body::List(parts), Value::Array(filled)) if parts.len() == filled.len() => {
            for (part, within) in parts.iter().zip(filled) {
                keep_null(part, within);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Template;

    #[test]
    fn a_value_that_is_cleared_is_null_however_deep_the_body_has_it() {
        let value = || Body::Template(Template::parse("{{ value }}", &["value"]).unwrap());
        let row = || Body::Table(vec![("to".to_owned(), value())]);
        let body = Body::Table(vec![
            ("value".to_owned(), value()),
            ("row".to_owned(), row()),
            ("rows".to_owned(), Body::List(vec![row()])),
            ("kind".to_owned(), Body::Value(json!(1))),
        ]);
        let names = Names::from_iter([("value".to_owned(), Value::Null)]);
        let mut filled = body.fill(&names).unwrap().unwrap();
        keep_null(&body, &mut filled);
        assert_eq!(filled, json!({"value": null, "row": {"to": null}, "rows": [{"to": null}], "kind": 1}));
    }
}
