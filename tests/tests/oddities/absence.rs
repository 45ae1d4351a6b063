//! Absence is proved by reading (P8): no answer to a write says that a record is gone.

use amfj_sync_tests::pipeline::Services;
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality};
use anyhow::{Result, ensure};

use crate::support::{Scene, everything, values};

/// For a while writes are answered as if their records were gone, while a reconciler begins anew and decides again.
async fn as_if_gone(seed: u64, create: &str, oddities: Vec<Personality>) -> Result<()> {
    let services = Services::plain(12, seed).await?;
    let settings = everything(&services).set("sync.create_devices", create);
    let mut scene = Scene::open(services, settings, "2m").await?;
    scene.to_rest().await?;
    scene.ensure_all("in sync").await?;

    scene.new_versions("odd 1")?;
    let owned = scene.services.owned_devices();
    scene.services.kandji.give_to(&owned[0].device_id, "Next Owner", "next@example.com")?;
    let ids: Vec<_> = oddities.into_iter().map(|oddity| scene.odd(oddity)).collect();
    scene.publish().await?;
    scene.struck(ids[0], 4).await?;
    scene.replace_reconcilers().await?;
    scene.replace_writers().await?;
    scene.struck(ids[0], 5).await?;
    scene.amfj().personalities().clear();

    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    ensure!(scene.with_version("odd 1") == 12, "{} of 12 have the new version", scene.with_version("odd 1"));
    scene.ensure_with_owners()?;
    scene.ensure_all("in sync").await?;
    scene.ensure_dead_letters(0).await
}

fn refusing(status: u16, body: Body, kind: Kind) -> Personality {
    Personality::new(Oddity::refuse(status).saying(body)).at(kind)
}

#[tokio::test]
async fn a_page_with_404_to_writes_breaks_no_link_and_creates_nothing() -> Result<()> {
    as_if_gone(1601, "always", vec![refusing(404, Body::Html, Kind::Writes)]).await
}

#[tokio::test]
async fn a_404_in_the_contracts_form_to_writes_breaks_no_link_and_creates_nothing() -> Result<()> {
    as_if_gone(1602, "always", vec![refusing(404, Body::Contract, Kind::Writes)]).await
}

#[tokio::test]
async fn a_410_while_reads_by_id_cannot_be_had_breaks_no_link() -> Result<()> {
    let odd = vec![
        refusing(410, Body::Contract, Kind::UpdateAsset),
        refusing(403, Body::Contract, Kind::ReadAsset),
    ];
    as_if_gone(1603, "never", odd).await
}

#[tokio::test]
async fn a_load_balancer_without_anybody_behind_it_breaks_no_link() -> Result<()> {
    let odd = vec![refusing(404, Body::Html, Kind::Writes), refusing(404, Body::Html, Kind::ReadAsset)];
    as_if_gone(1604, "first-sync", odd).await
}

/// In the first sync: links that were answered with 404 are made once AMFJ takes writes again.
#[tokio::test]
async fn links_of_a_first_sync_outlive_404_and_a_killed_writer() -> Result<()> {
    for (seed, body) in [(1605, Body::Html), (1606, Body::Contract)] {
        let services = Services::plain(15, seed).await?;
        let settings = values(&services);
        let mut scene = Scene::open(services, settings, "2m").await?;
        scene.new_versions("odd 1")?;
        let odd = scene.odd(refusing(404, body, Kind::Writes));
        scene.publish().await?;
        scene.struck(odd, 4).await?;
        scene.replace_writers().await?;
        scene.replace_reconcilers().await?;
        scene.amfj().personalities().clear();
        scene.to_rest().await?;
        ensure!(scene.with_version("odd 1") == 15, "{} of 15 are linked", scene.with_version("odd 1"));
        scene.ensure_nothing_twice()?;
        scene.ensure_all("in sync").await?;
        scene.ensure_dead_letters(0).await?;
    }
    Ok(())
}

/// An asset that is not listed, and of which a read by id says nothing that can be understood, is still there.
#[tokio::test]
async fn what_cannot_be_read_is_unknown_and_not_gone() -> Result<()> {
    let services = Services::plain(12, 1607).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "5s").await?;
    scene.to_rest().await?;
    let answers = [
        Oddity::refuse(403),
        Oddity::refuse(404).saying(Body::Html),
        Oddity::refuse(200).saying(Body::Html),
        Oddity::refuse(451).saying(Body::Empty),
    ];
    let hidden = scene.amfj().assets()[3].clone();
    for answer in answers {
        scene.amfj().personalities().clear();
        scene.odd(Personality::new(Oddity::Hide).at(Kind::Lists).at(Kind::Searches).of(&hidden.id));
        scene.odd(Personality::new(answer.clone()).at(Kind::ReadAsset).of(&hidden.id));
        scene.pipeline.run().await?;
        scene.pipeline.run().await?;
        ensure!(scene.amfj().assets().len() == 12, "{answer:?}: an asset was created in its place");
    }
    scene.amfj().personalities().clear();
    scene.new_versions("odd 2")?;
    scene.to_rest().await?;
    ensure!(scene.with_version("odd 2") == 12, "the link is lost");
    scene.ensure_nothing_twice()?;
    scene.ensure_dead_letters(0).await
}

/// An asset that is listed is there, whatever a read by id says.
#[tokio::test]
async fn an_asset_that_is_listed_and_answers_410_by_id_stays() -> Result<()> {
    let services = Services::plain(12, 1608).await?;
    let settings = everything(&services);
    let scene = Scene::open(services, settings, "2s").await?;
    scene.to_rest().await?;
    let odd = scene.amfj().assets()[3].id.clone();
    for status in [404, 410, 403] {
        scene.amfj().personalities().clear();
        scene.odd(Personality::new(Oddity::refuse(status)).at(Kind::ReadAsset).of(&odd));
        let version = format!("odd {status}");
        scene.new_versions(&version)?;
        scene.to_rest().await?;
        ensure!(scene.with_version(&version) == 12, "{status}: {}", scene.with_version(&version));
    }
    scene.ensure_nothing_twice()
}
