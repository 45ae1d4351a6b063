//! How far a run has come, for a person who waits for it.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// A line on a terminal; nothing anywhere else. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Says nothing.
    pub(crate) fn silent() -> Self {
        Self(ProgressBar::hidden())
    }

    /// A line for an integration, if standard error is a terminal.
    pub(crate) fn on_terminal(all: &MultiProgress, integration: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::silent();
        }
        let bar = all.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_prefix(integration.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// What is going on now.
    pub(crate) fn say(&self, what: String) {
        // Our own words and numbers.
        self.0.set_message(what);
    }

    /// Takes the line away.
    pub(crate) fn done(&self) {
        self.0.finish_and_clear();
    }
}
