//! An `OpenAPI` document: its paths, parameters, and schemas, followed as far as they go.

use serde_json::Value;

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

    /// The path of a list: the shortest that ends with one of these words and can be read.
    pub(super) fn list(self, words: &[&str]) -> Option<&'a str> {
        words.iter().find_map(|word| {
            let ends =
                |path: &&str| path.rsplit('/').next().is_some_and(|end| end.eq_ignore_ascii_case(word));
            let readable = self.paths().filter(|(_, item)| item.get("get").is_some()).map(|(path, _)| path);
            readable.filter(ends).min_by_key(|path| path.len())
        })
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
        let methods = ["post", "put", "patch", "delete"];
        words.iter().find_map(|word| {
            self.paths().find_map(|(path, operations)| {
                let end = path.rsplit('/').next().unwrap_or_default();
                let fits = end.eq_ignore_ascii_case(word) && item.is_none_or(|item| path.starts_with(item));
                let method = methods.into_iter().find(|method| operations.get(*method).is_some());
                method.filter(|_| fits).map(|method| (path, method))
            })
        })
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

    pub(super) fn body(self, path: &str, method: &str) -> Option<&'a Value> {
        let body = self.resolved(self.operation(path, method)?.get("requestBody")?);
        body.get("content")?.as_object()?.values().next()?.get("schema").map(|schema| self.resolved(schema))
    }

    /// The names of its query parameters.
    pub(super) fn parameters(self, path: &str) -> Vec<&'a str> {
        let list =
            self.operation(path, "get").and_then(|get| get.get("parameters")).and_then(Value::as_array);
        let query = |parameter: &&Value| parameter.get("in").and_then(Value::as_str) == Some("query");
        list.into_iter()
            .flatten()
            .map(|parameter| self.resolved(parameter))
            .filter(query)
            .filter_map(|parameter| parameter.get("name").and_then(Value::as_str))
            .collect()
    }

    pub(super) fn members(self, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let schema = self.resolved(schema);
        let mut members = Vec::new();
        let parts = schema.get("allOf").and_then(Value::as_array);
        for part in parts.into_iter().flatten().take(DEEPEST).chain([schema]) {
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
