//! JSON Pointers, split once: where something stands in a body, and is put into one.

use serde_json::{Map, Value};

/// A JSON Pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    tokens: Vec<String>,
}

/// How deep a pointer may reach: no interface nests what is of use any deeper.
const DEEPEST: usize = 16;

impl Pointer {
    /// Reads a pointer; the error follows the name of a key in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("is no JSON Pointer: \"{text}\"; write \"/{}\"", text.replace('.', "/")));
        }
        let mut tokens = Vec::new();
        for token in text.split('/').skip(1) {
            let bare = token.replace("~0", "").replace("~1", "");
            if bare.contains('~') {
                return Err(format!(
                    "is no JSON Pointer: in \"{text}\" a ~ is neither ~0 (for ~) nor ~1 (for /)"
                ));
            }
            tokens.push(token.replace("~1", "/").replace("~0", "~"));
        }
        if tokens.len() > DEEPEST {
            return Err(format!("reaches deeper than {DEEPEST} members"));
        }
        Ok(Self { text: text.to_owned(), tokens })
    }

    /// The whole.
    #[must_use]
    pub fn root() -> Self {
        Self { text: String::new(), tokens: Vec::new() }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names on the way.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The name that it ends with.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.tokens.last().map(String::as_str)
    }

    /// The same, one name deeper.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let text = format!("{}/{}", self.text, escaped(name));
        let tokens = self.tokens.iter().cloned().chain([name.to_owned()]).collect();
        Self { text, tokens }
    }

    /// What stands there.
    #[must_use]
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.tokens.iter().try_fold(value, |value, token| step(value, token))
    }

    /// The first name on the way that is not there, and what there is in its place: for somebody who looks for it.
    #[must_use]
    pub fn lost_at<'v>(&self, value: &'v Value) -> Option<(&'v Value, &str)> {
        let mut at = value;
        for token in &self.tokens {
            match step(at, token) {
                Some(next) => at = next,
                None => return Some((at, token)),
            }
        }
        None
    }

    /// Puts a value there, with objects on the way where there is nothing or null. Answers whether it could: a text in the place of an
    /// object stays.
    pub fn set(&self, root: &mut Value, value: Value) -> bool {
        let mut at = root;
        for token in &self.tokens {
            // To some languages an empty list and an empty object are the same.
            if at.is_null() || at.as_array().is_some_and(Vec::is_empty) {
                *at = Value::Object(Map::new());
            }
            at = match at {
                Value::Object(members) => members.entry(token.clone()).or_insert(Value::Null),
                Value::Array(values) => {
                    match token.parse::<usize>().ok().and_then(|place| values.get_mut(place)) {
                        Some(next) => next,
                        None => return false,
                    }
                }
                _ => return false,
            };
        }
        *at = value;
        true
    }

    /// Takes away what stands there.
    pub fn remove(&self, root: &mut Value) {
        let Some((last, way)) = self.tokens.split_last() else { return };
        let mut at = root;
        for token in way {
            match step_mut(at, token) {
                Some(next) => at = next,
                None => return,
            }
        }
        if let Value::Object(members) = at {
            members.remove(last);
        }
    }
}

/// A name as a pointer has it.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn step<'v>(value: &'v Value, token: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(token),
        Value::Array(values) => values.get(token.parse::<usize>().ok()?),
        _ => None,
    }
}

fn step_mut<'v>(value: &'v mut Value, token: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(members) => members.get_mut(token),
        Value::Array(values) => values.get_mut(token.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    #[test]
    fn a_pointer_finds_what_the_standard_says() {
        let body = json!({"a": {"b/c": [1, 2]}, "~": 3, "": 4});
        for (text, found) in [
            ("/a/b~1c/1", Some(json!(2))),
            ("/~0", Some(json!(3))),
            ("/", Some(json!(4))),
            ("/a/b", None),
            ("", Some(body.clone())),
        ] {
            assert_eq!(pointer(text).get(&body), found.as_ref(), "{text}");
        }
        for text in ["a/b", "/a~2", "/a~"] {
            assert!(Pointer::parse(text).unwrap_err().contains("no JSON Pointer"), "{text}");
        }
    }

    #[test]
    fn what_is_set_is_there_and_what_is_removed_is_not() {
        let mut body = json!({"a": null, "l": [{"x": 1}], "t": "text"});
        assert!(pointer("/a/b/c").set(&mut body, json!(1)) && pointer("/l/0/x").set(&mut body, json!(2)));
        assert!(!pointer("/t/x").set(&mut body, json!(1)) && !pointer("/l/7").set(&mut body, json!(1)));
        assert_eq!(body, json!({"a": {"b": {"c": 1}}, "l": [{"x": 2}], "t": "text"}));
        pointer("/a/b").remove(&mut body);
        pointer("/no/such").remove(&mut body);
        assert_eq!(body["a"], json!({}));
        assert_eq!(pointer("/a").join("x/y").as_str(), "/a/x~1y");
    }
}
