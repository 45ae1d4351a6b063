//! The name of a Kandji property: `serial_number`, `user.email`, `details.volumes[0].capacity`.

use std::fmt;

use serde_json::Value;

use super::{is_blank, order};

/// One step into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    /// A member of an object.
    Member(String),
    /// An element of a list, counted from 0.
    Element(usize),
}

/// Where a value is in a device, or in its details. `a.0.b` and `a[0].b` are the same path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyPath {
    steps: Vec<Step>,
    /// As values are filed under it.
    text: String,
}

/// A text that is no property path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no Kandji property: {reason}")]
pub struct BadProperty {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl PropertyPath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, BadProperty> {
        let bad = |reason| BadProperty { text: text.to_owned(), reason };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(bad("it is blank; write a property such as serial_number"));
        }
        let mut steps = Vec::new();
        for part in trimmed.split('.') {
            let (name, indexes) =
                part.split_once('[').map_or((part, None), |(name, rest)| (name, Some(rest)));
            steps.push(step(name).ok_or_else(|| {
                bad("a name has only letters, digits, '_' and '-'; a text with values in it needs {{ }}")
            })?);
            if let Some(indexes) = indexes {
                for index in indexes.strip_suffix(']').ok_or_else(|| bad("a '[' has no ']'"))?.split("][") {
                    let index = index.parse().map_err(|_| bad("in [ ] stands a number, from 0"))?;
                    steps.push(Step::Element(index));
                }
            }
        }
        if matches!(steps.first(), Some(Step::Element(_))) {
            return Err(bad("it begins with a number"));
        }
        let text = write(&steps, |index| index.to_string());
        Ok(Self { steps, text })
    }

    /// Whether it is in the details, which cost a request of their own per device (P17).
    #[must_use]
    pub fn is_details(&self) -> bool {
        matches!(self.steps.first(), Some(Step::Member(name)) if name == "details")
    }

    /// Whether `other` is this property, or inside it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.steps.starts_with(&self.steps)
    }

    /// Finds the value in a device of the list; for `details.` paths, in the details object. Of several scalars each has
    /// its place in sorted order, for the order in which Kandji lists tags says nothing (P16).
    #[must_use]
    pub fn lookup<'v>(&self, object: &'v Value) -> Option<&'v Value> {
        let prefix = usize::from(self.is_details());
        self.steps[prefix..].iter().try_fold(object, |value, step| match (step, value) {
            (Step::Member(name), Value::Object(members)) => members.get(name),
            (Step::Element(index), Value::Array(values)) => element(values, *index),
            // A member whose name is a number, written as one.
            (Step::Element(index), Value::Object(members)) => members.get(&index.to_string()),
            _ => None,
        })
    }

    /// The names of its steps, elements as numbers: how a template reaches it.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(|step| match step {
            Step::Member(name) => name.clone(),
            Step::Element(index) => index.to_string(),
        })
    }

    /// The path with every number replaced by `N`, as the list of documented properties writes it.
    pub(super) fn pattern(&self) -> String {
        write(&self.steps, |_| "N".to_owned())
    }

    /// The path as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn element(values: &[Value], index: usize) -> Option<&Value> {
    if values.iter().any(|value| matches!(value, Value::Array(_) | Value::Object(_))) {
        return values.get(index);
    }
    let mut scalars: Vec<&Value> = values.iter().filter(|value| !is_blank(value)).collect();
    scalars.sort_by_cached_key(|value| order(value));
    scalars.get(index).copied()
}

fn write(steps: &[Step], element: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Member(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Element(index) => {
                text.push('[');
                text.push_str(&element(*index));
                text.push(']');
            }
        }
    }
    text
}

/// Reads what stands between two dots.
fn step(name: &str) -> Option<Step> {
    if name.is_empty() {
        return None;
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse().ok().map(Step::Element);
    }
    name.chars()
        .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'))
        .then(|| Step::Member(name.to_owned()))
}

impl fmt::Display for PropertyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for PropertyPath {
    type Err = BadProperty;
    fn from_str(text: &str) -> Result<Self, BadProperty> {
        Self::parse(text)
    }
}
