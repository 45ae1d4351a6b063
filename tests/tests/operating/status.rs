//! `amfj-sync status` tells who is there, what each does, and what stands still.

use std::time::Duration;

use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::calling::{ensure_says, json_of, said};

fn reports<'a>(status: &'a Value, role: &str) -> Vec<&'a Value> {
    let reports = status["reports"].as_array().map(Vec::as_slice).unwrap_or_default();
    reports.iter().filter(|report| report["role"] == role).collect()
}

/// Partitions of the integration that each worker of a role says it serves.
fn partitions(status: &Value, role: &str) -> Vec<Vec<u64>> {
    let of = |report: &&Value| {
        let duty = report["integrations"]["acme"]["partitions"].as_array().cloned().unwrap_or_default();
        duty.iter().filter_map(|one| one["partition"].as_u64()).collect()
    };
    reports(status, role).iter().map(of).collect()
}

#[tokio::test]
async fn every_worker_says_what_it_does_and_who_is_missing_is_named() -> Result<()> {
    let services = Services::plain(8, 41).await?;
    let workers = Workers { reconcilers: 2, writers: 1 };
    let integration = services.integration("acme").field("Model", "model");
    let mut pipeline = Pipeline::with(workers, vec![("acme", integration)], |config| config).await?;
    pipeline.run().await?;

    let status = eventually(RUN_LIMIT, "both reconcilers share the partitions", async || {
        let status = json_of(&pipeline, &["status", "--json"]).await?;
        let mut served = partitions(&status, "reconciler");
        served.sort();
        ensure!(served == [[0], [1]], "they serve {served:?}");
        ensure!(partitions(&status, "writer") == [[0, 1]], "{status}");
        Ok(status)
    })
    .await?;
    let writer = reports(&status, "writer")[0];
    ensure!(writer["integrations"]["acme"]["circuit"]["position"] == "closed", "{writer}");
    ensure!(writer["not_ready"] == json!([]) && writer["host"].as_str().is_some_and(|host| !host.is_empty()));
    ensure!(status["workers"] == json!({"fetcher": 0, "reconciler": 2, "writer": 1}), "{status}");
    let acme = &status["integrations"][0];
    ensure!(
        acme["queues"]["apply"]["messages"] == 0 && acme["queues"]["apply"]["oldest"].is_null(),
        "{acme}"
    );
    ensure!(acme["dead_letters"] == 0 && acme["kandji_requests_left"].as_u64() > Some(0), "{acme}");
    let shown = said(&pipeline, &["status"]).await?;
    ensure_says(
        &shown,
        &[
            "fetcher       none, so nothing is read; start `fetcher run`",
            "partition 0 of acme",
            "partition 1 of acme",
            "partitions 0-1 of acme",
            "AMFJ          takes changes",
            "to apply      nothing",
            "8 in sync",
            "dead letters  none",
        ],
    )?;
    ensure!(shown.lines().all(|line| line.chars().count() <= 80), "a line is longer than 80:\n{shown}");

    // The fetcher's part, as long as it is there.
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    eventually(RUN_LIMIT, "the fetcher leads", async || {
        let status = json_of(&pipeline, &["status", "--json"]).await?;
        let report = *reports(&status, "fetcher").first().context("no fetcher answers")?;
        ensure!(report["integrations"]["acme"]["leads"] == true, "{report}");
        ensure_says(&said(&pipeline, &["status"]).await?, &["leads acme"])
    })
    .await?;
    ensure!(fetcher.terminate().await?.success());

    pipeline.dismiss().await?;
    let alone = said(&pipeline, &["status"]).await?;
    ensure_says(
        &alone,
        &[
            "reconciler    none, so nothing is decided",
            "writer        none, so nothing is written to AMFJ",
            "not known: no writer runs",
            "as soon as a fetcher runs",
            "8 in sync",
        ],
    )?;
    Ok(())
}

/// A worker that hangs is still counted by the broker, and does not answer: it is told of all the same.
#[tokio::test]
async fn a_worker_that_does_not_answer_is_told_of() -> Result<()> {
    let services = Services::plain(3, 46).await?;
    let workers = Workers { reconcilers: 2, writers: 1 };
    let integration = services.integration("acme").field("Model", "model");
    let pipeline = Pipeline::with(workers, vec![("acme", integration)], |config| config).await?;
    pipeline.run().await?;
    let (writer, reconciler) = (&pipeline.writers[0], &pipeline.reconcilers[0]);
    writer.freeze();
    reconciler.freeze();
    let status = json_of(&pipeline, &["status", "--json"]).await?;
    ensure!(status["workers"] == json!({"fetcher": 0, "reconciler": 2, "writer": 1}), "{status}");
    ensure!(reports(&status, "writer").is_empty() && reports(&status, "reconciler").len() == 1, "{status}");
    let shown = said(&pipeline, &["status"]).await?;
    ensure_says(&shown, &["writer        1 does not answer", "1 more does not answer", "3 in sync"])?;
    // The pages of one that works tell it too, and no probe waits for those that hang.
    let works = &pipeline.reconcilers[1];
    eventually(RUN_LIMIT, "the pages of one that works", async || {
        let (status, body) = works.get("/healthz").await?;
        ensure!(status == 200, "{status}");
        ensure_says(&body, &["ok", "1 writer does not answer", "1 reconciler does not answer"])
    })
    .await?;
    let probes = async {
        for path in ["/healthz", "/readyz", "/health", "/status"].repeat(10) {
            works.get(path).await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(4), probes).await.context("40 probes wait")??;
    writer.thaw();
    reconciler.thaw();
    eventually(RUN_LIMIT, "all answers", async || {
        let shown = said(&pipeline, &["status"]).await?;
        ensure!(!shown.contains("not answer") && shown.contains("partitions 0-1 of acme"), "{shown}");
        Ok(())
    })
    .await
}

/// A revoked token shows as a pause with its reason, and what waits with its age.
#[tokio::test]
async fn a_pause_is_shown_with_its_reason_and_what_waits_with_its_age() -> Result<()> {
    let services = Services::plain(6, 42).await?;
    let integration = services.integration("acme").field("Model", "model");
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        config.set("timing.probe_interval", "200ms")
    })
    .await?;
    pipeline.fetch(&[]).await?;
    pipeline.settle().await?;
    for device in services.kandji.devices() {
        services.kandji.set(&device.serial_number, "model", json!("MacBook Pro (14-inch, 2027)"))?;
    }
    // The run reads both sides; from the first write on the token is refused.
    let refused = Action::RevokeToken;
    services.amfj.fault(Rule::new(refused).on("PATCH", "/assets/*").times(1));
    ensure!(pipeline.fetch(&[]).await?.status.success());
    eventually(RUN_LIMIT, "the pause", async || {
        let status = json_of(&pipeline, &["status", "--json"]).await?;
        let acme = &status["integrations"][0];
        ensure!(acme["circuits"][0]["position"] == "open", "{acme}");
        ensure!(acme["circuits"][0]["reason"].as_str().is_some_and(|why| why.contains("401")), "{acme}");
        let apply = &acme["queues"]["apply"];
        ensure!(apply["messages"].as_u64() > Some(0) && apply["oldest"].is_string(), "{apply}");
        Ok(())
    })
    .await?;
    let shown = said(&pipeline, &["status"]).await?;
    ensure_says(&shown, &["PAUSED", "nothing is lost", "401", "the oldest for", "pending"])?;
    services.amfj.restore_token();
    eventually(RUN_LIMIT, "the end of the pause", async || {
        ensure_says(&said(&pipeline, &["status"]).await?, &["takes changes", "6 in sync"])
    })
    .await
}

/// Dead letters are told by integration, those of others too.
#[tokio::test]
async fn dead_letters_belong_to_an_integration() -> Result<()> {
    let (good, bad) = (Services::plain(2, 43).await?, Services::plain(2, 44).await?);
    let of = |services: &Services, id: &str| services.integration(id).field("Notes", "device_id");
    let pipeline = Pipeline::with(
        Workers::default(),
        vec![("acme", of(&good, "acme")), ("beta", of(&bad, "beta"))],
        |config| config.set("retry.give_up_after", "1s").set("timing.probe_interval", "200ms"),
    )
    .await?;
    let device = bad.kandji.devices()[0].device_name.clone();
    let asset = bad.amfj.assets_named(&device).pop().context("no asset of that name")?.id;
    let broken = Action::Status { code: 500, body: None };
    bad.amfj.fault(Rule::new(broken).on("PATCH", &format!("/assets/{asset}")));
    pipeline.fetch(&[]).await?;
    eventually(RUN_LIMIT, "the dead letter", async || {
        ensure!(pipeline.dead_letters().await? == 1);
        Ok(())
    })
    .await?;
    let status = json_of(&pipeline, &["status", "--json"]).await?;
    ensure!(status["integrations"][0]["dead_letters"] == 0, "{status}");
    ensure!(status["integrations"][1]["dead_letters"] == 1 && status["dead_letters"] == 1, "{status}");
    let shown = said(&pipeline, &["status", "acme"]).await?;
    ensure_says(&shown, &["dead letters  none", "1 of others on this broker"])
}
