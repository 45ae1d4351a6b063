//! Reads settings out of the tree and collects what is wrong instead of stopping at the first mistake.

use std::collections::BTreeMap;
use std::time::Duration;

use amfj_sync_model::mapping::SourceLocation;

use super::mask::{looks_like_token, mask};
use super::overrides::{PREFIX, in_environment};
use super::problem::{At, Problem, Warning, nearest};
use super::source::SourceFile;
use super::tokens::{TokenVariables, Tokens};
use super::tree::{Entries, Kind, Node, NodeValue};

/// What reading has found so far.
pub struct Reading<'c> {
    /// The file.
    pub(super) source: &'c SourceFile,
    /// The environment, for tokens.
    pub(super) variables: &'c BTreeMap<String, String>,
    /// Which tokens have to be there.
    pub(super) tokens: Tokens,
    /// The variables that tokens stand in.
    pub(super) token_variables: TokenVariables,
    /// Mistakes.
    pub(super) problems: Vec<Problem>,
    /// What works but should not stay so.
    pub(super) warnings: Vec<Warning>,
    /// Where the values of the integration being read stand.
    pub(super) places: BTreeMap<String, SourceLocation>,
    /// `retry.give_up_after`, once it is read: what every integration waits for has to be shorter.
    pub(super) give_up_after: Option<Duration>,
    /// Whether the file may have no integration, for others have some.
    pub(super) may_be_empty: bool,
}

impl Reading<'_> {
    /// Reports a mistake.
    pub fn problem(&mut self, at: &At, message: String) {
        self.problems.push(Problem::at(self.source, at, message));
    }

    /// Reports something that works.
    pub(super) fn warn(&mut self, at: &At, message: String) {
        let place = at.place(self.source);
        self.warnings.push(Warning { place, message });
    }
}

/// One table while it is read. Every key that is asked for is known; [`Section::finish`] reports the rest.
pub struct Section {
    /// As in the file: `integration.sync`.
    pub name: String,
    /// Where to point when a value is missing.
    pub at: At,
    entries: Entries,
    known: Vec<&'static str>,
    missing: Vec<(&'static str, String)>,
}

/// What was found under a key.
pub enum Found<T> {
    /// There is no such key.
    Absent,
    /// Wrong, and reported.
    Bad,
    /// As it is to be.
    Good(T),
}

impl<T> Found<T> {
    /// The value or the default; `None` if what is there is wrong.
    pub fn or(self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Bad => None,
            Self::Good(value) => Some(value),
        }
    }

    /// The value; if there is none, that is a mistake, and `write` says what to write.
    pub fn required(self, section: &mut Section, key: &'static str, write: &str) -> Option<T> {
        match self {
            Self::Absent => {
                section.missing.push((key, write.to_owned()));
                None
            }
            Self::Bad => None,
            Self::Good(value) => Some(value),
        }
    }
}

impl Section {
    /// The tree itself.
    #[must_use]
    pub fn root(tree: &Node) -> Self {
        Self::of_entries(
            String::new(),
            tree.at.clone(),
            match &tree.value {
                NodeValue::Table(entries) => entries.clone(),
                _ => Entries::new(),
            },
        )
    }

    /// A table read from a node; what is no table is reported and read as an empty one.
    pub fn of_node(reading: &mut Reading<'_>, name: String, node: &Node) -> Self {
        let entries = match node.as_kind(Kind::Table) {
            NodeValue::Table(entries) => entries,
            other => {
                // A text in the place of a whole section may be its secret.
                let what = match other {
                    NodeValue::Text(_) | NodeValue::Variable(_) => "a text".to_owned(),
                    other => shown(&other.described()),
                };
                reading.problem(&node.at, format!("[{name}] must be a table, not {what}"));
                Entries::new()
            }
        };
        Self::of_entries(name, node.key_at.clone(), entries)
    }

    fn of_entries(name: String, at: At, entries: Entries) -> Self {
        Self { name, at, entries, known: Vec::new(), missing: Vec::new() }
    }

    /// The table under a key, empty if it is not there.
    #[must_use]
    pub fn section(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Self {
        let name = self.name_of(key);
        match self.take(key) {
            Some(node) => Self::of_node(reading, name, &node),
            None => Self::of_entries(name, self.at.clone(), Entries::new()),
        }
    }

    /// The node under a key, which is known from now on.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        self.entries.remove(key)
    }

    /// All entries of a table whose keys are free.
    pub fn take_all(&mut self) -> Entries {
        std::mem::take(&mut self.entries)
    }

    /// Reads the value of a key; the error of `parse` follows the key's name in a sentence.
    pub fn read<T>(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        parse: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Found<T> {
        let Some(node) = self.take(key) else { return Found::Absent };
        reading.places.insert(self.place_key(key), node.at.place(reading.source));
        match parse(&node) {
            Ok(value) => Found::Good(value),
            Err(message) => {
                self.complain(reading, &node.at, &format!("\"{key}\" {message}"));
                Found::Bad
            }
        }
    }

    /// The node under a key that is not to be named where known keys are.
    pub(super) fn take_unnamed(&mut self, key: &str) -> Option<Node> {
        self.entries.remove(key)
    }

    /// Whether a key is there that nobody has asked for yet.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether there are keys that nobody has asked for.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Reports a mistake in this table.
    pub fn complain(&self, reading: &mut Reading<'_>, at: &At, message: &str) {
        let header = self.header();
        reading.problem(at, format!("{header}{message}"));
    }

    /// Reports a mistake whose value may be a token that went to the wrong place: it is not shown (P27).
    pub fn complain_hidden(&self, reading: &mut Reading<'_>, at: &At, message: &str) {
        let hide_from = match at {
            At::File(span) => Some(span.start),
            At::Variable(_) => None,
        };
        let message = format!("{}{message}", self.header());
        reading.problems.push(Problem::hiding(reading.source, at, hide_from, message));
    }

    /// Reports missing and unknown keys. A key that is missing because it is misspelt is reported once.
    pub fn finish(self, reading: &mut Reading<'_>) {
        let mut meant = Vec::new();
        for (key, node) in &self.entries {
            let suggestion = nearest(key, self.known.iter().copied());
            meant.extend(suggestion);
            self.report_unknown(reading, key, node, suggestion);
        }
        for (key, write) in self.missing.iter().filter(|(key, _)| !meant.contains(key)) {
            self.complain(reading, &self.at, &format!("\"{key}\" is missing; write {write}"));
        }
    }

    fn report_unknown(&self, reading: &mut Reading<'_>, key: &str, node: &Node, suggestion: Option<&str>) {
        let (what, cure) = match &node.key_at {
            At::Variable(name) => {
                let cure = suggestion.map(|known| format!("; did you mean {}?", renamed(name, key, known)));
                (format!("sets no known value: \"{}\"", shown(key)), cure)
            }
            At::File(_) => {
                let cure = suggestion.map(|known| format!("; did you mean \"{known}\"?"));
                (format!("unknown key \"{}\"", shown(key)), cure)
            }
        };
        let cure = cure.unwrap_or_else(|| match self.known.as_slice() {
            [] => String::new(),
            known => format!("; known are {}", known.join(", ")),
        });
        // The value of an unknown key may be a token, so the line is shown up to the key (P27).
        let hide_from = match &node.key_at {
            At::File(span) => Some(span.end),
            At::Variable(_) => None,
        };
        let message = format!("{}{what}{cure}", self.header());
        reading.problems.push(Problem::hiding(reading.source, &node.key_at, hide_from, message));
    }

    fn header(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!("[{}] ", self.name) }
    }

    fn name_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// The key below the integration: `sync.default_asset_type`.
    pub(super) fn place_key(&self, key: &str) -> String {
        let name = self.name_of(key);
        name.strip_prefix("integration.").unwrap_or(&name).to_owned()
    }
}

/// A variable's name with the misspelt key replaced.
fn renamed(variable: &str, key: &str, known: &str) -> String {
    let wrong = in_environment(key);
    let path = variable.strip_prefix(PREFIX).unwrap_or(variable);
    let segments: Vec<String> = path
        .split("__")
        .map(
            |segment| {
                if in_environment(segment) == wrong { in_environment(known) } else { segment.to_owned() }
            },
        )
        .collect();
    format!("{PREFIX}{}", segments.join("__"))
}

/// A word for a message, unless it may be a token (P27).
#[must_use]
pub fn shown(word: &str) -> String {
    let bare = word.trim_matches('"');
    let masked = mask(word);
    if looks_like_token(bare) { "***".to_owned() } else { masked }
}
