//! `/metrics` of a running pipeline: names, types, help, labels, and nothing that grows without bound.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_model::messages::{Action as ChangeAction, DeviceStatus};
use amfj_sync_telemetry::{METRICS, Metric};
use amfj_sync_tests::harness::{MetricsPage, Worker, eventually};
use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use amfj_sync_tests::sim::faults::Action;
use anyhow::{Context as _, Result, ensure};

use crate::serving::{SHOWN_WITHIN, serving_fetcher, shows};

/// What is promised to those who write alerts, with the worker that shows it: `f`, `r`, `w`.
const PROMISED: [(&str, &str, &[&str], &str); 23] = [
    ("amfj_sync_queue_messages", "gauge", &["integration", "stage"], "frw"),
    ("amfj_sync_in_flight", "gauge", &["integration", "stage"], "rw"),
    ("amfj_sync_dead_letters", "gauge", &["integration"], "frw"),
    ("amfj_sync_oldest_message_age_seconds", "gauge", &["integration", "stage"], "frw"),
    ("amfj_sync_run_last_success_timestamp_seconds", "gauge", &["integration"], "frw"),
    ("amfj_sync_runs_total", "counter", &["integration", "result"], "f"),
    ("amfj_sync_run_duration_seconds", "histogram", &[], "f"),
    ("amfj_sync_devices", "gauge", &["integration", "state"], "r"),
    ("amfj_sync_changes_total", "counter", &["integration", "kind", "result"], "w"),
    ("amfj_sync_api_requests_total", "counter", &["api", "operation", "status"], "fw"),
    ("amfj_sync_api_request_duration_seconds", "histogram", &["api", "operation"], "fw"),
    ("amfj_sync_kandji_requests_remaining_hour", "gauge", &["integration"], "f"),
    ("amfj_sync_circuit_open", "gauge", &["integration", "api"], "fw"),
    ("amfj_sync_kind_waiting", "gauge", &["integration", "operation"], "w"),
    ("amfj_sync_stopped_changes", "gauge", &["integration"], "w"),
    ("amfj_sync_redeliveries_total", "counter", &["stage"], "rw"),
    ("amfj_sync_held", "gauge", &["integration"], "frw"),
    ("amfj_sync_paused", "gauge", &["integration"], "frw"),
    ("amfj_sync_workers", "gauge", &["role"], "frw"),
    ("amfj_sync_run_interval_seconds", "gauge", &["integration"], "frw"),
    ("amfj_sync_ready", "gauge", &[], "frw"),
    ("amfj_sync_start_timestamp_seconds", "gauge", &[], "frw"),
    ("amfj_sync_messages_done_total", "counter", &["integration", "stage"], "rw"),
];

/// More than a pipeline of one integration ever shows on one worker.
const MOST_SERIES: usize = 400;

#[tokio::test]
async fn a_running_pipeline_shows_every_promised_metric() -> Result<()> {
    let services = Services::plain(12, 41).await?;
    // One change fails for good, so that there is a dead letter.
    let refuse = Action::Status { code: 422, body: Some("{\"message\":\"no\"}".into()) };
    services.refuse_asset_without("Model", refuse)?;
    let settings =
        Settings { create_devices: CreateDevices::Always, ..Settings::default() }.field("Model", "model");
    let integration = settings.configure(services.integration("acme"));
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        config.set("retry.give_up_after", "1s")
    })
    .await?;
    let fetcher = serving_fetcher(&pipeline).await?;
    let (reconciler, writer) = (&pipeline.reconcilers[0], &pipeline.writers[0]);
    shows(&fetcher, "amfj_sync_runs_total", &[("result", "published")], |runs| runs >= 1.0).await?;
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 1, "one refused change is to be looked at");

    for worker in [&fetcher, reconciler, writer] {
        shows(worker, "amfj_sync_run_last_success_timestamp_seconds", &[], |at| at > 1.7e9).await?;
        for role in ["fetcher", "reconciler", "writer"] {
            shows(worker, "amfj_sync_workers", &[("role", role)], |live| live == 1.0).await?;
        }
        for stage in ["reconcile", "apply"] {
            shows(worker, "amfj_sync_oldest_message_age_seconds", &[("stage", stage)], |age| age == 0.0)
                .await?;
            shows(worker, "amfj_sync_queue_messages", &[("stage", stage)], |waiting| waiting == 0.0).await?;
        }
        let page = Page::of(worker).await?;
        page.is_complete()?;
        page.is_described()?;
        page.is_bounded()?;
    }
    eventually(SHOWN_WITHIN, "one worker to count the dead letter", async || {
        let mut dead = 0.0;
        for worker in [&fetcher, reconciler, writer] {
            dead += worker.metrics().await?.sum("amfj_sync_dead_letters", &[("integration", "acme")]);
        }
        ensure!(dead == 1.0, "{dead} are counted");
        Ok(())
    })
    .await?;
    ensure!(pipeline.dead_letters().await? == 1, "counting left the dead letter where it was");
    shows(reconciler, "amfj_sync_devices", &[("state", "in sync")], |devices| devices > 0.0).await?;
    Ok(())
}

/// `/metrics` of one worker.
struct Page {
    role: &'static str,
    /// The first letter of the role.
    letter: char,
    text: String,
    samples: MetricsPage,
}

impl Page {
    async fn of(worker: &Worker) -> Result<Self> {
        let role = worker.role().name();
        let letter = role.chars().next().context("a role without a name")?;
        let text = worker.get("/metrics").await?.1;
        let samples = MetricsPage::parse(&text)?;
        Ok(Self { role, letter, text, samples })
    }

    /// Nothing that is promised is missing.
    fn is_complete(&self) -> Result<()> {
        for (name, kind, labels, shown_by) in PROMISED {
            if !shown_by.contains(self.letter) {
                continue;
            }
            let line = format!("# TYPE {name} {kind}");
            ensure!(self.text.lines().any(|found| found == line), "the {} shows no `{line}`", self.role);
            let sample = if kind == "histogram" { format!("{name}_count") } else { name.to_owned() };
            let found = self.samples.samples().iter().find(|found| found.name == sample);
            let found = found.with_context(|| format!("the {} has no value of {name}", self.role))?;
            let have: BTreeSet<&str> = found.labels.keys().map(String::as_str).collect();
            ensure!(have == labels.iter().copied().collect(), "{name} of the {} has {have:?}", self.role);
        }
        Ok(())
    }

    /// Everything that is shown is in the catalogue, with its help.
    fn is_described(&self) -> Result<()> {
        let types = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for line in types {
            let (name, kind) = line.split_once(' ').context("a TYPE line without a type")?;
            let known = METRICS.iter().find(|metric| metric.name == name);
            let known: &Metric = known.with_context(|| format!("{name} is not in the catalogue"))?;
            ensure!(known.kind.as_str() == kind, "{name} is a {kind}");
            let help = format!("# HELP {name} {}", known.help);
            ensure!(self.text.lines().any(|line| line == help), "no `{help}`");
        }
        Ok(())
    }

    /// Labels take their values from short lists.
    fn is_bounded(&self) -> Result<()> {
        let samples = self.samples.samples();
        ensure!(samples.len() < MOST_SERIES, "{} series on the {}", samples.len(), self.role);
        let allowed = values_of_labels();
        for sample in samples {
            for (label, value) in &sample.labels {
                let fits = match (label.as_str(), allowed.get(label.as_str())) {
                    ("le", _) => true,
                    ("status", _) => {
                        value.len() == 3 && value.parse::<u16>().is_ok()
                            || ["no_connection", "no_answer"].contains(&value.as_str())
                    }
                    // Named in the code: short words, never an id or an address.
                    ("operation", _) => {
                        value.len() < 40 && value.chars().all(|c| c.is_ascii_lowercase() || " -_".contains(c))
                    }
                    (_, Some(values)) => values.contains(value.as_str()),
                    (_, None) => false,
                };
                ensure!(fits, "{}: {label}=\"{value}\"", sample.name);
            }
        }
        Ok(())
    }
}

fn values_of_labels() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let set = |values: &[&'static str]| values.iter().copied().collect::<BTreeSet<_>>();
    let results = ["published", "failed", "held", "superseded", "stopped", "applied", "unneeded", "stale"];
    BTreeMap::from([
        ("integration", set(&["acme", "unknown"])),
        ("stage", set(&["reconcile", "apply"])),
        ("result", set(&results)),
        ("state", DeviceStatus::ALL.iter().map(|state| state.as_str()).collect()),
        ("kind", set(&ChangeAction::KINDS)),
        ("api", set(&["kandji", "amfj"])),
        ("role", set(&["fetcher", "reconciler", "writer"])),
        ("what", set(&["asset", "user"])),
    ])
}
