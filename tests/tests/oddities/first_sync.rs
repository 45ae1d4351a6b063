//! What was decided in a first sync is not over until it is done (P5), and a link needs no write (P4).

use amfj_sync_tests::pipeline::Services;
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality};
use anyhow::{Result, ensure};

use crate::support::{Scene, everything, newcomers, values};

/// A field that was never sent is named as the reason: the link stands, and the asset goes to its owner.
#[tokio::test]
async fn a_422_about_a_field_that_was_not_sent_costs_no_link_and_no_check_out() -> Result<()> {
    for (seed, status, body) in [
        (1641, 422, Body::Naming("Cost Centre".to_owned())),
        (1642, 422, Body::Contract),
        (1643, 409, Body::Contract),
    ] {
        let services = Services::plain(12, seed).await?;
        let settings = everything(&services).set("sync.create_devices", "never");
        let scene = Scene::open(services, settings, "1s").await?;
        let odd = scene.services.owned_devices()[0].clone();
        let asset = scene.amfj().assets_named(&odd.device_name)[0].id.clone();
        scene.odd(Personality::new(Oddity::refuse(status).saying(body)).at(Kind::UpdateAsset).of(&asset));
        scene.pipeline.run().await?;
        let holder = scene.amfj().asset(&asset).unwrap().holder.and_then(|id| scene.amfj().user(&id));
        let email = holder.and_then(|user| user.email).unwrap_or_default();
        ensure!(
            odd.email().is_some_and(|own| own.eq_ignore_ascii_case(&email)),
            "{status}: it is with {email:?}"
        );
        scene.ensure_devices("unmatched", 0).await?;
        scene.ensure_devices("in sync", 11).await?;
        scene.ensure_idle().await?;
        scene.amfj().personalities().clear();
        scene.new_versions("odd 2")?;
        scene.to_rest().await?;
        ensure!(scene.with_version("odd 2") == 12, "the link did not stand");
    }
    Ok(())
}

/// What was given up in the first sync is decided again as in the first: links are made without more ado, and so are
/// assets, in a run after the first sync too. Values that were refused as they stand are written once a person has them
/// tried again.
#[tokio::test]
async fn what_a_first_sync_gave_up_is_made_good_later() -> Result<()> {
    let mut fleet = newcomers(12, 1644);
    let kept = amfj_sync_tests::sim::fleet::Fleet::generate(amfj_sync_tests::pipeline::spec(12, 1644));
    fleet.site.assets = kept.site.assets[..6].to_vec();
    let services = Services::start(&fleet).await?;
    let settings = everything(&services).set("sync.create_devices", "first-sync");
    let scene = Scene::open(services, settings, "1s").await?;
    let refused: Vec<String> =
        scene.services.kandji.devices().iter().map(|device| device.device_name.clone()).collect();
    for (number, name) in refused.iter().take(8).enumerate() {
        let status = [403, 422, 500, 409][number % 4];
        scene.odd(Personality::new(Oddity::refuse(status)).at(Kind::Writes).of(name));
    }
    scene.pipeline.run().await?;
    let letters = scene.pipeline.dead_letters().await?;
    scene.pipeline.run().await?;
    ensure!(scene.amfj().assets().len() < 12, "nothing was given up");
    ensure!(scene.pipeline.dead_letters().await? == letters, "more than one dead letter of a record");
    scene.amfj().personalities().clear();
    // Those that were asked for in vain twice are asked for again in the run after the next one, and not before.
    let given_up = scene.amfj().assets().len();
    scene.pipeline.run().await?;
    ensure!(scene.amfj().assets().len() == given_up, "asked for again in the next run");
    scene.pipeline.run().await?;
    ensure!(scene.amfj().assets().len() == 12, "nothing is asked for again");
    scene.said(&["dead", "replay", "--all"]).await?;
    scene.pipeline.settle().await?;
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()?;
    scene.ensure_all("in sync").await
}

/// A creation that waits for details which a required field needs waits as long as it takes (P12).
#[tokio::test]
async fn details_that_come_late_create_the_asset_late() -> Result<()> {
    let services = Services::start(&newcomers(12, 1645)).await?;
    let settings = values(&services)
        .set("sync.create_devices", "first-sync")
        .set("sync.default_asset_type", "Laptop")
        .field("Notes", "details.general.device_name");
    let devices = services.kandji.devices();
    let late = Personality::new(Oddity::refuse(503)).at(Kind::ReadDetails);
    services.kandji.personality(late.of_all(devices.iter().take(5).map(|device| device.device_id.clone())));
    let laptop = services.amfj.site().asset_types.into_iter().find(|kind| kind.name == "Laptop").unwrap();
    let mut fields = laptop.fields;
    fields.iter_mut().filter(|field| field.name == "Notes").for_each(|field| field.required = true);
    services
        .amfj
        .apply(amfj_sync_tests::sim::amfj::Mutation::SetAssetTypeFields { name: laptop.name, fields })?;
    let scene = Scene::open(services, settings, "2s").await?;
    scene.pipeline.run().await?;
    ensure!(scene.amfj().assets().len() == 7, "{} assets", scene.amfj().assets().len());
    scene.pipeline.run().await?;
    scene.services.kandji.personalities().clear();
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    scene.ensure_all("in sync").await
}
