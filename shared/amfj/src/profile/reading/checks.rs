//! What has to fit together in a profile.

use amfj_sync_config::reading::{At, Reading};
use amfj_sync_http::Method;

use super::operations::Places;
use crate::profile::operation::Op;
use crate::profile::types::{Clear, FieldsForm, FieldsShape, Label, Member, Profile, Update};

/// Reports what does not fit together.
pub(super) fn check(profile: &Profile, at: &At, places: &Places, reading: &mut Reading<'_>) {
    let mut problems: Vec<(At, String)> = Vec::new();
    let mut complain = |op: Op, message: &str| {
        let at = places.get(&op).unwrap_or(at).clone();
        problems.push((at, format!("[operations.{}] {message}", op.key())));
    };
    for (op, operation) in &profile.operations {
        if op.writes() && operation.update != Update::Holder && operation.method == Method::GET {
            complain(*op, "\"method\" must be one that writes, such as method = \"POST\"");
        }
        if !op.writes() && operation.method != Method::GET && operation.method != Method::POST {
            complain(*op, "\"method\" must be \"GET\" or \"POST\" for something that only reads");
        }
        let names_its_record = matches!(op, Op::ReadAsset | Op::ReadUser | Op::UpdateAsset | Op::UpdateUser);
        if names_its_record && !operation.looks_up("id") {
            complain(
                *op,
                "\"id\" stands neither in path nor in query nor in body; write path = \"assets/{{ id }}\"",
            );
        }
        if operation.update == Update::Holder && profile.asset.write.holder.is_none() {
            complain(*op, "update = \"holder\" needs holder = \"/pointer\" in [asset.write]");
        }
    }
    if let Some(out) = profile.operation(Op::CheckOut)
        && out.update != Update::Holder
        && !out.looks_up("user")
    {
        complain(Op::CheckOut, "names nobody; write {{ user.id }} or {{ user.email }} in body or path");
    }
    let searches = [(Op::FindAssetsByName, "name"), (Op::FindUsersByEmail, "email")];
    for (op, name) in searches {
        if profile.operation(op).is_some_and(|operation| !operation.looks_up(name)) {
            complain(
                op,
                &format!(
                    "does not say what is looked for; write query = {{ {name} = \"{{{{ {name} }}}}\" }}"
                ),
            );
        }
    }
    writing(profile, &mut complain);
    fields(profile, &mut complain);
    for (at, message) in problems {
        reading.problem(&at, message);
    }
}

fn writing(profile: &Profile, complain: &mut dyn FnMut(Op, &str)) {
    let asset = &profile.asset.write;
    if profile.has(Op::CreateAsset) && (asset.name.is_none() || asset.asset_type.is_none()) {
        complain(Op::CreateAsset, "needs name and asset_type in [asset.write], where they are written");
    }
    if profile.has(Op::CreateUser) && profile.user.write.name.is_none() {
        complain(Op::CreateUser, "needs name in [user.write], where it is written");
    }
    for (op, clears) in [(Op::UpdateAsset, Op::ClearAssetField), (Op::UpdateUser, Op::ClearUserField)] {
        let replaces = profile.operation(op).is_none_or(|operation| operation.update == Update::Replace);
        if profile.values.clear == Clear::Omit && !replaces && !profile.has(clears) {
            complain(
                op,
                "clears nothing: clear = \"omit\" in [values] works with update = \"replace\" alone",
            );
        }
    }
    if profile.has(Op::ReadAsset) && matches!(profile.asset.id, Member::Constant(_)) {
        complain(Op::ReadAsset, "reads nothing: \"id\" in [asset] is the same for all");
    }
}

fn fields(profile: &Profile, complain: &mut dyn FnMut(Op, &str)) {
    let needs_key = |shape: &FieldsShape| shape.label == Label::Key || shape.options == Label::Key;
    let of_assets = profile.asset.fields.as_ref();
    let is_defined = profile.has(Op::ListAssetFields) || profile.asset_type.fields.is_some();
    if of_assets.is_some_and(needs_key) && !is_defined {
        complain(
            Op::ListAssetTypes,
            "fields are told by their keys, and nothing lists them: describe list_asset_fields, or write fields = \"/fields\" in \
             [asset_type]",
        );
    }
    let of_users = profile.user.fields.as_ref();
    if of_users.is_some_and(needs_key) && !profile.has(Op::ListUserFields) {
        complain(
            Op::ListUsers,
            "fields are told by their keys, and nothing lists them: describe list_user_fields",
        );
    }
    let by_key = |shape: &FieldsShape| shape.label == Label::Key;
    if (of_assets.is_some_and(by_key) || of_users.is_some_and(by_key)) && profile.field.key.is_none() {
        complain(Op::ListAssetTypes, "label = \"key\" needs key = \"/pointer\" in [field]");
    }
    let by_option = |shape: &FieldsShape| shape.options == Label::Key;
    if of_assets.is_some_and(by_option) && profile.field.option.is_none() {
        complain(
            Op::ListAssetTypes,
            "options = \"key\" needs option = { key = \"/id\", name = \"/name\" } in [field]",
        );
    }
    let is_patch = profile.operation(Op::UpdateAsset).is_some_and(|op| op.update == Update::JsonPatch);
    let is_list = |shape: &FieldsShape| matches!(shape.form, FieldsForm::List { .. });
    if is_patch && of_assets.is_some_and(is_list) && profile.asset.write.fields.is_some() {
        complain(Op::UpdateAsset, "JSON Patch writes where it reads: remove fields in [asset.write]");
    }
}
