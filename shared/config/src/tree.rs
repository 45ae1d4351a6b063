//! The file as a tree in which every value knows where it was written, also after overrides.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::problem::At;

/// One value.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub value: NodeValue,
    /// Where the value stands.
    pub at: At,
    /// Where its key stands; the value itself in a list.
    pub key_at: At,
}

/// Entries of a table by key.
pub type Entries = BTreeMap<String, Node>;

/// What a value is.
#[derive(Debug, Clone)]
pub enum NodeValue {
    /// Quoted in the file.
    Text(String),
    /// A whole number; `None` when it is beyond 64 bits.
    Integer(Option<i64>),
    /// `true` or `false`.
    Boolean(bool),
    /// A type of TOML that no setting has.
    Foreign(&'static str),
    /// `[ … ]`
    List(Vec<Node>),
    /// `[name]` or `{ … }`
    Table(Entries),
    /// The text of a variable, whose type is that of the setting it overrides.
    Variable(String),
}

/// The type a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Text,
    Integer,
    Boolean,
    List,
    Table,
}

impl Node {
    /// The tree of a parsed file.
    pub(super) fn from_document(document: &Spanned<DeTable<'_>>) -> Self {
        let at = At::File(document.span());
        Self { value: NodeValue::Table(entries(document.get_ref(), &At::File)), key_at: at.clone(), at }
    }

    /// What a variable of the environment says.
    pub(super) fn from_variable(name: &Arc<str>, value: &str) -> Self {
        let at = At::Variable(Arc::clone(name));
        Self { value: NodeValue::Variable(value.to_owned()), key_at: at.clone(), at }
    }

    /// An empty table that a variable reaches into.
    pub(super) fn table_of_variable(name: &Arc<str>) -> Self {
        let at = At::Variable(Arc::clone(name));
        Self { value: NodeValue::Table(Entries::new()), key_at: at.clone(), at }
    }

    /// The value as the type of its setting: a variable's text is read as TOML if that gives the
    /// type, and is a text otherwise.
    #[must_use]
    pub fn as_kind(&self, kind: Kind) -> NodeValue {
        let NodeValue::Variable(text) = &self.value else { return self.value.clone() };
        let at = |_span| self.at.clone();
        match DeValue::parse(text.trim()).map(|parsed| value(parsed.get_ref(), &at)) {
            Ok(parsed) if parsed.kind() == Some(kind) => parsed,
            _ => NodeValue::Text(text.clone()),
        }
    }
}

impl NodeValue {
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Text(_) => Some(Kind::Text),
            Self::Integer(_) => Some(Kind::Integer),
            Self::Boolean(_) => Some(Kind::Boolean),
            Self::List(_) => Some(Kind::List),
            Self::Table(_) => Some(Kind::Table),
            Self::Foreign(_) | Self::Variable(_) => None,
        }
    }

    /// What it is, after "not".
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Self::Text(text) | Self::Variable(text) => format!("\"{text}\""),
            Self::Integer(Some(number)) => format!("the number {number}"),
            Self::Integer(None) => "a number that large".to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Foreign(name) => format!("a {name}"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

type Locate<'l> = &'l dyn Fn(std::ops::Range<usize>) -> At;

fn entries(table: &DeTable<'_>, locate: Locate<'_>) -> Entries {
    let entry = |(key, node): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        let (at, key_at) = (locate(node.span()), locate(key.span()));
        (key.get_ref().to_string(), Node { value: value(node.get_ref(), locate), at, key_at })
    };
    table.iter().map(entry).collect()
}

fn value(parsed: &DeValue<'_>, locate: Locate<'_>) -> NodeValue {
    match parsed {
        DeValue::String(text) => NodeValue::Text(text.to_string()),
        DeValue::Integer(number) => {
            NodeValue::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Boolean(value) => NodeValue::Boolean(*value),
        DeValue::Float(_) | DeValue::Datetime(_) => NodeValue::Foreign(parsed.type_str()),
        DeValue::Array(list) => NodeValue::List(
            list.iter()
                .map(|element| {
                    let at = locate(element.span());
                    Node { value: value(element.get_ref(), locate), key_at: at.clone(), at }
                })
                .collect(),
        ),
        DeValue::Table(table) => NodeValue::Table(entries(table, locate)),
    }
}
