//! One device's way through the three workers is one trace; a collector that is away is nobody's trouble.

use std::time::{Duration, Instant};

use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Result, ensure};

use crate::collector::{Collector, Received, the};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// How often spans are sent, in milliseconds.
const SEND_EVERY: &str = "OTEL_BSP_SCHEDULE_DELAY";

async fn pipeline(services: &Services, endpoint: &str, every: &str) -> Result<Pipeline> {
    let settings =
        Settings { create_devices: CreateDevices::Always, auto_checkout: true, ..Settings::default() };
    let settings = settings.field("Model", "model").field("Memory", "details.hardware_overview.memory");
    let integration = settings.configure(services.integration("acme"));
    let mut pipeline = Pipeline::idle(vec![("acme", integration)], |config| config).await?;
    for (name, value) in [(ENDPOINT, endpoint), (SEND_EVERY, every)] {
        pipeline.config.environment.insert(name.to_owned(), value.to_owned());
    }
    pipeline.spawn(Workers::default()).await?;
    Ok(pipeline)
}

#[tokio::test]
async fn the_way_of_a_device_is_one_trace() -> Result<()> {
    let services = Services::plain(5, 51).await?;
    let collector = Collector::start().await?;
    // No asset is there yet: the device's gets one, with its fields.
    for asset in services.amfj.assets() {
        services.amfj.delete_asset(&asset.id)?;
    }
    // If it had a user whose link is made before its own snapshot is decided, that would be what gives rise to its
    // asset, and the asset's creation would be in the trace of the user.
    let device = services.kandji.devices()[0].device_id.clone();
    services.kandji.set_user(&device, None)?;
    let pipeline = pipeline(&services, collector.address(), "200").await?;
    pipeline.run().await?;
    let (way, run) = eventually(Duration::from_secs(40), "the spans of a device", async || {
        let all = collector.spans();
        let own = |span: &&Received| span.attributes.get("amfj_sync.device") == Some(&device);
        let first = all.iter().filter(own).find(|span| span.name == "fetch device");
        let trace = first.map(|span| span.trace.clone()).unwrap_or_default();
        let way: Vec<Received> = all.iter().filter(|span| span.trace == trace).cloned().collect();
        let run = the(&all, "the run", |span| span.name == "run")?.clone();
        for name in ["create-asset", "publish outcome", "publish snapshot"] {
            ensure!(way.iter().any(|span| span.name == name), "no {name} in {way:?}");
        }
        // What comes last is sent last.
        let decisions = way.iter().filter(|span| span.name == "decide").count();
        ensure!(decisions > 1, "nothing is decided because of the outcome: {way:?}");
        Ok((way, run))
    })
    .await?;

    let fetch = the(&way, "fetch device", |span| span.name == "fetch device")?;
    ensure!(fetch.parent.is_empty() && fetch.service == "amfj-sync-fetcher" && fetch.links == 1, "{fetch:?}");
    ensure!(fetch.trace != run.trace && fetch.attributes["amfj_sync.run"] == run.attributes["amfj_sync.run"]);
    let details = the(&way, "details", |span| span.is_request && span.service == "amfj-sync-fetcher")?;
    ensure!(details.parent == fetch.id && details.attributes["http.response.status_code"] == "200");
    let snapshot = the(&way, "snapshot", |span| span.name == "publish snapshot")?;
    ensure!(snapshot.parent == fetch.id && snapshot.service == "amfj-sync-fetcher");
    let decision = the(&way, "decision", |span| span.parent == snapshot.id)?;
    ensure!(decision.name == "decide" && decision.service == "amfj-sync-reconciler", "{decision:?}");
    let create = the(&way, "change", |span| span.name == "create-asset")?;
    // Where the run is judged before anything of it is written, what was staged is decided once more.
    let asked = the(&way, "what asked for it", |span| span.id == create.parent)?;
    ensure!(asked.id == decision.id || (asked.name == "decide" && asked.parent == decision.id), "{asked:?}");
    ensure!(create.service == "amfj-sync-writer", "{create:?}");
    let sent = |span: &Received| span.is_request && span.parent == create.id;
    let request =
        the(&way, "request", |span| sent(span) && span.attributes["http.request.method"] == "POST")?;
    ensure!(
        request.service == "amfj-sync-writer" && request.attributes["http.response.status_code"] == "201"
    );
    let outcome = the(&way, "outcome", |span| span.name == "publish outcome" && span.parent == create.id)?;
    ensure!(outcome.attributes["amfj_sync.result"] == "applied", "{outcome:?}");
    // What is decided because of the outcome goes on from there.
    ensure!(way.iter().any(|span| span.name == "decide" && span.parent == outcome.id), "{way:?}");
    // Pages are read for many devices at once.
    let spans = collector.spans();
    ensure!(spans.iter().any(|span| span.is_request && span.parent == run.id), "no request of the run");

    let said = collector.text();
    for secret in [services.kandji.token(), services.amfj.token()] {
        ensure!(!said.contains(&secret), "P27: a trace shows {secret}");
    }
    let people = services.kandji.people();
    for email in people.iter().filter_map(|person| person.email.as_ref()) {
        ensure!(!said.contains(email), "a trace shows {email}");
    }
    Ok(())
}

/// What is sent but once an hour goes out at the end.
#[tokio::test]
async fn the_last_spans_are_sent_at_the_end() -> Result<()> {
    let services = Services::plain(5, 52).await?;
    let collector = Collector::start().await?;
    let mut pipeline = pipeline(&services, collector.address(), "3600000").await?;
    pipeline.run().await?;
    let services_seen = |name: &str| collector.spans().iter().any(|span| span.service == name);
    ensure!(services_seen("amfj-sync-fetcher"), "`run --once` sends its spans before it ends");
    ensure!(!services_seen("amfj-sync-reconciler"), "an hour has not passed");
    pipeline.dismiss().await?;
    ensure!(services_seen("amfj-sync-reconciler") && services_seen("amfj-sync-writer"));
    Ok(())
}

/// One collector refuses connections, another takes them and never answers.
#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up() -> Result<()> {
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.local_addr()?
    };
    for address in [silent.local_addr()?, gone] {
        let services = Services::plain(8, 53).await?;
        let mut pipeline = pipeline(&services, &format!("http://{address}"), "100").await?;
        pipeline.run().await?;
        ensure!(services.amfj.write_count() > 0 && pipeline.dead_letters().await? == 0);
        let log = pipeline.logs();
        ensure!(log.matches("the collector takes no traces").count() <= 2, "once a worker: {log}");
        let began = Instant::now();
        // Fails where one takes longer than 20 seconds, or ends with another status than 0.
        pipeline.dismiss().await?;
        ensure!(began.elapsed() < Duration::from_secs(40));
    }
    Ok(())
}

#[tokio::test]
async fn without_a_collector_there_are_no_traces() -> Result<()> {
    let services = Services::plain(4, 54).await?;
    let pipeline = Pipeline::idle(vec![("acme", services.integration("acme"))], |config| config).await?;
    ensure!(pipeline.fetch(&[]).await?.status.success());
    let queues = ["acme.state", "acme.reconcile.00", "acme.reconcile.01"];
    let mut said = String::new();
    for queue in queues {
        let name = format!("{}.{queue}", pipeline.broker().prefix());
        said += &pipeline.everything_in(&name).await?;
    }
    ensure!(said.contains("device-snapshot") && !said.contains("traceparent"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_protocol_that_is_not_built_in_is_refused_at_the_start() -> Result<()> {
    let services = Services::plain(1, 55).await?;
    let pipeline = Pipeline::idle(vec![("acme", services.integration("acme"))], |config| config).await?;
    let launch = pipeline.call(Role::Writer).arg("run").env(ENDPOINT, "http://127.0.0.1:4317");
    let ended = launch.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").finish(RUN_LIMIT).await?;
    ensure!(ended.status.code() == Some(2), "{}: {}", ended.status, ended.stderr);
    ensure!(ended.stderr.contains("OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`"), "{}", ended.stderr);
    Ok(())
}
