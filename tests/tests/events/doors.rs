//! Who is let in, and what becomes of an event that cannot be kept.

use std::time::Duration;

use amfj_sync_tests::harness::{PrivateBroker, SharedBroker, eventually, http_client};
use amfj_sync_tests::pipeline::{RUN_LIMIT, Services};
use amfj_sync_tests::sim::amfj::EventIds;
use anyhow::{Result, ensure};
use serde_json::json;

use super::support::{KEY, Scene, somebody, values};

#[tokio::test]
async fn p34_what_is_no_event_of_ours_is_refused_and_counted() -> Result<()> {
    let services = Services::plain(5, 348).await?;
    let mut scene = Scene::open(services.clone(), values(&services)).await?;
    let http = http_client()?;
    let event = json!({"event_type": "asset.update", "name": "nothing that is there", "assettype": {"id": "1", "name": "Laptop"}});
    let event = event.to_string();
    let wrong = scene.url.replace(KEY, "n0Tt-_h3kEy0fAnyb0dyE15f");
    let large = format!("{{\"event_type\":\"asset.update\",\"name\":\"{}\"}}", "x".repeat(300 << 10));
    let unknown = json!({"event_type": "asset.moved", "name": "x"}).to_string();
    for (method, url, body, status) in [
        ("POST", scene.url.clone(), event.as_str(), 200),
        ("POST", wrong.clone(), &event, 404),
        ("POST", scene.url.replace("/acme/", "/other/"), &event, 404),
        ("POST", scene.url.replace("/events/", "/event/"), &event, 404),
        ("GET", scene.url.clone(), "", 405),
        ("PUT", scene.url.clone(), &event, 405),
        ("POST", scene.url.clone(), &large, 413),
        ("POST", wrong, &large, 404),
        ("POST", scene.url.clone(), "event_type=asset.update", 400),
        ("POST", scene.url.clone(), &unknown, 422),
        ("POST", scene.url.clone(), "{}", 422),
    ] {
        let request = http.request(method.parse()?, &url).body(body.to_owned());
        // A server that has heard enough may close before all is sent.
        let answered = request.send().await.map(|answer| answer.status().as_u16());
        let is_cut = answered.is_err() && body.len() > 200_000;
        ensure!(
            answered.as_ref().ok() == Some(&status) || is_cut,
            "{method} {url}: {answered:?}, not {status}"
        );
    }
    let page = scene.fetcher.metrics().await?;
    let count = |result: &str| page.sum("amfj_sync_events_total", &[("result", result)]);
    for (result, least) in [
        ("taken", 1.0),
        ("no_such_address", 3.0),
        ("wrong_method", 2.0),
        ("not_json", 1.0),
        ("not_known", 2.0),
    ] {
        ensure!(count(result) >= least, "{result}: {}", count(result));
    }
    scene.nothing_waits().await?;
    // Nothing on it says the key, whatever is logged.
    ensure!(!scene.fetcher.log().contains(KEY), "the key is in the log");
    ensure!(!scene.fetcher.status().await?.to_string().contains(KEY));
    scene.fetcher.wait_ready_within(Duration::from_secs(5)).await?;
    ensure!(scene.services.take_writes().is_empty());
    Ok(())
}

/// RabbitMQ is away: AMFJ is told to come again, and does.
#[tokio::test]
async fn p34_while_the_broker_is_away_events_are_refused_and_come_again() -> Result<()> {
    let mut broker = PrivateBroker::start().await?;
    let services = Services::plain(8, 349).await?;
    let shared = SharedBroker::at(broker.url());
    let scene = Scene::open_at(shared, services.clone(), values(&services)).await?;
    let (asset, value) = somebody(&scene.services, "OS Version")?;
    let events = scene.send_events(EventIds::AtTop)?;
    broker.stop().await?;
    scene.services.amfj.set_field(&asset, "OS Version", json!("9.9"))?;
    eventually(RUN_LIMIT, "a refusal", async || {
        ensure!(events.statuses().contains(&503), "{:?}", events.statuses());
        Ok(())
    })
    .await?;
    ensure!(events.taken() == 0, "it was said to be kept and was not");
    broker.restart().await?;
    eventually(RUN_LIMIT, "the field in step again", async || {
        let now = scene.field(&asset, "OS Version");
        ensure!(now.as_ref() == Some(&value), "it is {now:?}; {:?}", events.statuses());
        Ok(())
    })
    .await?;
    ensure!(scene.runs() == 1, "{} runs", scene.runs());
    Ok(())
}
