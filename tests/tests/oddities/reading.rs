//! One record stops nothing (P30), and one setting only what needs it (P18).

use amfj_sync_tests::harness::IntegrationBuilder;
use amfj_sync_tests::pipeline::{Pipeline, Services};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality, Shape};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::support::{Scene, everything, values};

/// A run is complete, and the new version reaches everybody but the odd ones.
async fn others_are_written(scene: &Scene, odd: usize, number: usize) -> Result<()> {
    let version = format!("odd {number}");
    scene.new_versions(&version)?;
    scene.pipeline.run().await?;
    let all = scene.services.kandji.devices().len();
    let written = scene.with_version(&version);
    ensure!(written >= all - odd, "{written} of {all} have the new version");
    ensure!(scene.amfj().assets().len() == all, "{} assets for {all} devices", scene.amfj().assets().len());
    Ok(())
}

/// More brackets in each other than any reader goes into.
fn deep() -> String {
    format!("{}{}", "[".repeat(3_000), "]".repeat(3_000))
}

fn shapes_of_assets() -> Vec<Shape> {
    vec![
        Shape::null("/name"),
        Shape::null("/fields"),
        Shape::missing("/fields"),
        Shape::missing("/created_at"),
        Shape::no_zone("/created_at"),
        Shape::set("/created_at", 1_700_000_000),
        Shape::set("/updated_at", "yesterday"),
        Shape::null("/asset_type"),
        Shape::set("/asset_type/name", Value::Null),
        Shape::set("/location", "HQ"),
        Shape::set("/checked_out_to", json!({ "id": null, "name": null })),
        Shape::set("/fields/OS Version", json!({ "value": 1 })),
        Shape::broken_text("/name"),
        Shape::raw("/fields/Odd", "1e999"),
        Shape::raw("/fields/OS Version", "-1e999"),
        Shape::raw("/unheard_of", &deep()),
        Shape::raw("/fields/Notes", &deep()),
        Shape::set("/fields/Notes", "x".repeat(23_000_000)),
        Shape::NotAnObject(json!(["a", "row"])),
        Shape::NotAnObject(Value::Null),
    ]
}

#[tokio::test]
async fn one_odd_asset_stops_nothing() -> Result<()> {
    let services = Services::plain(12, 1691).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "2s").await?;
    scene.to_rest().await?;
    let odd = scene.amfj().assets()[4].id.clone();
    for (number, shape) in shapes_of_assets().into_iter().enumerate() {
        scene.amfj().personalities().clear();
        scene.odd(Personality::new(shape.clone()).at(Kind::Reads).of(&odd));
        let looked = others_are_written(&scene, 1, number).await;
        looked.map_err(|error| error.context(format!("an asset with {shape:?}")))?;
    }
    scene.amfj().personalities().clear();
    scene.new_versions("in the end")?;
    scene.to_rest().await?;
    ensure!(scene.with_version("in the end") == 12, "a link was lost");
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()
}

#[tokio::test]
async fn one_odd_user_record_stops_nothing() -> Result<()> {
    let services = Services::plain(12, 1692).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "2s").await?;
    scene.to_rest().await?;
    let odd = scene.amfj().users()[2].id.clone();
    let users = scene.amfj().users().len();
    let shapes = [
        Shape::null("/name"),
        Shape::null("/email"),
        Shape::set("/email", 7),
        Shape::null("/fields"),
        Shape::missing("/source"),
        Shape::set("/source", "ldap"),
        Shape::broken_text("/name"),
        Shape::NotAnObject(json!("user")),
    ];
    for (number, shape) in shapes.into_iter().enumerate() {
        scene.amfj().personalities().clear();
        scene.odd(Personality::new(shape.clone()).at(Kind::Reads).of(&odd));
        let looked = others_are_written(&scene, 0, number).await;
        looked.map_err(|error| error.context(format!("a record with {shape:?}")))?;
        ensure!(scene.amfj().users().len() == users, "{shape:?}: a record was created beside it");
    }
    scene.amfj().personalities().clear();
    scene.to_rest().await?;
    scene.ensure_with_owners()
}

/// Ids are numbers everywhere: they are their digits.
#[tokio::test]
async fn numbers_for_ids_are_their_digits() -> Result<()> {
    let services = Services::plain(12, 1693).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "5s").await?;
    scene.odd(Personality::new(Shape::NumericIds));
    scene.new_versions("odd 1")?;
    scene.to_rest().await?;
    scene.ensure_all("in sync").await?;
    ensure!(scene.with_version("odd 1") == 12, "{} have it", scene.with_version("odd 1"));
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()
}

/// One row whose id is a number among many that are not.
#[tokio::test]
async fn one_number_for_an_id_stops_nothing() -> Result<()> {
    let services = Services::plain(12, 1694).await?;
    let settings = values(&services);
    let scene = Scene::open(services, settings, "2s").await?;
    let odd = scene.amfj().assets()[4].id.clone();
    scene.odd(Personality::new(Shape::NumericId).of(&odd));
    for number in 0..2 {
        others_are_written(&scene, 1, number).await?;
    }
    scene.ensure_nothing_twice()
}

/// `/user-fields` is not read, or its 404 harms nothing, where nothing is mapped to it.
#[tokio::test]
async fn a_catalogue_that_nothing_needs_may_be_missing() -> Result<()> {
    let services = Services::plain(12, 1695).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "5s").await?;
    scene.odd(Personality::new(Oddity::refuse(404).saying(Body::Html)).at(Kind::ReadUserFields));
    for number in 0..2 {
        others_are_written(&scene, 0, number).await?;
    }
    scene.to_rest().await?;
    scene.ensure_with_owners()?;
    scene.ensure_dead_letters(0).await
}

fn details(services: &Services) -> IntegrationBuilder {
    everything(services).field("Notes", "details.general.device_name")
}

/// Kandji's rows are read as leniently.
#[tokio::test]
async fn one_odd_device_stops_nothing() -> Result<()> {
    let services = Services::plain(12, 1696).await?;
    let settings = details(&services);
    let scene = Scene::open(services, settings, "5s").await?;
    scene.to_rest().await?;
    let kandji = scene.services.kandji.clone();
    let odd = kandji.devices()[4].device_id.clone();
    let shapes = [
        Shape::null("/device_name"),
        Shape::set("/serial_number", 12_345),
        Shape::set("/user", json!({ "email": null, "name": null, "id": null, "is_archived": null })),
        Shape::set("/user", "somebody"),
        Shape::null("/tags"),
        Shape::set("/tags", "one"),
        Shape::set("/is_removed", "False"),
        Shape::null("/platform"),
        Shape::missing("/os_version"),
        Shape::broken_text("/device_name"),
        Shape::set("/asset_tag", "x".repeat(300_000)),
        Shape::set("/model", "x".repeat(23_000_000)),
        Shape::raw("/user/unheard_of", "1e999"),
        Shape::raw("/unheard_of", &deep()),
        Shape::raw("/tags", "[1e999, 7]"),
        Shape::NotAnObject(json!(7)),
    ];
    for (number, shape) in shapes.into_iter().enumerate() {
        kandji.personalities().clear();
        kandji.personality(Personality::new(shape.clone()).at(Kind::ListDevices).of(&odd));
        let looked = others_are_written(&scene, 1, number).await;
        looked.map_err(|error| error.context(format!("a device with {shape:?}")))?;
    }
    kandji.personalities().clear();
    for (number, refusal) in [
        Oddity::refuse(403),
        Oddity::refuse(200).saying(Body::Html),
        Oddity::refuse(500),
        Oddity::refuse(200).saying(Body::Null),
    ]
    .into_iter()
    .enumerate()
    {
        kandji.personalities().clear();
        kandji.personality(Personality::new(refusal.clone()).at(Kind::ReadDetails).of(&odd));
        let looked = others_are_written(&scene, 1, 100 + number).await;
        looked.map_err(|error| error.context(format!("details with {refusal:?}")))?;
    }
    kandji.personalities().clear();
    scene.new_versions("in the end")?;
    scene.to_rest().await?;
    ensure!(scene.with_version("in the end") == 12);
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()?;
    scene.ensure_all("in sync").await
}

/// A page of which nearly nothing can be used is not the page it is taken for: the run fails, and nothing is decided.
#[tokio::test]
async fn a_list_of_which_nothing_can_be_used_fails_the_run() -> Result<()> {
    let services = Services::plain(12, 1697).await?;
    let settings = everything(&services).set("sync.when_gone", "check-in");
    let scene = Scene::open(services, settings, "5s").await?;
    scene.to_rest().await?;
    scene.amfj().clear_writes();
    let odd = scene.odd(Personality::new(Shape::NotAnObject(json!("row"))).at(Kind::ListAssets));
    let done = scene.pipeline.fetch(&[]).await?;
    ensure!(!done.status.success(), "a run over rows that are none was complete");
    ensure!(scene.amfj().personalities().strikes(odd) > 0);
    scene.amfj().personalities().clear();
    scene.services.kandji.personality(Personality::new(Shape::missing("/device_id")).at(Kind::ListDevices));
    let done = scene.pipeline.fetch(&[]).await?;
    ensure!(!done.status.success(), "a run over devices without ids was complete");
    scene.services.kandji.personalities().clear();
    scene.to_rest().await?;
    ensure!(scene.amfj().write_count() == 0);
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()
}

/// What was valid at the last applied run and is missing now stops only what needs it.
#[tokio::test]
async fn a_field_that_was_there_and_is_gone_stops_only_itself() -> Result<()> {
    let services = Services::plain(12, 1698).await?;
    let settings = values(&services).field("Notes", "device_name").set("sync.default_location", "HQ");
    let scene = Scene::open(services, settings, "5s").await?;
    scene.to_rest().await?;
    for kind in scene.amfj().site().asset_types {
        let fields = kind.fields.into_iter().filter(|field| field.name != "Notes").collect();
        let mutation = amfj_sync_tests::sim::amfj::Mutation::SetAssetTypeFields { name: kind.name, fields };
        scene.amfj().apply(mutation)?;
    }
    scene.amfj().apply(amfj_sync_tests::sim::amfj::Mutation::RemoveLocation { name: "HQ".to_owned() })?;
    others_are_written(&scene, 0, 1).await?;
    others_are_written(&scene, 0, 2).await?;
    scene.ensure_dead_letters(0).await
}

/// P18: the only device that has a mapped detail is the one whose details cannot be had yet.
#[tokio::test]
async fn p18_a_mapped_detail_is_judged_only_when_all_details_were_read() -> Result<()> {
    let services = Services::plain(8, 1741).await?;
    let device = services.kandji.devices().pop().unwrap();
    services.kandji.set_detail(&device.device_id, "lab.room", json!("B 12"))?;
    let path = format!("/devices/{}/details", device.device_id);
    services.kandji.fault(Rule::new(Action::Status { code: 404, body: None }).on("GET", &path));
    let integration = services.integration("acme").field("Notes", "details.lab.room");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let status = pipeline.said(&["status", "--json"]).await?;
    ensure!(status.contains("1 are still to be read"), "{status}");
    services.kandji.faults().clear();
    pipeline.run().await?;
    let asset = services.amfj.assets_named(&device.device_name).pop().unwrap();
    ensure!(asset.fields.get("Notes") == Some(&json!("B 12")), "{:?}", asset.fields);
    Ok(())
}
