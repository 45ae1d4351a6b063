//! Templates of addresses, headers and bodies. What is common (a text, a name, a name within a text) is taken apart once; anything else
//! is for the templates that mapped fields use, with their limits.

use amfj_sync_model::mapping::NamedTemplate;
use serde_json::{Map, Value};

use super::pointer::Pointer;

/// A text with names in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    text: String,
    form: Form,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Text,
    /// Nothing but one name: it is the value itself.
    Name(Pointer),
    /// `{{ none }}`.
    Null,
    Mixed(NamedTemplate),
}

/// The values that names stand for.
pub type Names = Map<String, Value>;

impl Template {
    /// Reads a template that may look up the names in `known`, and whatever is in them where they end with a dot.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, String> {
        if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
            return Ok(Self { text: text.to_owned(), form: Form::Text });
        }
        let template = NamedTemplate::parse(text).map_err(|error| format!("is wrong: {error}"))?;
        for name in template.names() {
            let is_known = |known: &&str| match known.strip_suffix('.') {
                Some(whole) => name.starts_with(known) || name == whole,
                None => name == *known,
            };
            if !known.iter().any(is_known) {
                let known: Vec<&str> = known.iter().map(|name| name.trim_end_matches('.')).collect();
                let known = if known.is_empty() {
                    "nothing is known here".to_owned()
                } else {
                    format!("known are {}", known.join(", "))
                };
                return Err(format!("names something unknown: \"{name}\"; {known}"));
            }
        }
        let form = match only_name(text) {
            Some("none") => Form::Null,
            Some(name) => Form::Name(Pointer::parse(&format!("/{}", name.replace('.', "/")))?),
            None => Form::Mixed(template),
        };
        Ok(Self { text: text.to_owned(), form })
    }

    /// A text without names.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self { text: text.to_owned(), form: Form::Text }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it looks up this name, or something in it.
    #[must_use]
    pub fn looks_up(&self, name: &str) -> bool {
        let is_of =
            |found: &str| found == name || found.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        match &self.form {
            Form::Name(pointer) => is_of(&pointer.tokens().join(".")),
            Form::Mixed(template) => template.names().iter().any(|found| is_of(found)),
            Form::Text | Form::Null => false,
        }
    }

    /// The text; none where it is nothing but a name that stands for nothing.
    pub fn text(&self, names: &Names) -> Result<Option<String>, String> {
        match &self.form {
            Form::Text => Ok(Some(self.text.clone())),
            Form::Null => Ok(None),
            Form::Name(pointer) => Ok(look_up(pointer, names).and_then(as_text)),
            Form::Mixed(template) => template.fill(names).map(Some),
        }
    }

    /// The value; none where it is nothing but a name that stands for nothing.
    pub fn value(&self, names: &Names) -> Result<Option<Value>, String> {
        match &self.form {
            Form::Null => Ok(Some(Value::Null)),
            Form::Name(pointer) => Ok(look_up(pointer, names).filter(|value| !value.is_null()).cloned()),
            _ => Ok(self.text(names)?.map(Value::String)),
        }
    }
}

fn look_up<'v>(pointer: &Pointer, names: &'v Names) -> Option<&'v Value> {
    let (first, rest) = pointer.tokens().split_first()?;
    rest.iter().try_fold(names.get(first)?, |value, token| match value {
        Value::Object(members) => members.get(token),
        _ => None,
    })
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The name that a template is nothing but: `{{ user.id }}`.
fn only_name(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    name.split('.').all(is_name).then_some(name)
}

/// What is sent as a body, before its names are known.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A text, or the value that it names.
    Template(Template),
    /// A number, or true or false.
    Value(Value),
    /// A list.
    List(Vec<Body>),
    /// An object.
    Table(Vec<(String, Body)>),
}

impl Body {
    /// Whether a template in it looks up this name.
    #[must_use]
    pub fn looks_up(&self, name: &str) -> bool {
        match self {
            Self::Template(template) => template.looks_up(name),
            Self::Value(_) => false,
            Self::List(parts) => parts.iter().any(|part| part.looks_up(name)),
            Self::Table(members) => members.iter().any(|(_, part)| part.looks_up(name)),
        }
    }

    /// The body with these names; none where it is a name that stands for nothing.
    pub fn fill(&self, names: &Names) -> Result<Option<Value>, String> {
        match self {
            Self::Template(template) => template.value(names),
            Self::Value(value) => Ok(Some(value.clone())),
            Self::List(parts) => {
                let filled = parts.iter().map(|part| part.fill(names)).collect::<Result<Vec<_>, _>>()?;
                Ok(Some(Value::Array(filled.into_iter().flatten().collect())))
            }
            Self::Table(members) => {
                let mut filled = Map::new();
                for (name, part) in members {
                    if let Some(value) = part.fill(names)? {
                        filled.insert(name.clone(), value);
                    }
                }
                Ok(Some(Value::Object(filled)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        let Value::Object(names) = json!({"id": 7, "user": {"id": "u 1", "email": null}}) else { panic!() };
        names
    }

    fn template(text: &str) -> Template {
        Template::parse(text, &["id", "user.id", "user.email", "record."]).unwrap()
    }

    #[test]
    fn a_name_alone_is_the_value_itself_and_nothing_where_there_is_none() {
        assert_eq!(template("{{ id }}").value(&names()), Ok(Some(json!(7))));
        assert_eq!(template("{{ id }}").text(&names()), Ok(Some("7".to_owned())));
        assert_eq!(template("{{user.email}}").value(&names()), Ok(None));
        assert_eq!(template("{{ none }}").value(&names()), Ok(Some(Value::Null)));
        assert_eq!(template("a{{ user.id }}b{{ id }}").value(&names()), Ok(Some(json!("au 1b7"))));
        assert_eq!(template("{{ user.id | upper }}").text(&names()), Ok(Some("U 1".to_owned())));
        assert_eq!(template("plain").text(&names()), Ok(Some("plain".to_owned())));
    }

    #[test]
    fn a_name_that_is_not_known_there_is_refused() {
        for (text, why) in [
            ("{{ nope }}", "\"nope\"; known are id, user.id, user.email, record"),
            ("x {{ user.nope }}", "\"user.nope\""),
            ("{{ id", "is wrong"),
            ("{{ id | nope }}", "nope"),
        ] {
            let said = Template::parse(text, &["id", "user.id", "user.email", "record."]).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        assert!(template("{{ record.custody.id }}").looks_up("record"));
        assert!(!template("{{ id }}").looks_up("record"));
    }

    #[test]
    fn a_body_is_filled_and_leaves_out_what_stands_for_nothing() {
        let body = Body::Table(vec![
            ("who".to_owned(), Body::Template(template("{{ user.id }}"))),
            ("mail".to_owned(), Body::Template(template("{{ user.email }}"))),
            (
                "ids".to_owned(),
                Body::List(vec![Body::Template(template("{{ id }}")), Body::Value(json!(true))]),
            ),
        ]);
        assert_eq!(body.fill(&names()), Ok(Some(json!({"who": "u 1", "ids": [7, true]}))));
    }
}
