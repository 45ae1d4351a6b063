//! The forms in which a site keeps what it is given, and rows that a walk of its lists misses.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// How a site deviates from taking everything as it comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forms {
    /// Texts are stored as HTML: `&` as `&amp;`.
    pub escapes: bool,
    /// Names are cut after so many characters.
    pub cuts_names: Option<usize>,
    /// Numbers lose what is behind the point.
    pub rounds: bool,
    /// Fields whose values are taken and not kept.
    pub ignores: BTreeSet<String>,
    /// Ids of records that no page of a list shows, although a search does.
    pub unlisted: BTreeSet<String>,
}

impl Forms {
    /// The name as it is kept.
    pub(crate) fn name(&self, name: String) -> String {
        let name = self.text(name);
        self.cuts_names.map_or(name.clone(), |length| name.chars().take(length).collect())
    }

    /// The values as they are kept; what is ignored stays as it was.
    pub(crate) fn fields(&self, fields: Map<String, Value>) -> Map<String, Value> {
        let kept = fields.into_iter().filter(|(name, _)| !self.ignores.contains(name));
        kept.map(|(name, value)| (name, self.value(value))).collect()
    }

    fn text(&self, text: String) -> String {
        if self.escapes { text.replace('&', "&amp;") } else { text }
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Number(number) if self.rounds => {
                number.as_f64().map_or(Value::Number(number), |number| number.trunc().into())
            }
            other => other,
        }
    }
}
