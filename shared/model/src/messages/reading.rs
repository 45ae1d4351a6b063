//! What a run could not use of what it read, and what the settings named when it was read (P18, P30).

use std::collections::BTreeSet;
use std::fmt;

use amfj_sync_security::secrets::scrub_words;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most things that are named; the rest is only counted.
const NAMED: usize = 50;
/// Characters of a name, an id or a reason that are kept: a report is no place for a huge value.
const LONGEST: usize = 300;
/// Bytes of them that are looked at: a name or a row may be as large as an answer.
const LOOKED_AT: usize = 64 << 10;

/// Something that could not be used as it was read, or at all: the run went on without it (P30).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unusable {
    /// What kind of thing: *asset*, *user record*, *device*, *setting* …
    pub what: String,
    /// Its id, where it shows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What people call it, where it shows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is wrong, and what comes of it.
    pub why: String,
}

impl Unusable {
    /// Takes note of something; blank ids and names are none.
    #[must_use]
    pub fn new(what: &str, id: Option<&str>, name: Option<&str>, why: &str) -> Self {
        let words = |text: &str| short(&scrub_words(&text[..text.floor_char_boundary(LOOKED_AT)]));
        let shown = |text: &str| Some(words(text)).filter(|text| !text.is_empty());
        Self { what: what.to_owned(), id: id.and_then(shown), name: name.and_then(shown), why: words(why) }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, id, name, why } = self;
        match (name, id) {
            (Some(name), Some(id)) => write!(f, "{what} \"{name}\" ({id}): {why}"),
            (Some(one), None) | (None, Some(one)) => write!(f, "{what} \"{one}\": {why}"),
            (None, None) => write!(f, "{what}: {why}"),
        }
    }
}

/// Everything that a run could not use: how much, and the first of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unusables {
    /// How many things.
    pub count: u64,
    /// The first fifty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Unusable>,
}

impl Unusables {
    /// Whether everything could be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes note of one more.
    pub fn add(&mut self, one: Unusable) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < NAMED {
            self.first.push(one);
        }
    }

    /// Adds what another part of the run could not use.
    pub fn append(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.first.extend(other.first);
        self.first.truncate(NAMED);
    }

    /// What is said of the thing with this id.
    pub fn about<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Unusable> {
        self.first.iter().filter(move |one| one.id.as_deref() == Some(id))
    }
}

/// What a run has to say about its reading, beside what it read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadingReport {
    /// What it went on without (P30).
    #[serde(default, skip_serializing_if = "Unusables::is_empty")]
    pub unusable: Unusables,
    /// The names in the settings that were there when a run applied them last: what is missing of these later stops
    /// only what needs it (P18). None of a run of an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<BTreeSet<String>>,
}

impl ReadingReport {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A text on one line, cut to what a report has room for.
#[must_use]
pub fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_stays_small_whatever_goes_into_it() {
        let mut all = Unusables::default();
        for number in 0..200 {
            let id = number.to_string();
            all.add(Unusable::new("asset", Some(&id), Some(&"x".repeat(9_000)), &"why ".repeat(9_000)));
        }
        let mut other = Unusables::default();
        other.add(Unusable::new("device", None, Some(" "), "it has no id"));
        all.append(other.clone());
        assert_eq!((all.count, all.first.len()), (201, NAMED));
        assert!(serde_json::to_vec(&all).unwrap().len() < 60_000);
        assert_eq!(other.first[0].to_string(), "device: it has no id");
        amfj_sync_security::secrets::keep_unsaid("0b1c2d3e-7a8d-token-of-ours");
        let said =
            Unusable::new("asset", Some("a"), None, "its name is “0b1c2d3e-7a8d-token-of-ours”, cut off");
        assert_eq!(said.why, "its name is “***”, cut off");
        assert_eq!(all.about("7").count(), 1);
    }
}
