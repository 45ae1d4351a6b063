//! Odd services in every dialect: each asset, hand-over and newcomer meets an oddity of its own, all at once. Nothing is lost, made
//! twice or taken from anybody, and the next runs come to rest.

use amfj_sync_tests::pipeline::{Services, spec};
use amfj_sync_tests::scene::{Scene, ensure_people_once, everything};
use amfj_sync_tests::sim::amfj::Dialect;
use amfj_sync_tests::sim::fleet::{Device, Fleet, Owner};
use amfj_sync_tests::sim::kandji::{NewDevice, NewOwner};
use amfj_sync_tests::sim::personality::{Body, Form, Kind, Oddity, Personality};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// So often an oddity strikes that ends by itself.
const STRIKES: u32 = 2;

/// Who is there at the end of the story whose asset is looked at.
struct Met {
    what: &'static str,
    device: Device,
}

async fn scene(dialect: Dialect, seed: u64) -> Result<Scene> {
    let mut fleet = Fleet::generate(spec(14, seed));
    // Everybody has one device, so that each hand-over is one person's.
    let people = fleet.people.clone();
    let laptop = fleet.site.type_id("Laptop").unwrap_or_default().to_owned();
    for ((device, asset), person) in fleet.devices.iter_mut().zip(&mut fleet.site.assets).zip(people) {
        device.user = Owner::Person(person);
        asset.asset_type_id.clone_from(&laptop);
    }
    let services = Services::speaking(dialect, &fleet).await?;
    let settings = everything(&services).set("sync.change_limit", "100%").field("Asset Tag", "asset_tag");
    let scene = Scene::open(services, settings, "2m").await?;
    scene.to_rest().await?;
    Ok(scene)
}

/// What an answer to a write may be like that is odd for a while.
fn passing() -> Vec<(&'static str, Oddity)> {
    vec![
        ("404 of a load balancer", Oddity::refuse(404).saying(Body::Html)),
        ("404 of the service itself", Oddity::refuse(404)),
        ("a gateway's own JSON with 404", Oddity::refuse(404).saying(Body::Foreign)),
        ("500 before", Oddity::refuse(500)),
        ("502 with a page, after", Oddity::refuse(502).saying(Body::Html).after_doing()),
        ("403", Oddity::refuse(403)),
        ("lost after", Oddity::Lose { done: true }),
        ("lost before", Oddity::Lose { done: false }),
        ("a page of HTML with 200", Oddity::refuse(200).saying(Body::Html)),
        ("no body", Oddity::succeed(200, Body::Empty)),
    ]
}

/// One oddity after the other, for one device each.
fn meet(scene: &Scene, kind: Kind, devices: &[Device]) -> Result<Vec<Met>> {
    let mut met = Vec::new();
    for ((what, oddity), device) in passing().into_iter().zip(devices) {
        let asset = scene.asset_of(&device.serial_number)?.id;
        scene.odd(Personality::new(oddity).at(kind).of(asset).times(STRIKES));
        met.push(Met { what, device: device.clone() });
    }
    Ok(met)
}

/// Values that are refused or kept otherwise: the rest of the record is written, and nothing is written again and again.
async fn values(scene: &Scene) -> Result<()> {
    let devices = scene.services.kandji.devices();
    let met = meet(scene, Kind::UpdateAsset, &devices)?;
    let [.., refused, ignored, upper] = devices.as_slice() else { anyhow::bail!("too few devices") };
    let about = |device: &Device, oddity: Oddity| -> Result<()> {
        let asset = scene.asset_of(&device.serial_number)?.id;
        scene.odd(Personality::new(oddity).at(Kind::UpdateAsset).of(asset).sending("OS Version"));
        Ok(())
    };
    about(refused, Oddity::refuse(422).saying(Body::Naming("OS Version".to_owned())))?;
    about(ignored, Oddity::ignores().in_field("OS Version"))?;
    about(upper, Oddity::stores_as(Form::UpperCase).in_field("OS Version"))?;
    scene.new_versions("odd one")?;
    for device in &devices {
        let tag = format!("Tag of {}", device.serial_number);
        scene.services.kandji.set(&device.device_id, "asset_tag", json!(tag))?;
    }
    scene.pipeline.run().await?;
    scene.to_rest().await?;
    for Met { what, device } in &met {
        let asset = scene.asset_of(&device.serial_number)?;
        ensure!(asset.fields.get("OS Version") == Some(&json!("odd one")), "{what}: {:?}", asset.fields);
    }
    for device in &devices {
        let asset = scene.asset_of(&device.serial_number)?;
        let tag = json!(format!("Tag of {}", device.serial_number));
        ensure!(asset.fields.get("Asset Tag") == Some(&tag), "{}: {:?}", device.device_name, asset.fields);
    }
    let held = |device: &Device| -> Result<_> {
        Ok(scene.asset_of(&device.serial_number)?.fields.get("OS Version").cloned())
    };
    ensure!(held(upper)? == Some(json!("ODD ONE")), "{:?}", held(upper)?);
    ensure!(held(refused)? != Some(json!("odd one")) && held(ignored)? != Some(json!("odd one")));
    scene.amfj().personalities().clear();
    Ok(())
}

/// Hand-overs: everybody's asset goes to somebody new.
async fn hand_overs(scene: &Scene) -> Result<()> {
    for (kind, round) in [(Kind::CheckOut, "first"), (Kind::CheckIn, "second")] {
        let devices = scene.services.kandji.devices();
        meet(scene, kind, &devices)?;
        for (number, device) in devices.iter().enumerate() {
            let name = format!("Owner {round} {number}");
            scene.services.kandji.give_to(
                &device.device_id,
                &name,
                &format!("{round}{number}@example.com"),
            )?;
        }
        scene.pipeline.run().await?;
        scene.to_rest().await?;
        scene.ensure_with_owners().context(round)?;
        scene.amfj().personalities().clear();
    }
    Ok(())
}

/// Newcomers whose assets and records are created under oddities.
async fn creations(scene: &Scene) -> Result<()> {
    for (number, (what, oddity)) in passing().into_iter().enumerate() {
        let (name, email) = (format!("Newcomer {number}"), format!("newcomer{number}@example.com"));
        let owner =
            NewOwner { name: format!("New {number}"), email: Some(email.clone()), ..NewOwner::default() };
        let serial = Some(format!("NEWCOMER{number}"));
        let new = NewDevice { name: name.clone(), serial, owner: Some(owner), ..NewDevice::default() };
        scene.services.kandji.add_device(new).with_context(|| what.to_owned())?;
        scene.odd(Personality::new(oddity.clone()).at(Kind::CreateAsset).of(name).times(STRIKES));
        scene.odd(Personality::new(oddity).at(Kind::CreateUser).of(email).times(STRIKES));
    }
    scene.pipeline.run().await?;
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    ensure_people_once(scene.amfj())?;
    scene.ensure_with_owners()
}

async fn odd(dialect: Dialect, seed: u64) -> Result<()> {
    let scene = scene(dialect, seed).await?;
    values(&scene).await.context("values")?;
    hand_overs(&scene).await.context("hand-overs")?;
    creations(&scene).await.context("creations")?;
    scene.ensure_idle().await?;
    scene.ensure_dead_letters(0).await?;
    ensure!(scene.amfj().violations().is_empty(), "{:?}", scene.amfj().violations());
    Ok(())
}

#[tokio::test]
async fn oddities_under_offset_put() -> Result<()> {
    odd(Dialect::OffsetPut, 2111).await
}

#[tokio::test]
async fn oddities_under_envelope_jobs() -> Result<()> {
    odd(Dialect::EnvelopeJobs, 2112).await
}

#[tokio::test]
async fn oddities_under_prefix_members() -> Result<()> {
    odd(Dialect::PrefixMembers, 2113).await
}
