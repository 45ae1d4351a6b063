//! The files of a configuration: the main one, and beside it a folder with an integration a file.
//!
//! Beside `amfj-sync.toml` that is `amfj-sync.d`. The main file is right as a whole or not at all; of the others each stands
//! for itself: what is wrong with one stops its own integrations and nobody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use amfj_sync_model::ids::IntegrationId;
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use super::load::{CONFIG_VARIABLE, DEFAULT_PATH, Loaded, parse_main, syntax_problem};
use super::overrides::{self, Overridden, in_environment};
use super::problem::{ConfigErrors, Problem, Warning};
use super::reader::{Reading, Section};
use super::source::SourceFile;
use super::tokens::{TokenVariables, Tokens};
use super::tree::{Node, NodeValue};
use super::types::{Config, Integration};
use super::{events, integration};

/// The largest file that is read; the integrations of a thousand tenants are smaller.
const LARGEST: u64 = 8 << 20;

/// Tables that only the main file has.
const OF_THE_MAIN_FILE: [&str; 6] = ["broker", "fetcher", "reconciler", "writer", "retry", "timing"];

/// What a file says. It prints as nothing, for there may be a password in it (P27).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileText(String);

impl std::fmt::Debug for FileText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl From<String> for FileText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What the files of a configuration hold, whether it is right or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    main: PathBuf,
    text: FileText,
    /// Those of the folder by their names, each with its text or why it cannot be read.
    others: BTreeMap<PathBuf, Result<FileText, String>>,
}

/// A file of the folder that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Which.
    pub file: PathBuf,
    /// The integrations that stand in it, as far as it can be read.
    pub ids: Vec<String>,
    /// What is wrong with it.
    pub errors: ConfigErrors,
    /// Whether what it said before is still in force.
    pub kept: bool,
}

impl Rejected {
    /// What is wrong with it and what that means, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let first = self.errors.problems().first();
        let place = first.and_then(|problem| problem.place.as_ref());
        let place = place.map_or_else(|| self.file.display().to_string(), ToString::to_string);
        let message = first.map(|problem| problem.message.as_str()).unwrap_or_default();
        let more = match self.errors.problems().len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let means = if self.kept {
            "what it said before stays in force"
        } else {
            "its integrations are not served; all others are"
        };
        format!("{place}: {message}{more}; {means}. `amfj-sync check` tells all of it")
    }
}

/// The folder beside a main file.
fn folder(main: &Path) -> PathBuf {
    main.with_extension("d")
}

impl Files {
    /// Reads them. Only the main one has to be there.
    pub fn read(main: &Path) -> Result<Self, ConfigErrors> {
        let text = read_text(main).map_err(|error| {
            let message = format!(
                "the configuration file {} cannot be read: {error}; name one with --config PATH or {CONFIG_VARIABLE}, \
                 have `amfj-sync init` write one, or copy amfj-sync.example.toml to {DEFAULT_PATH}",
                main.display()
            );
            ConfigErrors::new(main, vec![Problem::whole(message)])
        })?;
        let others = list(&folder(main)).map_err(|error| {
            let message = format!("the folder {} cannot be read: {error}", folder(main).display());
            ConfigErrors::new(main, vec![Problem::whole(message)])
        })?;
        let others = others.into_iter().map(|file| {
            let text = read_text(&file).map(FileText);
            (file, text)
        });
        Ok(Self { main: main.to_owned(), text: text.into(), others: others.collect() })
    }

    /// A main file alone.
    pub(super) fn of_main(main: &Path, text: String) -> Self {
        Self { main: main.to_owned(), text: text.into(), others: BTreeMap::new() }
    }

    /// What they say. Where one of the folder is wrong, what it said `before` counts, if that is right.
    pub fn parse(
        &self,
        variables: &BTreeMap<String, String>,
        tokens: Tokens,
        before: &BTreeMap<PathBuf, FileText>,
    ) -> Result<Loaded, ConfigErrors> {
        let main = SourceFile { path: self.main.clone(), text: self.text.0.clone() };
        let own = ids_in(&main.text).unwrap_or_default();
        let elsewhere: Vec<Option<Vec<String>>> =
            self.others.values().map(|text| text.as_ref().ok().and_then(|text| ids_in(&text.0))).collect();
        // A variable may be meant for a file that cannot be read at all.
        let is_elsewhere = |which: &str| {
            let names = |ids: &Vec<String>| ids.iter().any(|id| in_environment(id) == in_environment(which));
            !names(&own) && elsewhere.iter().any(|ids| ids.as_ref().is_none_or(names))
        };
        let of_main = variables.iter().filter(|(name, _)| match overrides::overridden(name) {
            Overridden::Integration(which) => !is_elsewhere(which),
            Overridden::Other => true,
        });
        let overriding = of_main.map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut loaded = parse_main(&main, &overriding, variables, tokens, !self.others.is_empty())?;
        for (file, text) in &self.others {
            let reading = Fragment { file, variables, tokens, config: &loaded.config };
            match reading.parse(text.as_ref().map(|text| text.0.as_str()).map_err(Clone::clone)) {
                Ok(read) => loaded.take(file, text.clone().unwrap_or_default(), read),
                Err((ids, errors)) => {
                    let kept =
                        before.get(file).and_then(|text| Some((text, reading.parse(Ok(&text.0)).ok()?)));
                    let rejected = Rejected { file: file.clone(), ids, errors, kept: kept.is_some() };
                    if let Some((text, read)) = kept {
                        loaded.take(file, text.clone(), read);
                    }
                    loaded.config.rejected.push(rejected);
                }
            }
        }
        if loaded.config.integrations.is_empty() {
            let all = loaded.config.rejected.iter().flat_map(|one| one.errors.problems().iter().cloned());
            let none = Problem::whole("there is no integration that can be served".to_owned());
            return Err(ConfigErrors::new(&self.main, std::iter::once(none).chain(all).collect()));
        }
        Ok(loaded)
    }
}

impl Loaded {
    fn take(&mut self, file: &Path, text: FileText, read: Fragments) {
        self.config.integrations.extend(read.integrations);
        self.warnings.extend(read.warnings);
        self.token_variables.extend(read.token_variables);
        self.in_force.insert(file.to_owned(), text);
    }
}

/// A file of the folder, while it is read.
struct Fragment<'a> {
    file: &'a Path,
    variables: &'a BTreeMap<String, String>,
    tokens: Tokens,
    /// What stands before it: the main file, and the other files up to it.
    config: &'a Config,
}

/// What a file of the folder holds.
struct Fragments {
    integrations: Vec<Integration>,
    warnings: Vec<Warning>,
    token_variables: TokenVariables,
}

impl Fragment<'_> {
    /// What it holds; else the integrations that stand in it, as far as it can be read, and what is wrong.
    fn parse(&self, text: Result<&str, String>) -> Result<Fragments, (Vec<String>, ConfigErrors)> {
        let wrong = |problems| ConfigErrors::of("the file", self.file, problems);
        let text = text.map_err(|error| {
            (Vec::new(), wrong(vec![Problem::whole(format!("the file cannot be read: {error}"))]))
        })?;
        let source = SourceFile { path: self.file.to_owned(), text: text.to_owned() };
        let (document, syntax) = DeTable::parse_recoverable(&source.text);
        if !syntax.is_empty() {
            let problems = syntax.iter().map(|error| syntax_problem(&source, error)).collect();
            return Err((ids_of(&Node::from_document(&document)), wrong(problems)));
        }
        let mut tree = Node::from_document(&document);
        let ids = ids_of(&tree);
        let meant = |which: &str| ids.iter().any(|id| in_environment(id) == in_environment(which));
        let overriding = self.variables.iter().filter(|(name, _)| match overrides::overridden(name) {
            Overridden::Integration(which) => meant(which),
            Overridden::Other => false,
        });
        let overriding = overriding.map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut problems = Vec::new();
        overrides::apply(&mut tree, &overriding, &source, &mut problems);
        let mut reading = Reading {
            source: &source,
            variables: self.variables,
            tokens: self.tokens,
            token_variables: TokenVariables::default(),
            problems,
            warnings: Vec::new(),
            places: BTreeMap::new(),
            give_up_after: Some(self.config.retry.give_up_after),
            may_be_empty: false,
        };
        let integrations = self.read(&tree, &mut reading);
        let Reading { problems, warnings, token_variables, .. } = reading;
        match integrations {
            Some(integrations) if problems.is_empty() => {
                Ok(Fragments { integrations, warnings, token_variables })
            }
            _ => Err((ids, wrong(problems))),
        }
    }

    fn read(&self, tree: &Node, reading: &mut Reading<'_>) -> Option<Vec<Integration>> {
        let mut root = Section::root(tree);
        for name in OF_THE_MAIN_FILE {
            if let Some(node) = root.take(name) {
                let message =
                    format!("[{name}] stands in the main file alone; here is room for [[integration]] only");
                reading.problem(&node.key_at, message);
            }
        }
        let integrations = integration::read_all(&mut root, reading);
        root.finish(reading);
        let integrations = integrations?;
        if integrations.iter().any(|one| one.amfj.events.is_some()) {
            events::warn_of_halves(&self.config.fetcher, &integrations, &tree.at, reading);
        }
        let taken: BTreeSet<&IntegrationId> = self.config.integrations.iter().map(|one| &one.id).collect();
        for one in integrations.iter().filter(|one| taken.contains(&one.id)) {
            let message =
                format!("the integration `{}` stands in another file already; ids are unique", one.id);
            reading.problems.push(Problem::whole(message));
        }
        Some(integrations)
    }
}

/// Its `*.toml` files in the order of their names; none where there is no such folder. What begins with a dot is an editor's.
fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let is_hidden =
            file.file_name().is_none_or(|name| name.as_encoded_bytes().first().is_some_and(|at| *at == b'.'));
        if !is_hidden && file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Anything but a file, such as a pipe, could be waited for without end.
fn read_text(file: &Path) -> Result<String, String> {
    let open = || {
        let about = std::fs::metadata(file)?;
        if about.is_dir() {
            return Err(std::io::Error::other("it is a folder"));
        }
        std::fs::File::open(file)
    };
    let mut text = String::new();
    let read = open().and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 > LARGEST => Err(format!("it is larger than {} MB", LARGEST >> 20)),
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}

/// The integrations that a text names; none where it is no TOML.
fn ids_in(text: &str) -> Option<Vec<String>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    syntax.is_empty().then(|| ids_of(&Node::from_document(&document)))
}

fn ids_of(tree: &Node) -> Vec<String> {
    let NodeValue::Table(entries) = &tree.value else { return Vec::new() };
    match entries.get("integration").map(|node| &node.value) {
        Some(NodeValue::List(list)) => list.iter().filter_map(overrides::id_of).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
