//! `[operations]`: what is asked for where, and how.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Draft, HELD, IN, Listed, OUT, USER_FIELDS, path_of, plain, quoted};

/// What is said of an operation beside method and path.
type More = Vec<(String, &'static str)>;

impl<'a> Draft<'a> {
    pub(super) fn operations(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        self.of_assets();
        self.of_users();
        self.of_catalogue();
        let operations = std::mem::take(&mut self.text);
        text.push_str("\n[operations]\n");
        let absent: Vec<String> = self.absent.iter().map(|name| quoted(name)).collect();
        let absent = format!("absent = [{}]", absent.join(", "));
        let _ = writeln!(text, "{absent:<60} # guess: nothing was found for them");
        self.text = text + &operations;
    }

    fn operation(
        &mut self,
        op: &'static str,
        path: Option<&str>,
        method: &str,
        more: &More,
        placeholder: Option<&str>,
    ) {
        let Some(known) = path.or(placeholder) else {
            self.absent.push(op);
            return;
        };
        self.line(&format!("\n[operations.{op}]"));
        if method != "get" {
            self.line(&format!("method = \"{}\"", method.to_uppercase()));
        }
        let line = format!("path = {}", quoted(&path_of(known)));
        self.guess(&line, if path.is_some() { "by its name" } else { "nothing was found" });
        for (line, why) in more {
            self.guess(line, why);
        }
    }

    /// Where the rows of a list are, and whether it has pages, where that is not as with assets.
    fn of_list(&self, listed: &Listed<'_>) -> More {
        let mut more = More::new();
        let common = self.assets.rows.as_deref().unwrap_or("/results");
        if let Some(rows) = listed.rows.as_deref().filter(|rows| *rows != common) {
            more.push((format!("rows = {}", quoted(rows)), "the first list in the answer"));
        }
        if self.is_paged(self.assets.path) && listed.path.is_some() && !self.is_paged(listed.path) {
            more.push(("paging = { form = \"none\" }".to_owned(), "it has no parameter for pages"));
        }
        more
    }

    /// Where the record is in what a request answers, or that it answers none.
    fn answers(&self, path: Option<&str>, method: &str) -> More {
        let Some(path) = path else { return More::new() };
        let Some(schema) = self.api.answer(path, method) else {
            let silent = self.api.is_silent(path, method);
            let line = ("answer = \"nothing\"".to_owned(), "it is read back");
            return silent.then_some(line).into_iter().collect();
        };
        let (within, record) = self.api.record(schema);
        if method != "get" && self.api.member(record, super::IDS).is_none_or(|(name, _)| plain(name) != "id")
        {
            return vec![(
                "answer = \"nothing\"".to_owned(),
                "what it answers does not look like the record",
            )];
        }
        let line = (format!("record = {}", quoted(&within)), "its envelope");
        (!within.is_empty()).then_some(line).into_iter().collect()
    }

    /// The parameter of a list that looks for a name or an email.
    fn search(&self, path: Option<&str>, words: &[&str]) -> Option<&'a str> {
        let parameters = path.map(|path| self.api.parameters(path, "get", "query")).unwrap_or_default();
        let by = |words: &[&str], fits: &dyn Fn(&str, &str) -> bool| {
            words.iter().find_map(|word| {
                parameters.iter().map(|(name, _)| *name).find(|name| fits(&plain(name), &plain(word)))
            })
        };
        let part = |name: &str, word: &str| {
            name.split(|letter: char| !letter.is_alphanumeric()).any(|part| part.starts_with(word))
        };
        by(words, &|name, word| name == word)
            .or_else(|| by(words, &part))
            .or_else(|| by(words, &|name, word| name.ends_with(word)))
            .or_else(|| by(&["search", "q", "query"], &|name, word| name == word))
    }

    fn of_assets(&mut self) {
        let assets = self.assets.path;
        let item = assets.and_then(|path| self.api.item(path));
        let placeholder = format!("{}/{{id}}", assets.unwrap_or("assets"));
        self.operation("list_assets", assets, "get", &More::new(), Some("assets"));
        match self.search(assets, &["name", "title"]) {
            Some(parameter) => {
                let query = format!("query = {{ {} = \"{{{{ name }}}}\" }}", quoted(parameter));
                self.operation("find_assets_by_name", assets, "get", &vec![(query, "look it up")], None);
            }
            None => self.absent.push("find_assets_by_name"),
        }
        let record = self.answers(item, "get");
        self.operation("read_asset", item, "get", &record, Some(&placeholder));
        let made = self.posted(assets);
        let record = self.answers(made, "post");
        self.operation("create_asset", made, "post", &record, None);
        self.update("update_asset", item, Some(&placeholder));
        let out = self.api.action(item, OUT).filter(|(path, _)| path.contains('{'));
        let back = self.api.action(item, IN).filter(|(path, _)| path.contains('{'));
        let part = self.api.part(item, HELD).filter(|(path, _)| path.contains('{'));
        let (out, back) = match (out, back, part) {
            (Some(out), Some(back), _) => (Some(out), Some(back)),
            (_, _, Some((path, method))) => (Some((path, method)), Some((path, "delete"))),
            (out, back, None) => (out, back),
        };
        let mut more: More = out.map(|(path, method)| self.handing_out(path, method)).into_iter().collect();
        more.extend(self.answers(out.map(|(path, _)| path), out.map_or("post", |(_, method)| method)));
        self.operation(
            "check_out",
            out.map(|(path, _)| path),
            out.map_or("post", |(_, method)| method),
            &more,
            None,
        );
        let method = back.map_or("post", |(_, method)| method);
        let record = self.answers(back.map(|(path, _)| path), method);
        self.operation("check_in", back.map(|(path, _)| path), method, &record, None);
    }

    /// What says who gets the asset.
    fn handing_out(&self, path: &str, method: &str) -> (String, &'static str) {
        let (within, body) = self.enveloped(self.api.body(path, method));
        let member =
            |words: &[&str]| body.and_then(|body| self.api.member(body, words)).map(|(name, _)| quoted(name));
        let who = ["user_id", "person_id", "member_id", "employee_id", "user", "person", "assignee", "id"];
        let who = member(&who).unwrap_or_else(|| "\"user_id\"".to_owned());
        let mut line = format!("{{ {who} = \"{{{{ user.id }}}}\"");
        if let Some(note) = member(&["note", "remark", "comment", "message", "reason"]) {
            let _ = write!(line, ", {note} = \"{{{{ note }}}}\"");
        }
        line.push_str(" }");
        if let Some(envelope) = within.strip_prefix('/') {
            line = format!("{{ {} = {line} }}", quoted(envelope));
        }
        (format!("body = {line}"), "look it up")
    }

    fn of_users(&mut self) {
        let listed = self.users.clone();
        let users = listed.path;
        let item = users.and_then(|path| self.api.item(path));
        let rows = self.of_list(&listed);
        self.operation("list_users", users, "get", &rows, None);
        let read = item.filter(|path| self.api.operation(path, "get").is_some());
        let record = self.answers(read, "get");
        self.operation("read_user", read, "get", &record, None);
        match self.search(users, &["email", "mail"]) {
            Some(parameter) => {
                let query = format!("query = {{ {} = \"{{{{ email }}}}\" }}", quoted(parameter));
                let mut more = vec![(query, "look it up")];
                more.extend(rows);
                self.operation("find_users_by_email", users, "get", &more, None);
            }
            None => self.absent.push("find_users_by_email"),
        }
        let made = self.posted(users);
        let record = self.answers(made, "post");
        self.operation("create_user", made, "post", &record, None);
        self.update("update_user", item, None);
    }

    fn of_catalogue(&mut self) {
        for (op, listed, placeholder) in [
            ("list_asset_types", self.types.clone(), Some("asset-types")),
            ("list_locations", self.locations.clone(), None),
            ("list_asset_fields", self.fields.clone(), None),
            ("list_user_fields", Listed::of(self.api, USER_FIELDS), None),
        ] {
            let rows = self.of_list(&listed);
            self.operation(op, listed.path, "get", &rows, placeholder);
        }
        self.absent.push("probe");
    }

    fn posted(&self, path: Option<&'a str>) -> Option<&'a str> {
        path.filter(|path| self.api.operation(path, "post").is_some())
    }

    fn update(&mut self, op: &'static str, item: Option<&str>, placeholder: Option<&str>) {
        let method = ["patch", "put", "post"]
            .into_iter()
            .find(|method| item.is_some_and(|path| self.api.operation(path, method).is_some()));
        let mut more = More::new();
        let media_type = item.zip(method).and_then(|(path, method)| self.api.media_type(path, method));
        if media_type.is_some_and(|media_type| media_type.starts_with("application/json-patch")) {
            let header = "headers = { \"Content-Type\" = \"application/json-patch+json\" }";
            more.push((header.to_owned(), "the form in which it is sent"));
            more.push(("update = \"json-patch\"".to_owned(), "the form in which it is sent"));
        } else if method == Some("put") {
            more.push(("update = \"replace\"".to_owned(), "look it up"));
        } else {
            more.push(("update = \"merge\"".to_owned(), "look it up"));
        }
        let headers = item.zip(method).map(|(path, method)| self.api.parameters(path, method, "header"));
        if headers
            .into_iter()
            .flatten()
            .any(|(name, _): (&str, &Value)| name.eq_ignore_ascii_case("if-match"))
        {
            more.push(("if_match = true".to_owned(), "it has that header"));
        }
        more.extend(self.answers(item.filter(|_| method.is_some()), method.unwrap_or("patch")));
        self.operation(op, item.filter(|_| method.is_some()), method.unwrap_or("patch"), &more, placeholder);
    }
}
