//! What the answer to a write shows: the record, its id, a job, or nothing that could be relied on.

use std::sync::Arc;

use amfj_sync_http::{Answer, CallError};

use super::definitions::{Definition, Definitions, Directory};
use super::kept::Kept;
use super::records::{Lens, Row};
use super::writing::Side;
use super::{not_it, record_in, unshown};
use crate::client::AmfjClient;
use crate::client::answers::written;
use crate::lenient::{self, as_text};
use crate::profile::types::{AnswerForm, FieldsForm, Operation};
use crate::profile::{Op, Pointer};

impl AmfjClient {
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
        self.wait_further().await;
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
        let (value, key) = answer.read(|body| {
            let key = match &operation.key {
                Some(key) => key.get(&amfj_sync_http::json::value(body)?).and_then(as_text),
                None => None,
            };
            Ok((record_in(body, operation)?, key))
        })?;
        let people = Directory::new();
        let lens = Lens { profile: self.profile(), definitions, people: &people };
        // A record that is keyed by its id in lists has none in itself.
        let key = key.as_deref().map(str::trim).or(id);
        let members = T::show(&lens, &Row { value: &value, key }).members;
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
}

/// An error that blames a field by the name that the product has for it.
pub(super) fn named(side: &Side<'_>, definitions: &Definitions, error: CallError) -> CallError {
    if matches!(error, CallError::Unwritable { .. } | CallError::Before { .. }) {
        return error;
    }
    match error.field().and_then(|label| name_of_field(side, definitions, label)) {
        Some(name) => error.blaming(&name),
        None => error,
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
        Some(FieldsForm::Prefix { prefix, .. }) => end.strip_prefix(prefix.as_str()),
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
