//! Texts made of several properties: `{{ model }}, macOS {{ os_version }}`.
//!
//! Templates see the properties they name and nothing else: no files, no other templates, no functions. They end, and stay
//! small: what they do and what they make of it has a bound (fuel), whatever loops, repeats and replaces stand in them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter};
use serde_json::{Map, Value};

use super::guards::{guarded, multiplies};
use super::plain::plain;
use super::property::PropertyPath;
use super::{Evaluated, Known, is_blank, sorted};
use crate::messages::short;

/// A template whose syntax is right, with the properties it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    text: String,
    properties: BTreeSet<PropertyPath>,
    /// Those for whose being blank it provides itself.
    guarded: BTreeSet<PropertyPath>,
}

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template cannot be read: {0}")]
pub struct BadTemplate(pub(super) String);

impl BadTemplate {
    pub(super) fn of(error: &Error) -> Self {
        Self(sentence(error))
    }
}

/// What a template may do: steps, and 64 bytes each of what it makes. A list of a thousand applications takes a hundredth.
const FUEL: u64 = 200_000;
/// Bytes of the longest text that a template may make. What is longer is in no field of anybody.
const LONGEST: usize = 64 << 10;
/// How deep macros may call each other.
const NESTED: usize = 50;

pub(super) static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // A user, a section or a list that a device does not have is blank, not an error (P14).
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_formatter(write_value);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(NESTED);
    environment.add_filter("plain", plain);
    for function in ["range", "dict", "debug", "namespace"] {
        environment.remove_global(function);
    }
    environment
});

/// Writes nulls as nothing and lists joined by ", ", as for a field filled from one property.
fn write_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &minijinja::Value,
) -> Result<(), Error> {
    if value.is_none() {
        return Ok(());
    }
    if value.kind() == ValueKind::Seq {
        // In order already: what a template sees was sorted. A list may be longer than it is large.
        let mut is_first = true;
        for part in value.try_iter()? {
            state.consume_fuel(1)?;
            if part.is_none() {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                out.write_str(", ").map_err(Error::from)?;
            }
            write!(out, "{part}").map_err(Error::from)?;
        }
        return Ok(());
    }
    escape_formatter(out, state, value)
}

impl Template {
    /// Reads a template, and checks its syntax and the filters it uses.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let template = ENVIRONMENT.template_from_str(text).map_err(|error| BadTemplate::of(&error))?;
        if multiplies(text) {
            return Err(BadTemplate(MULTIPLIES.to_owned()));
        }
        let properties: BTreeSet<PropertyPath> = template
            .undeclared_variables(true)
            .iter()
            .map(|name| PropertyPath::parse(name).map_err(|error| BadTemplate(error.to_string())))
            .collect::<Result<_, _>>()?;
        let guarded = guarded(text, &properties);
        // Filters are looked up while rendering. Any other error depends on the values.
        match template.render(()) {
            Err(error) if is_unknown_word(&error) => Err(BadTemplate::of(&error)),
            _ => Ok(Self { text: text.to_owned(), properties, guarded }),
        }
    }

    /// The text as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The properties it reads.
    #[must_use]
    pub fn properties(&self) -> &BTreeSet<PropertyPath> {
        &self.properties
    }

    /// Blank if a property is for whose being blank it does not provide, or if what comes out is (P14).
    pub(super) fn evaluate<'v>(&self, lookup: &dyn Fn(&PropertyPath) -> Known<&'v Value>) -> Evaluated {
        let mut values = Map::new();
        let mut blank: Vec<&PropertyPath> = Vec::new();
        // In order, `user` comes before `user.email`, and already holds it.
        let mut whole: Option<&PropertyPath> = None;
        for path in &self.properties {
            let Known::Known(value) = lookup(path) else { return Evaluated::Unknown };
            if is_blank(value) {
                blank.push(path);
            }
            if !whole.is_some_and(|whole| whole.contains(path)) {
                // What is blank is not there, so that `default` and conditions see it.
                if !is_blank(value) {
                    place(&mut values, path, without_blanks(sorted(value.clone())));
                }
                whole = Some(path);
            }
        }
        if blank.iter().any(|path| !self.provides_for(path, &blank)) {
            return Evaluated::Blank;
        }
        match rendered(&self.text, Serde(&values)) {
            Ok(text) if text.trim().is_empty() => Evaluated::Blank,
            Ok(text) => Evaluated::Value(Value::String(text.trim().to_owned())),
            Err(error) => Evaluated::Failed(format!("the template fails: {}", short(&sentence(&error)))),
        }
    }
}

/// What a template makes of these values, within bounds.
pub(super) fn rendered(template: &str, values: Serde<&Map<String, Value>>) -> Result<String, Error> {
    let mut text = Bounded(Vec::new());
    ENVIRONMENT.template_from_str(template)?.render_captured_to(values, &mut text)?;
    // What a template writes is text.
    Ok(String::from_utf8_lossy(&text.0).into_owned())
}

/// Fuel knows nothing of how long a list is that was only repeated in thought.
pub(super) const MULTIPLIES: &str = "it multiplies more than once, by something else than a number of at most four digits, or names more than 8 values";

/// Takes so much and no more.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(std::io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Template {
    /// Whether the template says what then where this property is blank: about the property itself, or about what it is
    /// a part of, which is blank as well.
    fn provides_for(&self, path: &PropertyPath, blank: &[&PropertyPath]) -> bool {
        let blank_whole = |whole: &&PropertyPath| whole.contains(path) && blank.contains(whole);
        self.guarded.contains(path) || self.guarded.iter().any(|whole| blank_whole(&whole))
    }
}

/// Puts a value where the template looks for it.
fn place(values: &mut Map<String, Value>, path: &PropertyPath, value: Value) {
    let mut names: Vec<String> = path.names().collect();
    let Some(last) = names.pop() else { return };
    let mut object = values;
    for name in names {
        let next = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(next) = next else { return };
        object = next;
    }
    object.insert(last, value);
}

/// Removes what is blank from objects: `{{ a ~ b }}` would write a null as "none", and `default` would keep a blank.
fn without_blanks(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !is_blank(value))
                .map(|(name, value)| (name, without_blanks(value)))
                .collect(),
        ),
        Value::Array(values) => Value::Array(values.into_iter().map(without_blanks).collect()),
        scalar => scalar,
    }
}

pub(super) fn is_unknown_word(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
    )
}

/// The error without the template's internal name.
pub(super) fn sentence(error: &Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => {
            return format!("it does too much, or makes too much (more than {FUEL} steps)");
        }
        ErrorKind::WriteFailure => return format!("what it makes is longer than {} KiB", LONGEST >> 10),
        _ => {}
    }
    error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned)
}
