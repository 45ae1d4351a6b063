//! A Prometheus of one's own, on loopback, that scrapes the workers of a test.
//!
//! Needs the Debian package `prometheus` (`deploy/lib/install.sh` installs it, without its service). The
//! configuration, the rules and the dashboard are those of `deploy/monitoring`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::ports::free_ports;
use super::room::temporary_folder;
use super::waiting::eventually;
use super::watchdog::{Watchdog, kill_group};

/// How long it may take to answer, on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Between finding a port free and listening on it, another process may take it.
const ATTEMPTS: u32 = 3;

/// The addresses of the example, in the order of the roles.
const EXAMPLE_TARGETS: [&str; 3] = ["127.0.0.1:9464", "127.0.0.1:9465", "127.0.0.1:9466"];

/// A file of `deploy/monitoring`.
///
/// # Errors
/// When it is not there.
pub fn monitoring_file(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring").join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// A running Prometheus. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    _watchdog: Watchdog,
    folder: TempDir,
    address: String,
    http: reqwest::Client,
}

/// One result of a query: its labels and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Labels, `__name__` among them where there is one.
    pub labels: BTreeMap<String, String>,
    /// The value now.
    pub value: f64,
}

/// An alert that is pending or firing.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Whether it has been true for as long as its rule asks.
    pub firing: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Prometheus {
    /// Scrapes a fetcher, a reconciler and a writer, in this order, every second, with the example's
    /// configuration and these rules.
    ///
    /// # Errors
    /// When Prometheus is not installed or does not come up.
    pub async fn watching(targets: [SocketAddr; 3], rules: &str) -> Result<Self> {
        let mut config = monitoring_file("prometheus.yml")?.replace("_interval: 15s", "_interval: 1s");
        for (example, target) in EXAMPLE_TARGETS.iter().zip(targets) {
            ensure!(config.contains(example), "deploy/monitoring/prometheus.yml has no target {example}");
            config = config.replace(example, &target.to_string());
        }
        let mut attempt = 1;
        loop {
            match Self::start(&config, rules).await {
                Ok(prometheus) => return Ok(prometheus),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    async fn start(config: &str, rules: &str) -> Result<Self> {
        let folder = temporary_folder("amfj-sync-prometheus-")?;
        let file = |name: &str| folder.path().join(name);
        fs::write(file("prometheus.yml"), config)?;
        fs::write(file("alerts.yml"), rules)?;
        let address = format!("127.0.0.1:{}", free_ports(1)?[0]);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", file("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(file("log"))?)
            .process_group(0)
            .spawn()
            .context("Prometheus cannot be started; `tests/run` installs it (Debian package prometheus)")?;
        let watchdog = Watchdog::over(process.id()).context("cannot start the watchdog of Prometheus")?;
        let http = super::http_client()?;
        let mut started = Self { process, _watchdog: watchdog, folder, address, http };
        started.wait_until_ready().await?;
        Ok(started)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let log: PathBuf = self.folder.path().join("log");
        let waited = eventually(READY_LIMIT, "Prometheus", async || {
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended with {status}");
            }
            let url = format!("http://{}/-/ready", self.address);
            ensure!(self.http.get(url).send().await?.status().is_success(), "it is not ready");
            Ok(())
        });
        waited.await.with_context(|| format!("its log: {}", fs::read_to_string(log).unwrap_or_default()))
    }

    /// The result of a query now; empty where there are no data.
    ///
    /// # Errors
    /// When the query is not understood.
    pub async fn query(&self, query: &str) -> Result<Vec<Series>> {
        let answer = self.ask("query", &[("query", query)]).await.with_context(|| query.to_owned())?;
        if answer["resultType"] == "scalar" {
            let value = number(&answer["result"][1])?;
            return Ok(vec![Series { labels: BTreeMap::new(), value }]);
        }
        let rows = answer["result"].as_array().context("a query without a result")?;
        rows.iter()
            .map(|row| Ok(Series { labels: labels(&row["metric"]), value: number(&row["value"][1])? }))
            .collect()
    }

    /// Every alert that is pending or firing.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        let answer = self.ask("alerts", &[]).await?;
        let alerts = answer["alerts"].as_array().context("no list of alerts")?;
        let read = |alert: &Value| {
            let labels = labels(&alert["labels"]);
            let name = labels.get("alertname").cloned().unwrap_or_default();
            Alert { name, firing: alert["state"] == "firing", labels }
        };
        Ok(alerts.iter().map(read).collect())
    }

    async fn ask(&self, what: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = format!("http://{}/api/v1/{what}", self.address);
        let text = self.http.get(url).query(query).send().await?.text().await?;
        let answer: Value = serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
        ensure!(answer["status"] == "success", "Prometheus answers {text}");
        Ok(answer["data"].clone())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        kill_group(self.process.id());
        // Only the record of a process that was just killed is collected here.
        let _ = self.process.wait();
    }
}

fn labels(from: &Value) -> BTreeMap<String, String> {
    let pairs = from.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn number(from: &Value) -> Result<f64> {
    let text = from.as_str().context("a value that is no text")?;
    text.parse().with_context(|| format!("not a number: {text}"))
}
