//! What an operator's tools see of a running pipeline: metrics, status, logs, traces.
#![expect(clippy::float_cmp, reason = "gauges that are set to whole numbers")]

mod ages;
mod alerts;
mod dashboard;
mod metrics;
mod monitored;
mod readiness;
mod serving;
