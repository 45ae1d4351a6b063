//! Events by the thousand.

use std::time::Instant;

use amfj_sync_tests::harness::http_client;
use amfj_sync_tests::pipeline::Services;
use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::support::{LOOKED_UP, Scene, values};

const EVENTS: usize = 4_000;
const AT_ONCE: usize = 24;
/// An asset that is never quiet is looked up as often as this, in seconds.
const LONGEST: u64 = 30;

#[tokio::test]
async fn p34_a_storm_costs_one_look_up_an_asset() -> Result<()> {
    let services = Services::plain(50, 350).await?;
    let scene = Scene::open(services.clone(), values(&services)).await?;
    let assets = scene.services.amfj.assets();
    let http = http_client()?;
    let began = Instant::now();
    let answers = stream::iter(0..EVENTS).map(|number| {
        let asset = &assets[number * 7 % assets.len()];
        let kind = ["asset.update", "asset.delete", "asset.create"][number % 3];
        let mut event = json!({ "event_type": kind, "name": asset.name });
        if number % 2 == 0 || kind == "asset.create" {
            event["id"] = json!(asset.id);
        }
        let request = http.post(&scene.url).json(&event);
        async move {
            let answer = request.send().await.context("no answer")?;
            ensure!(answer.status().as_u16() == 200, "{}", answer.status());
            Ok(())
        }
    });
    answers.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    let took = began.elapsed();
    scene.nothing_waits().await?;
    let looked_up = scene.look_ups(&LOOKED_UP).await?;
    println!("{EVENTS} events in {took:?}: {looked_up} look-ups");
    let times = 1 + took.as_secs() / LONGEST;
    let most = f64::from(u32::try_from(assets.len() as u64 * times)?);
    ensure!(looked_up <= most, "{looked_up} look-ups of {} assets", assets.len());
    ensure!(looked_up > 0.0 && scene.look_ups(&["changed", "not_found"]).await? == 0.0);
    ensure!(scene.services.take_writes().is_empty());
    Ok(())
}
