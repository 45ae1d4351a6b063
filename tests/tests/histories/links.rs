//! Which device has which asset, whatever happens before the link is made (P4, P5).

use amfj_sync_tests::pipeline::{Pipeline, Services, Workers, spec};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::fleet::{Device, Fleet};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::support::{
    armed_writer, begin, decided, ensure_exactly_once, everything, fetch, killed_at, newcomers, queued,
    run_to_the_end, stamp, writes_by_asset,
};

/// Two devices, and the ids of the assets that have their names.
struct Pair {
    services: Services,
    devices: [Device; 2],
    assets: [String; 2],
}

async fn pair(seed: u64) -> Result<Pair> {
    let mut fleet = Fleet::generate(spec(2, seed));
    for asset in &mut fleet.site.assets {
        asset.fields.clear();
    }
    let services = Services::start(&fleet).await?;
    let devices: [Device; 2] = services.kandji.devices().try_into().ok().context("two devices")?;
    let asset = |device: &Device| -> Result<String> {
        Ok(services.amfj.assets_named(&device.device_name).pop().context("an asset of that name")?.id)
    };
    let assets = [asset(&devices[0])?, asset(&devices[1])?];
    Ok(Pair { services, devices, assets })
}

impl Pair {
    fn swap_names(&self) -> Result<()> {
        let [one, other] = &self.devices;
        self.services.kandji.rename(&one.device_id, "for a moment")?;
        self.services.kandji.rename(&other.device_id, &one.device_name)?;
        self.services.kandji.rename(&one.device_id, &other.device_name)
    }

    /// Whose device id is in each asset: the one that was matched with it.
    fn ensure_matched_as_first_decided(&self) -> Result<()> {
        for (device, asset) in self.devices.iter().zip(&self.assets) {
            let asset = self.services.amfj.asset(asset).context("the asset is there")?;
            let notes = asset.fields.get("Notes").cloned().unwrap_or_default();
            ensure!(notes == json!(device.device_id), "{} has {notes}", asset.name);
        }
        // Nothing was ever written for the other device: no flapping.
        for (asset, writes) in writes_by_asset(&self.services) {
            let mut said: Vec<_> = writes
                .iter()
                .map(|write| write.body["fields"]["Notes"].clone())
                .filter(|v| !v.is_null())
                .collect();
            said.dedup();
            ensure!(
                said.len() <= 1,
                "asset {asset} was written for one device and then for the other: {said:?}"
            );
        }
        Ok(())
    }
}

fn settings(services: &Services) -> amfj_sync_tests::harness::IntegrationBuilder {
    // No serial is mapped: only names can match here.
    services.integration("acme").set("sync.create_devices", "never").field("Notes", "device_id")
}

/// The names of two devices are swapped in Kandji while their links are queued. What was decided counts
/// as made: a linked device is its asset, whatever either is called today (P4).
#[tokio::test]
async fn names_are_swapped_while_the_first_links_are_still_queued() -> Result<()> {
    let pair = pair(131).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", settings(&pair.services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 2).await?;
    pair.swap_names()?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 2 }).await?;
    pipeline.settle().await?;
    pair.ensure_matched_as_first_decided()?;
    run_to_the_end(&pipeline, &pair.services).await?;
    pair.ensure_matched_as_first_decided()
}

/// The same when a writer has begun with one of the links and died.
#[tokio::test]
async fn names_are_swapped_when_one_of_the_links_has_begun() -> Result<()> {
    let pair = pair(132).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", settings(&pair.services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 2).await?;
    let first = armed_writer(&mut pipeline, "writer.answered=kill").await?;
    killed_at(&mut pipeline, first, "writer.answered").await?;
    pair.swap_names()?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    run_to_the_end(&pipeline, &pair.services).await?;
    pair.ensure_matched_as_first_decided()
}

/// Names swapped within the first sync, that is before every partition has decided: the run that is
/// decided decides.
#[tokio::test]
async fn names_are_swapped_before_the_first_run_is_decided() -> Result<()> {
    let pair = pair(133).await?;
    let mut pipeline =
        Pipeline::idle(vec![("acme", everything(&pair.services).set("sync.create_devices", "never"))], |c| c)
            .await?;
    fetch(&pipeline).await?;
    pair.swap_names()?;
    fetch(&pipeline).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 1 }).await?;
    pipeline.settle().await?;
    run_to_the_end(&pipeline, &pair.services).await?;
    for device in pair.services.kandji.devices() {
        let asset = pair.services.amfj.assets_named(&device.device_name).pop().context("an asset")?;
        let serial = asset.fields.get("Serial Number").cloned().unwrap_or_default();
        ensure!(serial == json!(device.serial_number), "{} has serial {serial}", asset.name);
    }
    Ok(())
}

/// AMFJ answers 404 to every write for a while, as behind a load balancer that lost it. That proves no deletion (P8): no
/// link is broken and no asset made in its place, although the reconcilers are restarted, which decide again what is open.
#[tokio::test]
async fn p8_answers_of_404_cost_neither_a_link_nor_a_second_asset() -> Result<()> {
    let services = Services::start(&newcomers(8, 31)).await?;
    let mut pipeline = Pipeline::start(vec![("acme", everything(&services))]).await?;
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)?;
    begin(&services, 1)?;
    let missing = json!({ "error": { "code": "not_found", "message": "no such asset" } }).to_string();
    let denied = Action::Status { code: 404, body: Some(missing) };
    let denials = [
        services.amfj.fault(Rule::new(denied.clone()).on("PATCH", "/assets/*")),
        services.amfj.fault(Rule::new(denied.clone()).on("POST", "/assets/*/check-*")),
        // Nor by its id: the writer asks.
        services.amfj.fault(Rule::new(denied).on("GET", "/assets/*")),
    ];
    fetch(&pipeline).await?;
    pipeline.settle().await?;
    for reconciler in pipeline.reconcilers.drain(..) {
        reconciler.kill9()?;
    }
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    pipeline.settle().await?;
    for denial in denials {
        services.amfj.faults().remove(denial);
    }
    ensure!(services.amfj.assets().len() == 8, "an asset was made in place of one that was only denied");
    run_to_the_end(&pipeline, &services).await?;
    for asset in services.amfj.assets() {
        ensure!(asset.fields.get("Notes") == Some(&json!(stamp(1))), "{} lost its link", asset.name);
    }
    ensure_exactly_once(&services)
}
