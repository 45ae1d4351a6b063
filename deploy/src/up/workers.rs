//! The three workers as processes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use amfj_sync_config::{Config, TokenVariables, Tokens};
use amfj_sync_tests::harness::{MetricsPage, http_client};
use anyhow::{Result, bail};
use serde_json::Value;
use tokio::time::Instant;

use crate::up::process::Program;
use crate::up::processes::Processes;

/// In the order in which things flow.
const NAMES: [&str; 3] = ["fetcher", "reconciler", "writer"];

/// On a machine that is busy building.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Where each of them serves `/status` and the others.
pub(crate) fn addresses(config: &Config) -> [(&'static str, SocketAddr); 3] {
    let [fetcher, reconciler, writer] = NAMES;
    [(fetcher, config.fetcher.listen), (reconciler, config.reconciler.listen), (writer, config.writer.listen)]
}

/// The tokens of each of them, in the same order.
const TOKENS: [Tokens; 3] = [Tokens::Both, Tokens::None, Tokens::Amfj];

/// Starts all three with a configuration and what it needs in the environment. Each gets only the tokens that it sends.
pub(crate) fn start(
    config: &Path,
    environment: &BTreeMap<String, String>,
    variables: &TokenVariables,
    processes: &mut Processes,
) -> Result<()> {
    let logs = processes.logs()?;
    for (name, tokens) in NAMES.into_iter().zip(TOKENS) {
        let program = Program::new(name).arg("--config").arg(config).arg("run").envs(environment);
        let program = program.without(variables.not_needed_for(tokens));
        processes.add_worker(program.start(&logs)?);
    }
    Ok(())
}

/// Waits until all of them answer that they are ready.
pub(crate) async fn wait_ready(config: &Config, processes: &mut Processes) -> Result<()> {
    let http = http_client()?;
    let began = Instant::now();
    for (name, address) in addresses(config) {
        loop {
            processes.still_runs()?;
            let reason = match http.get(format!("http://{address}/readyz")).send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(_) => "it does not answer yet".to_owned(),
            };
            if began.elapsed() > READY_LIMIT {
                bail!("the {name} is not ready after {READY_LIMIT:?}: {}", reason.trim());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// What a worker's `/metrics` says; nothing while it does not answer.
pub(crate) async fn metrics(http: &reqwest::Client, address: SocketAddr) -> MetricsPage {
    let Ok(answer) = http.get(format!("http://{address}/metrics")).send().await else {
        return MetricsPage::default();
    };
    MetricsPage::parse(&answer.text().await.unwrap_or_default()).unwrap_or_default()
}

/// How many requests a fetcher has made to Kandji.
pub(crate) async fn requests_to_kandji(http: &reqwest::Client, fetcher: SocketAddr) -> f64 {
    metrics(http, fetcher).await.sum("amfj_sync_api_requests_total", &[("api", "kandji")])
}

/// What a worker's `/status` says; null while it does not answer.
pub(crate) async fn status(http: &reqwest::Client, address: SocketAddr) -> Value {
    let Ok(answer) = http.get(format!("http://{address}/status")).send().await else { return Value::Null };
    answer.json().await.unwrap_or_default()
}
