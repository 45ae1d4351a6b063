//! Creations and updates. A creation is one request, and no write is repeated here; what has to be read before is, and says that nothing was
//! written where it fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use amfj_sync_http::{Answer, Answered, CallError};
use amfj_sync_model::amfj::FieldType;
use amfj_sync_model::mapping::is_blank;
use serde_json::{Value, json};

use super::bodies::{self, Change, FieldsAt, Target};
use super::definitions::{Definition, Definitions, Directory, Meant, meant};
use super::records::{Lens, Row};
use super::{Kept, Of, called, invalid, not_it, record_in, unshown, values};
use crate::client::AmfjClient;
use crate::client::answers::written;
use crate::lenient::{self, as_text};
use crate::profile::types::{AnswerForm, FieldsShape, Label, Operation, Update, WriteShape};
use crate::profile::{Names, Op, Pointer};

/// How often an update is tried anew when the record changed between reading and writing it.
const ROUNDS: usize = 3;

/// The operations and shapes of one kind of record.
pub(crate) struct Side<'a> {
    of: Of,
    read: Op,
    list: Op,
    set_field: Op,
    clear_field: Op,
    write: &'a WriteShape,
    fields: Option<&'a FieldsShape>,
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
            let definition = self.definition_for(op, &side, &definitions, name, asset_type)?;
            changes.push(self.field_change(op, &side, definition, name, value)?);
        }
        for change in &changes {
            bodies::put(&mut body, change, at, clear).map_err(|why| invalid(op, &why))?;
        }
        let call = self.call(op, names)?.json(&body);
        let answer = self.judged(op, self.send(call).await?)?;
        self.shown::<T>(op, answer, None, &definitions)
            .await
            .map_err(|error| self.named(&side, &definitions, error))
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
            let outcome = self.update_once::<T>(op, id, members, fields, definitions).await;
            let changed_meanwhile = matches!(&outcome, Err(CallError::Status { wire_status: 412, .. }));
            if !(changed_meanwhile && self.operation(op)?.if_match && round < ROUNDS) {
                return outcome;
            }
        }
    }

    async fn update_once<T: Kept>(
        &self,
        op: Op,
        id: &str,
        members: &Members<'_>,
        fields: &[(&String, &Value)],
        definitions: &Arc<Definitions>,
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
        let before = if reads { Some(self.before(&side, op, id).await?) } else { None };
        let asset_type = match (&before, side.of) {
            (Some(before), Of::Assets) => self.asset_type_in(&before.value, id),
            _ => None,
        };
        for (name, value) in fields {
            let definition = self.definition_for(op, &side, definitions, name, asset_type.as_deref())?;
            changes.push(self.field_change(op, &side, definition, name, value)?);
        }
        let etag = before.as_ref().and_then(|before| before.etag.clone());
        let mut record = before.map(|before| before.value);
        if let Some(record) = record.as_mut().filter(|_| operation.update == Update::Replace) {
            self.complete::<T>(&side, operation, record, id, definitions);
        }
        let own = self.own_body(op, &names)?;
        let clear = self.profile().values.clear;
        let body = bodies::update(operation.update, own, record, &changes, at, clear)
            .map_err(|why| invalid(op, &why))?;
        let mut call = self.call(op, &names)?.json(&body);
        if let Some(etag) = etag.filter(|_| operation.if_match) {
            call = call.header("If-Match", etag);
        }
        let answer =
            self.judged(op, if reads { self.send_further(call).await? } else { self.send(call).await? })?;
        let shown = self.shown::<T>(op, answer, Some(id), definitions).await;
        shown.map_err(|error| self.named(&side, definitions, error))
    }

    /// What is to be sent back whole has everything where it is written, and nothing that is not to be sent.
    fn complete<T: Kept>(
        &self,
        side: &Side<'_>,
        operation: &Operation,
        record: &mut Value,
        id: &str,
        definitions: &Definitions,
    ) {
        let people = Directory::new();
        let lens = Lens { profile: self.profile(), definitions, people: &people };
        let shown = T::show(&lens, &Row { value: record, key: Some(id) }).members;
        let text = |name: &str| shown.get(name).and_then(as_text);
        let id_of = |name: &str| shown.get(name).and_then(|named| named.get("id")).and_then(as_text);
        let write = side.write;
        let kept = [
            (&write.name, text("name").map(Value::String)),
            (&write.email, text("email").map(Value::String)),
            (&write.asset_type, id_of("asset_type").map(|id| self.id_value(&id))),
            (&write.location, id_of("location").map(|id| self.id_value(&id))),
            (&write.holder, id_of("checked_out_to").map(|id| self.id_value(&id))),
        ];
        for pointer in &operation.leave_out {
            pointer.remove(record);
        }
        for (pointer, value) in kept {
            if let (Some(pointer), Some(value)) = (pointer, value)
                && pointer.get(record).is_none()
            {
                pointer.set(record, value);
            }
        }
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
        let definition = self.definition_for(op, &side, definitions, name, asset_type.as_deref())?;
        let change = self.field_change(op, &side, definition, name, value)?;
        let clears = change.value.is_none() && self.profile().has(side.clear_field);
        let single = if clears { side.clear_field } else { side.set_field };
        let label = match &change.target {
            Target::Field(label) => label.clone(),
            Target::Member(_) => Value::Null,
        };
        let value = change.value.clone().unwrap_or_else(|| match self.profile().values.clear {
            crate::profile::types::Clear::Empty => Value::String(String::new()),
            _ => Value::Null,
        });
        let names = Names::from_iter([
            ("id".to_owned(), self.id_value(id)),
            ("field".to_owned(), json!({"name": name, "key": label})),
            ("value".to_owned(), value.clone()),
        ]);
        let mut call = self.call(single, &names)?;
        if let Some(mut body) = self.own_body(single, &names)? {
            keep_null(&mut body, self.operation(single)?, &value);
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

    /// The record as it is before a write.
    pub(crate) async fn before(&self, side: &Side<'_>, op: Op, id: &str) -> Result<Before, CallError> {
        self.read_before(side, id).await.map_err(|error| error.before(&called(op)))
    }

    async fn read_before(&self, side: &Side<'_>, id: &str) -> Result<Before, CallError> {
        let Some(operation) = self.profile().operation(side.read) else {
            let value = self.found_in_list(side, id).await?;
            return Ok(Before { value, etag: None });
        };
        let names = Names::from_iter([("id".to_owned(), self.id_value(id))]);
        let answer = self.judged(side.read, self.send(self.call(side.read, &names)?).await?)?;
        let etag = answer.header("etag").map(str::to_owned);
        let value = answer.read(|body| record_in(body, operation))?;
        let shown = self.shown_id(side, &value, Some(id));
        if shown.as_deref() != Some(id) {
            return Err(not_it(side.read.label(), "another record than the one that was asked for"));
        }
        Ok(Before { value, etag })
    }

    fn shown_id(&self, side: &Side<'_>, value: &Value, key: Option<&str>) -> Option<String> {
        let profile = self.profile();
        let member = match side.of {
            Of::Assets => &profile.asset.id,
            Of::Users => &profile.user.id,
        };
        let found = super::records::at(member, &Row { value, key })?;
        as_text(&found).map(|id| id.trim().to_owned())
    }

    /// Where nothing is read by its id, the list is gone through.
    async fn found_in_list(&self, side: &Side<'_>, id: &str) -> Result<Value, CallError> {
        let mut cursors = amfj_sync_http::cursors::Cursors::new(side.list.label());
        loop {
            let raw = self.raw_page(side.list, &Names::new(), cursors.current()).await?;
            let count = raw.rows.len() as u64;
            for (key, value) in raw.rows.into_iter().flatten() {
                if self.shown_id(side, &value, key.as_deref()).as_deref() == Some(id) {
                    return Ok(value);
                }
            }
            if !cursors.advance(raw.next, count, count)? {
                return Err(not_it(side.list.label(), "no record of this id"));
            }
            if self.is_limited_by_caller() {
                self.limiter().acquire().await;
            }
        }
    }

    fn asset_type_in(&self, value: &Value, id: &str) -> Option<String> {
        let nothing = (Definitions::new(), Directory::new());
        let lens = Lens { profile: self.profile(), definitions: &nothing.0, people: &nothing.1 };
        let shown = <amfj_sync_model::amfj::Asset as super::records::Described>::show(
            &lens,
            &Row { value, key: Some(id) },
        );
        shown.members.get("asset_type")?.get("id").and_then(as_text)
    }

    /// What is known of a field that is to be written; the error is about this field alone.
    fn definition_for<'d>(
        &self,
        op: Op,
        side: &Side<'_>,
        definitions: &'d Definitions,
        name: &str,
        asset_type: Option<&str>,
    ) -> Result<Option<&'d Definition>, CallError> {
        let is_it = |one: &Definition| one.field.name == name;
        let unknown = |why: &str| CallError::Unwritable {
            call: called(op),
            field: amfj_sync_security::secrets::ServiceWords::of(name),
            reason: why.into(),
        };
        match meant(definitions, asset_type, is_it) {
            Meant::One(definition) => Ok(Some(definition)),
            _ if side.fields.is_none_or(|shape| shape.label == Label::Name) => Ok(None),
            Meant::Several => Err(unknown("several fields have this name")),
            Meant::None => Err(unknown("the interface lists no field of this name for it")),
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
                field: amfj_sync_security::secrets::ServiceWords::of(name),
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

    /// The record that an answer to a write shows; an error of [`CallError::is_unshown_success`] where it shows none.
    pub(crate) async fn shown<T: Kept>(
        &self,
        op: Op,
        answer: Answer,
        id: Option<&str>,
        definitions: &Arc<Definitions>,
    ) -> Result<T, CallError> {
        let operation = self.operation(op)?;
        match &operation.answer {
            AnswerForm::Record => self.shown_record(op, operation, answer, id, definitions).await,
            AnswerForm::Nothing => {
                answer.read(|_| Ok(()))?;
                Err(unshown(op))
            }
            AnswerForm::Id(pointer) => {
                let made = answer.read(|body| {
                    let value = amfj_sync_http::json::value(body)?;
                    Ok(pointer.get(&value).and_then(as_text))
                })?;
                match (id, made) {
                    (None, Some(made)) => self.read_back::<T>(op, made.trim()).await,
                    _ => Err(unshown(op)),
                }
            }
            AnswerForm::Job(job) => match self.finish_job(op, job, answer).await? {
                Some(made) if id.is_none() => self.read_back::<T>(op, made.trim()).await,
                _ => Err(unshown(op)),
            },
        }
    }

    /// Reads what was created a moment ago. Where that cannot be read yet, it is for the caller to look for it.
    async fn read_back<T: Kept>(&self, op: Op, id: &str) -> Result<T, CallError> {
        let side = self.side(T::OF);
        if !self.profile().has(side.read) {
            return Err(unshown(op));
        }
        if self.is_limited_by_caller() {
            self.limiter().acquire().await;
        }
        self.one::<T>(side.read, id).await.map(|(record, _)| record).map_err(|_| unshown(op))
    }

    async fn shown_record<T: Kept>(
        &self,
        op: Op,
        operation: &Operation,
        answer: Answer,
        id: Option<&str>,
        definitions: &Arc<Definitions>,
    ) -> Result<T, CallError> {
        if T::is_plain(self.plain()) && operation.record.as_str().is_empty() {
            return written(answer, id, T::shows(op));
        }
        let value = answer.read(|body| record_in(body, operation))?;
        let people = Directory::new();
        let lens = Lens { profile: self.profile(), definitions, people: &people };
        let members = T::show(&lens, &Row { value: &value, key: id }).members;
        let shown_id = members.get("id").and_then(lenient::as_text);
        let Some(shown_id) = shown_id.map(|id| id.trim().to_owned()).filter(|_| members.contains_key("name"))
        else {
            return Err(unshown(op));
        };
        if id.is_some_and(|id| id != shown_id) {
            return Err(not_it(op.label(), "another record than the one that was written"));
        }
        let understood = self.understood::<T>(op, &value, &shown_id, definitions).await;
        understood.map(|(record, _)| record).map_err(|_| unshown(op))
    }

    /// An error that blames a field by the name that the product has for it.
    fn named(&self, side: &Side<'_>, definitions: &Definitions, error: CallError) -> CallError {
        if matches!(error, CallError::Unwritable { .. } | CallError::Before { .. }) {
            return error;
        }
        match error.field().and_then(|label| name_of_field(side, definitions, label)) {
            Some(name) => error.blaming(&name),
            None => error,
        }
    }
}

/// A value that is null is no member that is left out, where the body is about nothing else.
fn keep_null(body: &mut Value, operation: &Operation, value: &Value) {
    if !value.is_null() {
        return;
    }
    if let (Some(crate::profile::Body::Table(members)), Value::Object(filled)) = (&operation.body, body) {
        for (name, part) in members.iter().filter(|(_, part)| part.looks_up("value")) {
            let _ = part;
            filled.entry(name.clone()).or_insert(Value::Null);
        }
    }
}

/// The product's name for what an interface calls a field in a refusal: a pointer, a path, a key or a name.
fn name_of_field(side: &Side<'_>, definitions: &Definitions, label: &str) -> Option<String> {
    let own = [
        (&side.write.name, "name"),
        (&side.write.location, "location_id"),
        (&side.write.email, "email"),
        (&side.write.asset_type, "asset_type_id"),
    ];
    let end = label.rsplit(['/', '.']).next().unwrap_or(label);
    let exact =
        own.iter().find(|(pointer, _)| pointer.as_ref().is_some_and(|pointer| pointer.as_str() == label));
    if let Some((_, name)) = exact {
        return Some((*name).to_owned());
    }
    let bare = match side.fields.map(|shape| &shape.form) {
        Some(crate::profile::types::FieldsForm::Prefix { prefix, .. }) => end.strip_prefix(prefix.as_str()),
        _ => None,
    };
    let labels = [Some(label), Some(end), bare];
    let by = |is_it: &dyn Fn(&Definition, &str) -> bool| {
        labels.iter().flatten().find_map(|label| definitions.iter().find(|one| is_it(one, label)))
    };
    let found = by(&|one, label| one.key == label).or_else(|| by(&|one, label| one.field.name == label));
    if let Some(definition) = found {
        return Some(definition.field.name.clone());
    }
    let by_end = own.iter().find(|(pointer, _)| pointer.as_ref().and_then(Pointer::last) == Some(end));
    by_end.map(|(_, name)| (*name).to_owned()).or_else(|| bare.map(str::to_owned))
}
