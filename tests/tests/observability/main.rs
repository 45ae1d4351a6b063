//! What an operator's tools see of a running pipeline: metrics, status, logs, traces.
#![expect(clippy::float_cmp, reason = "gauges that are set to whole numbers")]

mod ages;
mod alerts;
mod collector;
mod dashboard;
mod logs;
mod metrics;
mod monitored;
mod readiness;
mod serving;
mod traces;
