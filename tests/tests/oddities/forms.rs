//! What AMFJ holds is what it lists (P15): kept, kept in a form of its own, not kept.

use std::collections::BTreeMap;

use amfj_sync_tests::harness::IntegrationBuilder;
use amfj_sync_tests::pipeline::Services;
use amfj_sync_tests::sim::amfj::Mutation;
use amfj_sync_tests::sim::fleet::FieldSpec;
use amfj_sync_tests::sim::kandji::NewDevice;
use amfj_sync_tests::sim::personality::{Body, Form, Kind, Oddity, Personality};
use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::{Scene, laptops, values};

/// A field of every type is mapped.
fn all_types(services: &Services) -> IntegrationBuilder {
    services
        .integration("acme")
        .field("Serial Number", "serial_number")
        .field("OS Version", "os_version")
        .field("Notes", "{{ device_name }} & <Co>")
        .field("Memory", "model")
        .field("Cores", "asset_tag")
        .field("Managed", "mdm_enabled")
        .field("Enrolled On", "first_enrollment")
        .field("Platform", "platform")
}

fn forms() -> Vec<(&'static str, Form)> {
    vec![
        ("Notes", Form::HtmlEscape),
        ("Memory", Form::Cut(4)),
        ("Cores", Form::Round(1)),
        ("Managed", Form::YesNo),
        ("Enrolled On", Form::DateTime),
        ("Platform", Form::OtherCase),
        ("Serial Number", Form::LowerCase),
    ]
}

async fn scene(seed: u64) -> Result<Scene> {
    let services = Services::start(&laptops(10, seed)).await?;
    for device in services.kandji.devices() {
        services.kandji.set(&device.device_id, "asset_tag", json!("8.25"))?;
        services.kandji.set(&device.device_id, "platform", json!("Mac"))?;
    }
    let settings = all_types(&services);
    Scene::open(services, settings, "10s").await
}

/// How often each value was sent for each asset and field.
fn sent(scene: &Scene) -> BTreeMap<String, usize> {
    let mut sent = BTreeMap::new();
    for request in scene.amfj().requests().into_iter().filter(|request| request.method != "GET") {
        let body = request.body.unwrap_or_default();
        for (field, value) in body["fields"].as_object().into_iter().flatten() {
            *sent.entry(format!("{} {field} = {value}", request.path)).or_default() += 1;
        }
    }
    sent
}

fn ensure_sent_at_most_twice(scene: &Scene) -> Result<()> {
    let mut often = sent(scene);
    often.retain(|_, times| *times > 2);
    ensure!(often.is_empty(), "sent more than twice: {often:?}");
    Ok(())
}

/// Values of every type that AMFJ keeps in a form of its own are in sync, and nothing is written again and again.
async fn own_forms(seed: u64, answers_lie: bool) -> Result<()> {
    let mut scene = scene(seed).await?;
    for (field, form) in forms() {
        let form = Oddity::stores_as(form).in_field(field);
        scene.odd(Personality::new(if answers_lie { form.showing_what_was_sent() } else { form }));
    }
    scene.to_rest().await?;
    ensure_sent_at_most_twice(&scene)?;
    scene.ensure_all("in sync").await?;
    scene.replace_reconcilers().await?;
    scene.ensure_idle().await?;
    // A new value is written all the same.
    let device = scene.services.kandji.devices()[2].clone();
    scene.services.kandji.rename(&device.device_id, "Renamed & <new>")?;
    scene.new_versions("odd 2")?;
    scene.to_rest().await?;
    ensure!(scene.with_version("odd 2") == 10);
    let notes = "Renamed &amp; &lt;new&gt; &amp; &lt;Co&gt;";
    let written =
        scene.amfj().assets().iter().filter(|asset| asset.fields.get("Notes") == Some(&json!(notes))).count();
    ensure!(written == 1, "the new value did not arrive");
    scene.ensure_all("in sync").await?;
    scene.ensure_dead_letters(0).await
}

#[tokio::test]
async fn values_kept_in_a_form_of_amfjs_own_are_in_sync() -> Result<()> {
    own_forms(1671, false).await
}

#[tokio::test]
async fn values_kept_in_another_form_than_the_answer_shows_are_not_written_for_ever() -> Result<()> {
    own_forms(1672, true).await
}

/// Values that AMFJ takes and does not keep are field problems, whatever it answers; the others are written.
async fn not_kept(seed: u64, answers_lie: bool) -> Result<()> {
    let services = Services::start(&laptops(10, seed)).await?;
    let settings = values(&services).field("Notes", "device_name");
    let scene = Scene::open(services, settings, "10s").await?;
    let ignored = Oddity::ignores().in_field("Notes");
    scene.odd(Personality::new(if answers_lie { ignored.showing_what_was_sent() } else { ignored }));
    scene.new_versions("odd 1")?;
    scene.to_rest().await?;
    ensure!(scene.with_version("odd 1") == 10, "the other values are written");
    ensure_sent_at_most_twice(&scene)?;
    scene.ensure_all("field problem").await?;
    scene.ensure_idle().await?;
    // A person who mended it says so.
    scene.amfj().personalities().clear();
    scene.said(&["rematch", "acme"]).await?;
    scene.to_rest().await?;
    scene.ensure_all("in sync").await?;
    scene.ensure_dead_letters(0).await
}

#[tokio::test]
async fn a_value_that_amfj_ignores_is_a_field_problem() -> Result<()> {
    not_kept(1673, false).await
}

#[tokio::test]
async fn a_value_that_amfj_says_it_took_and_does_not_list_is_a_field_problem() -> Result<()> {
    not_kept(1674, true).await
}

/// A value that was refused is tried again when the field's definition changes, and not before.
#[tokio::test]
async fn a_refused_value_is_tried_again_when_its_field_is_mended() -> Result<()> {
    let services = Services::start(&laptops(8, 1675)).await?;
    let settings = values(&services).field("Notes", "device_name");
    let scene = Scene::open(services, settings, "10s").await?;
    let refusal = Oddity::refuse(422).saying(Body::Naming("Notes".to_owned()));
    let odd = scene.odd(Personality::new(refusal).at(Kind::Writes).sending("Notes"));
    scene.to_rest().await?;
    scene.ensure_all("field problem").await?;
    scene.ensure_dead_letters(0).await?;
    let before = scene.amfj().personalities().strikes(odd);
    scene.ensure_idle().await?;
    ensure!(scene.amfj().personalities().strikes(odd) == before, "it was tried again without a reason");
    scene.amfj().personalities().clear();
    let laptop = scene.amfj().site().asset_types.into_iter().find(|kind| kind.name == "Laptop").unwrap();
    let mut fields: Vec<FieldSpec> = laptop.fields;
    for field in &mut fields {
        if field.name == "Notes" {
            field.required = true;
        }
    }
    scene.amfj().apply(Mutation::SetAssetTypeFields { name: laptop.name, fields })?;
    scene.to_rest().await?;
    scene.ensure_all("in sync").await
}

/// A conflict is no end: somebody else was writing. Nor is it one where AMFJ names a field that was never sent.
#[tokio::test]
async fn a_conflict_for_a_moment_is_tried_again() -> Result<()> {
    for (seed, status, body) in [
        (1676, 409, Body::Contract),
        (1677, 423, Body::Contract),
        (1678, 412, Body::Contract),
        (1679, 422, Body::Naming("Cost Centre".to_owned())),
    ] {
        let services = Services::plain(10, seed).await?;
        let settings = values(&services).set("sync.create_devices", "always");
        let scene = Scene::open(services, settings, "20s").await?;
        scene.to_rest().await?;
        let newcomer: NewDevice =
            serde_json::from_value(json!({ "name": "Brand New Mac", "serial": "BRANDNEW1" }))?;
        scene.services.kandji.add_device(newcomer)?;
        scene.new_versions("odd 1")?;
        let refused = Personality::new(Oddity::refuse(status).saying(body)).times_each(1);
        scene.odd(refused.at(Kind::UpdateAsset).at(Kind::CreateAsset));
        scene.pipeline.run().await?;
        ensure!(scene.with_version("odd 1") == 11, "{status}: {}", scene.with_version("odd 1"));
        scene.ensure_dead_letters(0).await?;
        scene.ensure_all("in sync").await?;
    }
    Ok(())
}
