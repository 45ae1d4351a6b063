//! A pause that was asked for is no failure: it is waited for, and nothing is given up because of it.

use std::time::Duration;

use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality, RetryAfter};
use anyhow::{Result, ensure};

use crate::support::{Scene, values};

/// The pause is longer than `give_up_after`, and there are several of them.
#[tokio::test]
async fn a_pause_longer_than_giving_up_takes_costs_nothing() -> Result<()> {
    let table = [
        (1631, 429, RetryAfter::Seconds(2)),
        (1632, 429, RetryAfter::Date(3)),
        (1633, 503, RetryAfter::Seconds(2)),
    ];
    for (seed, status, header) in table {
        let services = Services::plain(12, seed).await?;
        let settings = values(&services);
        let scene = Scene::open(services, settings, "1s").await?;
        scene.new_versions("odd 1")?;
        let refusal = Oddity::refuse(status).asking_to_wait(header);
        let odd = scene.odd(Personality::new(refusal).at(Kind::Writes).times(2));
        scene.pipeline.run().await?;
        scene.struck(odd, 1).await?;
        ensure!(scene.with_version("odd 1") == 12, "{status}: {} have it", scene.with_version("odd 1"));
        scene.ensure_dead_letters(0).await?;
        scene.ensure_all("in sync").await?;
    }
    Ok(())
}

/// Half an hour is asked for: nothing is given up meanwhile, and a writer that begins anew goes on.
#[tokio::test]
async fn half_an_hour_that_is_asked_for_makes_no_dead_letter() -> Result<()> {
    for (seed, status) in [(1634, 429), (1635, 503)] {
        let services = Services::plain(12, seed).await?;
        let settings = values(&services);
        let mut scene = Scene::open(services, settings, "1s").await?;
        scene.new_versions("odd 1")?;
        let refusal = Oddity::refuse(status).saying(Body::Html).asking_to_wait(RetryAfter::Seconds(1800));
        let odd = scene.odd(Personality::new(refusal).at(Kind::Writes));
        scene.publish().await?;
        scene.struck(odd, 1).await?;
        // Longer than giving up takes.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        scene.ensure_dead_letters(0).await?;
        let requests = scene.amfj().personalities().strikes(odd);
        ensure!(requests <= 16, "{requests} writes although a pause was asked for");
        scene.amfj().personalities().clear();
        scene.replace_writers().await?;
        scene.to_rest().await?;
        ensure!(scene.with_version("odd 1") == 12);
        scene.ensure_dead_letters(0).await?;
    }
    Ok(())
}

/// A list that is later than a change is given up would give up every change whose answer was lost.
#[tokio::test]
async fn a_list_delay_no_shorter_than_giving_up_is_refused() -> Result<()> {
    let services = Services::plain(3, 1636).await?;
    let settings = values(&services).set("amfj.list_delay", "20s");
    let pipeline =
        Pipeline::idle(vec![("acme", settings)], |config| config.set("retry.give_up_after", "20s")).await?;
    for role in Role::ALL {
        let done = pipeline.call(role).arg("run").finish(Duration::from_secs(20)).await?;
        ensure!(done.status.code() == Some(2), "{} ended with {}", role.name(), done.status);
        ensure!(done.stderr.contains("list_delay"), "{}", done.stderr);
    }
    Ok(())
}

/// A pause for one kind of request, named in seconds, ends: what was refused is written, each change once.
#[tokio::test]
async fn requests_stay_few_while_everything_is_throttled() -> Result<()> {
    let services = Services::plain(20, 1637).await?;
    let settings = values(&services);
    let scene = Scene::open(services, settings, "1s").await?;
    scene.new_versions("odd 1")?;
    let refusal = Oddity::refuse(429).asking_to_wait(RetryAfter::Seconds(1));
    let odd = scene.odd(Personality::new(refusal).at(Kind::Writes));
    scene.publish().await?;
    scene.struck(odd, 3).await?;
    scene.amfj().personalities().clear();
    eventually(RUN_LIMIT, "everything written", async || {
        ensure!(scene.with_version("odd 1") == 20);
        Ok(())
    })
    .await?;
    scene.to_rest().await?;
    ensure!(scene.amfj().idle_patches().is_empty(), "{:?}", scene.amfj().idle_patches());
    scene.ensure_dead_letters(0).await
}
