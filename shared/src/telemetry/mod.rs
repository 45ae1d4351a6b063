//! Logs, metrics, traces and the HTTP endpoints that show them.

mod catalogue;
mod collector;
mod connections;
mod hosts;
mod lines;
mod logs;
mod pages;
mod recorder;
mod server;
mod traces;

pub use catalogue::{METRICS, Metric, MetricKind};
pub use logs::{LogFormat, Verbosity, log_lines, start_logs};
pub use server::{Health, Server};
pub use traces::{Span, SpanKind, TracesError};

pub(crate) use recorder::recorder;
pub(crate) use traces::{flush_traces, start_traces};
