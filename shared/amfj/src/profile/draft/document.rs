//! An `OpenAPI` document: its paths, parameters, and schemas, followed as far as they go.

use serde_json::{Map, Value};

use super::{DEEPEST, escaped, plain};

#[derive(Clone, Copy)]
pub(super) struct Document<'a>(pub(super) &'a Value);

impl<'a> Document<'a> {
    pub(super) fn paths(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let paths = self.0.get("paths").and_then(Value::as_object);
        paths.into_iter().flatten().map(|(path, item)| (path.as_str(), item))
    }

    /// What a reference stands for.
    pub(super) fn resolved(self, value: &'a Value) -> &'a Value {
        let mut at = value;
        for _ in 0..DEEPEST {
            let Some(reference) = at.get("$ref").and_then(Value::as_str) else { return at };
            match reference.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer)) {
                Some(next) => at = next,
                None => return at,
            }
        }
        at
    }

    /// The path of a list: the shortest that ends with one of these words, or whose last part does, and can be read.
    pub(super) fn list(self, words: &[&str]) -> Option<&'a str> {
        let readable = || {
            self.paths()
                .filter(|(path, item)| item.get("get").is_some() && !path.contains('{'))
                .map(|(path, _)| path)
        };
        let last = |path: &str| plain(path.rsplit('/').next().unwrap_or_default());
        let by = |fits: &dyn Fn(&str, &str) -> bool| {
            words.iter().find_map(|word| {
                readable().filter(|path| fits(&last(path), &plain(word))).min_by_key(|path| path.len())
            })
        };
        by(&|end, word| end == word).or_else(|| by(&|end, word| word.len() > 3 && end.ends_with(word)))
    }

    /// The path of one record of a list.
    pub(super) fn item(self, list: &str) -> Option<&'a str> {
        self.paths().map(|(path, _)| path).find(|path| {
            let rest = path.strip_prefix(list).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| rest.starts_with('{') && rest.ends_with('}') && !rest.contains('/'))
        })
    }

    /// A path that does something with an asset.
    pub(super) fn action(self, item: Option<&str>, words: &[&str]) -> Option<(&'a str, &'a str)> {
        words.iter().find_map(|word| {
            self.below(item, word).into_iter().find_map(|(path, operations)| {
                let methods = ["post", "put", "patch", "delete"];
                let method = methods.into_iter().find(|method| operations.get(*method).is_some());
                method.map(|method| (path, method))
            })
        })
    }

    /// A part of an asset that is put there and taken away, as an assignment is: its path, and the method that puts it there.
    pub(super) fn part(self, item: Option<&str>, words: &[&str]) -> Option<(&'a str, &'a str)> {
        words.iter().find_map(|word| {
            let is_taken_away = |(_, operations): &(&str, &Value)| operations.get("delete").is_some();
            self.below(item, word).into_iter().filter(is_taken_away).find_map(|(path, operations)| {
                let method = ["put", "post"].into_iter().find(|method| operations.get(*method).is_some());
                method.map(|method| (path, method))
            })
        })
    }

    fn below(self, item: Option<&str>, word: &str) -> Vec<(&'a str, &'a Value)> {
        let is_it = |path: &str| {
            let end = path.rsplit('/').next().unwrap_or_default();
            plain(end) == plain(word) && item.is_none_or(|item| path.starts_with(item))
        };
        self.paths().filter(|(path, _)| is_it(path)).collect()
    }

    pub(super) fn operation(self, path: &str, method: &str) -> Option<&'a Value> {
        self.paths().find(|(known, _)| *known == path)?.1.get(method)
    }

    /// The schema of a successful answer.
    pub(super) fn answer(self, path: &str, method: &str) -> Option<&'a Value> {
        let responses = self.operation(path, method)?.get("responses")?.as_object()?;
        let success = responses.iter().find(|(status, _)| status.starts_with('2'))?.1;
        let content = self.resolved(success).get("content")?.as_object()?;
        content.values().next()?.get("schema").map(|schema| self.resolved(schema))
    }

    /// Whether a request succeeds without saying anything.
    pub(super) fn is_silent(self, path: &str, method: &str) -> bool {
        self.operation(path, method).is_some_and(|operation| operation.pointer("/responses/204").is_some())
    }

    /// The schema of what is sent.
    pub(super) fn body(self, path: &str, method: &str) -> Option<&'a Value> {
        self.contents(path, method)?.values().next()?.get("schema").map(|schema| self.resolved(schema))
    }

    /// The form in which something is sent, such as `application/json`.
    pub(super) fn media_type(self, path: &str, method: &str) -> Option<&'a str> {
        self.contents(path, method)?.keys().next().map(String::as_str)
    }

    fn contents(self, path: &str, method: &str) -> Option<&'a Map<String, Value>> {
        self.resolved(self.operation(path, method)?.get("requestBody")?).get("content")?.as_object()
    }

    /// What an envelope is about, where a record comes or goes in one, and the pointer to it.
    pub(super) fn record(self, schema: &'a Value) -> (String, &'a Value) {
        let members = self.members(schema);
        if members.iter().any(|(name, _)| plain(name) == "id") {
            return (String::new(), schema);
        }
        let is_record = |member: &Value| !self.members(member).is_empty();
        let mut inner = members.iter().filter(|(_, member)| is_record(self.resolved(member)));
        match (inner.next(), inner.next()) {
            (Some((name, member)), None) if members.len() == 1 || plain(name) == "data" => {
                (format!("/{}", escaped(name)), *member)
            }
            _ => (String::new(), schema),
        }
    }

    /// Its parameters of one kind, such as those of the query.
    pub(super) fn parameters(self, path: &str, method: &str, kind: &str) -> Vec<(&'a str, &'a Value)> {
        let whole = self.paths().find(|(known, _)| *known == path).map(|(_, item)| item);
        let own = self.operation(path, method).into_iter().chain(whole);
        own.filter_map(|of| of.get("parameters").and_then(Value::as_array))
            .flatten()
            .map(|parameter| self.resolved(parameter))
            .filter(|parameter| parameter.get("in").and_then(Value::as_str) == Some(kind))
            .filter_map(|parameter| Some((parameter.get("name").and_then(Value::as_str)?, parameter)))
            .collect()
    }

    pub(super) fn members(self, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let schema = self.resolved(schema);
        let mut members = Vec::new();
        let parts = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|name| schema.get(name)?.as_array());
        for part in parts.flatten().take(DEEPEST).chain([schema]) {
            let properties = self.resolved(part).get("properties").and_then(Value::as_object);
            let named = properties.into_iter().flatten();
            members.extend(named.map(|(name, member)| (name.as_str(), self.resolved(member))));
        }
        members
    }

    /// Where the rows are in the answer of a list, and what one looks like.
    pub(super) fn rows(self, schema: &'a Value, depth: usize) -> Option<(String, &'a Value)> {
        if schema.get("type").and_then(Value::as_str) == Some("array") {
            return Some((String::new(), self.resolved(schema.get("items")?)));
        }
        if depth > 2 {
            return None;
        }
        self.members(schema).into_iter().find_map(|(name, member)| {
            let (pointer, row) = self.rows(member, depth + 1)?;
            Some((format!("/{}{pointer}", escaped(name)), row))
        })
    }

    /// The pointer to a member of these words in a schema, or in an object beside its rows.
    pub(super) fn beside(self, schema: &'a Value, words: &[&str]) -> Option<String> {
        if let Some((name, _)) = self.member(schema, words) {
            return Some(format!("/{}", escaped(name)));
        }
        self.members(schema).into_iter().find_map(|(name, member)| {
            let (inner, _) = self.member(member, words)?;
            Some(format!("/{}/{}", escaped(name), escaped(inner)))
        })
    }

    /// The first member whose name is one of these words, or ends with one.
    pub(super) fn member(self, row: &'a Value, words: &[&str]) -> Option<(&'a str, &'a Value)> {
        let members = self.members(row);
        let exact = words.iter().find_map(|word| members.iter().find(|(name, _)| plain(name) == plain(word)));
        let ending = || {
            words.iter().find_map(|word| members.iter().find(|(name, _)| plain(name).ends_with(&plain(word))))
        };
        exact.or_else(ending).copied()
    }
}
