//! What an interface really is, against the profile: with reads alone, or on one asset that a person made for it.

use std::fmt;

use amfj_sync_http::CallError;
use amfj_sync_security::secrets::outline;

mod nearest;
mod reading;
mod scratch;

pub use reading::read;
pub use scratch::write;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As the profile says.
    Found,
    /// Something else is there.
    Differs,
    /// The profile says that there is none.
    Absent,
    /// Something that was measured.
    Measured,
}

/// One operation or member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it stands.
    pub verdict: Verdict,
    /// What is looked at: `list_assets`, `[asset] name`.
    pub what: String,
    /// What was found, where, and an example; or what came instead, and the nearest thing to it.
    pub said: String,
}

/// What a probe found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order in which it was looked at.
    pub lines: Vec<Line>,
    /// Settings that fit what was measured.
    pub settings: Vec<String>,
}

impl Report {
    /// Whether everything is as the profile says.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.lines.iter().all(|line| line.verdict != Verdict::Differs)
    }

    fn say(&mut self, verdict: Verdict, what: impl Into<String>, said: impl Into<String>) {
        self.lines.push(Line { verdict, what: what.into(), said: said.into() });
    }
}

/// An error without what the service said about people.
fn words(error: &CallError) -> String {
    outline(&error.to_string())
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Found => "ok",
            Verdict::Differs => "!!",
            Verdict::Absent => "--",
            Verdict::Measured => "=>",
        };
        write!(f, "{mark} {}: {}", self.what, self.said)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        if !self.settings.is_empty() {
            writeln!(f, "\nSettings that fit what was measured:")?;
        }
        self.settings.iter().try_for_each(|setting| writeln!(f, "  {setting}"))
    }
}
