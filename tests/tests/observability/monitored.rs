//! A running pipeline as a real Prometheus sees it, with the configuration, rules and dashboard of
//! `deploy/monitoring`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use amfj_sync_tests::harness::prometheus::Alert;
use amfj_sync_tests::harness::{IntegrationBuilder, Prometheus, Worker, eventually, monitoring_file};
use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use anyhow::{Context as _, Result, ensure};

use crate::serving::serving_fetcher;

/// How long something may take until Prometheus knows it: workers look every five seconds, and the
/// machine may be busy.
pub(crate) const NOTICED_WITHIN: Duration = Duration::from_mins(2);

/// A pipeline that runs again and again, and the Prometheus that watches it.
pub(crate) struct Monitored {
    pub(crate) services: Services,
    pub(crate) pipeline: Pipeline,
    pub(crate) fetcher: Option<Worker>,
    pub(crate) prometheus: Prometheus,
}

impl Monitored {
    /// Runs every `interval`; `rules` are those of `alerts.yml`, or made of them.
    pub(crate) async fn start(seed: u64, interval: &str, rules: &str) -> Result<Self> {
        let services = Services::plain(12, seed).await?;
        let integrations = vec![("acme", integration(&services, interval))];
        let pipeline = Pipeline::with(Workers::default(), integrations, |config| {
            config.set("retry.give_up_after", "2s")
        })
        .await?;
        let fetcher = serving_fetcher(&pipeline).await?;
        let workers = [&fetcher, &pipeline.reconcilers[0], &pipeline.writers[0]];
        let targets: Vec<SocketAddr> = workers.iter().map(|worker| worker.listen()).collect::<Result<_>>()?;
        let targets = targets.try_into().ok().context("three workers, three targets")?;
        let prometheus = Prometheus::watching(targets, rules).await?;
        let monitored = Self { services, pipeline, fetcher: Some(fetcher), prometheus };
        eventually(NOTICED_WITHIN, "all three workers to be scraped", async || {
            let up = monitored.prometheus.query("sum(up)").await?;
            ensure!(up.first().is_some_and(|up| up.value == 3.0), "{up:?}");
            Ok(())
        })
        .await?;
        Ok(monitored)
    }

    /// Waits until an alert of this name with this label fires.
    pub(crate) async fn fires(&self, name: &str, label: (&str, &str)) -> Result<Alert> {
        fires(&self.prometheus, name, label).await
    }

    /// Waits until none of these alerts fires.
    pub(crate) async fn calm(&self, names: &[&str]) -> Result<()> {
        eventually(NOTICED_WITHIN, &format!("none of {names:?} to fire"), async || {
            let alerts = self.prometheus.alerts().await?;
            let bad = alerts.iter().find(|alert| alert.firing && names.contains(&alert.name.as_str()));
            ensure!(bad.is_none(), "{bad:?}");
            Ok(())
        })
        .await
    }
}

/// Waits until an alert of this name with this label fires.
pub(crate) async fn fires(prometheus: &Prometheus, name: &str, label: (&str, &str)) -> Result<Alert> {
    eventually(NOTICED_WITHIN, &format!("{name} {label:?} to fire"), async || {
        let alerts = prometheus.alerts().await?;
        let wanted = |alert: &&Alert| {
            alert.firing
                && alert.name == name
                && alert.labels.get(label.0).is_some_and(|value| value == label.1)
        };
        alerts.iter().find(wanted).cloned().with_context(|| format!("only these: {alerts:?}"))
    })
    .await
}

/// Devices get an asset, fields and a holder, so that every kind of change comes up.
pub(crate) fn integration(services: &Services, interval: &str) -> IntegrationBuilder {
    let settings =
        Settings { create_devices: CreateDevices::Always, auto_checkout: true, ..Settings::default() };
    let settings = settings.field("Model", "model").field("Memory", "details.hardware_overview.memory");
    settings.configure(services.integration("acme")).set("interval", interval)
}

/// Every metric name in a text of queries, without what Prometheus appends for histograms.
pub(crate) fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("amfj_sync_"));
    names.map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned()).collect()
}

/// The rules, each true for as long as asked at once, and with thresholds of seconds.
pub(crate) fn hasty_rules() -> Result<String> {
    let mut rules = monitoring_file("alerts.yml")?;
    for (patient, hasty) in
        [("> 1800", "> 3"), ("[1h:1m]", "[1h:1s]"), ("[6h:5m]", "[6h:1s]"), ("[15m]", "[1m]")]
    {
        ensure!(rules.contains(patient), "alerts.yml has no {patient}");
        rules = rules.replace(patient, hasty);
    }
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((indent, _)) => format!("{indent}for: 1s\n"),
        None => format!("{line}\n"),
    });
    Ok(lines.collect())
}
