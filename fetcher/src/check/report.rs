//! One line a check, with the cure below it.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Result {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warning,
    /// A run would fail.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// The integration; none for what all share.
    pub(crate) integration: Option<String>,
    /// How it came out.
    pub(crate) result: Result,
    /// What was checked, and what was found.
    pub(crate) check: String,
    /// What to do about it.
    pub(crate) cure: Option<String>,
}

/// Prints checks as they come, or keeps them for one JSON list.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    marks: bool,
    integration: Option<String>,
    lines: Vec<Line>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        let marks = std::io::stdout().is_terminal();
        Self { json, marks, integration: None, lines: Vec::new() }
    }

    /// The checks that follow are about this integration.
    pub(crate) fn begin(&mut self, integration: &str) {
        self.integration = Some(integration.to_owned());
        if !self.json {
            say(integration);
        }
    }

    pub(crate) fn ok(&mut self, check: impl Into<String>) {
        self.add(Result::Ok, check.into(), None);
    }

    pub(crate) fn warning(&mut self, check: impl Into<String>, cure: impl Into<String>) {
        self.add(Result::Warning, check.into(), Some(cure.into()));
    }

    pub(crate) fn failed(&mut self, check: impl Into<String>, cure: impl Into<String>) {
        self.add(Result::Failed, check.into(), Some(cure.into()));
    }

    fn add(&mut self, result: Result, check: String, cure: Option<String>) {
        let line = Line { integration: self.integration.clone(), result, check, cure };
        if !self.json {
            say(&show(&line, self.marks));
        }
        self.lines.push(line);
    }

    /// How many checks failed. Prints the list, if it was to be JSON.
    pub(crate) fn end(self) -> usize {
        if self.json {
            // Texts only: it always serialises.
            say(&serde_json::to_string_pretty(&self.lines).unwrap_or_default());
        }
        self.lines.iter().filter(|line| line.result == Result::Failed).count()
    }
}

/// Whoever reads may have seen enough (`| head`): that is no failure of a check.
fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn show(line: &Line, marks: bool) -> String {
    let mark = match (line.result, marks) {
        (Result::Ok, true) => "✓",
        (Result::Warning, true) => "!",
        (Result::Failed, true) => "✗",
        (Result::Ok, false) => "ok     ",
        (Result::Warning, false) => "warning",
        (Result::Failed, false) => "FAILED ",
    };
    let indent = if line.integration.is_some() { "  " } else { "" };
    let cure = line.cure.as_ref().map(|cure| format!("\n{indent}    {cure}")).unwrap_or_default();
    format!("{indent}{mark} {}{cure}", line.check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_shows_its_cure_below() {
        let line = Line {
            integration: Some("acme".into()),
            result: Result::Failed,
            check: "Kandji: device list".into(),
            cure: Some("check kandji.token".into()),
        };
        assert_eq!(show(&line, true), "  ✗ Kandji: device list\n      check kandji.token");
        assert_eq!(show(&line, false), "  FAILED  Kandji: device list\n      check kandji.token");
    }
}
