//! Settings from the environment: `AMFJ_SYNC__BROKER__URL` is `broker.url`.
//!
//! An integration is named by its id (`AMFJ_SYNC__INTEGRATION__ACME__AMFJ__API_URL`, with `-` as `_`)
//! or by its position from 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::{At, Problem, nearest};
use super::source::SourceFile;
use super::tree::{Entries, Kind, Node, NodeValue};

/// What every overriding variable begins with.
pub const PREFIX: &str = "AMFJ_SYNC__";

/// Tables whose keys are names out of AMFJ or Kandji, and so cannot be misspelt settings.
pub(super) const FREE_TABLES: [&str; 3] = ["asset_types", "fields", "user_fields"];

/// Puts every overriding variable in its place in the tree.
pub(super) fn apply(
    root: &mut Node,
    variables: &BTreeMap<String, String>,
    source: &SourceFile,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let name: Arc<str> = name.as_str().into();
        let node = Node::from_variable(&name, value);
        if let Err(message) = set(root, path, node, &name) {
            problems.push(Problem::at(source, &At::Variable(name), message));
        }
    }
}

/// What a variable overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overridden<'a> {
    /// Something of this integration, which is named by its id or position.
    Integration(&'a str),
    /// Something else, or nothing.
    Other,
}

/// What a variable of this name overrides.
pub(super) fn overridden(name: &str) -> Overridden<'_> {
    let mut segments = name.strip_prefix(PREFIX).unwrap_or_default().split("__");
    match (segments.next(), segments.next()) {
        (Some(first), Some(which)) if is_integration(first) => Overridden::Integration(which),
        _ => Overridden::Other,
    }
}

fn set(root: &mut Node, path: &str, node: Node, name: &Arc<str>) -> Result<(), String> {
    let segments: Vec<&str> = path.split("__").collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(format!("names no setting; it is written {PREFIX}BROKER__URL"));
    }
    match segments.as_slice() {
        [first] if is_integration(first) => {
            Err(format!("names no setting of an integration; it is written {PREFIX}INTEGRATION__ID__MODE"))
        }
        [first, which, rest @ ..] if is_integration(first) && !rest.is_empty() => {
            insert(integration(root, which)?, rest, false, node, name)
        }
        [first, which] if is_integration(first) => Err(format!(
            "names integration {which} and none of its settings; it is written {PREFIX}INTEGRATION__{which}__MODE"
        )),
        all => insert(root, all, false, node, name),
    }
}

fn is_integration(segment: &str) -> bool {
    segment.eq_ignore_ascii_case("integration")
}

/// The integration that a variable names, by id or else by position.
fn integration<'n>(root: &'n mut Node, which: &str) -> Result<&'n mut Node, String> {
    let list = match entries_of(root)?.get_mut("integration").map(|node| &mut node.value) {
        Some(NodeValue::List(list)) if !list.is_empty() => list,
        _ => return Err("names an integration, and the file has no [[integration]]".to_owned()),
    };
    let ids: Vec<Option<String>> = list.iter().map(id_of).collect();
    let by_id =
        ids.iter().position(|id| id.as_deref().is_some_and(|id| in_environment(id) == in_environment(which)));
    let position = by_id.or_else(|| which.parse().ok()).filter(|position| *position < list.len());
    position.map(move |position| &mut list[position]).ok_or_else(|| {
        let known: Vec<String> = ids.into_iter().flatten().collect();
        let meant = nearest(which, known.iter().map(String::as_str))
            .map_or_else(String::new, |id| format!("; did you mean {}?", in_environment(id)));
        format!(
            "names integration {which}, which the file does not have (it has: {}){meant}",
            known.join(", ")
        )
    })
}

pub(super) fn id_of(integration: &Node) -> Option<String> {
    match &integration.value {
        NodeValue::Table(entries) => match entries.get("id").map(|id| &id.value) {
            Some(NodeValue::Text(id)) => Some(id.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// A key as the environment writes it: upper case, with `_` for everything but letters and digits.
#[must_use]
pub fn in_environment(key: &str) -> String {
    key.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Sets a value below a table. Unknown keys are set too: the reader reports them with the nearest one.
fn insert(table: &mut Node, path: &[&str], free: bool, node: Node, name: &Arc<str>) -> Result<(), String> {
    let Some((segment, rest)) = path.split_first() else { return Ok(()) };
    let entries = entries_of(table)?;
    let wanted = in_environment(segment);
    let key = entries
        .keys()
        .find(|key| in_environment(key) == wanted)
        .cloned()
        .unwrap_or_else(|| if free { (*segment).to_owned() } else { segment.to_ascii_lowercase() });
    if rest.is_empty() {
        entries.insert(key, node);
        return Ok(());
    }
    let free = FREE_TABLES.contains(&key.as_str());
    let next = entries.entry(key).or_insert_with(|| Node::table_of_variable(name));
    insert(next, rest, free, node, name)
}

/// The entries of a node. What the file has there instead of a table gives way to the override.
fn entries_of(node: &mut Node) -> Result<&mut Entries, String> {
    if !matches!(node.value, NodeValue::Table(_)) {
        node.value = match (node.as_kind(Kind::Table), &node.at) {
            (table @ NodeValue::Table(_), _) => table,
            (_, At::Variable(other)) => return Err(format!("contradicts {other}, which is no table")),
            (_, At::File(_)) => NodeValue::Table(Entries::new()),
        };
    }
    match &mut node.value {
        NodeValue::Table(entries) => Ok(entries),
        _ => unreachable!("the node was made a table above"),
    }
}
