//! Logs go to standard error: text for people, JSON for machines.

use std::io::Write;

use amfj_sync_security::screen::LogLines;
use clap::ValueEnum;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::lines::Lines;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verbosity {
    /// Warnings and errors only.
    pub quiet: bool,
    /// Once: a line a device. Twice: everything of ours.
    pub verbose: u8,
}

impl Verbosity {
    fn filter(self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "warn,lapin=off,rustls_platform_verifier=off",
            (false, 0) => "info,lapin=off,sled=warn,reqwest=warn,hyper=warn,rustls_platform_verifier=off",
            (false, 1) => "debug,lapin=off,sled=warn,reqwest=warn,hyper=warn,h2=warn,rustls=warn",
            (false, _) => "trace,lapin=info,sled=info,reqwest=info,hyper=info,h2=info,rustls=info",
        }
    }
}

/// Starts logging; a second call has no effect.
pub fn start_logs(format: LogFormat, verbosity: Verbosity) {
    let colours = format != LogFormat::Json && std::io::IsTerminal::is_terminal(&std::io::stderr());
    // Only a test process starts logs twice.
    drop(log_lines(format, verbosity, colours, std::io::stderr).try_init());
}

/// Writes events as lines to wherever `out` says, each through the gate.
pub fn log_lines<W: Write + 'static>(
    format: LogFormat,
    verbosity: Verbosity,
    colours: bool,
    out: impl Fn() -> W + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let is_json = format == LogFormat::Json;
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(verbosity.filter()))
        .with_writer(move || LogLines { is_json, out: out() })
        .with_ansi(false)
        .event_format(Lines { format, target: verbosity.verbose > 1, colours })
        .finish()
}
