//! What a person sees: headings, finished steps, and on a terminal lines that move meanwhile.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often a step that takes long says so where nothing can move.
const STILL_AT_IT: Duration = Duration::from_secs(5);

/// The screen, or whatever standard output is.
#[derive(Debug)]
pub(crate) struct Screen {
    moves: bool,
    colours: bool,
    bars: MultiProgress,
}

impl Screen {
    /// Looks at what standard output and standard error are.
    pub(crate) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { moves: terminal, colours, bars: MultiProgress::new() }
    }

    /// Whether a person sits in front of it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.moves
    }

    /// A heading, after an empty line.
    pub(crate) fn heading(&self, text: &str) {
        if self.colours { line(&format!("\n\u{1b}[1m{text}\u{1b}[0m")) } else { line(&format!("\n{text}")) }
    }

    /// A line as it is.
    pub(crate) fn say(&self, text: &str) {
        line(text);
    }

    /// Something that is done, and how long it took.
    pub(crate) fn done(&self, what: &str, detail: &str, began: Instant) {
        let seconds = began.elapsed().as_secs_f64();
        let mark = if self.colours { "\u{1b}[32m✓\u{1b}[0m" } else { "✓" };
        line(&format!("  {mark} {what:<11} {detail}  ({seconds:.1} s)"));
    }

    /// A detail below something that is done.
    pub(crate) fn detail(&self, text: &str) {
        line(&format!("      {text}"));
    }

    /// A line that moves until it is dropped; `total` makes it a bar.
    pub(crate) fn moving(&self, what: &str) -> Moving {
        let bar = if self.moves { self.bars.add(ProgressBar::new_spinner()) } else { ProgressBar::hidden() };
        bar.set_prefix(what.to_owned());
        style(&bar, "  {spinner} {prefix:<11} {wide_msg}");
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
        self.bar.set_message(text.to_owned());
    }

    /// What is going on now. Without a terminal it is said every few seconds.
    pub(crate) fn say(&mut self, text: &str) {
        self.show(text);
        if !self.moves && self.said.elapsed() >= STILL_AT_IT {
            line(&format!("  … {:<11} {text}", self.what));
            self.said = Instant::now();
        }
    }

    /// How far it is, and what is going on.
    pub(crate) fn progress(&mut self, done: usize, total: usize, text: &str) {
        if total > 0 && !self.is_bar {
            style(&self.bar, "  {spinner} {prefix:<11} {bar:24} {pos:>5} of {len} {wide_msg}");
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

/// Prints a line. A reader that went away (`up | head`) is no reason to stop.
fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
