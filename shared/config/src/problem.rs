//! What is wrong with a configuration, all of it at once.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amfj_sync_model::mapping::SourceLocation;

use super::mask::mask_sentence;
use super::source::SourceFile;

/// Where a node of the configuration was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Bytes of the file.
    File(Range<usize>),
    /// A variable of the environment.
    Variable(Arc<str>),
}

impl At {
    /// The same for people.
    pub(super) fn place(&self, source: &SourceFile) -> SourceLocation {
        match self {
            Self::File(span) => {
                SourceLocation::Line { file: source.path.clone(), line: source.line_of(span.start) }
            }
            Self::Variable(name) => SourceLocation::Variable(name.to_string()),
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is; `None` if it is about the file as a whole.
    pub place: Option<SourceLocation>,
    /// What is wrong and what to write instead, in one sentence.
    pub message: String,
    /// The masked source line with carets below it, if it is in the file.
    excerpt: Option<String>,
    /// Byte in the file, for the order of the report.
    offset: usize,
}

impl Problem {
    /// A mistake at a place.
    pub(super) fn at(source: &SourceFile, at: &At, message: String) -> Self {
        Self::hiding(source, at, None, message)
    }

    /// A mistake at a place whose line is shown only up to a byte of the file.
    pub(super) fn hiding(source: &SourceFile, at: &At, hide_from: Option<usize>, message: String) -> Self {
        let (excerpt, offset) = match at {
            At::File(span) => (Some(source.excerpt(span, hide_from)), span.start),
            At::Variable(_) => (None, usize::MAX),
        };
        // Whatever the message quotes: a token may stand in any value.
        Self { place: Some(at.place(source)), message: mask_sentence(message), excerpt, offset }
    }

    /// A mistake of the file as a whole.
    pub(super) fn whole(message: String) -> Self {
        Self { place: None, message, excerpt: None, offset: 0 }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        self.excerpt.iter().try_for_each(|excerpt| write!(f, "\n{excerpt}"))
    }
}

/// Every mistake of a configuration, in the order of the file. The process ends with status 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    path: PathBuf,
    what: &'static str,
    problems: Vec<Problem>,
}

impl ConfigErrors {
    /// Sorts the mistakes by where they are.
    pub(super) fn new(path: &Path, problems: Vec<Problem>) -> Self {
        Self::of("the configuration", path, problems)
    }

    /// The same of another file.
    pub(super) fn of(what: &'static str, path: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.offset, &a.place).cmp(&(b.offset, &b.place)));
        Self { path: path.to_owned(), what, problems }
    }

    /// The mistakes; at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            write!(f, "{problem}\n\n")?;
        }
        let (count, plural) = (self.problems.len(), if self.problems.len() == 1 { "" } else { "s" });
        write!(f, "{count} error{plural} in {} {}", self.what, self.path.display())
    }
}

impl std::error::Error for ConfigErrors {}

/// Something that works but should not stay so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The line or variable it is about.
    pub place: SourceLocation,
    /// What it is and what to do.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// The candidate nearest to a misspelt word, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let word = plain(word);
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, candidate)| candidate)
}
