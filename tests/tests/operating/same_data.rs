//! `/status` of the workers and `amfj-sync status` say the same, so that either can be watched.

use amfj_sync_tests::harness::{Role, Worker, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::Action;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::calling::json_of;

/// What `amfj-sync status` adds to how an integration stands: the workers say it elsewhere, or in part.
const ADDED: [&str; 3] = ["circuits", "troubles", "dead_letters"];

/// What one worker says, against what the command says.
struct Both<'a> {
    worker: &'a Value,
    command: &'a Value,
}

impl Both<'_> {
    fn ensure_same(&self) -> Result<()> {
        self.ensure_same_report()?;
        for member in ["workers", "dead_letters", "triggers"] {
            let (one, other) = (&self.worker[member], &self.command[member]);
            ensure!(one == other && !one.is_null(), "{member}: /status has {one}, the command {other}");
        }
        self.ensure_same_standing()
    }

    /// The worker's report of itself; what it does for an integration stands with the integration there.
    fn ensure_same_report(&self) -> Result<()> {
        let reports = self.command["reports"].as_array().context("reports")?;
        let report = reports.iter().find(|report| report["worker"] == self.worker["worker"]);
        let report = report.and_then(Value::as_object).context("the command has no report of this worker")?;
        for (member, said) in report {
            let own = match member.as_str() {
                "integrations" => json!({ "acme": self.worker["integrations"]["acme"]["duty"] }),
                _ => self.worker[member].clone(),
            };
            ensure!(&own == said, "{member}: /status has {own}, the command {said}");
        }
        Ok(())
    }

    fn ensure_same_standing(&self) -> Result<()> {
        let acme = self.command["integrations"][0].as_object().context("acme")?;
        let standing = self.worker["integrations"]["acme"]["standing"].as_object().context("standing")?;
        let without = |members: &Map<String, Value>| -> Map<String, Value> {
            let kept = members.iter().filter(|(name, _)| !ADDED.contains(&name.as_str()));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let (mut own, mut said) = (standing.clone(), without(acme));
        // Only the fetcher that leads knows all requests of this minute; the command asks it.
        let left = "kandji_requests_left";
        if self.worker["integrations"]["acme"]["duty"][left].is_null() {
            own.remove(left);
            said.remove(left);
        }
        ensure!(own == said, "/status has {}, the command {}", json!(own), json!(said));
        Ok(())
    }
}

#[tokio::test]
async fn status_of_every_worker_is_the_data_of_the_command() -> Result<()> {
    let services = Services::plain(9, 45).await?;
    // A dead letter and a device in another state than the rest, so that there is something to tell.
    let refuse = Action::Status { code: 422, body: Some("{\"message\":\"no\"}".into()) };
    services.refuse_asset_without("Model", refuse)?;
    let integration = services.integration("acme").field("Model", "model");
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        config.set("retry.give_up_after", "1s")
    })
    .await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    eventually(RUN_LIMIT, "a decided run", async || {
        let status = json_of(&pipeline, &["status", "--json"]).await?;
        let devices = &status["integrations"][0]["devices"];
        ensure!(devices["in sync"] == 8 && devices["failed"] == 1, "{devices}");
        ensure!(status["dead_letters"] == 1, "{status}");
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    let workers: [&Worker; 3] = [&fetcher, &pipeline.reconcilers[0], &pipeline.writers[0]];
    for worker in workers {
        // They look at the broker now and then, and time goes on between the two questions.
        let what = format!("/status of the {} to agree with the command", worker.role().name());
        eventually(RUN_LIMIT, &what, async || {
            let command = json_of(&pipeline, &["status", "--json"]).await?;
            Both { worker: &worker.status().await?, command: &command }.ensure_same()
        })
        .await?;
    }
    ensure!(fetcher.terminate().await?.success());
    Ok(())
}
