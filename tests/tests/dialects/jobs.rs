//! Writes that are answered before they are done (`envelope-jobs`): the job is late, or says in the end that it failed.

use amfj_sync_tests::pipeline::{Services, newcomers};
use amfj_sync_tests::scene::{Scene, everything, laptops};
use amfj_sync_tests::sim::amfj::Dialect;
use amfj_sync_tests::sim::fleet::Fleet;
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality};
use anyhow::{Result, ensure};
use serde_json::json;

async fn scene(fleet: &Fleet) -> Result<Scene> {
    let services = Services::speaking(Dialect::EnvelopeJobs, fleet).await?;
    let settings = everything(&services).set("sync.change_limit", "100%").field("Asset Tag", "asset_tag");
    Scene::open(services, settings, "2m").await
}

/// Longer than a request may take, and nothing shows before: only because the profile says how long a job takes is it not sent
/// again.
#[tokio::test]
async fn a_creation_whose_job_is_pending_for_longer_than_a_request_is_made_once() -> Result<()> {
    let scene = scene(&newcomers(6, 2131)).await?;
    let late = 3_500;
    scene.odd(Personality::new(Oddity::JobTakes { ms: late }).at(Kind::CreateAsset));
    scene.odd(Personality::new(Oddity::ListLate { ms: late }).at(Kind::CreateAsset));
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()?;
    scene.ensure_idle().await?;
    scene.ensure_dead_letters(0).await
}

/// A job may fail after it has done what it was given, or half of it.
#[tokio::test]
async fn a_creation_whose_job_fails_afterwards_is_made_once() -> Result<()> {
    let scene = scene(&newcomers(8, 2132)).await?;
    scene.odd(Personality::new(Oddity::JobRefuses));
    let failed = Oddity::refuse(422).after_doing();
    scene.odd(Personality::new(failed).at(Kind::CreateAsset).times(6));
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()?;
    scene.ensure_idle().await?;
    scene.ensure_dead_letters(0).await
}

/// The value that a job names is left out, of creations and of updates, and the rest is written.
#[tokio::test]
async fn a_value_that_a_job_refuses_is_left_out_alone() -> Result<()> {
    let mut fleet = laptops(10, 2133);
    fleet.site.assets.truncate(5);
    let scene = scene(&fleet).await?;
    scene.odd(Personality::new(Oddity::JobRefuses));
    let naming = Oddity::refuse(422).saying(Body::Naming("OS Version".to_owned()));
    scene.odd(Personality::new(naming).at(Kind::Writes).sending("OS Version"));
    scene.new_versions("refused")?;
    for device in scene.services.kandji.devices() {
        scene.services.kandji.set(&device.device_id, "asset_tag", json!("taken"))?;
    }
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    for asset in scene.amfj().assets() {
        ensure!(asset.fields.get("OS Version") != Some(&json!("refused")), "{:?}", asset.fields);
        ensure!(asset.fields.get("Asset Tag") == Some(&json!("taken")), "{:?}", asset.fields);
    }
    scene.ensure_dead_letters(0).await
}
