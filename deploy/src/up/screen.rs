//! What a person sees: headings, finished steps, and on a terminal lines that move meanwhile.

use std::io::IsTerminal as _;
use std::time::Duration;

use amfj_sync_security::screen::{self as shared, Style, sanitize, say, say_with_secrets};
use comfy_table::Table;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// Wide enough for sentences, narrow enough for a log.
pub(crate) const WIDTH_WITHOUT_TERMINAL: u16 = 110;

/// Where the text of a finished step begins.
const DONE: usize = 24;

/// Where the text of a detail begins.
const DETAIL: usize = 6;

/// How often a step that takes long says so where nothing can move.
const STILL_AT_IT: Duration = Duration::from_secs(5);

/// The screen, or whatever standard output is.
#[derive(Debug)]
pub(crate) struct Screen {
    moves: bool,
    paper: shared::Screen,
    bars: MultiProgress,
}

impl Screen {
    /// Looks at what standard output and standard error are.
    pub(crate) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let paper = if terminal { shared::Screen::stdout() } else { shared::Screen::plain() };
        Self { moves: terminal, paper, bars: MultiProgress::new() }
    }

    /// Whether a person sits in front of it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.moves
    }

    /// A heading, after an empty line.
    pub(crate) fn heading(&self, text: &str) {
        line(&format!("\n{}", self.paper.ink(Style::Bold, text)));
    }

    /// A line as it is.
    pub(crate) fn say(&self, text: &str) {
        self.bars.suspend(|| line(text));
    }

    /// The same with made-up tokens in it, which are to be pasted.
    pub(crate) fn say_with_tokens(&self, text: &str) {
        self.bars.suspend(|| say_with_secrets(text));
    }

    /// Something that is done, and how long it took.
    pub(crate) fn done(&self, what: &str, detail: &str, took: Duration) {
        let mark = self.paper.ink(Style::Green, "✓");
        let lines = wrapped(detail, self.width().saturating_sub(DONE));
        line(&format!("  {mark} {:>5.1} s  {what:<10} {}", took.as_secs_f64(), lines.join(&continued(DONE))));
    }

    /// A detail below something else.
    pub(crate) fn detail(&self, text: &str) {
        let lines = wrapped(text, self.width().saturating_sub(DETAIL));
        line(&format!("{}{}", " ".repeat(DETAIL), lines.join(&continued(DETAIL + 2))));
    }

    /// A line that moves until it is dropped, and as many more as its text needs: nothing of it is cut.
    pub(crate) fn moving_whole(&self, what: &str) -> Moving {
        let moving = self.moving(what);
        style(&moving.bar, "  {spinner} {elapsed:>7}  {prefix:<10} {msg}");
        moving
    }

    /// A text of one or several lines, broken so that it fits beside what a moving line begins with.
    pub(crate) fn wrapped(&self, text: &str) -> String {
        let width = self.width().saturating_sub(DONE + 1);
        let lines = text.lines().flat_map(|line| wrapped(line, width));
        lines.collect::<Vec<_>>().join(&continued(DONE))
    }

    fn width(&self) -> usize {
        let terminal = self.moves.then(|| Table::new().width()).flatten();
        usize::from(terminal.unwrap_or(WIDTH_WITHOUT_TERMINAL))
    }

    /// A line that moves until it is dropped; `total` makes it a bar.
    pub(crate) fn moving(&self, what: &str) -> Moving {
        let bar = if self.moves { self.bars.add(ProgressBar::new_spinner()) } else { ProgressBar::hidden() };
        bar.set_prefix(what.to_owned());
        style(&bar, "  {spinner} {elapsed:>7}  {prefix:<10} {wide_msg}");
        if self.moves {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Moving { bar, moves: self.moves, what: what.to_owned(), said: Instant::now(), is_bar: false }
    }
}

/// A line that moves while something goes on.
#[derive(Debug)]
pub(crate) struct Moving {
    bar: ProgressBar,
    moves: bool,
    what: String,
    said: Instant,
    is_bar: bool,
}

impl Moving {
    /// What is going on now, on a terminal only.
    pub(crate) fn show(&self, text: &str) {
        self.bar.set_message(text.lines().map(sanitize).collect::<Vec<_>>().join("\n"));
    }

    /// What is going on now. Without a terminal it is said every few seconds.
    pub(crate) fn say(&mut self, text: &str) {
        self.show(text);
        if !self.moves && self.said.elapsed() >= STILL_AT_IT {
            line(&format!("  …          {:<10} {text}", self.what));
            self.said = Instant::now();
        }
    }

    /// How far it is, and what is going on.
    pub(crate) fn progress(&mut self, done: usize, total: usize, text: &str) {
        if total == 0 {
            return;
        }
        if !self.is_bar {
            style(&self.bar, "  {spinner} {elapsed:>7}  {prefix:<10} {bar:16} {pos:>5} of {len} {wide_msg}");
            self.is_bar = true;
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done.min(total) as u64);
        let text = if self.moves { text.to_owned() } else { format!("{done} of {total} {text}") };
        self.say(&text);
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(bar: &ProgressBar, template: &str) {
    // A template that does not parse would leave indicatif's own look.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
}

fn continued(indent: usize) -> String {
    format!("\n{}", " ".repeat(indent))
}

/// Breaks a text between words, into lines of at most `width` characters where words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // Runs of spaces are columns of a detail and stay as they are.
    for word in text.split_inclusive(' ') {
        let fits = |line: &String| {
            line.is_empty() || line.chars().count() + word.trim_end().chars().count() <= width
        };
        match lines.last_mut() {
            Some(line) if fits(line) => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Prints a line. A reader that went away (`up | head`) is no reason to stop.
fn line(text: &str) {
    say(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_between_words_and_keeps_columns() {
        assert_eq!(wrapped("OS Version      15.4 → 26.1", 80), ["OS Version      15.4 → 26.1"]);
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("unbreakable word", 4), ["unbreakable", "word"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
