//! Records as an interface shows them, as the members that the contract has: what cannot be read stays something that cannot be read, and
//! never becomes nobody or nowhere (P30).

use amfj_sync_http::json::{self, kind};
use amfj_sync_model::messages::Unusable;
use amfj_sync_model::names::email_key;
use serde_json::{Map, Value, json};

use super::definitions::{Definition, Definitions, Directory, Meant, meant};
use super::values;
use crate::lenient::{Record, as_text, is_empty, of_members};
use crate::profile::types::{FieldsForm, FieldsShape, Label, Member, NamedShape};
use crate::profile::{Pointer, Profile};

/// What is needed to understand a record.
pub(crate) struct Lens<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) definitions: &'a Definitions,
    pub(crate) people: &'a Directory,
}

/// The members of a record as the contract calls them, and what is odd about them.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) members: Map<String, Value>,
    pub(crate) odd: Vec<String>,
}

/// A row as it came, with the key that it stood under.
pub(crate) struct Row<'a> {
    pub(crate) value: &'a Value,
    pub(crate) key: Option<&'a str>,
}

/// A kind of record that a profile describes.
pub(crate) trait Described: Record {
    fn show(lens: &Lens<'_>, row: &Row<'_>) -> Shown;
}

/// Reads a record.
pub(crate) fn read<T: Described>(lens: &Lens<'_>, row: &Row<'_>) -> Result<(T, Vec<Unusable>), Unusable> {
    if !row.value.is_object() {
        let shown = as_text(row.value);
        let why = format!("it is {} instead of an object; it is left out", kind(row.value));
        return Err(Unusable::new(T::WHAT, None, shown.as_deref(), &why));
    }
    let unreadable = row.value.as_object().is_some_and(json::has_unreadable);
    let Shown { members, odd } = T::show(lens, row);
    of_members(members, &odd, unreadable)
}

/// What stands at a member; none where it is not there.
pub(crate) fn at<'v>(member: &'v Member, row: &Row<'v>) -> Option<std::borrow::Cow<'v, Value>> {
    use std::borrow::Cow;
    match member {
        Member::At { pointer, .. } => pointer.get(row.value).map(Cow::Borrowed),
        Member::Constant(text) => Some(Cow::Owned(Value::String(text.clone()))),
        Member::Key => row.key.map(|key| Cow::Owned(Value::String(key.to_owned()))),
    }
}

/// A value without the escapes of HTML, where the interface has them.
pub(crate) fn plain(profile: &Profile, value: Value) -> Value {
    if profile.values.html { values::unescaped(value) } else { value }
}

impl Shown {
    fn put(&mut self, lens: &Lens<'_>, name: &str, member: &Member, row: &Row<'_>) {
        if let Some(value) = at(member, row) {
            self.members.insert(name.to_owned(), plain(lens.profile, value.into_owned()));
        }
    }

    fn put_named(&mut self, lens: &Lens<'_>, name: &str, shape: &NamedShape, row: &Row<'_>) {
        self.members.insert(name.to_owned(), named(lens, shape, row));
    }
}

/// Something with an id, or null where the interface says that there is none. What cannot be read is an object without id.
fn named(lens: &Lens<'_>, shape: &NamedShape, row: &Row<'_>) -> Value {
    let Some(by) = shape.id.as_ref().or(shape.email.as_ref()).or(shape.name.as_ref()) else {
        return Value::Null;
    };
    let name = shape.name.as_ref().and_then(|name| at(name, row));
    let name = name.map_or(Value::Null, |name| plain(lens.profile, name.into_owned()));
    let Some(found) = at(by, row).map(|found| plain(lens.profile, found.into_owned())) else {
        let unreadable = json!({"id": null, "name": name});
        return match by {
            Member::At { pointer, .. } if absent(lens, pointer, shape.optional, row.value) => Value::Null,
            _ => unreadable,
        };
    };
    if shape.nobody.is_some() && as_text(&found).map(|id| id.trim().to_owned()) == shape.nobody {
        return Value::Null;
    }
    if found.is_null() || is_empty(&found) {
        // Somebody with a name is not nobody because no email is known of them.
        let is_named = shape.email.is_some() && !name.is_null() && !is_empty(&name);
        return if is_named { json!({"id": null, "name": name}) } else { Value::Null };
    }
    if shape.email.is_some() {
        let id = found.as_str().and_then(email_key).and_then(|key| lens.people.get(&key).cloned().flatten());
        return json!({"id": id, "name": if name.is_null() { found } else { name }});
    }
    json!({"id": found, "name": name})
}

/// Whether the interface says that there is nothing: the object that it would stand in is null, or it may be missing. An object that is
/// there and has no such member says nothing, unless the asset's own id or name stands in it as well.
fn absent(lens: &Lens<'_>, pointer: &Pointer, optional: bool, row: &Value) -> bool {
    let Some((within, token)) = pointer.lost_at(row) else { return false };
    if within.is_null() || (!std::ptr::eq(within, row) && is_empty(within)) {
        return true;
    }
    let is_half = pointer.tokens().len() > 1 && pointer.last() == Some(token) && !std::ptr::eq(within, row);
    optional && (!is_half || is_of_the_asset(lens, pointer))
}

/// Whether the object that a member stands in is one of the asset's own members.
fn is_of_the_asset(lens: &Lens<'_>, pointer: &Pointer) -> bool {
    let Some((_, object)) = pointer.tokens().split_last() else { return false };
    let asset = &lens.profile.asset;
    [&asset.id, &asset.name].into_iter().any(|member| match member {
        Member::At { pointer, .. } => {
            pointer.tokens().split_last().is_some_and(|(_, beside)| beside == object)
        }
        Member::Constant(_) | Member::Key => false,
    })
}

/// The custom fields by name, in the product's forms.
pub(crate) fn fields(
    lens: &Lens<'_>,
    shape: &FieldsShape,
    asset_type: Option<&str>,
    row: &Row<'_>,
    shown: &mut Shown,
) {
    let mut fields = Map::new();
    for (label, value) in labelled(shape, row.value, &mut shown.odd) {
        let definition = definition(lens, shape, asset_type, &label);
        let name = match (shape.label, definition) {
            (Label::Name, _) => label,
            (Label::Key, Some(definition)) => definition.field.name.clone(),
            // A field that was made a moment ago, or that this type does not have.
            (Label::Key, None) => continue,
        };
        let value = values::read(&lens.profile.values, shape.options, definition, value.clone());
        fields.insert(name, value);
    }
    shown.members.insert("fields".to_owned(), Value::Object(fields));
}

fn definition<'d>(
    lens: &Lens<'d>,
    shape: &FieldsShape,
    asset_type: Option<&str>,
    label: &str,
) -> Option<&'d Definition> {
    let is_it = |one: &Definition| match shape.label {
        Label::Name => one.field.name == label,
        Label::Key => one.key == label,
    };
    let of = |asset_type| match meant(lens.definitions, asset_type, is_it) {
        Meant::One(definition) => Some(definition),
        Meant::Several | Meant::None => None,
    };
    of(asset_type).or_else(|| of(None))
}

/// Labels and values as they stand in a record.
pub(crate) fn labelled<'v>(
    shape: &FieldsShape,
    record: &'v Value,
    odd: &mut Vec<String>,
) -> Vec<(String, &'v Value)> {
    let at = shape.form.at();
    let Some(found) = at.get(record) else {
        if !shape.optional {
            odd.push(format!(
                "its fields are not at {} where they are to be, and count as none",
                at.as_str()
            ));
        }
        return Vec::new();
    };
    match (&shape.form, found) {
        (_, Value::Null) => Vec::new(),
        (_, empty) if is_empty(empty) => Vec::new(),
        (FieldsForm::Object { .. }, Value::Object(members)) => {
            members.iter().map(|(label, value)| (label.clone(), value)).collect()
        }
        (FieldsForm::Prefix { prefix, .. }, Value::Object(members)) => members
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value)))
            .collect(),
        (FieldsForm::List { row_label, row_value, .. }, Value::Array(rows)) => {
            let mut labelled = Vec::new();
            for row in rows {
                match row_label.get(row).and_then(as_text) {
                    Some(label) => labelled.push((label, row_value.get(row).unwrap_or(&Value::Null))),
                    None => odd.push("one of its fields has no label, and is left out".to_owned()),
                }
            }
            labelled
        }
        (_, other) => {
            odd.push(format!("its fields are {}, and count as none", kind(other)));
            Vec::new()
        }
    }
}

/// The emails of holders, where an interface shows these.
pub(crate) fn holders_email(profile: &Profile, row: &Row<'_>) -> Option<String> {
    let email = profile.asset.holder.as_ref()?.email.as_ref()?;
    at(email, row)?.as_str().and_then(email_key)
}

pub(crate) mod described;
#[cfg(test)]
mod tests;
