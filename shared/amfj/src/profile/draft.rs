//! A first draft of a profile from an `OpenAPI` 3 document: a line that is a guess says so, and what was not found is named. Somebody with the
//! description in one hand corrects it.

use std::fmt::Write as _;

use serde_json::Value;

use super::pointer::escaped;

mod document;

use document::Document;

/// How deep references and schemas are followed.
const DEEPEST: usize = 8;

/// Words by which things are recognised, the best first.
const ASSETS: &[&str] =
    &["assets", "asset", "devices", "device", "hardware", "items", "objects", "inventory"];
const USERS: &[&str] = &["users", "user", "people", "persons", "person", "members", "employees"];
const TYPES: &[&str] =
    &["asset-types", "asset_types", "assettypes", "types", "categories", "kinds", "models"];
const LOCATIONS: &[&str] = &["locations", "location", "places", "sites", "offices", "rooms"];
const OUT: &[&str] = &["check-out", "checkout", "check_out", "assign", "issue", "lend"];
const IN: &[&str] = &["check-in", "checkin", "check_in", "unassign", "return", "release"];

/// Drafts a profile. The error says why the document cannot be used.
pub fn from_openapi(json: &str) -> Result<String, String> {
    let document: Value = serde_json::from_str(json)
        .map_err(|error| format!("the document is no JSON ({error}); convert YAML to JSON first"))?;
    if !document.get("openapi").and_then(Value::as_str).is_some_and(|version| version.starts_with('3')) {
        return Err("the document is no OpenAPI 3 document: it has no \"openapi\": \"3…\"".to_owned());
    }
    let api = Document(&document);
    if api.paths().next().is_none() {
        return Err("the document has no paths".to_owned());
    }
    Ok(Draft { api, text: String::new(), absent: Vec::new() }.write())
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', '-', ' '], "")
}

/// A text of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            letter if letter.is_control() => quoted.push(' '),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A path of the document as one of a profile.
fn path_of(path: &str) -> String {
    let segments = path.trim_matches('/').split('/');
    let segment = |segment: &str| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(_) => "{{ id }}".to_owned(),
        None => segment.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.~".contains(*c)).collect(),
    };
    segments.map(segment).filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/")
}

struct Draft<'a> {
    api: Document<'a>,
    text: String,
    absent: Vec<&'static str>,
}

impl Draft<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn guess(&mut self, line: &str, why: &str) {
        let _ = writeln!(self.text, "{line:<60} # guess: {why}");
    }

    fn write(mut self) -> String {
        let title = self.api.0.pointer("/info/title").and_then(Value::as_str).unwrap_or("an interface");
        let title: String = title.chars().filter(|c| !c.is_control()).take(80).collect();
        self.line(&format!("# A first draft of a profile, from the OpenAPI description of {title}. Every line that is a guess says so."));
        self.line("# docs/amfj-profile.md says what the lines mean; `amfj-sync probe` tries them.");
        if let Some(server) = self.api.0.pointer("/servers/0/url").and_then(Value::as_str) {
            let server: String = server.chars().filter(|c| !c.is_control()).take(200).collect();
            self.line(&format!("# In the configuration: api_url = {}", quoted(&server)));
        }
        self.line("\nformat = 1");
        self.guess(&format!("name = {}", quoted(&title)), "the title of the description");
        let assets = self.api.list(ASSETS);
        let row =
            assets.and_then(|path| self.api.answer(path, "get")).and_then(|schema| self.api.rows(schema, 0));
        self.ids(row.as_ref().map(|(_, row)| *row));
        self.authentication();
        self.lists(assets, row.as_ref().map(|(rows, _)| rows.as_str()));
        self.asset(assets, row.map(|(_, row)| row));
        self.user();
        self.catalogue();
        self.errors();
        self.operations(assets);
        self.text
    }

    fn ids(&mut self, row: Option<&Value>) {
        let id = row.and_then(|row| self.api.member(row, &["id", "uid", "uuid", "key"]));
        let is_number = id.is_some_and(|(_, id)| {
            matches!(id.get("type").and_then(Value::as_str), Some("integer" | "number"))
        });
        let form = if is_number { "number" } else { "text" };
        self.guess(&format!("ids = \"{form}\""), "the type of the id of an asset");
    }

    fn authentication(&mut self) {
        self.line("\n[authentication]");
        let schemes = self.api.0.pointer("/components/securitySchemes").and_then(Value::as_object);
        let scheme =
            schemes.and_then(|schemes| schemes.values().next()).map(|scheme| self.api.resolved(scheme));
        let text = |name: &str| scheme.and_then(|scheme| scheme.get(name)).and_then(Value::as_str);
        let name = text("name").unwrap_or("X-Api-Key").to_owned();
        match (text("type"), text("in"), text("scheme")) {
            (Some("apiKey"), Some("query"), _) => {
                self.line(&format!("query = {{ {} = \"{{{{ token }}}}\" }}", quoted(&name)));
            }
            (Some("apiKey"), Some("header"), _) => {
                let known = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
                let name = if known { name } else { "X-Api-Key".to_owned() };
                self.line(&format!("headers = {{ {} = \"{{{{ token }}}}\" }}", quoted(&name)));
            }
            (Some("http"), _, Some("basic")) => {
                self.guess(
                    "basic = { user = \"{{ client_id }}\", password = \"{{ token }}\" }",
                    "which of both is the token",
                );
            }
            (Some("oauth2"), _, _) => {
                self.line("headers = { Authorization = \"Bearer {{ token }}\" }\n\n[authentication.oauth]");
                let url = scheme.and_then(|scheme| scheme.pointer("/flows/clientCredentials/tokenUrl"));
                let path = url.and_then(Value::as_str).map_or("/oauth/token", path_part).to_owned();
                self.guess(
                    &format!("token_path = {}", quoted(&path)),
                    "if it is another host: token_url in the configuration",
                );
            }
            (kind, ..) => {
                let why =
                    if kind.is_some() { "it is a bearer token" } else { "the description names no way" };
                self.guess("headers = { Authorization = \"Bearer {{ token }}\" }", why);
            }
        }
    }

    fn lists(&mut self, assets: Option<&str>, rows: Option<&str>) {
        self.line("\n[lists]");
        self.guess(
            &format!("rows = {}", quoted(rows.unwrap_or("/results"))),
            if rows.is_some() { "the first list in the answer" } else { "nothing was found" },
        );
        self.line("\n[lists.paging]");
        let parameters = assets.map(|path| self.api.parameters(path)).unwrap_or_default();
        let find = |words: &[&str]| {
            words.iter().find_map(|word| {
                parameters.iter().find(|name| plain(name) == plain(word)).map(|name| (*name).to_owned())
            })
        };
        let size = find(&["limit", "per_page", "page_size", "pagesize", "size", "count", "max", "top"]);
        let schema = assets.and_then(|path| self.api.answer(path, "get"));
        let next = |words: &[&str]| {
            let (name, _) = schema.and_then(|schema| self.api.member(schema, words))?;
            Some(format!("/{}", escaped(name)))
        };
        let total = next(&["total", "total_count", "count"]);
        if let Some(parameter) = find(&["cursor", "after", "page_token", "continuation", "starting_after"]) {
            let next = next(&["next_cursor", "next_page_token", "cursor", "next"]);
            self.line("form = \"cursor\"");
            self.line(&format!("parameter = {}", quoted(&parameter)));
            self.guess(
                &format!("next = {}", quoted(next.as_deref().unwrap_or("/next_cursor"))),
                "where the answer says how it goes on",
            );
        } else if let Some(parameter) = find(&["offset", "skip", "start"]) {
            self.line("form = \"offset\"");
            self.line(&format!("parameter = {}", quoted(&parameter)));
            if let Some(total) = total {
                self.guess(&format!("total = {}", quoted(&total)), "how many there are");
            }
        } else if let Some(parameter) = find(&["page", "page_number"]) {
            self.line("form = \"page\"");
            self.line(&format!("parameter = {}", quoted(&parameter)));
            self.guess("first = 1", "the number of the first page");
            if let Some(total) = total {
                self.guess(&format!("total = {}", quoted(&total)), "how many there are");
            }
        } else {
            self.guess("form = \"none\"", "no parameter for pages was found");
            return;
        }
        if let Some(size) = size {
            self.line(&format!("size_parameter = {}", quoted(&size)));
            self.guess("size = 100", "how many a page may have");
        }
    }

    /// A member at the first of these words; a guess in any case.
    fn put(&mut self, row: Option<&Value>, key: &str, words: &[&str]) -> bool {
        let found = row.and_then(|row| self.api.member(row, words)).map(|(name, _)| name.to_owned());
        match &found {
            Some(name) => {
                self.guess(&format!("{key} = {}", quoted(&format!("/{}", escaped(name)))), "by its name");
            }
            None => {
                self.guess(&format!("{key} = {}", quoted(&format!("/{}", words[0]))), "nothing was found");
            }
        }
        found.is_some()
    }

    /// Something with id and name; nothing where there is no such member.
    fn named(&mut self, row: Option<&Value>, key: &str, words: &[&str], required: bool) {
        let Some((name, member)) = row.and_then(|row| self.api.member(row, words)) else {
            if required {
                self.guess(&format!("{key} = {{ id = \"/{}\" }}", words[0]), "nothing was found");
            }
            return;
        };
        let at = format!("/{}", escaped(name));
        let part = |words: &[&str]| {
            self.api.member(member, words).map(|(part, _)| quoted(&format!("{at}/{}", escaped(part))))
        };
        let line = match (part(&["id", "uid", "key"]), part(&["name", "title", "label", "display_name"])) {
            (Some(id), Some(name)) => format!("{key} = {{ id = {id}, name = {name}, optional = true }}"),
            (Some(id), None) => format!("{key} = {{ id = {id}, optional = true }}"),
            _ => format!("{key} = {{ id = {}, optional = true }}", quoted(&at)),
        };
        self.guess(&line, "by its name; without optional = true absence cannot be taken for nothing");
    }

    fn asset(&mut self, assets: Option<&str>, row: Option<&Value>) {
        self.line("\n[asset]");
        self.put(row, "id", &["id", "uid", "uuid", "key"]);
        self.put(row, "name", &["name", "title", "label", "display_name"]);
        self.named(row, "asset_type", &["type", "asset_type", "category", "kind", "model", "type_id"], true);
        self.named(row, "location", &["location", "place", "site", "office", "location_id"], false);
        self.named(
            row,
            "holder",
            &["checked_out_to", "assigned_to", "assignee", "holder", "owner", "user"],
            false,
        );
        if let Some((name, _)) =
            row.and_then(|row| self.api.member(row, &["created_at", "created", "creation_date"]))
        {
            let at = quoted(&format!("/{}", escaped(name)));
            self.guess(&format!("created_at = {{ at = {at}, optional = true }}"), "by its name");
        }
        self.fields("asset", row);
        self.line("\n[asset.write]");
        let body = assets.and_then(|path| self.api.body(path, "post"));
        self.put(body, "name", &["name", "title", "label", "display_name"]);
        self.put(
            body,
            "asset_type",
            &["asset_type_id", "type_id", "type", "asset_type", "category", "category_id"],
        );
        if let Some((name, _)) =
            body.and_then(|body| self.api.member(body, &["location_id", "location", "place", "site"]))
        {
            self.guess(&format!("location = {}", quoted(&format!("/{}", escaped(name)))), "by its name");
        }
    }

    fn fields(&mut self, table: &str, row: Option<&Value>) {
        let words = ["fields", "custom_fields", "attributes", "properties", "custom"];
        let Some((name, member)) = row.and_then(|row| self.api.member(row, &words)) else { return };
        self.line(&format!("\n[{table}.fields]"));
        let at = quoted(&format!("/{}", escaped(name)));
        if member.get("type").and_then(Value::as_str) == Some("array") {
            let item = member.get("items").map(|items| self.api.resolved(items));
            self.guess("form = \"list\"", "it is a list");
            self.guess(&format!("at = {at}"), "by its name");
            self.put(item, "row_label", &["name", "field", "key", "id", "label"]);
            self.put(item, "row_value", &["value", "content"]);
        } else {
            self.guess("form = \"object\"", "it is no list");
            self.guess(&format!("at = {at}"), "by its name");
        }
        self.guess("label = \"name\"", "\"key\" where records call fields by an id or key");
        self.guess("optional = true", "it may be missing");
    }

    fn user(&mut self) {
        let users = self.api.list(USERS);
        let row =
            users.and_then(|path| self.api.answer(path, "get")).and_then(|schema| self.api.rows(schema, 0));
        let row = row.map(|(_, row)| row);
        self.line("\n[user]");
        self.put(row, "id", &["id", "uid", "uuid", "key"]);
        self.put(row, "name", &["name", "display_name", "full_name", "title"]);
        if let Some((name, _)) = row.and_then(|row| self.api.member(row, &["email", "mail", "email_address"]))
        {
            let at = quoted(&format!("/{}", escaped(name)));
            self.guess(&format!("email = {{ at = {at}, optional = true }}"), "by its name");
        }
        self.fields("user", row);
        self.line("\n[user.write]");
        let body = users.and_then(|path| self.api.body(path, "post"));
        self.put(body, "name", &["name", "display_name", "full_name", "title"]);
        if let Some((name, _)) =
            body.and_then(|body| self.api.member(body, &["email", "mail", "email_address"]))
        {
            self.guess(&format!("email = {}", quoted(&format!("/{}", escaped(name)))), "by its name");
        }
    }

    fn catalogue(&mut self) {
        for (table, words) in [("asset_type", TYPES), ("location", LOCATIONS)] {
            let path = self.api.list(words);
            let row = path
                .and_then(|path| self.api.answer(path, "get"))
                .and_then(|schema| self.api.rows(schema, 0));
            let row = row.map(|(_, row)| row);
            self.line(&format!("\n[{table}]"));
            self.put(row, "id", &["id", "uid", "key"]);
            self.put(row, "name", &["name", "title", "label"]);
            if table == "asset_type"
                && let Some((name, _)) =
                    row.and_then(|row| self.api.member(row, &["fields", "custom_fields", "attributes"]))
            {
                self.guess(&format!("fields = {}", quoted(&format!("/{}", escaped(name)))), "by its name");
            }
        }
        self.line("\n[field]");
        for (key, at) in
            [("name", "/name"), ("type", "/type"), ("required", "/required"), ("options", "/options")]
        {
            self.guess(&format!("{key} = \"{at}\""), "as most have it");
        }
    }

    fn errors(&mut self) {
        self.line("\n[errors]");
        self.guess("message = [\"/error/message\", \"/message\", \"/detail\"]", "as most have it");
        self.guess("field = [\"/error/field\", \"/field\", \"/errors/*\"]", "as most have it");
        self.line("\n[limits]");
        self.guess("pause = { header = \"Retry-After\", form = \"seconds-or-date\" }", "as HTTP has it");
    }

    fn operations(&mut self, assets: Option<&str>) {
        let users = self.api.list(USERS);
        let mut text = std::mem::take(&mut self.text);
        self.list_operations(assets, users);
        let operations = std::mem::take(&mut self.text);
        text.push_str("\n[operations]\n");
        let absent: Vec<String> = self.absent.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(
            text,
            "{:<60} # guess: nothing was found for them",
            format!("absent = [{}]", absent.join(", "))
        );
        self.text = text + &operations;
    }

    fn operation(
        &mut self,
        op: &'static str,
        path: Option<&str>,
        method: &str,
        more: &[&str],
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
        for line in more {
            self.guess(line, "look it up");
        }
    }

    fn list_operations(&mut self, assets: Option<&str>, users: Option<&str>) {
        let api = self.api;
        let has = |path: Option<&str>, method: &str| {
            path.filter(|path| api.operation(path, method).is_some()).map(str::to_owned)
        };
        let item = assets.and_then(|path| api.item(path));
        let user = users.and_then(|path| api.item(path));
        let search = |path: Option<&str>, words: &[&str]| {
            let parameters = path.map(|path| api.parameters(path)).unwrap_or_default();
            words.iter().find_map(|word| {
                parameters.iter().find(|name| plain(name) == plain(word)).map(|name| (*name).to_owned())
            })
        };
        self.operation("list_assets", assets, "get", &[], Some("assets"));
        match search(assets, &["name", "title", "search", "q", "query"]) {
            Some(parameter) => {
                let query = format!("query = {{ {} = \"{{{{ name }}}}\" }}", quoted(&parameter));
                self.operation("find_assets_by_name", assets, "get", &[&query], None);
            }
            None => self.absent.push("find_assets_by_name"),
        }
        let placeholder = format!("{}/{{id}}", assets.unwrap_or("assets"));
        self.operation("read_asset", item, "get", &[], Some(&placeholder));
        self.operation("create_asset", has(assets, "post").as_deref(), "post", &[], None);
        self.update("update_asset", item, Some(&placeholder));
        for (op, words) in [("check_out", OUT), ("check_in", IN)] {
            let found = api.action(item, words).filter(|(path, _)| path.contains('{'));
            let body = if op == "check_out" {
                let body = found.and_then(|(path, method)| api.body(path, method));
                let name = body
                    .and_then(|body| api.member(body, &["user_id", "user", "assignee", "id"]))
                    .map_or("user_id", |(name, _)| name);
                Some(format!("body = {{ {} = \"{{{{ user.id }}}}\" }}", quoted(name)))
            } else {
                None
            };
            let lines: Vec<&str> = body.as_deref().into_iter().collect();
            self.operation(
                op,
                found.map(|(path, _)| path),
                found.map_or("post", |(_, method)| method),
                &lines,
                None,
            );
        }
        self.operation("list_users", users, "get", &[], None);
        self.operation(
            "read_user",
            user.filter(|path| api.operation(path, "get").is_some()),
            "get",
            &[],
            None,
        );
        match search(users, &["email", "mail", "search", "q", "query"]) {
            Some(parameter) => {
                let query = format!("query = {{ {} = \"{{{{ email }}}}\" }}", quoted(&parameter));
                self.operation("find_users_by_email", users, "get", &[&query], None);
            }
            None => self.absent.push("find_users_by_email"),
        }
        self.operation("create_user", has(users, "post").as_deref(), "post", &[], None);
        self.update("update_user", user, None);
        self.operation("list_asset_types", api.list(TYPES), "get", &[], Some("asset-types"));
        self.operation("list_locations", api.list(LOCATIONS), "get", &[], None);
        self.absent.push("list_asset_fields");
        self.operation("list_user_fields", api.list(&["user-fields", "user_fields"]), "get", &[], None);
        self.absent.push("probe");
    }

    fn update(&mut self, op: &'static str, item: Option<&str>, placeholder: Option<&str>) {
        let method = ["patch", "put", "post"]
            .into_iter()
            .find(|method| item.is_some_and(|path| self.api.operation(path, method).is_some()));
        let how = if method == Some("put") { "update = \"replace\"" } else { "update = \"merge\"" };
        self.operation(op, item.filter(|_| method.is_some()), method.unwrap_or("patch"), &[how], placeholder);
    }
}

/// The path of an address.
fn path_part(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = if url.contains("://") { rest.find('/').map_or("", |at| &rest[at..]) } else { rest };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if path.starts_with('/') && !path.starts_with("//") { path } else { "/oauth/token" }
}

#[cfg(test)]
mod tests;
