//! Finds and reads the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::overrides;
use super::problem::{At, ConfigErrors, Problem, Warning};
use super::reader::Reading;
use super::sections;
use super::source::SourceFile;
use super::tokens::{TokenVariables, Tokens};
use super::tree::Node;
use super::types::Config;

/// The variable that names the file when `--config` does not.
pub const CONFIG_VARIABLE: &str = "AMFJ_SYNC_CONFIG";

/// The file that is read when nothing names one.
pub const DEFAULT_PATH: &str = "./amfj-sync.toml";

/// The file that is read when there is not even that: where packages have it.
pub const SYSTEM_PATH: &str = "/etc/amfj-sync/amfj-sync.toml";

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What to show a person before going on.
    pub warnings: Vec<Warning>,
    /// The file it was read from.
    pub path: PathBuf,
    /// The variables that its tokens stand in, whether this program needs them or not.
    pub token_variables: TokenVariables,
}

/// The variables of this process. A variable that is not Unicode cannot be one of ours.
#[must_use]
pub fn process_environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads the configuration: the file at `path`, else the one that `AMFJ_SYNC_CONFIG` names, else
/// `./amfj-sync.toml`, else that of a package, with the overrides and tokens that `variables` hold.
/// Only the `tokens` that the caller uses have to be there.
///
/// Paths in the file are relative to the current directory. On errors the process ends with status 2.
pub fn load(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
    tokens: Tokens,
) -> Result<Loaded, ConfigErrors> {
    let path = find(path, variables);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let message = format!(
            "the configuration file {} cannot be read: {error}; name one with --config PATH or {CONFIG_VARIABLE}, \
             have `amfj-sync init` write one, or copy amfj-sync.example.toml to {DEFAULT_PATH}",
            path.display()
        );
        ConfigErrors::new(&path, vec![Problem::whole(message)])
    })?;
    parse(&path, text, variables, tokens)
}

/// Where the file is that [`load`] reads.
#[must_use]
pub fn find(path: Option<&Path>, variables: &BTreeMap<String, String>) -> PathBuf {
    let named = || variables.get(CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let usual = || {
        let is_there = |path: &&str| Path::new(path).exists();
        let found = [DEFAULT_PATH, SYSTEM_PATH].into_iter().find(is_there);
        PathBuf::from(found.unwrap_or(DEFAULT_PATH))
    };
    path.map(Path::to_owned).or_else(named).unwrap_or_else(usual)
}

/// Reads the text of a configuration as [`load`] does; `path` is only named in messages.
pub fn parse(
    path: &Path,
    text: impl Into<String>,
    variables: &BTreeMap<String, String>,
    tokens: Tokens,
) -> Result<Loaded, ConfigErrors> {
    let source = SourceFile { path: path.to_owned(), text: text.into() };
    let (document, syntax) = DeTable::parse_recoverable(&source.text);
    if !syntax.is_empty() {
        // What could be read around a syntax error would only give errors that are none.
        return Err(ConfigErrors::new(
            path,
            syntax.iter().map(|error| syntax_problem(&source, error)).collect(),
        ));
    }
    let mut tree = Node::from_document(&document);
    let mut problems = Vec::new();
    overrides::apply(&mut tree, variables, &source, &mut problems);
    let (warnings, places) = (Vec::new(), BTreeMap::new());
    let give_up_after = None;
    let token_variables = TokenVariables::default();
    let mut reading = Reading {
        source: &source,
        variables,
        tokens,
        token_variables,
        problems,
        warnings,
        places,
        give_up_after,
    };
    let config = sections::read(&tree, &mut reading);
    match config {
        Some(config) if reading.problems.is_empty() => {
            let Reading { warnings, token_variables, .. } = reading;
            Ok(Loaded { config, warnings, path: path.to_owned(), token_variables })
        }
        _ => Err(ConfigErrors::new(path, reading.problems)),
    }
}

pub(super) fn syntax_problem(source: &SourceFile, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    Problem::at(source, &At::File(span), format!("not valid TOML: {}", error.message()))
}
