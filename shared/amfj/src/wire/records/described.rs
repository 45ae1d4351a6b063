//! The members of each kind of record.

use amfj_sync_model::amfj::{Asset, AssetType, Field, FieldType, Named, UserRecord};
use serde_json::{Map, Value, json};

use super::{Described, Lens, Row, Shown, at, fields};
use crate::lenient::as_text;
use crate::profile::types::FieldShape;
use crate::wire::definitions::Definition;
use crate::wire::values;

impl Described for Asset {
    fn show(lens: &Lens<'_>, row: &Row<'_>) -> Shown {
        let shape = &lens.profile.asset;
        let mut shown = Shown::default();
        shown.put(lens, "id", &shape.id, row);
        shown.put(lens, "name", &shape.name, row);
        shown.put_named(lens, "asset_type", &shape.asset_type, row);
        if let Some(location) = &shape.location {
            shown.put_named(lens, "location", location, row);
        }
        if let Some(holder) = &shape.holder {
            shown.put_named(lens, "checked_out_to", holder, row);
        }
        if let Some(created) = shape.created_at.as_ref().and_then(|created| at(created, row)) {
            let read = values::read_timestamp(&lens.profile.values, &created);
            let value = read.map_or_else(|| created.into_owned(), Value::String);
            shown.members.insert("created_at".to_owned(), value);
        }
        if let Some(shape) = &shape.fields {
            let asset_type =
                shown.members.get("asset_type").and_then(|named| named.get("id")).and_then(as_text);
            fields(lens, shape, asset_type.as_deref(), row, &mut shown);
        }
        shown
    }
}

impl Described for UserRecord {
    fn show(lens: &Lens<'_>, row: &Row<'_>) -> Shown {
        let shape = &lens.profile.user;
        let mut shown = Shown::default();
        shown.put(lens, "id", &shape.id, row);
        shown.put(lens, "name", &shape.name, row);
        if let Some(email) = &shape.email {
            shown.put(lens, "email", email, row);
        }
        let source =
            shape.source.as_ref().and_then(|source| at(source, row)).and_then(|source| as_text(&source));
        let is_jira = source.is_some_and(|source| shape.jira.iter().any(|word| word == source.trim()));
        shown.members.insert("source".to_owned(), json!(if is_jira { "jira" } else { "local" }));
        if let Some(shape) = &shape.fields {
            fields(lens, shape, None, row, &mut shown);
        }
        shown
    }
}

impl Described for AssetType {
    /// With fields, where they stand in it; what they are called in records is for [`definitions_of`].
    fn show(lens: &Lens<'_>, row: &Row<'_>) -> Shown {
        let shape = &lens.profile.asset_type;
        let mut shown = Shown::default();
        shown.put(lens, "id", &shape.id, row);
        shown.put(lens, "name", &shape.name, row);
        let found = shape.fields.as_ref().and_then(|fields| fields.get(row.value));
        let listed = match found {
            Some(Value::Array(rows)) => {
                Value::Array(rows.iter().map(|row| field_of_type(lens, row, None)).collect())
            }
            Some(Value::Object(rows)) => {
                Value::Array(rows.iter().map(|(key, row)| field_of_type(lens, row, Some(key))).collect())
            }
            Some(other) => other.clone(),
            None => Value::Null,
        };
        shown.members.insert("fields".to_owned(), listed);
        shown
    }
}

fn field_of_type(lens: &Lens<'_>, value: &Value, key: Option<&str>) -> Value {
    if value.is_object() {
        Value::Object(Field::show(lens, &Row { value, key }).members)
    } else {
        // A bare name is a field of which nothing else is known.
        value.clone()
    }
}

impl Described for Named {
    fn show(lens: &Lens<'_>, row: &Row<'_>) -> Shown {
        let shape = &lens.profile.location;
        let mut shown = Shown::default();
        shown.put(lens, "id", &shape.id, row);
        shown.put(lens, "name", &shape.name, row);
        shown
    }
}

impl Described for Field {
    fn show(lens: &Lens<'_>, row: &Row<'_>) -> Shown {
        let shape = &lens.profile.field;
        let mut shown = Shown::default();
        shown.put(lens, "name", &shape.name, row);
        if let Some(kind) = shape.kind.as_ref().and_then(|kind| at(kind, row)) {
            let word = as_text(&kind).unwrap_or_default();
            shown.members.insert("type".to_owned(), type_named(shape, word.trim()));
        }
        if let Some(required) = &shape.required {
            shown.put(lens, "required", required, row);
        }
        if let Some(found) = shape.options.as_ref().and_then(|options| options.get(row.value)) {
            let names = options(shape, found).into_iter().map(|(_, name)| Value::String(name));
            let listed = if found.is_array() || found.is_object() {
                Value::Array(names.collect())
            } else {
                found.clone()
            };
            shown.members.insert("options".to_owned(), listed);
        }
        shown
    }
}

/// The product's word for a type.
fn type_named(shape: &FieldShape, word: &str) -> Value {
    if shape.types.is_empty() {
        return word.into();
    }
    let is_it = |words: &Vec<String>| words.iter().any(|known| known == word);
    let found = shape.types.iter().find(|(_, words)| is_it(words)).map_or(FieldType::Text, |(kind, _)| *kind);
    serde_json::to_value(found).unwrap_or_default()
}

/// Keys and names of the options of a choice.
fn options(shape: &FieldShape, found: &Value) -> Vec<(String, String)> {
    let one = |key: Option<&String>, value: &Value| {
        let (own_key, name) = match &shape.option {
            Some((key, name)) => (key.get(value).and_then(as_text), name.get(value).and_then(as_text)),
            None => (None, named_by_anything(value)),
        };
        let name = name?;
        Some((own_key.or_else(|| key.cloned()).unwrap_or_else(|| name.clone()), name))
    };
    match found {
        Value::Array(values) => values.iter().filter_map(|value| one(None, value)).collect(),
        Value::Object(values) => values.iter().filter_map(|(key, value)| one(Some(key), value)).collect(),
        _ => Vec::new(),
    }
}

/// A text, a number, or an object that says so of one.
fn named_by_anything(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) => {
            ["value", "name", "label", "id"].iter().find_map(|name| members.get(*name).and_then(as_text))
        }
        Value::Bool(flag) => Some(flag.to_string()),
        other => as_text(other),
    }
}

/// What a definition says beside what the product's own field does.
pub(crate) fn definition(lens: &Lens<'_>, field: Field, row: &Row<'_>) -> Definition {
    let shape = &lens.profile.field;
    let key = shape.key.as_ref().and_then(|key| at(key, row)).and_then(|key| as_text(&key));
    let found = shape.options.as_ref().and_then(|pointer| pointer.get(row.value));
    let types = shape.asset_types.as_ref().and_then(|types| types.get(row.value));
    // A field that no type has would be of no use: an empty list is no restriction.
    let ids = types.and_then(Value::as_array).filter(|ids| !ids.is_empty());
    let asset_types = ids.map(|ids| ids.iter().filter_map(as_text).collect());
    Definition {
        key: key.unwrap_or_else(|| field.name.clone()),
        options: found.map(|found| options(shape, found)).unwrap_or_default(),
        asset_types,
        field,
    }
}

/// The definitions that stand in an asset type.
pub(crate) fn definitions_of(lens: &Lens<'_>, asset_type: &AssetType, row: &Row<'_>) -> Vec<Definition> {
    let found = lens.profile.asset_type.fields.as_ref().and_then(|fields| fields.get(row.value));
    let rows: Vec<Row<'_>> = match found {
        Some(Value::Array(rows)) => rows.iter().map(|value| Row { value, key: None }).collect(),
        Some(Value::Object(rows)) => rows.iter().map(|(key, value)| Row { value, key: Some(key) }).collect(),
        _ => Vec::new(),
    };
    let mut definitions = Vec::new();
    for row in rows {
        let name = at(&lens.profile.field.name, &row).and_then(|name| as_text(&name));
        // Only what could be read as a field.
        if let Some(field) = asset_type.fields.iter().find(|field| Some(&field.name) == name.as_ref()) {
            let mut definition = definition(lens, field.clone(), &row);
            definition.asset_types = Some(vec![asset_type.id.clone()]);
            definitions.push(definition);
        }
    }
    definitions
}

/// The locations in a tree, each with the way to it as its name where the profile has a separator.
pub(crate) fn tree<'v>(
    lens: &Lens<'_>,
    value: &'v Value,
    key: Option<&'v str>,
) -> Vec<(Map<String, Value>, &'v Value)> {
    let mut found = Vec::new();
    descend(lens, value, key, "", 0, &mut found);
    found
}

/// How deep a tree of locations is gone into.
const DEEPEST: usize = 32;

fn descend<'v>(
    lens: &Lens<'_>,
    value: &'v Value,
    key: Option<&str>,
    above: &str,
    depth: usize,
    found: &mut Vec<(Map<String, Value>, &'v Value)>,
) {
    let shape = &lens.profile.location;
    let mut members = Named::show(lens, &Row { value, key }).members;
    let mut name = members.get("name").and_then(as_text).unwrap_or_default();
    if let Some(separator) = shape.separator.as_ref().filter(|_| !above.is_empty()) {
        name = format!("{above}{separator}{name}");
        members.insert("name".to_owned(), name.clone().into());
    }
    found.push((members, value));
    if depth >= DEEPEST {
        return;
    }
    match shape.children.as_ref().and_then(|children| children.get(value)) {
        Some(Value::Array(children)) => {
            for child in children {
                descend(lens, child, None, &name, depth + 1, found);
            }
        }
        Some(Value::Object(children)) => {
            for (key, child) in children {
                descend(lens, child, Some(key), &name, depth + 1, found);
            }
        }
        _ => {}
    }
}
