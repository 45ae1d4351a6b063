//! The dashboard of `deploy/monitoring`: every query returns data, every metric exists.

use amfj_sync_telemetry::METRICS;
use amfj_sync_tests::harness::{eventually, monitoring_file};
use amfj_sync_tests::sim::faults::Action;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::monitored::{Monitored, NOTICED_WITHIN, metrics_in};

/// Panel titles with their queries, the variables filled in as Grafana would.
fn queries() -> Result<Vec<(String, String)>> {
    let dashboard: Value = serde_json::from_str(&monitoring_file("dashboard.json")?)?;
    let panels = dashboard["panels"].as_array().context("a dashboard without panels")?;
    let mut queries = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().context("a panel without a title")?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().with_context(|| format!("{title}: no query"))?;
            let query = query.replace("$integration", ".*").replace("$__rate_interval", "1m");
            ensure!(!query.contains('$'), "{title}: a variable that Grafana does not know either: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    ensure!(queries.len() > 15, "only {} queries", queries.len());
    Ok(queries)
}

#[tokio::test]
async fn every_query_returns_data() -> Result<()> {
    let monitored = Monitored::start(45, "2s", &monitoring_file("alerts.yml")?).await?;
    // One change fails for good: errors and a dead letter show as well.
    let refuse = Action::Status { code: 422, body: Some("{\"message\":\"no\"}".into()) };
    monitored.services.refuse_asset(0, refuse)?;
    let device = monitored.services.kandji.devices()[0].device_id.clone();
    monitored.services.kandji.set(&device, "model", "Another model".into())?;
    for (title, query) in queries()? {
        let what = format!("{title}: data of {query}");
        eventually(NOTICED_WITHIN, &what, async || {
            let series = monitored.prometheus.query(&query).await?;
            ensure!(series.iter().any(|series| series.value.is_finite()), "{series:?}");
            Ok(())
        })
        .await?;
    }
    // What is red on the dashboard has been seen red.
    for query in ["sum(amfj_sync_dead_letters) == 1", "sum(amfj_sync_api_requests_total{status=\"422\"}) > 0"]
    {
        eventually(NOTICED_WITHIN, query, async || {
            ensure!(!monitored.prometheus.query(query).await?.is_empty(), "not yet");
            Ok(())
        })
        .await?;
    }
    // No alert of this healthy pipeline: the rules are the real ones.
    let alerts = monitored.prometheus.alerts().await?;
    let firing: Vec<_> = alerts.iter().filter(|alert| alert.firing).collect();
    ensure!(firing.iter().all(|alert| alert.name == "AmfjSyncDeadLettersGrowing"), "{firing:?}");

    for (place, text) in [
        ("alerts.yml", monitoring_file("alerts.yml")?),
        ("dashboard.json", monitoring_file("dashboard.json")?),
    ] {
        for metric in metrics_in(&text) {
            ensure!(METRICS.iter().any(|known| known.name == metric), "{place}: no worker shows {metric}");
            let query = format!("{{__name__=~\"{metric}(_bucket)?\"}}");
            let found = monitored.prometheus.query(&query).await?;
            ensure!(!found.is_empty(), "{place}: {metric} is not scraped");
        }
    }
    Ok(())
}
