//! The configuration is read again while the workers serve (P35): integrations come and go, a mistake stops nobody else, and
//! what goes on meanwhile is neither lost nor done twice.

use std::path::PathBuf;
use std::time::Duration;

use amfj_sync_tests::harness::{ConfigBuilder, Role, Worker, eventually};
use amfj_sync_tests::pipeline::{RUN_LIMIT, Services};
use anyhow::{Context as _, Result, ensure};
use toml::{Table, Value};

use crate::stopping::FirstSync;

/// A file that changed is noticed within ten seconds and taken once it stands still; the rest is for a busy machine.
const NOTICED: Duration = Duration::from_mins(1);

/// A second tenant, whose integration stands in a file of its own.
struct Beta {
    services: Services,
    integration: Table,
    file: PathBuf,
}

impl Beta {
    /// Beside the main file of that first sync. Its tokens are in files, for nobody sets variables in a program that runs.
    async fn beside(sync: &FirstSync) -> Result<Self> {
        let services = Services::plain(12, 61).await?;
        let main = &sync.pipeline.config.path;
        let folder = main.with_extension("d");
        std::fs::create_dir_all(&folder)?;
        let elsewhere = folder.join("elsewhere");
        let written = ConfigBuilder::new("amqp://127.0.0.1:1", "t")
            .integration(services.integration("beta"))
            .write_to(&elsewhere)?;
        let mut document: Table = toml::from_str(&std::fs::read_to_string(&written.path)?)?;
        std::fs::remove_file(&elsewhere)?;
        let Some(Value::Array(mut list)) = document.remove("integration") else {
            anyhow::bail!("no integration")
        };
        let Some(Value::Table(mut integration)) = list.pop() else { anyhow::bail!("no integration") };
        for service in ["kandji", "amfj"] {
            let token = &written.environment[&format!("{}_TOKEN_BETA", service.to_uppercase())];
            let token_file = folder.join(format!("{service}.token"));
            std::fs::write(&token_file, token)?;
            let own =
                integration.get_mut(service).and_then(Value::as_table_mut).context("no such section")?;
            let place = Table::from_iter([("file".to_owned(), token_file.display().to_string().into())]);
            own.insert("token".to_owned(), Value::Table(place));
        }
        Ok(Self { services, integration, file: folder.join("beta.toml") })
    }

    fn write(&self, mode: &str) -> Result<()> {
        let mut integration = self.integration.clone();
        integration.insert("mode".to_owned(), mode.into());
        let document = Table::from_iter([("integration".to_owned(), Value::Array(vec![integration.into()]))]);
        Ok(std::fs::write(&self.file, toml::to_string(&document)?)?)
    }
}

async fn serves_beta(worker: &Worker) -> Result<bool> {
    Ok(worker.status().await?["integrations"].get("beta").is_some())
}

/// Waits until all workers serve it, or none does.
async fn all_serve(sync: &FirstSync, fetcher: &Worker, wanted: bool) -> Result<()> {
    eventually(NOTICED, "every worker to follow the configuration", async || {
        for worker in sync.pipeline.reconcilers.iter().chain(&sync.pipeline.writers).chain([fetcher]) {
            let serves = serves_beta(worker).await?;
            ensure!(serves == wanted, "the {} serves beta: {serves}", worker.role().name());
            let (ready, why) = worker.get("/readyz").await?;
            ensure!(ready == 200, "the {} is not ready: {why}", worker.role().name());
        }
        Ok(())
    })
    .await
}

/// At a signal it reads its configuration, and tells why it does not take it.
async fn refuses(worker: &Worker, why: &str) -> Result<()> {
    worker.hang_up();
    eventually(RUN_LIMIT, "the worker to tell of its configuration", async || {
        let status = worker.status().await?;
        ensure!(status["configuration"].to_string().contains(why), "{status}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn p35_integrations_come_and_go_and_a_mistake_stops_nobody() -> Result<()> {
    let sync = FirstSync::prepare(53).await?;
    sync.services.amfj.set_latency(Duration::from_millis(100));
    let mut fetcher = sync.pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    sync.writes(10).await?;

    // One comes in the middle of the first sync of another.
    let beta = Beta::beside(&sync).await?;
    beta.write("apply")?;
    let said = sync.pipeline.said(&["reload"]).await?;
    ensure!(said.matches("takes effect now").count() == 3, "{said}");
    all_serve(&sync, &fetcher, true).await?;
    ensure!(sync.services.amfj.write_count() < 100, "the first sync was over already");
    eventually(RUN_LIMIT, "beta's first sync", async || {
        let written = beta.services.amfj.write_count();
        ensure!(written > 0, "nothing was written");
        Ok(())
    })
    .await?;

    // A mistake leaves the old one in force, and is told.
    beta.write("plann")?;
    let said = sync.pipeline.said(&["reload"]).await?;
    ensure!(said.matches("nothing has changed").count() == 3 && said.contains("stays in force"), "{said}");
    let status = sync.pipeline.said_as_json(&["status", "--json"]).await?;
    let is_told = |one: &serde_json::Value| {
        one["what"] == "configuration" && one["says"].as_str().is_some_and(|says| says.contains("plann"))
    };
    ensure!(status["wrong"].as_array().is_some_and(|wrong| wrong.iter().any(is_told)), "{}", status["wrong"]);
    let check = sync.pipeline.command(["check"]).finish(RUN_LIMIT).await?;
    ensure!(!check.status.success() && check.stdout.contains("plann"), "{}", check.stdout);
    all_serve(&sync, &fetcher, true).await?;

    // So does one in the main file; a signal is as good as the command.
    let main = sync.pipeline.config.path.clone();
    let text = std::fs::read_to_string(&main)?;
    std::fs::write(&main, format!("nonsense\n{text}"))?;
    let writer = sync.pipeline.writers.first().context("no writer")?;
    refuses(writer, "read before stays in force").await?;
    // So does another number of partitions, with which no worker could start.
    std::fs::write(&main, text.replacen("partitions = 2", "partitions = 3", 1))?;
    refuses(writer, "no reload does it").await?;
    // Many signals while one takes effect end nobody.
    std::fs::write(&main, text.replacen("concurrency = 4", "concurrency = 5", 1))?;
    for _ in 0..40 {
        writer.hang_up();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    all_serve(&sync, &fetcher, true).await?;

    // One that is gone stops by itself.
    std::fs::remove_file(&beta.file)?;
    all_serve(&sync, &fetcher, false).await?;
    sync.services.amfj.set_latency(Duration::ZERO);
    sync.pipeline.settle().await?;
    ensure!(fetcher.terminate().await?.success());
    sync.ends_well().await
}
