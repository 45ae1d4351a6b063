//! Records: where their members stand, and where these are written.

use serde_json::Value;

use super::{Draft, EMAILS, IDS, NAMES, escaped, quoted};

impl<'a> Draft<'a> {
    /// A member at the first of these words; a guess in any case.
    fn put(&mut self, within: &str, row: Option<&Value>, key: &str, words: &[&str]) {
        let found = row.and_then(|row| self.api.member(row, words)).map(|(name, _)| name.to_owned());
        let at = quoted(&format!("{within}/{}", escaped(found.as_deref().unwrap_or(words[0]))));
        let why = if found.is_some() { "by its name" } else { "nothing was found" };
        self.guess(&format!("{key} = {at}"), why);
    }

    /// The same where there is one.
    fn put_known(&mut self, within: &str, row: Option<&Value>, key: &str, words: &[&str]) {
        if row.is_some_and(|row| self.api.member(row, words).is_some()) {
            self.put(within, row, key, words);
        }
    }

    /// The same of what may be missing.
    fn put_optional(&mut self, row: Option<&Value>, key: &str, words: &[&str]) {
        if let Some((name, _)) = row.and_then(|row| self.api.member(row, words)) {
            let at = quoted(&format!("/{}", escaped(name)));
            self.guess(&format!("{key} = {{ at = {at}, optional = true }}"), "by its name");
        }
    }

    /// Something with id and name; nothing where there is no such member.
    fn named(&mut self, row: Option<&'a Value>, key: &str, words: &[&str], required: bool) {
        let Some((name, member)) = row.and_then(|row| self.api.member(row, words)) else {
            if required {
                self.guess(&format!("{key} = {{ id = \"/{}\" }}", words[0]), "nothing was found");
            }
            return;
        };
        let mut at = format!("/{}", escaped(name));
        let mut object = member;
        if self.api.member(object, IDS).is_none()
            && let Some((inner, within)) = self.inner(object)
        {
            at = format!("{at}/{}", escaped(inner));
            object = within;
        }
        let part = |words: &[&str]| {
            self.api.member(object, words).map(|(part, _)| quoted(&format!("{at}/{}", escaped(part))))
        };
        let optional = if required { "" } else { ", optional = true" };
        let line = match (part(IDS), part(NAMES)) {
            (Some(id), Some(name)) => format!("{key} = {{ id = {id}, name = {name}{optional} }}"),
            (Some(id), None) => format!("{key} = {{ id = {id}{optional} }}"),
            _ => format!("{key} = {{ id = {}{optional} }}", quoted(&at)),
        };
        let why =
            if required { "by its name" } else { "by its name; where it is missing or null there is none" };
        self.guess(&line, why);
    }

    /// The first object within one that has an id.
    fn inner(&self, object: &'a Value) -> Option<(&'a str, &'a Value)> {
        let has_id = |(_, member): &(&str, &'a Value)| self.api.member(member, IDS).is_some();
        self.api.members(object).into_iter().find(has_id)
    }

    pub(super) fn asset(&mut self) {
        let (path, row) = (self.assets.path, self.assets.row);
        self.line("\n[asset]");
        self.put("", row, "id", IDS);
        self.put("", row, "name", NAMES);
        self.named(row, "asset_type", &["type", "asset_type", "category", "kind", "model", "type_id"], true);
        let places = ["location", "place", "site", "office", "room", "location_id", "place_id", "site_id"];
        self.named(row, "location", &places, false);
        self.named(
            row,
            "holder",
            &["checked_out_to", "assigned_to", "assignee", "assignment", "holder", "owner", "user", "person"],
            false,
        );
        self.put_optional(row, "created_at", &["created_at", "created", "creation_date"]);
        let body = path.and_then(|path| self.api.body(path, "post"));
        let (within, body) = self.enveloped(body);
        self.fields("asset", row);
        self.line("\n[asset.write]");
        self.put(&within, body, "name", NAMES);
        let types = ["asset_type_id", "type_id", "category_id", "type", "asset_type", "category"];
        self.put(&within, body, "asset_type", &types);
        let places = ["location_id", "place_id", "site_id", "room_id", "location", "place", "site", "room"];
        self.put_known(&within, body, "location", &places);
        if !within.is_empty()
            && let Some(at) = self.fields_in(row)
        {
            self.guess(&format!("fields = {}", quoted(&format!("{within}{at}"))), "as they are read");
        }
    }

    /// What is sent, and the envelope that it is sent in.
    pub(super) fn enveloped(&self, body: Option<&'a Value>) -> (String, Option<&'a Value>) {
        match body.map(|body| self.api.record(body)) {
            Some((within, body)) => (within, Some(body)),
            None => (String::new(), None),
        }
    }

    fn fields_at(&self, row: Option<&'a Value>) -> Option<(&'a str, &'a Value)> {
        let words = ["custom_fields", "custom_values", "fields", "attributes", "properties", "custom"];
        row.and_then(|row| self.api.member(row, &words))
    }

    fn fields_in(&self, row: Option<&'a Value>) -> Option<String> {
        self.fields_at(row).map(|(name, _)| format!("/{}", escaped(name)))
    }

    fn fields(&mut self, table: &str, row: Option<&'a Value>) {
        let Some((name, member)) = self.fields_at(row) else { return };
        self.line(&format!("\n[{table}.fields]"));
        let at = quoted(&format!("/{}", escaped(name)));
        let mut by_key = self.definition().is_some_and(|row| self.api.member(row, &["key"]).is_some());
        if member.get("type").and_then(Value::as_str) == Some("array") {
            let item = member.get("items").map(|items| self.api.resolved(items));
            self.guess("form = \"list\"", "it is a list");
            self.guess(&format!("at = {at}"), "by its name");
            let words = ["name", "field", "key", "id", "label"];
            let label = item.and_then(|item| self.api.member(item, &words));
            match label.and_then(|(name, label)| Some((name, self.api.member(label, IDS)?.0))) {
                Some((name, id)) => {
                    by_key = true;
                    let at = quoted(&format!("/{}/{}", escaped(name), escaped(id)));
                    self.guess(&format!("row_label = {at}"), "by its name");
                }
                None => self.put("", item, "row_label", &words),
            }
            self.put("", item, "row_value", &["value", "content"]);
        } else {
            self.guess("form = \"object\"", "it is no list");
            self.guess(&format!("at = {at}"), "by its name");
        }
        if by_key {
            self.guess(
                "label = \"key\"",
                "fields have a key; \"name\" where records call fields by their names",
            );
        } else {
            self.guess("label = \"name\"", "\"key\" where records call fields by an id or key");
        }
        self.guess("optional = true", "it may be missing");
    }

    pub(super) fn user(&mut self) {
        let (path, row) = (self.users.path, self.users.row);
        self.line("\n[user]");
        self.put("", row, "id", IDS);
        self.put("", row, "name", NAMES);
        self.put_optional(row, "email", EMAILS);
        let source =
            row.and_then(|row| self.api.member(row, &["source", "origin", "provisioned_by", "managed_by"]));
        if let Some((name, member)) = source {
            let words = member.get("enum").and_then(Value::as_array).into_iter().flatten();
            let words: Vec<&str> = words.filter_map(Value::as_str).collect();
            let line = format!("source = {{ at = {}, jira = [] }}", quoted(&format!("/{}", escaped(name))));
            let known = if words.is_empty() { String::new() } else { format!(", of {}", words.join(", ")) };
            let known: String = known.chars().filter(|c| !c.is_control()).take(200).collect();
            self.guess(&line, &format!("name the words for a record that Jira keeps{known}"));
        }
        self.fields("user", row);
        self.line("\n[user.write]");
        let body = path.and_then(|path| self.api.body(path, "post"));
        let (within, body) = self.enveloped(body);
        self.put(&within, body, "name", NAMES);
        self.put_known(&within, body, "email", EMAILS);
    }

    /// What a definition of a field looks like: in a list of its own, or in an asset type.
    fn definition(&self) -> Option<&'a Value> {
        if let Some(row) = self.fields.row {
            return Some(row);
        }
        let (_, fields) = self.type_fields()?;
        fields.get("items").map(|items| self.api.resolved(items))
    }

    fn type_fields(&self) -> Option<(&'a str, &'a Value)> {
        self.api.member(self.types.row?, &["fields", "custom_fields", "attributes"])
    }

    pub(super) fn catalogue(&mut self) {
        let type_fields = self.type_fields().filter(|_| self.fields.path.is_none()).map(|(name, _)| name);
        for (table, row) in [("asset_type", self.types.row), ("location", self.locations.row)] {
            self.line(&format!("\n[{table}]"));
            self.put("", row, "id", IDS);
            self.put("", row, "name", NAMES);
            if table == "asset_type"
                && let Some(name) = type_fields
            {
                self.guess(&format!("fields = {}", quoted(&format!("/{}", escaped(name)))), "by its name");
            }
            if table == "location" {
                self.put_known("", row, "children", &["children"]);
            }
        }
        self.field();
    }

    fn field(&mut self) {
        self.line("\n[field]");
        let Some(row) = self.definition() else {
            for (key, at) in [
                ("name", "/name"),
                ("key", "/id"),
                ("type", "/type"),
                ("required", "/required"),
                ("options", "/options"),
            ] {
                self.guess(&format!("{key} = \"{at}\""), "as most have it");
            }
            return;
        };
        self.put("", Some(row), "name", NAMES);
        self.put_known("", Some(row), "key", &["key", "code", "slug", "id"]);
        let kinds = ["type", "data_type", "field_type", "kind", "input"];
        self.put("", Some(row), "type", &kinds);
        self.put_known("", Some(row), "required", &["required", "mandatory"]);
        let words = ["options", "choices", "values", "allowed_values"];
        self.put_known("", Some(row), "options", &words);
        let options = self.api.member(row, &words).and_then(|(_, options)| options.get("items"));
        let option = options.map(|items| self.api.resolved(items));
        if let Some(((id, _), (name, _))) =
            option.and_then(|option| Some((self.api.member(option, IDS)?, self.api.member(option, NAMES)?)))
        {
            let (id, name) = (quoted(&format!("/{}", escaped(id))), quoted(&format!("/{}", escaped(name))));
            self.guess(
                &format!("option = {{ key = {id}, name = {name} }}"),
                "and options = \"key\" in [asset.fields] where records have the key",
            );
        }
        self.put_known("", Some(row), "asset_types", &["asset_type_ids", "type_ids", "category_ids"]);
        let known = self.api.member(row, &kinds).and_then(|(_, kind)| kind.get("enum")?.as_array());
        let known: Vec<&str> = known.into_iter().flatten().filter_map(Value::as_str).collect();
        self.types_of_fields(&known);
    }

    /// What the words for types most likely mean.
    fn types_of_fields(&mut self, known: &[&str]) {
        let meant = [
            ("number", &["number", "integer", "decimal", "float", "numeric", "currency"][..]),
            ("boolean", &["boolean", "bool", "checkbox", "switch", "yesno"]),
            ("date", &["date", "day"]),
            ("select", &["select", "list", "choice", "enum", "dropdown", "option"]),
            ("url", &["url", "uri", "link"]),
            ("email", &["email", "mail"]),
        ];
        let mut is_first = true;
        for (ours, words) in meant {
            let is_one = |word: &&&str| words.contains(&super::plain(word).as_str());
            let theirs: Vec<String> = known.iter().filter(is_one).map(|word| quoted(word)).collect();
            if theirs.is_empty() {
                continue;
            }
            if std::mem::take(&mut is_first) {
                self.line("\n[field.types]");
            }
            self.guess(&format!("{ours} = [{}]", theirs.join(", ")), "by its name");
        }
    }
}
