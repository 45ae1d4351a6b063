//! Logs, metrics and the HTTP endpoints that show them.

mod logs;
mod server;

pub use logs::{LogFormat, Verbosity, start_logs};
pub use server::{Health, Server};
