//! What an AMFJ field is filled from: one Kandji property, or a template over several (P16).
//!
//! Everything here is pure. Whether AMFJ has the field is checked by whoever has read its lists; the
//! line to name in that error is [`MappedField::place`] (P18).

pub mod fingerprint;
mod guards;
pub mod known;
mod named;
mod plain;
pub mod property;
mod source_location;
pub mod template;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use named::NamedTemplate;
pub use property::{BadProperty, PropertyPath};
pub use source_location::SourceLocation;
pub use template::{BadTemplate, Template};

/// Something that may not have been read yet, as opposed to read and found absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// Not read yet, or could not be read: says nothing, and overwrites nothing.
    Unknown,
    /// Read. An absent property is a known JSON `null`.
    Known(T),
}

/// What a mapped field should hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluated {
    /// A property it needs is not known: leave the field alone.
    Unknown,
    /// Absent, null, blank text, empty list or empty object: `on_empty` says what to do (P14).
    Blank,
    /// A value to be converted to the field's type (P15). Lists of scalars are joined by ", " there.
    Value(Value),
    /// The template cannot be computed from this device's values; the reason is for the report (P15).
    Failed(String),
}

/// Where the value of one AMFJ field comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// The value of one property.
    Property(PropertyPath),
    /// A text made of properties.
    Template(Template),
}

/// Why a mapped value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// No property path.
    #[error(transparent)]
    Property(#[from] BadProperty),
    /// No template.
    #[error(transparent)]
    Template(#[from] BadTemplate),
}

impl FieldSource {
    /// Reads the right side of a mapping: a template if it contains `{{`, `{%` or `{#`, else a property.
    pub fn parse(text: &str) -> Result<Self, BadSource> {
        if ["{{", "{%", "{#"].iter().any(|opening| text.contains(opening)) {
            Ok(Self::Template(Template::parse(text)?))
        } else {
            Ok(Self::Property(PropertyPath::parse(text)?))
        }
    }

    /// The properties it needs.
    #[must_use]
    pub fn properties(&self) -> BTreeSet<PropertyPath> {
        match self {
            Self::Property(path) => BTreeSet::from([path.clone()]),
            Self::Template(template) => template.properties().clone(),
        }
    }

    /// The property, if it is filled from a single one.
    #[must_use]
    pub fn as_property(&self) -> Option<&PropertyPath> {
        match self {
            Self::Property(path) => Some(path),
            Self::Template(_) => None,
        }
    }

    /// Whether it is this property as it is: itself, or a template that adds nothing to it, whatever it says.
    #[must_use]
    pub fn is_nothing_but(&self, property: &PropertyPath) -> bool {
        const SAMPLES: [&str; 3] =
            ["Zoë O’Neil-van der Ab", "x", "MAX MUSTERMANN-LÜDENSCHEIDT DER ÄLTERE, Abt. 7"];
        match self {
            Self::Property(path) => path == property,
            Self::Template(template) => SAMPLES.iter().all(|sample| {
                let sample = Value::from(*sample);
                template.properties().iter().eq([property])
                    && template.evaluate(&|_| Known::Known(&sample)) == Evaluated::Value(sample.clone())
            }),
        }
    }

    /// Computes the value for one device or user. Never panics, whatever the JSON.
    ///
    /// `lookup` answers [`Known::Unknown`] for what was not read, and a known `null` for what is absent.
    #[must_use]
    pub fn evaluate<'v>(&self, lookup: &dyn Fn(&PropertyPath) -> Known<&'v Value>) -> Evaluated {
        match self {
            Self::Property(path) => match lookup(path) {
                Known::Unknown => Evaluated::Unknown,
                Known::Known(value) if is_blank(value) => Evaluated::Blank,
                Known::Known(value) => Evaluated::Value(value.clone()),
            },
            Self::Template(template) => template.evaluate(lookup),
        }
    }
}

impl std::fmt::Display for FieldSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Property(path) => path.fmt(f),
            Self::Template(template) => f.write_str(template.text()),
        }
    }
}

/// Null, white space only, or a list or object with nothing in it (P14).
#[must_use]
pub fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.iter().all(is_blank),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Several scalars in the order of their texts (by code point): the order in which Kandji lists tags is no change (P16).
/// Blank ones among them say nothing. Other values stay as they are.
#[must_use]
pub fn sorted(value: Value) -> Value {
    let is_scalar = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
    match value {
        Value::Array(values) if values.iter().all(is_scalar) => {
            let mut values: Vec<Value> = values.into_iter().filter(|value| !is_blank(value)).collect();
            values.sort_by_cached_key(order);
            Value::Array(values)
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        scalar => scalar,
    }
}

/// The text by which several values stand in order; what is the same but for the blanks around it has an order as well.
pub(crate) fn order(value: &Value) -> (String, Option<String>) {
    match value {
        Value::String(text) => (text.trim().to_owned(), Some(text.clone())),
        other => (other.to_string(), None),
    }
}

/// One line of `[integration.fields]` or `[integration.user_fields]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedField {
    /// Where its value comes from.
    pub source: FieldSource,
    /// Where it is written.
    pub place: SourceLocation,
}

/// AMFJ fields with their sources, by field name. Names are kept as written, trimmed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mapping(BTreeMap<String, MappedField>);

impl Mapping {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field, or replaces it.
    pub fn insert(&mut self, field: impl Into<String>, mapped: MappedField) {
        self.0.insert(field.into(), mapped);
    }

    /// The fields in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MappedField)> {
        self.0.iter().map(|(field, mapped)| (field.as_str(), mapped))
    }

    /// One field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&MappedField> {
        self.0.get(field)
    }

    /// The field that is filled from this property alone, such as the one that holds the serial (P6).
    #[must_use]
    pub fn field_of(&self, property: &str) -> Option<&str> {
        let property = PropertyPath::parse(property).ok()?;
        self.iter().find(|(_, mapped)| mapped.source.as_property() == Some(&property)).map(|(field, _)| field)
    }

    /// Whether this field is filled from this property alone, directly or by a template that is nothing but it: `Name`
    /// from `user.name` switches on matching people by name (P10).
    #[must_use]
    pub fn maps(&self, field: &str, property: &str) -> bool {
        let Ok(property) = PropertyPath::parse(property) else { return false };
        self.get(field).is_some_and(|mapped| mapped.source.is_nothing_but(&property))
    }

    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many fields are mapped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Every property that some field needs.
    #[must_use]
    pub fn properties(&self) -> BTreeSet<PropertyPath> {
        self.0.values().flat_map(|mapped| mapped.source.properties()).collect()
    }

    /// Whether a device's details have to be requested (P17).
    #[must_use]
    pub fn needs_details(&self) -> bool {
        self.properties().iter().any(PropertyPath::is_details)
    }
}

#[cfg(test)]
mod tests;
