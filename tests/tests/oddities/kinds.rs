//! A kind of request that is refused for all waits, and the other kinds go on (P28).

use std::time::Duration;

use amfj_sync_tests::harness::eventually;
use amfj_sync_tests::pipeline::{RUN_LIMIT, Services};
use amfj_sync_tests::sim::fleet::{Device, Fleet};
use amfj_sync_tests::sim::kandji::NewDevice;
use amfj_sync_tests::sim::personality::{Kind, Oddity, Personality};
use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::{Scene, everything, newcomers, values};

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

/// A link needs no write (P4): where the token may not update assets, links are made all the same, before that is noticed
/// and after.
#[tokio::test]
async fn a_token_that_may_not_update_assets_still_links_them() -> Result<()> {
    let services = Services::plain(12, 1626).await?;
    let settings = values(&services).set("sync.name_matching", "until-linked");
    let scene = Scene::open(services, settings, "2m").await?;
    scene.new_versions("odd 1")?;
    scene.odd(Personality::new(Oddity::refuse(403)).at(Kind::UpdateAsset));
    scene.publish().await?;
    ensure_links(&scene, 12.0).await?;
    ensure_waiting(&scene, 12).await?;
    scene.amfj().add_asset("Brand New Mac", "Laptop")?;
    let newcomer = json!({ "name": "Brand New Mac", "serial": "BRANDNEW1" });
    scene.services.kandji.add_device(serde_json::from_value::<NewDevice>(newcomer)?)?;
    scene.publish().await?;
    ensure_links(&scene, 13.0).await?;
    scene.ensure_dead_letters(0).await?;
    scene.amfj().personalities().clear();
    scene.to_rest().await?;
    ensure!(scene.with_version("odd 1") == 12, "{} of 12 have the new version", scene.with_version("odd 1"));
    scene.ensure_dead_letters(0).await
}

async fn ensure_links(scene: &Scene, wanted: f64) -> Result<()> {
    eventually(RUN_LIMIT, "all links", async || {
        let page = scene.pipeline.writers[0].metrics().await?;
        let of_links = [("kind", "link-asset"), ("result", "applied")];
        let links = page.sum("amfj_sync_changes_total", &of_links);
        ensure!((links - wanted).abs() < 0.5, "{links} of {wanted} links are made");
        Ok(())
    })
    .await
}

/// Nobody loses an asset that nobody can be given: while check-outs wait, no hand-over begins with a check-in (P21).
#[tokio::test]
async fn no_asset_is_taken_from_anybody_while_check_outs_wait() -> Result<()> {
    let services = Services::plain(12, 1627).await?;
    // The records of newcomers are not what is looked at here (P23).
    let settings = everything(&services).set("sync.change_limit", "100%");
    let scene = Scene::open(services, settings, "2m").await?;
    scene.to_rest().await?;
    let device = scene.services.owned_devices()[0].clone();
    let before = scene.asset_of(&device.serial_number)?.holder;
    check_outs_wait(&scene).await?;
    scene.services.kandji.give_to(&device.device_id, "Next Owner", "next@example.com")?;
    scene.publish().await?;
    ensure_waiting(&scene, NEWCOMERS + 1).await?;
    let holder = scene.asset_of(&device.serial_number)?.holder;
    ensure!(before.is_some() && holder == before, "it is with {holder:?}, not with {before:?}");
    scene.amfj().personalities().clear();
    scene.to_rest().await?;
    scene.ensure_with_owners()?;
    scene.ensure_dead_letters(0).await
}

/// What waits with its kind holds up nothing, another change of the same device included (P28): where assets cannot be
/// updated, they are handed over all the same.
#[tokio::test]
async fn updates_that_wait_hold_up_no_hand_over_of_their_devices() -> Result<()> {
    let services = Services::plain(12, 1628).await?;
    let settings = everything(&services).set("sync.change_limit", "100%");
    let scene = Scene::open(services, settings, "2m").await?;
    scene.to_rest().await?;
    let devices = scene.services.owned_devices();
    scene.odd(Personality::new(Oddity::refuse(403)).at(Kind::UpdateAsset));
    scene.new_versions("odd 1")?;
    let before = hand_over_all(&scene, &devices)?;
    scene.publish().await?;
    all_handed_over(&scene, &devices, &before).await?;
    scene.amfj().personalities().clear();
    scene.to_rest().await?;
    scene.ensure_with_owners()?;
    scene.ensure_nothing_twice()?;
    scene.ensure_dead_letters(0).await
}

/// The other way round: where nothing can be checked out, values are written all the same, and the hand-overs are made once
/// that works again.
#[tokio::test]
async fn hand_overs_that_wait_hold_up_no_update_of_their_devices() -> Result<()> {
    let services = Services::plain(12, 1629).await?;
    let settings = everything(&services).set("sync.change_limit", "100%");
    let scene = Scene::open(services, settings, "2m").await?;
    scene.to_rest().await?;
    let devices = scene.services.owned_devices();
    check_outs_wait(&scene).await?;
    let had = hand_over_all(&scene, &devices)?;
    scene.publish().await?;
    ensure_waiting(&scene, NEWCOMERS + devices.len() as u64).await?;
    for version in ["odd 1", "odd 2"] {
        scene.new_versions(version)?;
        scene.publish().await?;
        scene.versions(version, 20).await?;
    }
    // However often one of them was tried.
    let have = holders(&scene, &devices)?;
    ensure!(had.iter().all(Option::is_some) && have == had, "{had:?} had them, and {have:?} have them now");
    scene.amfj().personalities().clear();
    scene.to_rest().await?;
    scene.ensure_with_owners()?;
    scene.ensure_nothing_twice()?;
    scene.ensure_dead_letters(0).await
}

/// Devices that are new and have users.
const NEWCOMERS: u64 = 8;

/// Nothing can be checked out any more, and what is to be checked out to newcomers waits: nobody has that yet.
async fn check_outs_wait(scene: &Scene) -> Result<()> {
    for number in 0..NEWCOMERS {
        let newcomer = json!({ "name": format!("Newcomer {number}"), "serial": format!("NEWCOMER{number}") });
        let added = scene.services.kandji.add_device(serde_json::from_value::<NewDevice>(newcomer)?)?;
        let email = format!("newcomer{number}@example.com");
        scene.services.kandji.give_to(&added.device_id, &format!("Newcomer {number}"), &email)?;
    }
    scene.odd(Personality::new(Oddity::refuse(403)).at(Kind::CheckOut));
    scene.publish().await?;
    ensure_waiting(scene, NEWCOMERS).await
}

/// Gives every device that somebody has to somebody else; answers who has their assets now.
fn hand_over_all(scene: &Scene, devices: &[Device]) -> Result<Vec<Option<String>>> {
    for (number, device) in devices.iter().enumerate() {
        let email = format!("next{number}@example.com");
        scene.services.kandji.give_to(&device.device_id, &format!("Next {number}"), &email)?;
    }
    holders(scene, devices)
}

fn holders(scene: &Scene, devices: &[Device]) -> Result<Vec<Option<String>>> {
    devices.iter().map(|device| Ok(scene.asset_of(&device.serial_number)?.holder)).collect()
}

async fn all_handed_over(scene: &Scene, devices: &[Device], before: &[Option<String>]) -> Result<()> {
    eventually(RUN_LIMIT, "the hand-overs", async || {
        let now = holders(scene, devices)?;
        ensure!(now.iter().zip(before).all(|(now, before)| now.is_some() && now != before), "{now:?}");
        Ok(())
    })
    .await
}

/// An AMFJ that says in its own way that somebody has an asset: where check-outs work again, that is no reason to wait on.
#[tokio::test]
async fn what_is_said_of_an_asset_that_somebody_has_shows_that_check_outs_work_again() -> Result<()> {
    for (seed, status) in [(1630, 422), (1631, 400)] {
        let services = Services::plain(12, seed).await?;
        let settings = everything(&services).set("sync.change_limit", "100%");
        let scene = Scene::open(services, settings, "2m").await?;
        scene.to_rest().await?;
        let devices = scene.services.owned_devices();
        check_outs_wait(&scene).await?;
        let had = hand_over_all(&scene, &devices)?;
        scene.publish().await?;
        ensure_waiting(&scene, NEWCOMERS + devices.len() as u64).await?;
        // Of the newcomers nothing shows that it works.
        scene.amfj().personalities().clear();
        for number in 0..NEWCOMERS {
            let asset = scene.asset_of(&format!("NEWCOMER{number}"))?.id;
            scene.odd(Personality::new(Oddity::refuse(403)).at(Kind::CheckOut).of(&asset));
        }
        scene.odd(Personality::new(Oddity::HeldAnswers { status }).at(Kind::CheckOut));
        all_handed_over(&scene, &devices, &had).await?;
        scene.amfj().personalities().clear();
        scene.to_rest().await?;
        scene.ensure_with_owners()?;
        scene.ensure_dead_letters(0).await?;
    }
    Ok(())
}

/// So many changes wait with the only kind that does.
async fn ensure_waiting(scene: &Scene, changes: u64) -> Result<()> {
    eventually(RUN_LIMIT, "the changes to wait with their kind", async || {
        let status = scene.pipeline.writers[0].status().await?;
        let kinds = status["integrations"]["acme"]["trouble"]["kinds"].clone();
        ensure!(kinds[0]["changes"].as_u64() == Some(changes), "{kinds} in {status}");
        Ok(())
    })
    .await
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
