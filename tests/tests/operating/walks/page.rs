//! `docs/walks.md`, and other pages: the commands that they show are called again, and must say the same.
//!
//! `UPDATE_WALKS=1` writes what they say now into the page.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

const OPENING: &str = "```console\n";
const CLOSING: &str = "\n```";

/// One section of the page, walked through from its first command to its last.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Below `docs`.
    page: &'static str,
    heading: String,
    /// Command and output, in order.
    shown: Vec<(String, String)>,
    said: Vec<(String, String)>,
}

impl Walk {
    /// Reads the section below a heading of `docs/walks.md`.
    pub(crate) fn of(heading: &str) -> Result<Self> {
        Self::on("walks.md", heading)
    }

    /// Reads the section below a heading of a page.
    pub(crate) fn on(page: &'static str, heading: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path(page))?;
        let shown = blocks(section(&text, heading)?);
        Ok(Self { page, heading: heading.to_owned(), shown, said: Vec::new() })
    }

    /// The next command of the section, and what it said just now.
    pub(crate) fn step(&mut self, command: &str, said: &str) {
        self.said.push((command.to_owned(), settled(said).trim_end().to_owned()));
    }

    /// Compares the section with what was said.
    pub(crate) fn end(self) -> Result<()> {
        if std::env::var_os("UPDATE_WALKS").is_some() {
            return self.update();
        }
        let commands = |steps: &[(String, String)]| -> Vec<String> {
            steps.iter().map(|(command, _)| command.clone()).collect()
        };
        ensure!(
            commands(&self.shown) == commands(&self.said),
            "{}: the page shows {:?}, the test calls {:?}",
            self.heading,
            commands(&self.shown),
            commands(&self.said)
        );
        for ((command, shown), (_, said)) in self.shown.iter().zip(&self.said) {
            ensure!(
                settled(&folded(shown)) == settled(&folded(&settled(said))),
                "docs/{}, {}: `{command}` says something else now (UPDATE_WALKS=1 writes it into the \
                 page):\n{said}\n--- the page has ---\n{shown}",
                self.page,
                self.heading
            );
        }
        Ok(())
    }

    fn update(self) -> Result<()> {
        let page = std::fs::read_to_string(path(self.page))?;
        let old = section(&page, &self.heading)?;
        let mut new = old.to_owned();
        for ((command, shown), (_, said)) in self.shown.iter().zip(&self.said) {
            let block =
                |output: &str| format!("{OPENING}$ {command}\n{output}").trim_end().to_owned() + CLOSING;
            new = new.replacen(&block(shown), &block(said), 1);
        }
        std::fs::write(path(self.page), page.replacen(old, &new, 1))?;
        Ok(())
    }
}

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page)
}

fn section<'a>(page: &'a str, heading: &str) -> Result<&'a str> {
    let begin = page.find(&format!("\n## {heading}\n")).with_context(|| format!("no section {heading}"))? + 1;
    let rest = &page[begin..];
    Ok(rest.find("\n## ").map_or(rest, |end| &rest[..end]))
}

fn blocks(section: &str) -> Vec<(String, String)> {
    let blocks = section.split(OPENING).skip(1).filter_map(|rest| {
        let block = rest.split(CLOSING).next()?.strip_prefix("$ ")?;
        let (command, output) = block.split_once('\n').unwrap_or((block, ""));
        Some((command.to_owned(), output.to_owned()))
    });
    blocks.collect()
}

/// Lines are folded where they fit, which what is settled below may change; a time may be folded in its middle.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same text whenever and wherever the test runs. `#` stands for digits.
fn settled(text: &str) -> String {
    const RULES: [(&str, &str); 24] = [
        ("#-#-# #:#:# UTC", "2026-06-01 08:00:00 UTC"),
        ("# min # s ago", "5 s ago"),
        ("# min ago", "5 s ago"),
        ("# s ago", "5 s ago"),
        ("read in #.# s", "read in 0.4 s"),
        ("in # min # s (", "in 59 min 55 s ("),
        ("in # min (", "in 59 min 55 s ("),
        ("oldest for # min # s", "oldest for 5 s"),
        ("oldest for # s", "oldest for 5 s"),
        (" for # min # s: ", " for 2 min: "),
        (" for # min: ", " for 2 min: "),
        (" for # s: ", " for 2 min: "),
        (" for # min # s, nothing", " for 2 min, nothing"),
        (" for # s, nothing", " for 2 min, nothing"),
        ("asked again in # s", "asked again in 4 s"),
        ("# of 6000 requests left", "5990 of 6000 requests left"),
        ("Kandji: # requests left", "Kandji: 5990 requests left"),
        ("given up after # attempts in #.#s", "given up after 20 attempts in 15m"),
        ("given up after # attempts in #s", "given up after 20 attempts in 15m"),
        ("answer from 127.0.0.1:#", "answer from api.assetmanagementforjira.com"),
        ("http://127.0.0.1:#/api/v1", "https://acme.stockroom.example/api/v1"),
        ("http://127.0.0.1:#/v1", "https://api.assetmanagementforjira.com/v1"),
        ("http://127.0.0.1:#", "https://acme.api.kandji.io"),
        ("127.0.0.1:#/%2f", "broker:5672/%2f"),
    ];
    let host = amfj_sync_service::worker::host();
    let text =
        text.replace(&format!("@{host}"), "@it-mac").replace(&format!("on {host} for"), "on sync1 for");
    // Ids of runs come from the time.
    let text = text.split_inclusive('\n').map(|line| match line.split_once(", run ") {
        Some((before, id)) if id.trim_end().len() == 36 => {
            format!("{before}, run 5fabbfd1-15f1-5882-a60e-8d184ed6a666\n")
        }
        _ => line.to_owned(),
    });
    let text: String = text.collect();
    RULES.iter().fold(text, |text, (pattern, with)| replace(&text, pattern, with))
}

fn replace(text: &str, pattern: &str, with: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        // A number is not begun in its middle.
        let within = out.ends_with(|c: char| c.is_ascii_digit()) && first.is_ascii_digit();
        if let Some(length) = matched(rest, pattern).filter(|_| !within) {
            out.push_str(with);
            rest = &rest[length..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// How much of the beginning of a text fits a pattern.
fn matched(text: &str, pattern: &str) -> Option<usize> {
    let mut rest = text;
    for wanted in pattern.chars() {
        let after = if wanted == '#' {
            rest.trim_start_matches(|c: char| c.is_ascii_digit())
        } else {
            rest.strip_prefix(wanted)?
        };
        if after.len() == rest.len() {
            return None;
        }
        rest = after;
    }
    Some(text.len() - rest.len())
}

#[test]
fn times_and_places_are_settled() {
    assert_eq!(settled("at 2026-11-25 23:12:47 UTC."), "at 2026-06-01 08:00:00 UTC.");
    assert_eq!(settled("12 min 3 s ago, 1 s ago"), "5 s ago, 5 s ago");
    assert_eq!(settled("a run every 1 h"), "a run every 1 h");
    assert_eq!(settled("to http://127.0.0.1:40123/v1"), "to https://api.assetmanagementforjira.com/v1");
}
