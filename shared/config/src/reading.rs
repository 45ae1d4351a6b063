//! How a file of settings is read, for other files than the configuration: with all mistakes at once, and each with its
//! line, the wrong word and the nearest right one.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeTable;

pub use super::mask::looks_like_token;
pub use super::problem::{At, nearest};
pub use super::reader::{Found, Reading, Section, shown};
pub use super::settings::{boolean, duration, integer, name, names, text};
pub use super::tree::{Entries, Kind, Node, NodeValue};

use super::load::syntax_problem;
use super::problem::ConfigErrors;
use super::source::SourceFile;
use super::tokens::{TokenVariables, Tokens};

/// Such a file takes nothing from the environment.
static NO_VARIABLES: BTreeMap<String, String> = BTreeMap::new();

/// Reads the text of a file with `read`, which answers nothing where something is wrong that it reported. `what` the file is stands in
/// the last line of the errors: "the profile".
pub fn document<T>(
    what: &'static str,
    path: &Path,
    text: &str,
    read: impl FnOnce(Section, &mut Reading<'_>) -> Option<T>,
) -> Result<T, ConfigErrors> {
    let source = SourceFile { path: path.to_owned(), text: text.to_owned() };
    let (document, syntax) = DeTable::parse_recoverable(&source.text);
    if !syntax.is_empty() {
        let problems = syntax.iter().map(|error| syntax_problem(&source, error)).collect();
        return Err(ConfigErrors::of(what, path, problems));
    }
    let tree = Node::from_document(&document);
    let mut reading = Reading {
        source: &source,
        variables: &NO_VARIABLES,
        tokens: Tokens::None,
        token_variables: TokenVariables::default(),
        problems: Vec::new(),
        warnings: Vec::new(),
        places: BTreeMap::new(),
        give_up_after: None,
        may_be_empty: false,
    };
    match read(Section::root(&tree), &mut reading) {
        Some(read) if reading.problems.is_empty() => Ok(read),
        _ => Err(ConfigErrors::of(what, path, reading.problems)),
    }
}

/// A file that cannot be read at all.
#[must_use]
pub fn unreadable(what: &'static str, path: &Path, message: String) -> ConfigErrors {
    ConfigErrors::of(what, path, vec![super::problem::Problem::whole(message)])
}
