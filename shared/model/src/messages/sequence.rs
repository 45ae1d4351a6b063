//! The order of everything that concerns one key.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place in the order of a key: the number of the run, and a step within it.
///
/// On the wire a text that sorts like the value: `0001764000000000.00003`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Sequence {
    /// Number of the run.
    pub run: u64,
    /// Step within the run.
    pub step: u32,
}

impl Sequence {
    /// The first step of a run.
    #[must_use]
    pub fn first(run: u64) -> Self {
        Self { run, step: 0 }
    }

    /// The next step of the same run.
    #[must_use]
    pub fn next(self) -> Self {
        Self { run: self.run, step: self.step.saturating_add(1) }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016}.{:05}", self.run, self.step)
    }
}

impl From<Sequence> for String {
    fn from(sequence: Sequence) -> Self {
        sequence.to_string()
    }
}

impl FromStr for Sequence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('.')
            .and_then(|(run, step)| Some(Self { run: run.parse().ok()?, step: step.parse().ok()? }))
            .ok_or_else(|| format!("`{text}` is not a sequence such as 0001764000000000.00003"))
    }
}

impl TryFrom<String> for Sequence {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
