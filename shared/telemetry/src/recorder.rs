//! The recorder that all metrics go to: installed once, before anything is counted.

use std::sync::OnceLock;

use jiff::Timestamp;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::catalogue;

/// Buckets of request durations, in seconds.
const REQUESTS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Buckets of run durations, in seconds: a run over a large fleet reads for an hour and more.
const RUNS: [f64; 13] =
    [0.5, 1.0, 2.5, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0];

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder; what was counted before is lost. A second call gives the same one.
#[expect(clippy::disallowed_macros, reason = "the first of all metrics")]
pub fn recorder() -> Result<PrometheusHandle, std::io::Error> {
    if let Some(installed) = RECORDER.get() {
        return Ok(installed.clone());
    }
    let handle = install().map_err(std::io::Error::other)?;
    catalogue::describe();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    metrics::gauge!("amfj_sync_start_timestamp_seconds").set(Timestamp::now().as_second() as f64);
    Ok(RECORDER.get_or_init(|| handle).clone())
}

fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &REQUESTS)?
        .set_buckets_for_metric(Matcher::Full("amfj_sync_run_duration_seconds".into()), &RUNS)?
        .install_recorder()
}
