//! `[asset]`, `[user]`, `[asset_type]`, `[location]` and `[field]`.

use amfj_sync_config::reading::{self as file, Reading, Section};
use amfj_sync_model::amfj::FieldType;

use super::members::{member, named, table};
use super::{pointer, word};
use crate::profile::pointer::Pointer;
use crate::profile::types::{
    AssetShape, FieldShape, FieldsForm, FieldsShape, Label, LocationShape, Member, TypeShape, UserShape,
    WriteShape,
};

fn required(section: &mut Section, reading: &mut Reading<'_>, key: &'static str) -> Option<Member> {
    let write = format!("{key} = \"/{key}\", the pointer to it");
    section.read(reading, key, member).required(section, key, &write)
}

#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
fn optional(section: &mut Section, reading: &mut Reading<'_>, key: &'static str) -> Option<Option<Member>> {
    section.read(reading, key, |node| member(node).map(Some)).or(None)
}

pub(super) fn asset(mut section: Section, reading: &mut Reading<'_>) -> Option<AssetShape> {
    let id = required(&mut section, reading, "id");
    let name = required(&mut section, reading, "name");
    let asset_type = section.read(reading, "asset_type", |node| named(node, false)).required(
        &mut section,
        "asset_type",
        "asset_type = { id = \"/type/id\", name = \"/type/name\" }",
    );
    let location = section.read(reading, "location", |node| named(node, false).map(Some)).or(None);
    let holder = section.read(reading, "holder", |node| named(node, true).map(Some)).or(None);
    let created_at = optional(&mut section, reading, "created_at");
    let fields = fields(&mut section, reading);
    let write = write(&mut section, reading, true);
    section.finish(reading);
    Some(AssetShape {
        id: id?,
        name: name?,
        asset_type: asset_type?,
        location: location?,
        holder: holder?,
        created_at: created_at?,
        fields: fields?,
        write: write?,
    })
}

pub(super) fn user(mut section: Section, reading: &mut Reading<'_>) -> Option<UserShape> {
    let id = required(&mut section, reading, "id");
    let name = required(&mut section, reading, "name");
    let email = optional(&mut section, reading, "email");
    let source = section
        .read(reading, "source", |node| {
            let (member, more) = table(node, &["jira"])?;
            let jira = more.first().map(|(_, words)| file::names(words)).transpose();
            let jira = jira.map_err(|error| format!("is wrong: \"jira\" {error}"))?;
            Ok((Some(member), jira.unwrap_or_default()))
        })
        .or((None, Vec::new()));
    let fields = fields(&mut section, reading);
    let write = write(&mut section, reading, false);
    section.finish(reading);
    let (source, jira) = source?;
    Some(UserShape { id: id?, name: name?, email: email?, source, jira, fields: fields?, write: write? })
}

fn write(section: &mut Section, reading: &mut Reading<'_>, of_asset: bool) -> Option<WriteShape> {
    let mut section = section.section(reading, "write");
    let mut read = |key| section.read(reading, key, |node| pointer(node).map(Some)).or(None);
    let (name, fields) = (read("name"), read("fields"));
    let shape = if of_asset {
        let (asset_type, location, holder) = (read("asset_type"), read("location"), read("holder"));
        WriteShape {
            name: name?,
            fields: fields?,
            email: None,
            asset_type: asset_type?,
            location: location?,
            holder: holder?,
        }
    } else {
        let email = read("email");
        WriteShape { name: name?, fields: fields?, email: email?, ..WriteShape::default() }
    };
    section.finish(reading);
    Some(shape)
}

const LABELS: [(&str, Label); 2] = [("name", Label::Name), ("key", Label::Key)];

#[derive(Clone, Copy)]
enum Form {
    Object,
    List,
    Prefix,
}

/// Custom fields, where records have some.
#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
fn fields(section: &mut Section, reading: &mut Reading<'_>) -> Option<Option<FieldsShape>> {
    let mut section = section.section(reading, "fields");
    if !section.has_more() {
        return Some(None);
    }
    let forms = [("object", Form::Object), ("list", Form::List), ("prefix", Form::Prefix)];
    let form = section.read(reading, "form", |node| word(node, &forms)).required(
        &mut section,
        "form",
        "form = \"object\", \"list\" or \"prefix\"",
    );
    let at = section.read(reading, "at", pointer);
    let label = section.read(reading, "label", |node| word(node, &LABELS)).or(Label::Name);
    let options = section.read(reading, "options", |node| word(node, &LABELS)).or(Label::Name);
    let optional = section.read(reading, "optional", file::boolean).or(false);
    let form = match form {
        Some(Form::Object) => {
            let at = at.required(&mut section, "at", "at = \"/fields\", the pointer to the object");
            at.map(|at| FieldsForm::Object { at })
        }
        Some(Form::List) => {
            let at = at.required(&mut section, "at", "at = \"/fields\", the pointer to the list");
            let row_label = section.read(reading, "row_label", pointer).required(
                &mut section,
                "row_label",
                "row_label = \"/id\", the pointer in a row",
            );
            let row_value = section.read(reading, "row_value", pointer).required(
                &mut section,
                "row_value",
                "row_value = \"/value\", the pointer in a row",
            );
            at.zip(row_label).zip(row_value).map(|((at, row_label), row_value)| FieldsForm::List {
                at,
                row_label,
                row_value,
            })
        }
        Some(Form::Prefix) => {
            let prefix = section.read(reading, "prefix", file::name).required(
                &mut section,
                "prefix",
                "prefix = \"custom_\"",
            );
            at.or(Pointer::root()).zip(prefix).map(|(at, prefix)| FieldsForm::Prefix { at, prefix })
        }
        None => None,
    };
    section.finish(reading);
    Some(Some(FieldsShape { form: form?, label: label?, options: options?, optional: optional? }))
}

pub(super) fn asset_type(mut section: Section, reading: &mut Reading<'_>) -> Option<TypeShape> {
    let id = required(&mut section, reading, "id");
    let name = required(&mut section, reading, "name");
    let fields = section.read(reading, "fields", |node| pointer(node).map(Some)).or(None);
    section.finish(reading);
    Some(TypeShape { id: id?, name: name?, fields: fields? })
}

/// Where something stands that need not be said.
fn at(text: &str) -> Option<Member> {
    Pointer::parse(text).ok().map(|pointer| Member::At { pointer, optional: false })
}

/// An interface without locations need not say what one looks like.
pub(super) fn location(mut section: Section, reading: &mut Reading<'_>) -> Option<LocationShape> {
    let id = section.read(reading, "id", member).or(at("/id")?);
    let name = section.read(reading, "name", member).or(at("/name")?);
    let children = section.read(reading, "children", |node| pointer(node).map(Some)).or(None);
    let separator = section.read(reading, "separator", |node| file::text(node).map(Some)).or(None);
    section.finish(reading);
    Some(LocationShape { id: id?, name: name?, children: children?, separator: separator? })
}

pub(super) fn field(mut section: Section, reading: &mut Reading<'_>) -> Option<FieldShape> {
    let name = section.read(reading, "name", member).or(at("/name")?);
    let key = optional(&mut section, reading, "key");
    let kind = optional(&mut section, reading, "type");
    let required = optional(&mut section, reading, "required");
    let options = section.read(reading, "options", |node| pointer(node).map(Some)).or(None);
    let mut below = section.section(reading, "option");
    let option = if below.has_more() {
        let key = below.read(reading, "key", pointer).required(&mut below, "key", "key = \"/id\"");
        let name = below.read(reading, "name", pointer).required(&mut below, "name", "name = \"/name\"");
        key.zip(name).map(Some)
    } else {
        Some(None)
    };
    below.finish(reading);
    let asset_types = section.read(reading, "asset_types", |node| pointer(node).map(Some)).or(None);
    let mut below = section.section(reading, "types");
    let kinds = [
        ("number", FieldType::Number),
        ("boolean", FieldType::Boolean),
        ("date", FieldType::Date),
        ("select", FieldType::Select),
        ("url", FieldType::Url),
        ("email", FieldType::Email),
        ("text", FieldType::Text),
    ];
    let types: Option<Vec<_>> = kinds
        .into_iter()
        .map(|(key, kind)| Some((kind, below.read(reading, key, file::names).or(Vec::new())?)))
        .collect();
    below.finish(reading);
    section.finish(reading);
    let mut types = types?;
    types.retain(|(_, words)| !words.is_empty());
    Some(FieldShape {
        name: name?,
        key: key?,
        kind: kind?,
        required: required?,
        options: options?,
        option: option?,
        asset_types: asset_types?,
        types,
    })
}
