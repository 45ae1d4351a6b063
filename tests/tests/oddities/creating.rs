//! Look before the first creation (P7), and nothing is made twice, whatever became of the answer and of the values.

use std::collections::BTreeSet;
use std::time::Duration;

use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use amfj_sync_tests::sim::kandji::NewDevice;
use amfj_sync_tests::sim::personality::{Body, Form, Kind, Oddity, Personality, Search};
use anyhow::{Result, ensure};

use crate::support::{Scene, ensure_people_once, everything, newcomers};

/// Devices and people with names that a service may keep in a form of its own.
async fn awkward(devices: usize, seed: u64) -> Result<Services> {
    let services = Services::start(&newcomers(devices, seed)).await?;
    for (number, device) in services.kandji.devices().iter().enumerate() {
        services.kandji.set(&device.device_id, "asset_tag", "R&D \"lab\" <7>".into())?;
        if number % 3 == 0 {
            services.kandji.rename(&device.device_id, &format!("R&D Mac {number}"))?;
        }
        if number % 5 == 1 {
            // Serials are drawn from letters and digits, and one in some twenty-five has no digit.
            let serial = device.serial_number.replace(|c: char| c.is_ascii_digit(), "Q");
            services.kandji.set(&device.device_id, "serial_number", serial.into())?;
        }
        if number % 4 == 0 {
            let (name, email) = (format!("Ann & Bo {number}"), format!("ann{number}@example.com"));
            services.kandji.give_to(&device.device_id, &name, &email)?;
        }
    }
    Ok(services)
}

/// Answers of creations are lost, and what was created is kept in another form than it was sent.
async fn lost_and_kept_otherwise(seed: u64, form: Form, killed: bool) -> Result<()> {
    let services = awkward(12, seed).await?;
    let settings = everything(&services).field("Asset Tag", "asset_tag");
    let mut scene = Scene::open(services, settings, "20s").await?;
    scene.odd(Personality::new(Oddity::stores_as(form)).at(Kind::Writes));
    let lost = Personality::new(Oddity::Lose { done: true }).times_each(1);
    let lost = scene.odd(lost.at(Kind::CreateAsset).at(Kind::CreateUser));
    scene.publish().await?;
    scene.struck(lost, 6).await?;
    if killed {
        scene.replace_writers().await?;
    }
    scene.pipeline.settle().await?;
    scene.to_rest().await?;
    let (assets, devices) = (scene.amfj().assets().len(), scene.services.kandji.devices().len());
    ensure!(assets == devices, "{assets} assets for {devices} devices");
    ensure_people_once(scene.amfj())?;
    scene.ensure_idle().await
}

#[tokio::test]
async fn lost_creations_are_not_made_again_where_amfj_escapes_what_it_stores() -> Result<()> {
    lost_and_kept_otherwise(1651, Form::HtmlEscape, false).await
}

#[tokio::test]
async fn lost_creations_are_not_made_again_where_amfj_cuts_what_it_stores() -> Result<()> {
    lost_and_kept_otherwise(1652, Form::Cut(8), true).await
}

#[tokio::test]
async fn lost_creations_are_not_made_again_where_amfj_writes_in_upper_case() -> Result<()> {
    lost_and_kept_otherwise(1653, Form::UpperCase, false).await
}

/// A row that moved while the list was paged is on no page: what is not listed is looked for before it is created.
#[tokio::test]
async fn what_a_list_passed_over_is_not_created_again() -> Result<()> {
    let services = Services::plain(12, 1654).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "5s").await?;
    let (assets, users) = (scene.amfj().assets(), scene.amfj().users());
    let hidden = assets.iter().take(3).map(|asset| asset.id.clone());
    scene.odd(Personality::new(Oddity::Hide).at(Kind::ListAssets).of_all(hidden).times_each(1));
    let hidden = users.iter().take(3).map(|user| user.id.clone());
    scene.odd(Personality::new(Oddity::Hide).at(Kind::ListUsers).of_all(hidden).times_each(1));
    let twice = assets.iter().skip(5).take(2).map(|asset| asset.id.clone());
    scene.odd(Personality::new(Oddity::Repeat).at(Kind::Lists).of_all(twice));
    scene.pipeline.run().await?;
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()?;
    scene.ensure_all("in sync").await?;
    scene.ensure_dead_letters(0).await
}

/// Whatever a search finds (nothing, other cases, everything), answers may be lost and nothing is made twice.
#[tokio::test]
async fn searches_that_find_too_little_or_too_much_make_nothing_twice() -> Result<()> {
    let searches = [(1655, Search::Nothing), (1656, Search::Contains), (1657, Search::Everything)];
    for (seed, search) in searches {
        let services = Services::start(&newcomers(8, seed)).await?;
        let settings = everything(&services);
        let scene = Scene::open(services, settings, "20s").await?;
        scene.odd(Personality::new(search));
        let lost = Personality::new(Oddity::Lose { done: true }).times_each(1);
        scene.odd(lost.at(Kind::CreateAsset).at(Kind::CreateUser));
        scene.pipeline.run().await?;
        scene.to_rest().await?;
        scene.ensure_nothing_twice().map_err(|error| error.context(format!("{search:?}")))?;
        scene.ensure_with_owners()?;
    }
    Ok(())
}

/// A list that goes round in a circle ends a search all the same, and the search keeps to the limit of requests.
#[tokio::test]
async fn a_search_through_a_list_without_end_ends() -> Result<()> {
    let services = Services::start(&newcomers(8, 1658)).await?;
    let settings = everything(&services);
    let mut scene = Scene::open(services, settings, "3s").await?;
    let lost = Personality::new(Oddity::Lose { done: true }).times_each(1);
    scene.odd(lost.at(Kind::CreateUser).at(Kind::CreateAsset));
    scene.odd(Personality::new(Search::Nothing));
    let writers = std::mem::take(&mut scene.pipeline.writers);
    for writer in writers {
        writer.terminate().await?;
    }
    scene.publish().await?;
    let circle = scene.odd(Personality::new(Oddity::Circle).at(Kind::ListUsers).at(Kind::ListAssets));
    scene.pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    scene.struck(circle, 2).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let walked = scene.amfj().requests().iter().filter(|request| request.query.contains("cursor=")).count();
    ensure!(walked < 200, "{walked} pages of two lists that have one page each");
    scene.amfj().personalities().clear();
    scene.pipeline.settle().await?;
    scene.to_rest().await?;
    scene.ensure_nothing_twice()
}

/// A success whose body says nothing is a success: it is read back, and not repeated.
#[tokio::test]
async fn a_success_without_a_record_is_read_back_and_not_repeated() -> Result<()> {
    let answers = [(204, Body::Empty), (200, Body::Object), (201, Body::Id)];
    for (number, (status, body)) in answers.into_iter().enumerate() {
        let services = Services::start(&newcomers(6, 1660 + number as u64)).await?;
        let settings = everything(&services);
        let scene = Scene::open(services, settings, "10s").await?;
        scene.odd(Personality::new(Oddity::succeed(status, body.clone())).at(Kind::Writes));
        scene.pipeline.run().await?;
        scene.new_versions("odd 2")?;
        scene.to_rest().await?;
        scene.ensure_nothing_twice().map_err(|error| error.context(format!("{status} {body:?}")))?;
        scene.ensure_with_owners()?;
        ensure!(scene.with_version("odd 2") == 6);
        scene.ensure_all("in sync").await?;
        scene.ensure_dead_letters(0).await?;
        let patched = scene.amfj().requests().into_iter().filter(|request| request.method == "PATCH");
        let bodies: Vec<String> =
            patched.map(|r| format!("{} {}", r.path, r.body.unwrap_or_default())).collect();
        let distinct: BTreeSet<&String> = bodies.iter().collect();
        ensure!(bodies.len() <= 2 * distinct.len(), "sent again and again: {bodies:?}");
    }
    Ok(())
}

/// What the walk before many creations showed is in the way of a creation only as long as it is there.
#[tokio::test]
async fn an_asset_that_was_deleted_since_a_writer_went_through_the_list_is_in_nobodys_way() -> Result<()> {
    let services = Services::start(&newcomers(12, 1659)).await?;
    let none = Workers { reconcilers: 1, writers: 0 };
    let mut pipeline = Pipeline::with(none, vec![("acme", everything(&services))], |config| config).await?;
    pipeline.fetch_all().await?;
    // Nobody knows of it but the writer, which goes through the list before it creates so many.
    services.amfj.add_asset("The ghost", "Laptop")?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    ensure!(services.amfj.assets().len() == 13, "{} assets", services.amfj.assets().len());
    services.amfj.delete_asset("The ghost")?;
    let device =
        services.kandji.add_device(NewDevice { name: "The ghost".to_owned(), ..NewDevice::default() })?;
    pipeline.run().await?;
    let made = services.amfj.assets_named("The ghost");
    ensure!(made.len() == 1, "{made:?} for {}", device.device_name);
    Ok(())
}
