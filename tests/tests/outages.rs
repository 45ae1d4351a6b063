//! Outages of either service (P2, P28): nothing is lost, little is asked, and it goes on by itself.

use std::time::Duration;

use amfj_sync_tests::harness::{Role, Worker, eventually};
use amfj_sync_tests::pipeline::outage::Outage;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// A simulated hour: the queue grows, at most one probe an interval, flat memory, no dead letter; then
/// it drains, every change at most once, and what went out of date meanwhile is skipped.
#[tokio::test]
async fn p28_an_hour_without_amfj_costs_nothing_but_the_hour() -> Result<()> {
    let outage = Outage {
        devices: 300,
        lasts: Duration::from_hours(1),
        pause: Duration::from_millis(50),
        outdated: 30,
    };
    println!("{}", outage.endure().await?);
    Ok(())
}

async fn circuit(worker: &Worker, api: &str) -> Result<f64> {
    let labels = [("integration", "acme"), ("api", api)];
    Ok(worker.metrics().await?.sum("amfj_sync_circuit_open", &labels))
}

/// AMFJ refuses the token: the writer says so in its status, its log and a metric, leaves the changes
/// where they are, and goes on by itself when the token is good again.
#[tokio::test]
async fn p28_a_revoked_amfj_token_pauses_and_says_so() -> Result<()> {
    let services = Services::plain(20, 171).await?;
    let integration =
        services.integration("acme").set("sync.create_users", "never").field("Notes", "device_id");
    let mut pipeline = Pipeline::idle(vec![("acme", integration)], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    eventually(RUN_LIMIT, "changes in the queue", async || {
        ensure!(pipeline.waiting("acme", "apply").await? >= 20);
        Ok(())
    })
    .await?;
    services.amfj.revoke_token();
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    let writer = &pipeline.writers[0];
    eventually(RUN_LIMIT, "an open circuit", async || {
        ensure!(circuit(writer, "amfj").await? > 0.0, "the circuit is closed");
        let status = writer.status().await?;
        let own = &status["integrations"]["acme"];
        ensure!(own["circuit"] == "open", "{own}");
        let reason = own["circuit_reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("401") && reason.contains("token"), "the reason says: {reason}");
        Ok(())
    })
    .await?;
    let asked = services.amfj.request_count();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = services.amfj.request_count() - asked;
    ensure!(asked <= 12, "{asked} requests in ten intervals with a token that is refused");
    ensure!(writer.log().contains("AMFJ is paused"), "{}", writer.log_tail());
    ensure!(pipeline.dead_letters().await? == 0, "a revoked token fills no dead letters");
    ensure!(services.amfj.write_count() == 0);
    services.amfj.restore_token();
    pipeline.settle().await?;
    ensure!(circuit(&pipeline.writers[0], "amfj").await? < 0.5, "the circuit is still open");
    let written = services.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Notes")).count();
    ensure!(written == 20, "{written} of 20 written");
    ensure!(services.amfj.write_count() == 20, "{} writes", services.amfj.write_count());
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// Kandji is away, or refuses the token: runs fail with growing pauses, nothing is decided, and the
/// first run that can be read goes through, without anybody doing anything.
#[tokio::test]
async fn p2_kandji_is_away_and_then_refuses_the_token_and_then_comes_back() -> Result<()> {
    let services = Services::plain(15, 172).await?;
    let integration = services.integration("acme").field("Notes", "device_id");
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        config
            .set("timing.run_retry_initial", "400ms")
            .set("timing.run_retry_max", "30s")
            .set("retry.give_up_after", "1s")
    })
    .await?;
    let away = services.kandji.fault(Rule::new(Action::Status { code: 503, body: None }));
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    let failed = |fetcher: &Worker| fetcher.log().matches("run failed; nothing was decided").count();
    eventually(RUN_LIMIT, "two failed runs", async || {
        ensure!(failed(&fetcher) >= 2, "{} failed", failed(&fetcher));
        ensure!(circuit(&fetcher, "kandji").await? > 0.0, "the metric does not say so");
        Ok(())
    })
    .await?;
    services.kandji.revoke_token();
    services.kandji.faults().remove(away);
    eventually(RUN_LIMIT, "a run that fails because of the token", async || {
        let log = fetcher.log();
        ensure!(log.contains("401") && log.contains("token"), "{}", fetcher.log_tail());
        ensure!(failed(&fetcher) >= 7, "{} failed", failed(&fetcher));
        Ok(())
    })
    .await?;
    let pauses = pauses_between_failures(&fetcher)?;
    ensure!(pauses.last() > pauses.first(), "the pauses do not grow: {pauses:?}");
    ensure!(services.amfj.write_count() == 0, "something was decided");
    services.kandji.restore_token();
    eventually(RUN_LIMIT, "everything written", async || {
        let written =
            services.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Notes")).count();
        ensure!(written == 15, "{written} of 15 written");
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    eventually(RUN_LIMIT, "the metric", async || {
        ensure!(circuit(&fetcher, "kandji").await? < 0.5);
        Ok(())
    })
    .await?;
    ensure!(fetcher.terminate().await?.success());
    Ok(())
}

/// Seconds between the ends of failed runs.
fn pauses_between_failures(fetcher: &Worker) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for line in fetcher.log_lines() {
        let says = |text: &str| line.to_string().contains(text);
        if says("run failed; nothing was decided") {
            let time = line["timestamp"].as_str().context("a log line has a time")?;
            times.push(time.parse::<jiff::Timestamp>()?.as_millisecond());
        }
    }
    ensure!(times.len() >= 3, "{} failed runs; {}", times.len(), json!(times));
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a test")]
    Ok(times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e3).collect())
}
