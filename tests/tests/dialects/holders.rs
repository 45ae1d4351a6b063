//! Who has an asset, as interfaces differ in telling it: by id, by email, as a member of the asset that anybody can overwrite.

use amfj_sync_tests::pipeline::{Services, newcomers};
use amfj_sync_tests::scene::{Scene, everything};
use amfj_sync_tests::sim::amfj::Dialect;
use amfj_sync_tests::sim::fleet::{Fleet, Owner};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// A fleet whose first device belongs to somebody of whom no email is known.
fn fleet(seed: u64) -> Fleet {
    let mut fleet = newcomers(6, seed);
    if let Owner::Person(person) = &mut fleet.devices[0].user {
        (person.id, person.email) = (json!("without-email"), None);
        person.name = Some("Nobody Knows".to_owned());
    }
    fleet
}

/// The AMFJ is spoken to in the dialect, and the fleet is not made to suit it.
async fn scene(dialect: Dialect, seed: u64) -> Result<Scene> {
    let services = Services::speaking(Dialect::AssumedV1, &fleet(seed)).await?;
    services.amfj.speak(dialect);
    let settings = everything(&services).user_field("Name", "user.name");
    let scene = Scene::open(services, settings, "5s").await?;
    scene.pipeline.run().await?;
    Ok(scene)
}

async fn somebody_without_an_email_gets_the_asset(dialect: Dialect, seed: u64) -> Result<()> {
    let scene = scene(dialect, seed).await?;
    let device = scene.services.kandji.devices().remove(0);
    let holder = scene.asset_of(&device.serial_number)?.holder.context("nobody has it")?;
    let person = scene.amfj().user(&holder).context("no such record")?;
    ensure!(person.name == "Nobody Knows" && person.email.is_none(), "{person:?}");
    scene.ensure_idle().await?;
    scene.ensure_dead_letters(0).await
}

#[tokio::test]
async fn a_person_without_email_gets_the_asset_under_offset_put() -> Result<()> {
    somebody_without_an_email_gets_the_asset(Dialect::OffsetPut, 2141).await
}

#[tokio::test]
async fn a_person_without_email_gets_the_asset_under_prefix_members() -> Result<()> {
    somebody_without_an_email_gets_the_asset(Dialect::PrefixMembers, 2142).await
}

/// Where people are told by their email, nothing can be checked out to somebody without: that is said once, and delays nobody.
#[tokio::test]
async fn a_person_without_email_is_named_where_people_are_told_by_email() -> Result<()> {
    let scene = scene(Dialect::EnvelopeJobs, 2143).await?;
    let devices = scene.services.kandji.devices();
    for device in &devices[1..] {
        let holder = scene.asset_of(&device.serial_number)?.holder;
        ensure!(holder.is_some() == device.email().is_some(), "{}: {holder:?}", device.device_name);
    }
    ensure!(scene.asset_of(&devices[0].serial_number)?.holder.is_none());
    scene.ensure_dead_letters(1).await?;
    let letters = scene.said(&["dead", "list"]).await?;
    ensure!(letters.contains("tells people by their email"), "{letters}");
    scene.ensure_idle().await?;
    scene.ensure_dead_letters(1).await
}
