//! Finds and reads the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::folder::{FileText, Files};
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

/// What the process that was here before had in force of files that were wrong by then, as JSON (P35): a worker that reads its
/// configuration again takes its own place.
pub const KEPT_VARIABLE: &str = "AMFJ_SYNC_KEPT_CONFIGURATION";

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
    /// The files that are in force, each with what it said when it was taken.
    pub in_force: BTreeMap<PathBuf, FileText>,
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
/// Beside it, each file of the folder of the same name (`amfj-sync.d` beside `amfj-sync.toml`) holds integrations; one that is
/// wrong is in [`Config::rejected`], and all others count.
///
/// Paths in the file are relative to the current directory. On errors the process ends with status 2.
pub fn load(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
    tokens: Tokens,
) -> Result<Loaded, ConfigErrors> {
    let before = variables.get(KEPT_VARIABLE).and_then(|kept| serde_json::from_str(kept).ok());
    Files::read(&find(path, variables))?.parse(variables, tokens, &before.unwrap_or_default())
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

/// Reads the text of a main file as [`load`] does; `path` is only named in messages.
pub fn parse(
    path: &Path,
    text: impl Into<String>,
    variables: &BTreeMap<String, String>,
    tokens: Tokens,
) -> Result<Loaded, ConfigErrors> {
    Files::of_main(path, text.into()).parse(variables, tokens, &BTreeMap::new())
}

/// Reads the main file, with the `overriding` variables that are meant for it. It `may_be_empty` of integrations where others
/// have some.
pub(super) fn parse_main(
    source: &SourceFile,
    overriding: &BTreeMap<String, String>,
    variables: &BTreeMap<String, String>,
    tokens: Tokens,
    may_be_empty: bool,
) -> Result<Loaded, ConfigErrors> {
    let path = &source.path;
    let (document, syntax) = DeTable::parse_recoverable(&source.text);
    if !syntax.is_empty() {
        // What could be read around a syntax error would only give errors that are none.
        let problems = syntax.iter().map(|error| syntax_problem(source, error)).collect();
        return Err(ConfigErrors::new(path, problems));
    }
    let mut tree = Node::from_document(&document);
    let mut problems = Vec::new();
    overrides::apply(&mut tree, overriding, source, &mut problems);
    let (warnings, places) = (Vec::new(), BTreeMap::new());
    let give_up_after = None;
    let token_variables = TokenVariables::default();
    let mut reading = Reading {
        source,
        variables,
        tokens,
        token_variables,
        problems,
        warnings,
        places,
        give_up_after,
        may_be_empty,
    };
    let config = sections::read(&tree, &mut reading);
    match config {
        Some(config) if reading.problems.is_empty() => {
            let Reading { warnings, token_variables, .. } = reading;
            let in_force = BTreeMap::from([(path.clone(), source.text.clone().into())]);
            Ok(Loaded { config, warnings, path: path.clone(), token_variables, in_force })
        }
        _ => Err(ConfigErrors::new(path, reading.problems)),
    }
}

pub(super) fn syntax_problem(source: &SourceFile, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    Problem::at(source, &At::File(span), format!("not valid TOML: {}", error.message()))
}
