//! The blame goes to the smallest thing (P28): a record that is refused for ever steps aside, and it alone fails.

use amfj_sync_tests::pipeline::Services;
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality};
use anyhow::{Result, ensure};

use crate::support::{Scene, values};

/// When the writers are replaced by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaced {
    Never,
    /// Killed while most is still to be written.
    AtFirst,
    /// Killed when only what is refused is left: whoever comes next sees nothing succeed.
    AtLast,
    /// Stopped in good order then.
    AtLastInGoodOrder,
}

/// All assets get a new version; some refuse it for ever, in these ways.
async fn some_refuse_for_ever(
    seed: u64,
    devices: usize,
    refused: usize,
    ways: &[(u16, Body)],
    replaced: Replaced,
) -> Result<()> {
    let services = Services::plain(devices, seed).await?;
    let settings = values(&services);
    let mut scene = Scene::open(services, settings, "6s").await?;
    scene.to_rest().await?;
    let assets = scene.amfj().assets();
    let mut ids = Vec::new();
    for (number, asset) in assets.iter().step_by(devices / refused).take(refused).enumerate() {
        let (status, body) = ways[number % ways.len()].clone();
        let refusal = Oddity::refuse(status).saying(body);
        ids.push(scene.odd(Personality::new(refusal).at(Kind::Writes).of(&asset.id)));
    }
    scene.new_versions("odd 1")?;
    scene.publish().await?;
    if replaced == Replaced::AtFirst {
        scene.struck(ids[0], 1).await?;
        scene.replace_writers().await?;
    }
    scene.versions("odd 1", devices - refused).await?;
    scene
        .ensure_dead_letters(0)
        .await
        .map_err(|error| error.context("the healthy ones waited for the refused"))?;
    match replaced {
        Replaced::Never | Replaced::AtFirst => {}
        Replaced::AtLast => scene.replace_writers().await?,
        Replaced::AtLastInGoodOrder => scene.relieve_writers().await?,
    }
    scene.pipeline.settle().await?;
    let (failed, healthy) = (refused as u64, (devices - refused) as u64);
    scene.ensure_dead_letters(u32::try_from(refused)?).await?;
    scene.ensure_devices("failed", failed).await?;
    scene.ensure_devices("in sync", healthy).await?;
    scene.ensure_idle().await?;
    scene.ensure_dead_letters(u32::try_from(refused)?).await?;

    // Their links stand: once they take writes, the next value arrives.
    scene.amfj().personalities().clear();
    scene.new_versions("odd 2")?;
    scene.to_rest().await?;
    ensure!(scene.with_version("odd 2") == devices, "{} have it", scene.with_version("odd 2"));
    scene.ensure_all("in sync").await?;
    scene.ensure_nothing_twice()
}

#[tokio::test]
async fn a_third_that_always_answers_500_fails_alone() -> Result<()> {
    some_refuse_for_ever(1611, 36, 12, &[(500, Body::Contract)], Replaced::Never).await
}

#[tokio::test]
async fn a_tenth_refused_in_every_way_fails_alone() -> Result<()> {
    let ways = [
        (403, Body::Contract),
        (409, Body::Foreign),
        (422, Body::Contract),
        (500, Body::Html),
        (423, Body::Empty),
    ];
    some_refuse_for_ever(1612, 50, 5, &ways, Replaced::Never).await
}

#[tokio::test]
async fn a_third_refused_in_every_way_fails_alone_though_the_writer_is_killed() -> Result<()> {
    let ways = [
        (403, Body::Contract),
        (409, Body::Contract),
        (422, Body::Naming("Cost Centre".to_owned())),
        (500, Body::Contract),
        (405, Body::Html),
        (412, Body::Contract),
        (428, Body::Empty),
        (451, Body::Contract),
        (400, Body::Contract),
        (415, Body::Contract),
        (503, Body::Contract),
        (502, Body::Html),
    ];
    some_refuse_for_ever(1613, 36, 12, &ways, Replaced::AtFirst).await
}

#[tokio::test]
async fn one_asset_that_answers_403_pauses_nothing_else() -> Result<()> {
    some_refuse_for_ever(1614, 20, 1, &[(403, Body::Contract)], Replaced::Never).await
}

/// What was seen to be about the records is remembered by whoever comes next.
#[tokio::test]
async fn a_third_that_nobody_may_write_fails_alone_though_the_writer_is_killed() -> Result<()> {
    some_refuse_for_ever(1615, 36, 12, &[(403, Body::Contract)], Replaced::AtLast).await
}

#[tokio::test]
async fn a_third_that_nobody_may_write_fails_alone_though_the_writer_is_relieved() -> Result<()> {
    some_refuse_for_ever(1616, 36, 12, &[(403, Body::Contract)], Replaced::AtLastInGoodOrder).await
}
