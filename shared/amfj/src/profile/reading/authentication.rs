//! `[authentication]`. No secret stands in a profile: what looks like one is refused, and not shown (P27).

use amfj_sync_config::reading::{self as file, Kind, Node, NodeValue, Reading, Section, looks_like_token};
use amfj_sync_http::{ClientAuthentication, Pattern, Shown};

use super::word;
use crate::profile::pointer::Pointer;
use crate::profile::types::{Authentication, OAuthShape};

const BEARER: &str = "Bearer {{ token }}";

pub(super) fn read(mut section: Section, reading: &mut Reading<'_>) -> Option<Authentication> {
    let at = section.at.clone();
    let headers = table(&mut section, reading, "headers", is_header);
    let query = table(&mut section, reading, "query", |_| true);
    let basic = basic(&mut section, reading);
    let oauth = oauth(&mut section, reading);
    let mut shown = Shown { headers: headers?, query: query?, basic: basic? };
    let oauth = oauth?;
    if shown.headers.is_empty() && shown.query.is_empty() && shown.basic.is_none() {
        shown.headers.push(("Authorization".to_owned(), Pattern::parse(BEARER).ok()?));
    }
    let has_token = |pattern: &Pattern| pattern.has_token();
    let basic = shown.basic.as_ref();
    if !shown.headers.iter().chain(&shown.query).any(|(_, pattern)| has_token(pattern))
        && !basic.is_some_and(|(user, password)| has_token(user) || has_token(password))
    {
        section.complain(
            reading,
            &at,
            "the token stands nowhere; write headers = { Authorization = \"Bearer {{ token }}\" }",
        );
        return None;
    }
    section.finish(reading);
    Some(Authentication { shown, oauth })
}

/// A table of patterns; each wrong one is told by itself.
fn table(
    section: &mut Section,
    reading: &mut Reading<'_>,
    key: &'static str,
    is_name: fn(&str) -> bool,
) -> Option<Vec<(String, Pattern)>> {
    let mut below = section.section(reading, key);
    let mut complete = true;
    let mut read = Vec::new();
    for (name, node) in below.take_all() {
        let parsed = if is_name(&name) { pattern(&node) } else { Err("is no name of a header".to_owned()) };
        match parsed {
            Ok(pattern) => read.push((name, pattern)),
            Err(message) => {
                below.complain_hidden(
                    reading,
                    &node.key_at,
                    &format!("\"{}\" {message}", file::shown(&name)),
                );
                complete = false;
            }
        }
    }
    below.finish(reading);
    complete.then_some(read)
}

pub(super) fn is_header(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte))
}

fn pattern(node: &Node) -> Result<Pattern, String> {
    let text = file::text(node)?;
    let pattern = Pattern::parse(&text)?;
    let is_secret = text
        .split(|c: char| c.is_whitespace() || matches!(c, '=' | ';' | ',' | '"'))
        .any(|word| looks_like_token(word) && word.bytes().filter(u8::is_ascii_digit).count() > 3);
    if is_secret {
        return Err(
            "looks like a token; that stands in the configuration, and here as {{ token }}".to_owned()
        );
    }
    Ok(pattern)
}

#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
fn basic(section: &mut Section, reading: &mut Reading<'_>) -> Option<Option<(Pattern, Pattern)>> {
    let mut below = section.section(reading, "basic");
    if !below.has_more() {
        return Some(None);
    }
    let user =
        below.read(reading, "user", pattern).required(&mut below, "user", "user = \"{{ client_id }}\"");
    let password = below.read(reading, "password", pattern).required(
        &mut below,
        "password",
        "password = \"{{ token }}\"",
    );
    below.finish(reading);
    Some(Some((user?, password?)))
}

#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
fn oauth(section: &mut Section, reading: &mut Reading<'_>) -> Option<Option<OAuthShape>> {
    let mut below = section.section(reading, "oauth");
    if !below.has_more() {
        return Some(None);
    }
    let token_path = below.read(reading, "token_path", token_path).required(
        &mut below,
        "token_path",
        "token_path = \"/oauth/token\"",
    );
    let client_id = below.read(reading, "client_id", |node| file::name(node).map(Some)).or(None);
    let ways = [("basic", ClientAuthentication::Basic), ("body", ClientAuthentication::Body)];
    let client_authentication = below
        .read(reading, "client_authentication", |node| word(node, &ways))
        .or(ClientAuthentication::Basic);
    let parameters = below.read(reading, "parameters", parameters).or(Vec::new());
    let mut at = |key, default: &str| {
        let read =
            |node: &Node| Pointer::parse(&file::text(node)?).map(|pointer| pointer.as_str().to_owned());
        below.read(reading, key, read).or(default.to_owned())
    };
    let access = at("access_token", "/access_token");
    let expires = at("expires_in", "/expires_in");
    let refresh = at("refresh_token", "/refresh_token");
    below.finish(reading);
    Some(Some(OAuthShape {
        token_path: token_path?,
        client_id: client_id?,
        client_authentication: client_authentication?,
        parameters: parameters?,
        pointers: [access?, expires?, refresh?],
    }))
}

/// The token is fetched from the host of the service; another one is named by the configuration alone.
fn token_path(node: &Node) -> Result<String, String> {
    let path = file::name(node)?;
    if path.starts_with('/') && !path.starts_with("//") && !path.contains(['?', '#', '\\']) {
        return Ok(path);
    }
    Err("must be a path from the root of the host, such as \"/oauth/token\"; another host is named by token_url in the \
         configuration"
        .to_owned())
}

fn parameters(node: &Node) -> Result<Vec<(String, String)>, String> {
    let NodeValue::Table(entries) = node.as_kind(Kind::Table) else {
        return Err("must be a table such as { scope = \"assets\" }".to_owned());
    };
    let mut parameters = Vec::new();
    for (name, value) in entries {
        if matches!(name.as_str(), "grant_type" | "client_secret" | "client_id" | "refresh_token") {
            return Err(format!("must not set {name}, which is set anyway"));
        }
        let text =
            file::text(&value).map_err(|error| format!("is wrong: \"{}\" {error}", file::shown(&name)))?;
        parameters.push((name, text));
    }
    Ok(parameters)
}
