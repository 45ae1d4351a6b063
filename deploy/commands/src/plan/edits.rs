//! The values that a change writes, field by field.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::Named;
use amfj_sync_model::mapping::is_blank;
use amfj_sync_model::messages::{Action, AssetWrite, Edit, Outcome, UserWrite};
use serde::Serialize;
use serde_json::Value;

/// What a new asset is; no field, and never changed later (P13).
pub(super) const ASSET_TYPE: &str = "Asset type";

/// One value that is written.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedEdit {
    pub(super) field: String,
    pub(super) old: Value,
    pub(super) new: Value,
    /// Whether a value that AMFJ holds is lost.
    pub(super) overwrites: bool,
}

impl PlannedEdit {
    fn of(field: &str, edit: &Edit) -> Self {
        let Edit { old, new } = edit.clone();
        Self { field: field.to_owned(), overwrites: !is_blank(&old), old, new }
    }

    fn filled(field: &str, new: impl Into<Value>) -> Self {
        Self::of(field, &Edit { old: Value::Null, new: new.into() })
    }
}

/// All values that an action writes to a record; a holder is none of them.
pub(super) fn edits_of(action: &Action) -> Vec<PlannedEdit> {
    match action {
        Action::LinkAsset { write, .. } | Action::UpdateAsset { write, .. } => of_asset(write),
        Action::CreateAsset { asset_type, location, fields, .. } => {
            let asset_type = PlannedEdit::filled(ASSET_TYPE, asset_type.name.clone());
            std::iter::once(asset_type).chain(place(location.as_ref())).chain(filled(fields)).collect()
        }
        Action::CreateUser { email, fields, .. } => {
            let email = email.iter().map(|email| PlannedEdit::filled(Outcome::EMAIL, email.clone()));
            email.chain(filled(fields)).collect()
        }
        Action::UpdateUser { write, .. } => of_record(write),
        Action::BreakLink { .. }
        | Action::Assign { .. }
        | Action::LinkUser { .. }
        | Action::Restore { .. } => Vec::new(),
    }
}

fn of_asset(write: &AssetWrite) -> Vec<PlannedEdit> {
    let name = write.name.iter().map(|edit| PlannedEdit::of(Outcome::NAME, edit));
    name.chain(place(write.location.as_ref())).chain(changed(&write.fields)).collect()
}

fn of_record(write: &UserWrite) -> Vec<PlannedEdit> {
    let name = write.name.iter().map(|edit| PlannedEdit::of(Outcome::NAME, edit));
    let email = write.email.iter().map(|edit| PlannedEdit::of(Outcome::EMAIL, edit));
    name.chain(email).chain(changed(&write.fields)).collect()
}

fn place(location: Option<&Named>) -> Option<PlannedEdit> {
    location.map(|location| PlannedEdit::filled(Outcome::LOCATION, location.name.clone()))
}

fn filled(fields: &BTreeMap<String, Value>) -> impl Iterator<Item = PlannedEdit> {
    fields.iter().map(|(field, value)| PlannedEdit::filled(field, value.clone()))
}

fn changed(fields: &BTreeMap<String, Edit>) -> impl Iterator<Item = PlannedEdit> {
    fields.iter().map(|(field, edit)| PlannedEdit::of(field, edit))
}
