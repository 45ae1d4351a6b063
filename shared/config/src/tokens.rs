//! Tokens stand in the environment or in a file of their own, never in the configuration (P27).

use std::collections::BTreeSet;
use std::path::Path;

use amfj_sync_security::private_files::is_open_to_others;

use super::mask::{is_path, is_variable, looks_like_token};
use super::problem::At;
use super::reader::{Found, Reading, Section};
use super::secret::Secret;
use super::settings;
use super::token::fault_of;
use super::tree::{Kind, Node, NodeValue};

/// Which tokens a program sends, and so must have. The others may be missing where it runs, and are not read where they
/// are there: what a program does not hold cannot be taken from it. Whoever asks the reconciler for a plan, or looks at
/// dead letters, needs no access to either service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// The fetcher: Kandji's and AMFJ's.
    Both,
    /// The writer: AMFJ's.
    Amfj,
    /// Whatever speaks to the broker alone.
    None,
}

impl Tokens {
    fn include(self, section: &Section) -> bool {
        if is_of_amfj(section) { self.include_amfj() } else { self.include_kandji() }
    }

    fn include_kandji(self) -> bool {
        self == Self::Both
    }

    /// Whether events are taken: by the one that reads both services.
    pub(super) fn include_events(self) -> bool {
        self == Self::Both
    }

    fn include_amfj(self) -> bool {
        matches!(self, Self::Both | Self::Amfj)
    }
}

fn is_of_amfj(section: &Section) -> bool {
    section.name.ends_with("amfj")
}

/// The environment variables that a configuration takes tokens from, for whoever starts programs and gives each only
/// what it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenVariables {
    kandji: BTreeSet<String>,
    amfj: BTreeSet<String>,
    /// Of the keys of events, which only the fetcher needs.
    events: BTreeSet<String>,
}

impl TokenVariables {
    fn add(&mut self, section: &Section, name: &str) {
        let names = if is_of_amfj(section) { &mut self.amfj } else { &mut self.kandji };
        names.insert(name.to_owned());
    }

    /// Those of another file too.
    pub(super) fn extend(&mut self, other: Self) {
        self.kandji.extend(other.kandji);
        self.amfj.extend(other.amfj);
        self.events.extend(other.events);
    }

    /// Takes note of a variable that holds the key of events.
    pub(super) fn add_events(&mut self, name: &str) {
        self.events.insert(name.to_owned());
    }

    /// Those that a program with these `tokens` does without.
    pub fn not_needed_for(&self, tokens: Tokens) -> impl Iterator<Item = &str> {
        let is_needed = move |name: &String| {
            (tokens.include_kandji() && self.kandji.contains(name))
                || (tokens.include_amfj() && self.amfj.contains(name))
                || (tokens.include_events() && self.events.contains(name))
        };
        let all = self.kandji.iter().chain(&self.amfj).chain(&self.events);
        all.collect::<BTreeSet<_>>().into_iter().filter(move |name| !is_needed(name)).map(String::as_str)
    }
}

/// A token that is there, or one that is missing and not needed; nothing if that is a mistake.
type Read = Option<Option<Secret>>;

/// Reads `token = { env = "NAME" }` or `token = { file = "PATH" }` of a section.
pub(super) fn read(section: &mut Section, reading: &mut Reading<'_>, example: &str) -> Read {
    let name = format!("{}.token", section.name);
    let Some(node) = section.take("token") else {
        let write =
            format!("token = {{ env = \"{example}\" }} or token = {{ file = \"/run/secrets/token\" }}");
        return Found::Absent.required(section, "token", &write);
    };
    reading.places.insert(section.place_key("token"), node.at.place(reading.source));
    let table = node.as_kind(Kind::Table);
    if let (NodeValue::Text(token), At::Variable(name)) = (&table, &node.at) {
        // AMFJ_SYNC__…__TOKEN=…: the token itself, and it is in the environment.
        reading.token_variables.add(section, name);
        if !reading.tokens.include(section) {
            return Some(None);
        }
        return checked(reading, section, &node.at, "the token", token);
    }
    if !matches!(table, NodeValue::Table(_)) {
        section.complain(
            reading,
            &node.at,
            &format!(
                "\"token\" must not hold the token itself; put it into an environment variable or a file and \
                 write token = {{ env = \"{example}\" }} or token = {{ file = \"/run/secrets/token\" }}"
            ),
        );
        return None;
    }
    let table = Section::of_node(reading, name, &node);
    read_table(section, reading, table)
}

fn read_table(section: &Section, reading: &mut Reading<'_>, mut table: Section) -> Read {
    let (env, file) = (table.take("env"), table.take("file"));
    let home = table.at.clone();
    let unknown = table.has_more();
    table.finish(reading);
    // An override of one is stronger than the file's other one.
    match (env, file) {
        (Some(env), Some(file)) => match (is_override(&env), is_override(&file)) {
            (true, false) => from_environment(section, reading, &env),
            (false, true) => from_file(section, reading, &file),
            _ => {
                section.complain(reading, &home, "\"token\" has both env and file; remove one of them");
                None
            }
        },
        (Some(env), None) => from_environment(section, reading, &env),
        (None, Some(file)) => from_file(section, reading, &file),
        (None, None) => {
            if !unknown {
                section.complain(reading, &home, "\"token\" needs env = \"NAME\" or file = \"PATH\"");
            }
            None
        }
    }
}

fn is_override(node: &Node) -> bool {
    matches!(node.at, At::Variable(_))
}

fn from_environment(section: &Section, reading: &mut Reading<'_>, node: &Node) -> Read {
    let name = match settings::name(node) {
        Ok(name) => name,
        Err(message) => {
            section.complain(reading, &node.at, &format!("\"token.env\" {message}"));
            return None;
        }
    };
    let plausible = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !looks_like_token(&name);
    if plausible {
        reading.token_variables.add(section, &name);
        if !reading.tokens.include(section) {
            return Some(None);
        }
    }
    let Some(token) = reading.variables.get(&name).cloned() else {
        if plausible && is_variable(&name) {
            let message =
                format!("\"token\": the environment variable {name} is not set; set it to the token");
            section.complain(reading, &node.at, &message);
        } else {
            let message = "\"token.env\" takes the name of an environment variable that is set, such as KANDJI_TOKEN, not the \
                 token itself";
            section.complain_hidden(reading, &node.at, message);
        }
        return None;
    };
    let shown = if is_variable(&name) { name.as_str() } else { "that is named" };
    checked(reading, section, &node.at, &format!("the environment variable {shown}"), &token)
}

fn from_file(section: &Section, reading: &mut Reading<'_>, node: &Node) -> Read {
    let path = match settings::name(node) {
        Ok(path) => path,
        Err(message) => {
            section.complain(reading, &node.at, &format!("\"token.file\" {message}"));
            return None;
        }
    };
    let is_needed = reading.tokens.include(section);
    if !is_needed && (!looks_like_token(&path) || Path::new(&path).exists()) {
        return Some(None);
    }
    let token = match std::fs::read_to_string(&path) {
        Ok(token) => token,
        Err(_) if looks_like_token(&path) || !is_path(&path) && reading.tokens.include(section) => {
            let message = "\"token.file\" takes the path of a file that can be read, such as /run/secrets/token or ./token, not \
                 the token itself";
            section.complain_hidden(reading, &node.at, message);
            return None;
        }
        Err(error) => {
            section.complain(
                reading,
                &node.at,
                &format!("\"token\": the file {path} cannot be read: {error}"),
            );
            return None;
        }
    };
    if is_open_to_others(Path::new(&path)) {
        reading.warn(
            &node.at,
            format!("others than its owner can read the token file {path}; run: chmod 600 {path}"),
        );
    }
    let read = checked(reading, section, &node.at, &format!("the file {path}"), &token)?;
    Some(read.map(|token| token.in_file(path)))
}

/// A token that can stand in a header, trimmed.
fn checked(reading: &mut Reading<'_>, section: &Section, at: &At, source: &str, token: &str) -> Read {
    let token = token.trim();
    let Some(fault) = fault_of(token) else { return Some(Some(Secret::new(token))) };
    section.complain(reading, at, &format!("\"token\": {source} {fault}"));
    None
}
