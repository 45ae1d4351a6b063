//! Logs, metrics and traces.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

mod catalogue;
mod collector;
mod lines;
mod logs;
mod recorder;
mod traces;

pub use catalogue::{METRICS, Metric, MetricKind};
pub use logs::{LogFormat, Verbosity, log_lines, start_logs};
pub use recorder::recorder;
pub use traces::{Span, SpanKind, TracesError, flush_traces, start_traces};
