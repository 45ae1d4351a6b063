//! One line a check, with the cure below it.

use amfj_sync_security::screen::{Screen, Style, sanitize, say, say_json};
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

/// The checks of one thing, in their order: several go on side by side, and each keeps its own lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    integration: Option<String>,
    lines: Vec<Line>,
}

impl Report {
    /// Checks of what all integrations share.
    pub(crate) fn shared() -> Self {
        Self::default()
    }

    /// Checks of this integration.
    pub(crate) fn of(integration: &str) -> Self {
        Self { integration: Some(integration.to_owned()), lines: Vec::new() }
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

    /// One that failed, with a cure where one is known.
    pub(crate) fn failed_with(&mut self, check: impl Into<String>, cure: Option<String>) {
        self.add(Result::Failed, check.into(), cure);
    }

    /// Shows it as it is, without a heading.
    pub(crate) fn say(&self, screen: &Screen) {
        self.lines.iter().for_each(|line| say(&show(screen, line)));
    }

    fn add(&mut self, result: Result, check: String, cure: Option<String>) {
        self.lines.push(Line { integration: self.integration.clone(), result, check, cure });
    }
}

/// Prints finished reports, or keeps them for one JSON list.
#[derive(Debug)]
pub(crate) struct Printer {
    json: bool,
    screen: Screen,
    lines: Vec<Line>,
}

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, screen: Screen::stdout(), lines: Vec::new() }
    }

    /// Takes the next report.
    pub(crate) fn print(&mut self, report: Report) {
        for line in report.lines {
            if !self.json {
                let before = self.lines.last().and_then(|line| line.integration.as_ref());
                if let Some(integration) = line.integration.as_ref().filter(|id| before != Some(id)) {
                    say(&format!("\n{}", self.screen.ink(Style::Bold, integration)));
                }
                say(&show(&self.screen, &line));
            }
            self.lines.push(line);
        }
    }

    /// How many checks failed. Prints the list if it was to be JSON, else the count.
    pub(crate) fn end(self) -> usize {
        let count = |result| self.lines.iter().filter(|line| line.result == result).count();
        let (failed, warnings) = (count(Result::Failed), count(Result::Warning));
        if self.json {
            say_json(&self.lines);
        } else if failed == 0 {
            let next = "start with mode = \"plan\", and `amfj-sync plan` shows what would change";
            let well = match warnings {
                0 => "All is well".to_owned(),
                1 => "A run would succeed, with 1 thing to know".to_owned(),
                _ => format!("A run would succeed, with {warnings} things to know"),
            };
            say(&format!("\n{}", self.screen.inked(Style::Plain, 0, &format!("{well}; {next}."))));
        }
        failed
    }
}

fn show(screen: &Screen, line: &Line) -> String {
    let (mark, style) = match line.result {
        Result::Ok => ("✓", Style::Green),
        Result::Warning => ("!", Style::Yellow),
        Result::Failed => ("✗", Style::Red),
    };
    let indent = if line.integration.is_some() { 4 } else { 2 };
    let margin = " ".repeat(indent - 2);
    let check = screen.sentence(indent, &sanitize(&line.check));
    let cure = line.cure.as_ref().map(|cure| {
        let cure = screen.inked(style, indent + 2, &sanitize(cure));
        format!("\n{margin}    {cure}")
    });
    format!("{margin}{} {check}{}", screen.ink(style, mark), cure.unwrap_or_default())
}

/// `1 device`, `300 or more devices`.
pub(super) fn counted(count: usize, more: &str, one: &str, several: &str) -> String {
    let word = if count == 1 { one } else { several };
    format!("{count}{more} {word}")
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
        assert_eq!(show(&Screen::plain(), &line), "  ✗ Kandji: device list\n      check kandji.token");
        let shared = Line { integration: None, result: Result::Ok, cure: None, ..line };
        assert_eq!(show(&Screen::plain(), &shared), "✓ Kandji: device list");
    }
}
