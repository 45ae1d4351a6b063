//! Members of records: where something stands.

use amfj_sync_config::reading::{self as file, Kind, Node, NodeValue};

use super::meant;
use crate::profile::pointer::Pointer;
use crate::profile::types::{Member, NamedShape};

/// A pointer, or a table that says more.
pub(super) fn member(node: &Node) -> Result<Member, String> {
    match node.as_kind(Kind::Table) {
        NodeValue::Text(text) => Ok(Member::At { pointer: Pointer::parse(&text)?, optional: false }),
        NodeValue::Table(_) => table(node, &[]).map(|(member, _)| member),
        other => Err(must_be(&other)),
    }
}

/// The same, with further keys.
pub(super) fn table(node: &Node, more: &[&str]) -> Result<(Member, Vec<(String, Node)>), String> {
    let entries = match node.as_kind(Kind::Table) {
        NodeValue::Table(entries) => entries,
        NodeValue::Text(_) => return member(node).map(|member| (member, Vec::new())),
        other => return Err(must_be(&other)),
    };
    let (mut at, mut constant, mut key, mut optional, mut rest) = (None, None, false, false, Vec::new());
    for (name, value) in entries {
        let inside = |error: String| format!("is wrong: \"{name}\" {error}");
        match name.as_str() {
            "at" => at = Some(Pointer::parse(&file::text(&value).map_err(inside)?).map_err(inside)?),
            "constant" => constant = Some(file::text(&value).map_err(inside)?),
            "key" => key = file::boolean(&value).map_err(inside)?,
            "optional" => optional = file::boolean(&value).map_err(inside)?,
            other if more.contains(&other) => rest.push((name, value)),
            other => {
                let known = ["at", "constant", "key", "optional"].into_iter().chain(more.iter().copied());
                return Err(unknown(other, &known.collect::<Vec<_>>()));
            }
        }
    }
    let member = match (at, constant, key) {
        (Some(pointer), None, false) => Member::At { pointer, optional },
        (None, Some(text), false) => Member::Constant(text),
        (None, None, true) => Member::Key,
        (None, None, false) => return Err("says nowhere where it stands; write at = \"/pointer\"".to_owned()),
        _ => return Err("has more than one of at, constant and key; remove all but one".to_owned()),
    };
    Ok((member, rest))
}

fn unknown(key: &str, known: &[&str]) -> String {
    format!("has an unknown key \"{}\"; {}", file::shown(key), meant(key, known))
}

fn must_be(found: &NodeValue) -> String {
    format!(
        "must be a pointer such as \"/name\" or a table such as {{ at = \"/name\", optional = true }}, not {}",
        found.described()
    )
}

/// Something with an id, a name or an email.
pub(super) fn named(node: &Node, by_email: bool) -> Result<NamedShape, String> {
    let NodeValue::Table(entries) = node.as_kind(Kind::Table) else {
        return Err("must be a table such as { id = \"/type/id\", name = \"/type/name\" }".to_owned());
    };
    let mut shape = NamedShape::default();
    for (name, value) in entries {
        let inside = |error: String| format!("is wrong: \"{name}\" {error}");
        match name.as_str() {
            "id" => shape.id = Some(member(&value).map_err(inside)?),
            "name" => shape.name = Some(member(&value).map_err(inside)?),
            "email" if by_email => shape.email = Some(member(&value).map_err(inside)?),
            "optional" => shape.optional = file::boolean(&value).map_err(inside)?,
            "nobody" if by_email => shape.nobody = Some(nobody(&value).map_err(inside)?),
            other => {
                let known: &[&str] = if by_email {
                    &["id", "name", "email", "optional", "nobody"]
                } else {
                    &["id", "name", "optional"]
                };
                return Err(unknown(other, known));
            }
        }
    }
    match (&shape.id, &shape.name, &shape.email) {
        (None, _, None) if by_email => Err("needs id or email".to_owned()),
        (None, None, None) => Err("needs id or name".to_owned()),
        (Some(_), _, Some(_)) => Err("has both id and email; remove one of them".to_owned()),
        (None, ..) if shape.nobody.is_some() => Err("has nobody, which needs id".to_owned()),
        _ => Ok(shape),
    }
}

/// The id that stands for nobody, as a text or a number.
fn nobody(node: &Node) -> Result<String, String> {
    match node.as_kind(Kind::Text) {
        NodeValue::Integer(Some(number)) => Ok(number.to_string()),
        _ => file::name(node),
    }
}
