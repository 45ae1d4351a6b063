//! A kind of request that is refused for all waits, and the other kinds go on (P28).

use std::time::Duration;

use amfj_sync_tests::harness::eventually;
use amfj_sync_tests::pipeline::{RUN_LIMIT, Services};
use amfj_sync_tests::sim::fleet::Fleet;
use amfj_sync_tests::sim::personality::{Kind, Oddity, Personality};
use anyhow::{Result, ensure};

use crate::support::{Scene, everything, newcomers};

async fn without_users(devices: usize, seed: u64) -> Result<Services> {
    let mut fleet = Fleet::generate(amfj_sync_tests::pipeline::spec(devices, seed));
    fleet.site.users.clear();
    // Nobody has anything where there is nobody.
    fleet.site.assets.iter_mut().for_each(|asset| asset.holder = None);
    Services::start(&fleet).await
}

/// What a writer says of itself names the kind that waits.
async fn ensure_said(scene: &Scene, words: [&str; 2]) -> Result<()> {
    eventually(RUN_LIMIT, "the status to name the kind", async || {
        let status = scene.pipeline.writers[0].status().await?.to_string().to_lowercase();
        ensure!(words.iter().all(|word| status.contains(word)), "{words:?} are not in {status}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_token_that_may_not_create_users_still_writes_assets() -> Result<()> {
    let services = without_users(20, 1621).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "2m").await?;
    scene.new_versions("odd 1")?;
    scene.odd(Personality::new(Oddity::refuse(403)).at(Kind::CreateUser));
    scene.publish().await?;
    scene.versions("odd 1", 20).await?;
    ensure_said(&scene, ["create", "user"]).await?;
    scene.ensure_dead_letters(0).await?;
    scene.amfj().personalities().clear();
    scene.to_rest().await?;
    scene.ensure_with_owners()?;
    scene.ensure_nothing_twice()?;
    scene.ensure_dead_letters(0).await
}

#[tokio::test]
async fn a_token_that_may_not_check_out_still_creates_and_updates() -> Result<()> {
    let services = Services::start(&newcomers(15, 1622)).await?;
    let settings = everything(&services);
    let mut scene = Scene::open(services, settings, "2m").await?;
    scene.new_versions("odd 1")?;
    let odd = scene.odd(Personality::new(Oddity::refuse(403)).at(Kind::CheckOut));
    scene.publish().await?;
    scene.versions("odd 1", 15).await?;
    scene.struck(odd, 1).await?;
    scene.replace_writers().await?;
    ensure_said(&scene, ["check", "out"]).await?;
    scene.amfj().personalities().clear();
    scene.to_rest().await?;
    scene.ensure_with_owners()?;
    scene.ensure_nothing_twice()?;
    scene.ensure_dead_letters(0).await
}

#[tokio::test]
async fn a_token_that_may_not_create_assets_still_updates_them() -> Result<()> {
    let mut fleet = Fleet::generate(amfj_sync_tests::pipeline::spec(24, 1623));
    fleet.site.assets.truncate(12);
    let services = Services::start(&fleet).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "2m").await?;
    scene.new_versions("odd 1")?;
    scene.odd(Personality::new(Oddity::refuse(422)).at(Kind::CreateAsset));
    scene.publish().await?;
    scene.versions("odd 1", 12).await?;
    scene.amfj().personalities().clear();
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()
}

/// Maintenance: reads go well, and every write is refused. Nothing is given up, however long it lasts.
#[tokio::test]
async fn maintenance_is_an_outage_and_no_failure_of_anything() -> Result<()> {
    for (seed, status) in [(1624, 503), (1625, 403)] {
        let services = Services::plain(12, seed).await?;
        let settings = everything(&services);
        let scene = Scene::open(services, settings, "1s").await?;
        scene.new_versions("odd 1")?;
        let odd = scene.odd(Personality::new(Oddity::refuse(status)).at(Kind::Writes));
        scene.publish().await?;
        scene.struck(odd, 4).await?;
        // Longer than giving up takes.
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.ensure_dead_letters(0).await?;
        scene.amfj().personalities().clear();
        scene.to_rest().await?;
        ensure!(scene.with_version("odd 1") == 12);
        scene.ensure_with_owners()?;
        scene.ensure_nothing_twice()?;
        scene.ensure_dead_letters(0).await?;
    }
    Ok(())
}
