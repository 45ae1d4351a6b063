//! Writing fields: one request for all fields of a record; a field that AMFJ refuses is left out, the
//! others are written (P15).

use std::collections::BTreeMap;

use amfj_sync_amfj::client::{AssetPatch, NewAsset, NewUser, UserPatch};
use amfj_sync_model::messages::{Edit, Outcome, Refusal};
use serde_json::Value;

use crate::answers::is_kept;

fn refusal(value: Value, reason: &str) -> Refusal {
    Refusal { value, reason: reason.to_owned(), fingerprint: None }
}

/// Something with fields of which one can be left out.
pub(crate) trait Fields {
    /// Takes a field out; the value that was to be sent, or none where it is not in there.
    fn leave_out(&mut self, field: &str) -> Option<(String, Value)>;
}

/// The name of a custom field as AMFJ may write it in an error: alone, or behind `fields.`.
fn take_custom(fields: &mut BTreeMap<String, Value>, field: &str) -> Option<(String, Value)> {
    let name = field.strip_prefix("fields.").unwrap_or(field);
    fields.remove_entry(name).or_else(|| fields.remove_entry(field))
}

impl Fields for AssetPatch {
    fn leave_out(&mut self, field: &str) -> Option<(String, Value)> {
        take_custom(&mut self.fields, field).or_else(|| match field {
            "name" => Some((Outcome::NAME.to_owned(), self.name.take()?.into())),
            "location_id" | "location" => {
                Some((Outcome::LOCATION.to_owned(), self.location_id.take()?.into()))
            }
            _ => None,
        })
    }
}

impl Fields for NewAsset {
    fn leave_out(&mut self, field: &str) -> Option<(String, Value)> {
        take_custom(&mut self.fields, field).or_else(|| match field {
            "location_id" | "location" => {
                Some((Outcome::LOCATION.to_owned(), self.location_id.take()?.into()))
            }
            _ => None,
        })
    }
}

impl Fields for UserPatch {
    fn leave_out(&mut self, field: &str) -> Option<(String, Value)> {
        take_custom(&mut self.fields, field).or_else(|| match field {
            "name" => Some((Outcome::NAME.to_owned(), self.name.take()?.into())),
            "email" => Some((Outcome::EMAIL.to_owned(), self.email.take()?.into())),
            _ => None,
        })
    }
}

impl Fields for NewUser {
    fn leave_out(&mut self, field: &str) -> Option<(String, Value)> {
        take_custom(&mut self.fields, field)
    }
}

/// What AMFJ refused so far while a record was written.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) fields: BTreeMap<String, Refusal>,
}

impl Refused {
    /// Leaves out the field that AMFJ blames and remembers it. `false` where that would not help, because it
    /// was not sent: then the refusal is about the record, and about no field.
    pub(crate) fn leave_out(&mut self, from: &mut impl Fields, field: &str, reason: &str) -> bool {
        let Some((name, value)) = from.leave_out(field) else { return false };
        self.fields.insert(name, refusal(value, reason));
        true
    }

    /// The edits that AMFJ took, as its answer shows: what it did not keep is refused, although no answer
    /// said so (P15).
    pub(crate) fn taken(
        &mut self,
        edits: BTreeMap<String, Edit>,
        shown: impl Fn(&str) -> Value,
    ) -> BTreeMap<String, Edit> {
        let mut taken = self.written(edits);
        taken.retain(|field, edit| {
            let kept = is_kept(edit, &shown(field));
            if !kept {
                self.fields.insert(field.clone(), refusal(edit.new.clone(), Refusal::NOT_TAKEN));
            }
            kept
        });
        taken
    }

    /// The edits that were not refused.
    pub(crate) fn written(&self, edits: BTreeMap<String, Edit>) -> BTreeMap<String, Edit> {
        edits.into_iter().filter(|(field, _)| !self.fields.contains_key(field)).collect()
    }
}

#[cfg(test)]
mod tests;
