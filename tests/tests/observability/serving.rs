//! All three workers at work.

use std::time::Duration;

use amfj_sync_tests::harness::{MetricsPage, Role, Worker, eventually};
use amfj_sync_tests::pipeline::Pipeline;
use anyhow::{Context as _, Result, ensure};

/// How long something may take to show: workers look every five seconds.
pub(crate) const SHOWN_WITHIN: Duration = Duration::from_secs(40);

/// A fetcher that serves beside the others.
pub(crate) async fn serving_fetcher(pipeline: &Pipeline) -> Result<Worker> {
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    Ok(fetcher)
}

/// Waits until a worker shows a metric with a value that is wanted.
pub(crate) async fn shows(
    worker: &Worker,
    name: &str,
    labels: &[(&str, &str)],
    is_wanted: impl Fn(f64) -> bool,
) -> Result<f64> {
    let what = format!("{name} {labels:?} of the {}", worker.role().name());
    eventually(SHOWN_WITHIN, &what, async || {
        let page: MetricsPage = worker.metrics().await?;
        let value = page.get(name, labels).with_context(|| format!("there is no {name} {labels:?}"))?;
        ensure!(is_wanted(value), "{name} {labels:?} is {value}");
        Ok(value)
    })
    .await
}
