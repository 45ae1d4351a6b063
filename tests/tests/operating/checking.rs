//! `amfj-sync check` finds what a run would stumble over, and names the cure.

use amfj_sync_tests::harness::{IntegrationBuilder, Role};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::calling::{call, empty, enrol, ensure_says};

async fn idle(integration: IntegrationBuilder) -> Result<Pipeline> {
    Pipeline::idle(vec![("acme", integration)], |config| config).await
}

/// The text of a check, and whether it succeeded.
async fn check(pipeline: &Pipeline) -> Result<(bool, String)> {
    let done = call(pipeline, &["check"]).await?;
    ensure!(matches!(done.status.code(), Some(0 | 1)), "{}{}", done.stdout, done.stderr);
    // Where lines are folded depends on numbers that differ from run to run.
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok((done.status.success(), text))
}

#[tokio::test]
async fn a_sound_configuration_passes_line_by_line() -> Result<()> {
    let services = empty().await?;
    enrol(&services, "Ana's MacBook", Some(("Ana Horvat", "ana@example.com")))?;
    enrol(&services, "Lobby iPad", None)?;
    services.amfj.add_user("Ana Horvat", Some("ana@example.com"), true)?;
    services.amfj.add_asset("Ana's MacBook", "Laptop")?;
    let integration = services
        .integration("acme")
        .field("Serial Number", "serial_number")
        .field("Memory", "details.hardware_overview.memory")
        .field("Notes", "{{ model }}, {{ os_version }}")
        .user_field("Name", "user.name")
        .set("sync.default_location", "HQ");
    let pipeline = idle(integration).await?;
    let (succeeded, text) = check(&pipeline).await?;
    ensure!(succeeded, "{text}");
    ensure_says(
        &text,
        &[
            "✓ broker: connected",
            "✓ Kandji: token and permission “Device list”: 2 devices visible",
            "✓ Kandji: 1 person on these devices, all of them with email",
            "✓ Kandji: permission “Device details”",
            "requests left in this hour, of a share of",
            "✓ AMFJ: token accepted",
            "✓ AMFJ: 1 asset visible",
            "✓ AMFJ: 1 user record, all of them with email",
            "✓ AMFJ: asset type \"Laptop\" for new assets; location \"HQ\"",
            "✓ AMFJ: field \"Memory\" is a text of 1 of 6 asset types",
            "✓ AMFJ: user field \"Name\" is every record's own",
            "✓ mapping: fields.\"Serial Number\" from serial_number: 2 of 2 devices have a value",
            "mapping: fields.\"Notes\" from os_version",
            "for instance",
            "amfj-sync plan",
        ],
    )?;
    ensure!(!text.contains('✗'), "{text}");
    ensure!(services.amfj.requests().iter().all(|request| request.method == "GET"), "a check only reads");

    let done = call(&pipeline, &["check", "--json"]).await?;
    let lines: Value = serde_json::from_str(&done.stdout).context("no JSON")?;
    let lines = lines.as_array().context("no list")?;
    ensure!(lines.iter().all(|line| line["result"] != "failed" && line["check"].is_string()), "{lines:?}");
    ensure!(lines.iter().any(|line| line["integration"] == "acme") && lines[0]["integration"].is_null());
    Ok(())
}

#[tokio::test]
async fn what_works_but_should_be_known_is_a_warning() -> Result<()> {
    let services = empty().await?;
    enrol(&services, "Lobby iPad", None)?;
    services.amfj.add_user("Ana Horvat", None, true)?;
    services.amfj.add_user("Ben Carter", Some("ben@example.com"), true)?;
    services.kandji.permit_details(false)?;
    services.kandji.set_limits(None, Some(60));
    let integration = services.integration("acme").field("Notes", "last_check_in");
    let pipeline = idle(integration).await?;
    let (succeeded, text) = check(&pipeline).await?;
    ensure!(succeeded, "{text}");
    ensure_says(
        &text,
        &[
            "! AMFJ: 2 user records, 1 of which shows no email",
            "link-user",
            "! mapping: fields.\"Notes\" from last_check_in",
            "it changes all the time",
            "! Kandji: the details of a device cannot be read",
            "never taken for gone",
            "requests left in this hour",
            "details will wait",
            "things to know",
        ],
    )
}

/// Whether Prism may be read, and whether that spares anything, is known before the first run.
#[tokio::test]
async fn p17_the_check_says_what_comes_of_prism() -> Result<()> {
    let services = empty().await?;
    enrol(&services, "Lobby iPad", None)?;
    let settings =
        |property: &str| services.integration("acme").set("kandji.bulk", "prism").field("Notes", property);
    let mut pipeline = idle(settings("details.network.local_hostname")).await?;
    let (succeeded, text) = check(&pipeline).await?;
    ensure!(succeeded, "without Prism all goes on as it did: {text}");
    ensure_says(&text, &["! Kandji: Prism cannot be read", "Device information", "403"])?;
    services.kandji.permit_prism(true)?;
    ensure_says(&check(&pipeline).await?.1, &["permission “Prism: Device information”"])?;
    pipeline.reconfigure(vec![("acme", settings("details.hardware_overview.memory"))]).await?;
    let words = ["! Kandji: kandji.bulk has no effect", "details.hardware_overview.memory"];
    ensure_says(&check(&pipeline).await?.1, &words)?;
    pipeline.reconfigure(vec![("acme", settings("asset_tag"))]).await?;
    ensure_says(&check(&pipeline).await?.1, &["kandji.bulk has no effect: no mapped property"])
}

#[tokio::test]
async fn what_would_fail_a_run_fails_the_check_with_its_cure() -> Result<()> {
    let services = empty().await?;
    enrol(&services, "Lobby iPad", None)?;
    let integration = services
        .integration("acme")
        .field("Serial Nummer", "serial_number")
        .field("Memory", "details.hardware_overview.memry")
        .set("sync.default_asset_type", "Labtop")
        .set("sync.default_location", "HW");
    let pipeline = idle(integration).await?;
    let (succeeded, text) = check(&pipeline).await?;
    ensure!(!succeeded, "{text}");
    ensure_says(
        &text,
        &["✗ AMFJ", "\"Labtop\"", "did you mean \"Laptop\"?", "\"Serial Nummer\"", "\"HW\"", "memry"],
    )?;

    services.kandji.permit_details(false)?;
    services.amfj.revoke_token();
    let (succeeded, text) = check(&pipeline).await?;
    ensure!(!succeeded, "{text}");
    ensure_says(
        &text,
        &["✗ Kandji: the details of a device cannot be read", "Device details", "✗ AMFJ", "amfj.token"],
    )?;

    services.kandji.revoke_token();
    let (_, text) = check(&pipeline).await?;
    ensure_says(&text, &["✗ Kandji: the device list cannot be read", "kandji.token"])?;
    Ok(())
}

/// What is left of the hour is known to the fetcher that leads, and it is asked.
#[tokio::test]
async fn a_running_fetcher_says_what_is_left_of_the_hour() -> Result<()> {
    let services = Services::plain(20, 61).await?;
    let integration = services
        .integration("acme")
        .set("kandji.requests_per_hour", 500)
        .field("Memory", "details.hardware_overview.memory");
    let pipeline = idle(integration).await?;
    let left = async || {
        let done = call(&pipeline, &["check", "--json"]).await?;
        let lines: Value = serde_json::from_str(&done.stdout)?;
        let mut texts = lines.as_array().into_iter().flatten().filter_map(|line| line["check"].as_str());
        let line = texts.rfind(|text| text.contains("requests left")).context("no such line")?;
        let number: String = line.chars().filter(char::is_ascii_digit).take(3).collect();
        Ok::<u32, anyhow::Error>(number.parse()?)
    };
    let alone = left().await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    amfj_sync_tests::harness::eventually(amfj_sync_tests::pipeline::RUN_LIMIT, "its run", async || {
        let status = fetcher.status().await?;
        ensure!(status["integrations"]["acme"]["kandji_requests_left"].as_u64() < Some(485), "{status}");
        ensure!(status["integrations"]["acme"]["last_run"]["result"] == json!("published"), "{status}");
        Ok(())
    })
    .await?;
    let asked = left().await?;
    ensure!(asked < alone, "{asked} left, and {alone} when nobody ran");
    ensure!(fetcher.terminate().await?.success());
    Ok(())
}
