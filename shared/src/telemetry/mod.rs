//! Logs, metrics and the HTTP endpoints that show them.

mod catalogue;
mod logs;
mod recorder;
mod server;

pub use catalogue::{METRICS, Metric, MetricKind};
pub use logs::{LogFormat, Verbosity, start_logs};
pub use server::{Health, Server};

pub(crate) use recorder::recorder;
