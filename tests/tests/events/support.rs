//! What the tests of events begin with.

use std::time::Duration;

use amfj_sync_tests::harness::{
    IntegrationBuilder, Role, SharedBroker, Worker, eventually, ports::free_ports,
};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::amfj::{EventIds, EventOptions, Events};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

pub(crate) const KEY: &str = "n0Tt-_h3kEy0fAnyb0dyE15e";

/// Both services, one worker of each kind, and where the fetcher takes events.
pub(crate) struct Scene {
    pub(crate) services: Services,
    pub(crate) pipeline: Pipeline,
    pub(crate) fetcher: Worker,
    pub(crate) url: String,
}

/// What came of look-ups, as a label.
pub(crate) const LOOKED_UP: [&str; 5] = ["unchanged", "changed", "not_found", "again", "failed"];

impl Scene {
    /// Starts everything, with a first run that is decided and carried out.
    pub(crate) async fn open(services: Services, integration: IntegrationBuilder) -> Result<Self> {
        Self::open_at(SharedBroker::join().await?, services, integration).await
    }

    pub(crate) async fn open_at(
        broker: SharedBroker,
        services: Services,
        integration: IntegrationBuilder,
    ) -> Result<Self> {
        let scene = Self::begin(broker, services, integration, None).await?.0;
        scene.pipeline.settle().await?;
        scene.services.amfj.clear_writes();
        scene.services.amfj.clear_requests();
        Ok(scene)
    }

    /// The same, with events of the first sync where options for them are given; nothing is waited for.
    pub(crate) async fn begin(
        broker: SharedBroker,
        services: Services,
        integration: IntegrationBuilder,
        events: Option<EventIds>,
    ) -> Result<(Self, Option<Events>)> {
        let port = free_ports(1)?.pop().context("no port")?;
        let listen = format!("127.0.0.1:{port}");
        let url = format!("http://{listen}/events/acme/{KEY}");
        let integrations = vec![("acme", integration.events_key(KEY))];
        let mut pipeline =
            Pipeline::idle_at(broker, integrations, |config| config.set("fetcher.events_listen", listen))
                .await?;
        pipeline.spawn(Workers::default()).await?;
        let events =
            events.map(|ids| services.amfj.send_events(EventOptions { ids, ..EventOptions::to(&url) }));
        let events = events.transpose()?;
        let fetcher = serving(&pipeline).await?;
        Ok((Self { services, pipeline, fetcher, url }, events))
    }

    /// From now on AMFJ sends events.
    pub(crate) fn send_events(&self, ids: EventIds) -> Result<Events> {
        self.services.amfj.send_events(EventOptions { ids, ..EventOptions::to(&self.url) })
    }

    pub(crate) async fn look_ups(&self, results: &[&str]) -> Result<f64> {
        let page = self.fetcher.metrics().await?;
        let count = |result: &&str| page.sum("amfj_sync_event_look_ups_total", &[("result", result)]);
        Ok(results.iter().map(count).sum())
    }

    /// Waits until every event that was taken was looked into.
    pub(crate) async fn nothing_waits(&self) -> Result<()> {
        let mut calm = 0;
        eventually(RUN_LIMIT, "no event to wait", async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let waiting = self.events().await?["waiting"].as_u64();
            calm = if waiting == Some(0) { calm + 1 } else { 0 };
            ensure!(calm >= 5, "{waiting:?} wait");
            Ok(())
        })
        .await
    }

    /// What the fetcher's status says of events.
    pub(crate) async fn events(&self) -> Result<Value> {
        Ok(self.fetcher.status().await?["integrations"]["acme"]["events"].clone())
    }

    /// How many runs began.
    pub(crate) fn runs(&self) -> usize {
        let begins =
            |query: &str| query.split('&').all(|pair| !pair.starts_with("offset=") || pair == "offset=0");
        let requests = self.services.kandji.requests();
        requests.iter().filter(|request| request.path == "/api/v1/devices" && begins(&request.query)).count()
    }

    /// The value of a field of an asset.
    pub(crate) fn field(&self, asset: &str, field: &str) -> Option<Value> {
        self.services.amfj.asset(asset).and_then(|asset| asset.fields.get(field).cloned())
    }

    /// What `explain` says of a device.
    pub(crate) async fn explained(&self, device: &str) -> Result<String> {
        self.pipeline.said(&["explain", device]).await
    }

    /// A run that was asked for, and everything that follows from it.
    pub(crate) async fn run(&self) -> Result<()> {
        let before = self.pipeline.runs_in_force().await?;
        self.pipeline.said(&["trigger"]).await?;
        self.pipeline.settle_after(&before).await
    }
}

pub(crate) async fn serving(pipeline: &Pipeline) -> Result<Worker> {
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    Ok(fetcher)
}

/// Serials and versions are kept in step; nothing is made, nobody is given anything.
pub(crate) fn values(services: &Services) -> IntegrationBuilder {
    services.integration("acme").field("Serial Number", "serial_number").field("OS Version", "os_version")
}

/// An asset with the field, and what it holds once everything is in step.
pub(crate) fn somebody(services: &Services, field: &str) -> Result<(String, Value)> {
    let assets = services.amfj.assets();
    let asset =
        assets.iter().find(|asset| asset.fields.contains_key(field)).context("no asset has the field")?;
    Ok((asset.id.clone(), asset.fields[field].clone()))
}
