//! A first draft of a profile from an `OpenAPI` 3 document: a line that is a guess says so, and what was not found is named. Somebody with the
//! description in one hand corrects it.

use std::fmt::Write as _;

use serde_json::Value;

use super::pointer::escaped;

mod document;
mod lists;
mod operations;
mod records;

use document::Document;

/// How deep references and schemas are followed.
const DEEPEST: usize = 8;

/// Words by which things are recognised, the best first.
const ASSETS: &[&str] =
    &["assets", "asset", "devices", "device", "hardware", "items", "objects", "inventory"];
const USERS: &[&str] = &["users", "user", "people", "persons", "person", "members", "employees"];
const TYPES: &[&str] = &["asset-types", "types", "categories", "kinds", "models"];
const LOCATIONS: &[&str] = &["locations", "location", "places", "sites", "offices", "rooms"];
const ASSET_FIELDS: &[&str] =
    &["asset-fields", "custom-fields", "fields", "field-definitions", "attribute-definitions", "fieldsets"];
const USER_FIELDS: &[&str] = &["user-fields", "people-fields", "person-fields", "member-fields"];
const OUT: &[&str] = &["check-out", "assign", "issue", "lend"];
const IN: &[&str] = &["check-in", "unassign", "return", "release"];
/// What is put there to hand an asset out, and deleted to take it back.
const HELD: &[&str] = &["assignment", "assignee", "holder", "custody", "owner", "loan", "check-out"];

const IDS: &[&str] = &["id", "uid", "uuid", "key"];
const NAMES: &[&str] = &["name", "title", "label", "display_name", "full_name"];
const EMAILS: &[&str] = &["email", "mail", "email_address"];

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
    Ok(Draft::of(api).write())
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
    assets: Listed<'a>,
    users: Listed<'a>,
    types: Listed<'a>,
    locations: Listed<'a>,
    fields: Listed<'a>,
}

/// A list of the description: its path, where its rows are, and what one looks like.
#[derive(Clone, Default)]
struct Listed<'a> {
    path: Option<&'a str>,
    rows: Option<String>,
    row: Option<&'a Value>,
}

impl<'a> Listed<'a> {
    fn of(api: Document<'a>, words: &[&str]) -> Self {
        let path = api.list(words);
        let found = path.and_then(|path| api.answer(path, "get")).and_then(|schema| api.rows(schema, 0));
        Self { path, rows: found.as_ref().map(|(rows, _)| rows.clone()), row: found.map(|(_, row)| row) }
    }
}

impl<'a> Draft<'a> {
    fn of(api: Document<'a>) -> Self {
        let listed = |words| Listed::of(api, words);
        Draft {
            api,
            text: String::new(),
            absent: Vec::new(),
            assets: listed(ASSETS),
            users: listed(USERS),
            types: listed(TYPES),
            locations: listed(LOCATIONS),
            fields: listed(ASSET_FIELDS),
        }
    }

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
        self.ids();
        self.authentication();
        self.lists();
        self.asset();
        self.user();
        self.catalogue();
        self.errors();
        self.operations();
        self.text
    }

    fn ids(&mut self) {
        let id = self.assets.row.and_then(|row| self.api.member(row, IDS));
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
                self.line("\n[authentication.oauth]");
                let url = scheme.and_then(|scheme| scheme.pointer("/flows/clientCredentials/tokenUrl"));
                let path = url.and_then(Value::as_str).map_or("/oauth/token", path_part).to_owned();
                self.guess(
                    &format!("token_path = {}", quoted(&path)),
                    "if it is another host: token_url in the configuration",
                );
                let scopes = scheme.and_then(|scheme| scheme.pointer("/flows/clientCredentials/scopes"));
                let scopes: Vec<&str> = scopes
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.as_str())
                    .collect();
                if !scopes.is_empty() {
                    let line = format!("parameters = {{ scope = {} }}", quoted(&scopes.join(" ")));
                    self.guess(&line, "all that there are; take away what is not needed");
                }
            }
            (kind, ..) => {
                let why =
                    if kind.is_some() { "it is a bearer token" } else { "the description names no way" };
                self.guess("headers = { Authorization = \"Bearer {{ token }}\" }", why);
            }
        }
    }

    fn errors(&mut self) {
        self.line("\n[errors]");
        self.guess("message = [\"/error/message\", \"/message\", \"/detail\"]", "as most have it");
        self.guess("field = [\"/error/field\", \"/field\", \"/errors/*\"]", "as most have it");
        self.line("\n[limits]");
        self.guess("pause = { header = \"Retry-After\", form = \"seconds-or-date\" }", "as HTTP has it");
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
