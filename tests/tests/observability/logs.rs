//! Logs read well: a line a run and a failure, none a device unless asked for; the fields of JSON lines keep
//! their names, and say which run and which device a line is about.

use std::collections::BTreeSet;

use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use amfj_sync_tests::sim::faults::Action;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// What docs/messages.md promises, and what a line of any worker may have.
const FIELDS: [&str; 38] = [
    "timestamp",
    "level",
    "message",
    "target",
    "integration",
    "run",
    "device",
    "user",
    "label",
    "kind",
    "state",
    "result",
    "reason",
    "error",
    "took_ms",
    "devices",
    "users",
    "assets",
    "changes",
    "integrations",
    "listen",
    "partition",
    "api",
    "operation",
    "status",
    "attempts",
    "pause_ms",
    "read",
    "left",
    "rows",
    "first",
    "first_sync",
    "offset",
    "queue",
    "returned",
    "what",
    "armed",
    "host",
];

fn lines(log: &str) -> Result<Vec<Value>> {
    let lines = log.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))).collect()
}

fn with<'a>(lines: &'a [Value], message: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["message"].as_str().is_some_and(|text| text.contains(message)))
}

async fn first_sync(arguments: &[&str]) -> Result<(Services, Vec<Value>)> {
    let services = Services::plain(12, 56).await?;
    let refuse = Action::Status { code: 422, body: Some("{\"message\":\"no\"}".into()) };
    services.refuse_asset_without("Model", refuse)?;
    let settings = Settings { create_devices: CreateDevices::Always, ..Settings::default() };
    let integration = settings.field("Model", "model").configure(services.integration("acme"));
    let mut pipeline =
        Pipeline::idle(vec![("acme", integration)], |config| config.set("retry.give_up_after", "1s")).await?;
    for argument in arguments {
        pipeline.extra_argument(argument);
    }
    pipeline.spawn(Workers::default()).await?;
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 1);
    let all = lines(&format!("{}{}", fetched.stderr, pipeline.logs()))?;
    Ok((services, all))
}

#[tokio::test]
async fn there_is_a_line_a_run_and_a_failure_and_none_a_device() -> Result<()> {
    let (services, lines) = first_sync(&[]).await?;
    let published: Vec<_> = with(&lines, "run published").collect();
    ensure!(published.len() == 1 && published[0]["integration"] == "acme", "{published:?}");
    ensure!(published[0]["devices"] == 12 && published[0]["took_ms"].is_u64(), "{published:?}");
    let run = published[0]["run"].as_str().context("a run without its id")?;
    let decided: Vec<_> = with(&lines, "run decided").collect();
    ensure!(decided.len() == 1 && decided[0]["run"] == run, "{decided:?}");

    let ids: BTreeSet<String> = services.kandji.devices().iter().map(|one| one.device_id.clone()).collect();
    let about: Vec<&Value> = lines.iter().filter(|line| !line["device"].is_null()).collect();
    ensure!(about.len() == 1, "a line for the one failure and no other device: {about:?}");
    let failure = about[0];
    ensure!(
        failure["level"] == "WARN" && failure["run"] == run && failure["integration"] == "acme",
        "{failure}"
    );
    ensure!(ids.contains(failure["device"].as_str().unwrap_or_default()), "{failure}");
    ensure!(failure["reason"].as_str().is_some_and(|text| text.contains("no")), "{failure}");
    let warnings = lines.iter().filter(|line| line["level"] == "WARN" || line["level"] == "ERROR");
    ensure!(warnings.count() == 1, "one failure, one line: {lines:?}");
    Ok(())
}

#[tokio::test]
async fn a_verbose_line_says_which_run_and_device_it_is_about() -> Result<()> {
    let (services, lines) = first_sync(&["-v"]).await?;
    for device in services.kandji.devices() {
        let own: Vec<&Value> =
            lines.iter().filter(|line| line["device"] == device.device_id.as_str()).collect();
        for message in ["decided", "a change"] {
            let found =
                own.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains(message)));
            let found = found.with_context(|| format!("no `{message}` of {}", device.device_id))?;
            ensure!(found["run"].is_string() && found["integration"] == "acme", "{found}");
        }
    }
    let unknown: BTreeSet<&String> = lines
        .iter()
        .filter_map(Value::as_object)
        .flat_map(|line| line.keys())
        .filter(|field| !FIELDS.contains(&field.as_str()))
        .collect();
    ensure!(unknown.is_empty(), "fields that docs/messages.md does not name: {unknown:?}");
    Ok(())
}
