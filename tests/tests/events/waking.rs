//! What an event wakes, and what it does not.

use std::time::Instant;

use amfj_sync_tests::harness::{SharedBroker, eventually};
use amfj_sync_tests::pipeline::{RUN_LIMIT, Services, newcomers};
use amfj_sync_tests::sim::amfj::{EventIds, EventOptions};
use amfj_sync_tests::sim::fleet::Fleet;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::support::{LOOKED_UP, Scene, serving, somebody, values};

/// Edited again and again, faster than any list could confirm what was written: each time it is put back.
#[tokio::test]
async fn p34_a_field_that_somebody_edits_is_put_back_without_a_run() -> Result<()> {
    let services = Services::plain(12, 341).await?;
    let integration = values(&services).set("amfj.list_delay", "60s");
    let scene = Scene::open(services, integration).await?;
    let (asset, value) = somebody(&scene.services, "OS Version")?;
    for ids in [EventIds::AtTop, EventIds::Within, EventIds::None] {
        let events = scene.send_events(ids)?;
        for edit in ["9.9", "8.8", "9.9"] {
            let began = Instant::now();
            scene.services.amfj.set_field(&asset, "OS Version", json!(edit))?;
            put_back(&scene, &asset, &value).await?;
            println!("{ids:?}: put back after {:?}", began.elapsed());
            // The event of our own write is looked into before the next edit.
            scene.nothing_waits().await?;
        }
        ensure!(events.given_up() == 0, "{:?}", events.statuses());
    }
    let writes = scene.services.take_writes();
    ensure!(writes.len() == 9, "one write for each edit: {writes:?}");
    ensure!(scene.runs() == 1, "{} runs", scene.runs());
    ensure!(scene.events().await?["last"].is_string(), "{}", scene.events().await?);
    let shown = scene.pipeline.said(&["status"]).await?;
    ensure!(shown.contains("the last one came"), "{shown}");
    ensure!(scene.services.amfj.violations().is_empty(), "{:?}", scene.services.amfj.violations());
    Ok(())
}

async fn put_back(scene: &Scene, asset: &str, value: &Value) -> Result<()> {
    eventually(RUN_LIMIT, "the field in step again", async || {
        let now = scene.field(asset, "OS Version");
        ensure!(now.as_ref() == Some(value), "it is {now:?}");
        Ok(())
    })
    .await
}

/// Late, twice, in another order, some without id, and an AMFJ whose lists are late: the same.
#[tokio::test]
async fn p34_events_may_come_late_twice_and_in_any_order() -> Result<()> {
    let services = Services::plain(12, 342).await?;
    let scene = Scene::open(services.clone(), values(&services)).await?;
    scene.services.amfj.set_list_lag(std::time::Duration::from_millis(400));
    let options = EventOptions {
        ids: EventIds::Some,
        copies: 2,
        shuffled: 6,
        late: std::time::Duration::from_millis(300),
        ..EventOptions::to(&scene.url)
    };
    let events = scene.services.amfj.send_events(options)?;
    let before = scene.services.amfj.assets();
    for asset in &before {
        scene.services.amfj.set_field(&asset.id, "OS Version", json!("9.9"))?;
    }
    eventually(RUN_LIMIT, "all fields in step again", async || {
        for asset in &before {
            let (now, value) = (scene.field(&asset.id, "OS Version"), asset.fields.get("OS Version"));
            ensure!(now.as_ref() == value, "{} is {now:?}", asset.name);
        }
        Ok(())
    })
    .await?;
    scene.nothing_waits().await?;
    let writes = scene.services.take_writes();
    ensure!(writes.len() == before.len(), "one write for each: {writes:?}");
    ensure!(events.given_up() == 0 && scene.runs() == 1);
    Ok(())
}

/// An event proves nothing: the asset is doubtful until a run has looked (P8).
#[tokio::test]
async fn p8_an_asset_that_an_event_says_is_deleted_is_doubtful_until_a_run_has_looked() -> Result<()> {
    let services = Services::plain(12, 343).await?;
    let scene = Scene::open(services.clone(), values(&services)).await?;
    let _events = scene.send_events(EventIds::AtTop)?;
    let (asset, _) = somebody(&scene.services, "Serial Number")?;
    let name = scene.services.amfj.asset(&asset).context("it is there")?.name;
    scene.services.amfj.delete_asset(&asset)?;
    eventually(RUN_LIMIT, "a doubt", async || {
        let explained = scene.explained(&name).await?;
        ensure!(explained.contains("is not there") && explained.contains("next run looks"), "{explained}");
        Ok(())
    })
    .await?;
    scene.nothing_waits().await?;
    ensure!(scene.services.take_writes().is_empty() && scene.runs() == 1);
    scene.run().await?;
    let explained = scene.explained(&name).await?;
    ensure!(explained.contains("unmatched"), "the run decides: {explained}");
    ensure!(scene.services.take_writes().is_empty(), "P7: nothing is made in its place");
    Ok(())
}

/// Every write of ours is an event as well. It leads to one look-up an asset, which shows what is known: no fact, no decision,
/// no write.
#[tokio::test]
async fn p34_our_own_writes_cause_no_work() -> Result<()> {
    let fleet = newcomers(40, 344);
    let services = Services::start(&fleet).await?;
    let integration = services.everything("acme");
    let broker = SharedBroker::join().await?;
    let (scene, events) = Scene::begin(broker, services, integration, Some(EventIds::AtTop)).await?;
    let events = events.context("events are sent")?;
    scene.pipeline.settle().await?;
    let (writes, offset) = (scene.services.amfj.write_count(), offset(&scene).await?);
    scene.nothing_waits().await?;
    let assets = scene.services.amfj.assets().len();
    ensure!(events.made() >= assets as u64 && events.given_up() == 0, "{} events", events.made());
    let looked_up = scene.look_ups(&LOOKED_UP).await?;
    println!("{} events about {assets} assets: {looked_up} look-ups", events.made());
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let most = assets as f64;
    ensure!(looked_up > 0.0 && looked_up <= most, "{looked_up} look-ups of {assets} assets");
    ensure!(scene.look_ups(&["changed"]).await? == 0.0, "what is known is no news");
    ensure!(scene.services.amfj.write_count() == writes, "{:?}", scene.services.take_writes());
    ensure!(self::offset(&scene).await? == offset, "a fact was said");
    Ok(())
}

/// How far the reconciler has read the state stream.
async fn offset(scene: &Scene) -> Result<Option<u64>> {
    let status = scene.pipeline.reconcilers[0].status().await?;
    Ok(status["integrations"]["acme"]["state_offset"].as_u64())
}

/// Under `until-linked` an asset that somebody enters for a device that waits is linked at once.
#[tokio::test]
async fn p34_an_asset_that_is_entered_for_a_waiting_device_is_linked_at_once() -> Result<()> {
    let fleet: Fleet = newcomers(6, 345);
    let services = Services::start(&fleet).await?;
    let integration = values(&services).set("sync.name_matching", "until-linked");
    let scene = Scene::open(services, integration).await?;
    ensure!(scene.services.amfj.assets().is_empty());
    let devices = scene.services.kandji.devices();
    for (device, ids) in devices.iter().zip([EventIds::AtTop, EventIds::None]) {
        let events = scene.send_events(ids)?;
        let asset = scene.services.amfj.add_asset(&device.device_name, "Laptop")?;
        eventually(RUN_LIMIT, "the serial of the device", async || {
            let serial = scene.field(&asset, "Serial Number");
            ensure!(serial == Some(json!(device.serial_number)), "it is {serial:?}");
            Ok(())
        })
        .await?;
        drop(events);
    }
    ensure!(scene.runs() == 1);
    Ok(())
}

/// What was taken and not looked into when the fetcher died is looked into by the next one, without a run.
#[tokio::test]
async fn p34_an_event_that_was_taken_is_not_lost_with_its_fetcher() -> Result<()> {
    let services = Services::plain(12, 346).await?;
    let scene = Scene::open(services.clone(), values(&services)).await?;
    let (asset, value) = somebody(&scene.services, "OS Version")?;
    let events = scene.send_events(EventIds::AtTop)?;
    // Nothing is looked up while AMFJ does not answer.
    scene.services.amfj.set_offline(true);
    scene.services.amfj.set_field(&asset, "OS Version", json!("9.9"))?;
    eventually(RUN_LIMIT, "the event to be taken", async || {
        ensure!(events.taken() == 1, "{:?}", events.statuses());
        Ok(())
    })
    .await?;
    let Scene { services, pipeline, fetcher, url } = scene;
    fetcher.kill9()?;
    services.amfj.set_offline(false);
    let fetcher = serving(&pipeline).await?;
    let scene = Scene { services, pipeline, fetcher, url };
    put_back(&scene, &asset, &value).await?;
    ensure!(scene.runs() == 1, "{} runs", scene.runs());
    Ok(())
}
