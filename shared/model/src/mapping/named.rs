//! Templates over names that the caller gives: the same language as that of mapped fields, with the same limits.

use std::collections::BTreeSet;

use minijinja::value::Serde;
use serde_json::{Map, Value};

use super::guards::multiplies;
use super::template::{BadTemplate, ENVIRONMENT, MULTIPLIES, is_unknown_word, rendered, sentence};

/// A template whose syntax is right, with the names that it looks up.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTemplate {
    text: String,
    names: BTreeSet<String>,
}

impl NamedTemplate {
    /// Reads a template, and checks its syntax and the filters that it uses.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let template = ENVIRONMENT.template_from_str(text).map_err(|error| BadTemplate::of(&error))?;
        if multiplies(text) {
            return Err(BadTemplate(MULTIPLIES.to_owned()));
        }
        let names = template.undeclared_variables(true).into_iter().collect();
        match template.render(()) {
            Err(error) if is_unknown_word(&error) => Err(BadTemplate::of(&error)),
            _ => Ok(Self { text: text.to_owned(), names }),
        }
    }

    /// The names that it looks up, with what is looked up in them: `user.id`.
    #[must_use]
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// The text with these values; the error says what it does wrong.
    pub fn fill(&self, values: &Map<String, Value>) -> Result<String, String> {
        rendered(&self.text, Serde(values)).map_err(|error| sentence(&error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_says_which_names_it_needs_and_is_filled_with_them() {
        let template = NamedTemplate::parse("{{ user.email | lower }}/{{ id }}").unwrap();
        assert_eq!(template.names().iter().map(String::as_str).collect::<Vec<_>>(), ["id", "user.email"]);
        let Value::Object(values) = json!({"id": 7, "user": {"email": "Sam@Example.com"}}) else { panic!() };
        assert_eq!(template.fill(&values).as_deref(), Ok("sam@example.com/7"));
        assert_eq!(template.fill(&Map::new()).as_deref(), Ok("/"));
    }

    #[test]
    fn it_is_refused_where_it_is_wrong_and_ends_where_it_does_too_much() {
        for (text, why) in [
            ("{{ id", "cannot be read"),
            ("{{ id | nope }}", "nope"),
            ("{{ range(9) }}", "range"),
            ("{{ id * id }}", "multiplies"),
        ] {
            let said = NamedTemplate::parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
        let endless =
            "{% for a in id %}{% for b in id %}{% for c in id %}{{ c }}{% endfor %}{% endfor %}{% endfor %}";
        let Value::Object(values) = json!({"id": "x".repeat(200)}) else { panic!() };
        let values: Map<String, Value> =
            values.into_iter().map(|(name, _)| (name, json!(vec![1; 200]))).collect();
        assert!(NamedTemplate::parse(endless).unwrap().fill(&values).unwrap_err().contains("too much"));
    }
}
