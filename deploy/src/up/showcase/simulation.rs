//! The simulated Kandji tenant and AMFJ site, as a process of their own.

use std::time::Duration;

use amfj_sync_tests::harness::http_client;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::up::process::Program;
use crate::up::processes::Processes;

/// How long the simulators may take to make up a fleet.
const START_LIMIT: Duration = Duration::from_secs(30);

/// One simulated service.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// `api_url`.
    pub(crate) url: String,
    /// Its token.
    pub(crate) token: String,
    /// Where the control endpoints are.
    pub(crate) control: String,
    http: reqwest::Client,
}

impl Service {
    fn read(line: &Value, http: &reqwest::Client) -> Result<Self> {
        let text = |name: &str| {
            let text = line[name].as_str().map(str::to_owned);
            text.with_context(|| format!("the simulators did not say their {name}"))
        };
        Ok(Self { url: text("url")?, token: text("token")?, control: text("control")?, http: http.clone() })
    }

    /// What a control endpoint tells.
    pub(crate) async fn get(&self, name: &str) -> Result<Value> {
        let url = format!("{}/_sim/{name}", self.control);
        let answer = self.http.get(&url).send().await.with_context(|| format!("no answer from {url}"))?;
        answer.json().await.with_context(|| format!("{url} did not answer with JSON"))
    }

    /// Makes a change by hand.
    pub(crate) async fn mutate(&self, mutation: &Value) -> Result<Value> {
        let url = format!("{}/_sim/mutate", self.control);
        let sent = self.http.post(&url).json(mutation).send().await;
        let answer = sent.with_context(|| format!("no answer from {url}"))?;
        let is_fine = answer.status().is_success();
        let body: Value = answer.json().await.with_context(|| format!("{url} did not answer with JSON"))?;
        ensure!(is_fine, "the simulator refused {mutation}: {body}");
        Ok(body)
    }

    /// How many elements a control endpoint lists.
    pub(crate) async fn count(&self, name: &str) -> Result<usize> {
        Ok(self.get(name).await?.as_array().map_or(0, Vec::len))
    }
}

/// Both services.
#[derive(Debug, Clone)]
pub(crate) struct Simulation {
    /// Devices come from here.
    pub(crate) kandji: Service,
    /// Assets are here.
    pub(crate) amfj: Service,
    /// How many devices, assets and user records there were at the start.
    pub(crate) sizes: [u64; 3],
}

impl Simulation {
    /// Starts both with a fleet of this size and seed.
    pub(crate) async fn start(devices: u32, seed: u64, processes: &mut Processes) -> Result<Self> {
        let program = Program::new("simulate")
            .arg("--devices")
            .arg(devices.to_string())
            .arg("--seed")
            .arg(seed.to_string());
        let began = Instant::now();
        let process = program.start(&processes.logs()?)?;
        let process = processes.add_simulators(process);
        let line = loop {
            if let Some((line, _)) = process.output().split_once('\n') {
                break line.to_owned();
            }
            process.still_runs()?;
            if began.elapsed() > START_LIMIT {
                bail!("the simulators did not start within {START_LIMIT:?}:\n{}", process.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let line: Value =
            serde_json::from_str(&line).context("the simulators said something else than JSON")?;
        let http = http_client()?;
        let size = |name: &str| line[name].as_u64().unwrap_or(0);
        Ok(Self {
            kandji: Service::read(&line["kandji"], &http)?,
            amfj: Service::read(&line["amfj"], &http)?,
            sizes: [size("devices"), size("assets"), size("users")],
        })
    }

    /// Fails if a request broke the contract of either service.
    pub(crate) async fn contract_was_kept(&self) -> Result<()> {
        for (name, service) in [("Kandji", &self.kandji), ("AMFJ", &self.amfj)] {
            let violations = service.get("violations").await?;
            ensure!(violations == json!([]), "requests to {name} broke its contract: {violations}");
        }
        Ok(())
    }
}
