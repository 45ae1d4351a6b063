//! P23: an event leads to nothing that a run would have been held for.

use amfj_sync_tests::harness::eventually;
use amfj_sync_tests::pipeline::{RUN_LIMIT, Services};
use amfj_sync_tests::sim::amfj::EventIds;
use anyhow::{Context as _, Result, ensure};

use super::support::Scene;

/// With `enforce` every asset that somebody gives away in AMFJ is to go back. Given away by the dozen, that is for a run to
/// judge: events take nothing from anybody.
#[tokio::test]
async fn p23_what_is_taken_from_people_because_of_an_event_waits_for_a_run() -> Result<()> {
    let services = Services::plain(30, 347).await?;
    let integration = services.everything("acme").set("sync.assignment", "enforce");
    let scene = Scene::open(services, integration).await?;
    let _events = scene.send_events(EventIds::AtTop)?;
    let amfj = &scene.services.amfj;
    let held: Vec<_> = amfj.assets().into_iter().filter(|asset| asset.holder.is_some()).take(8).collect();
    ensure!(held.len() == 8, "{} have a holder", held.len());
    let thief = amfj.add_user("Somebody Else", Some("somebody.else@example.com"), false)?;
    for asset in &held {
        amfj.check_out(&asset.id, &thief)?;
    }
    // And one that was put back on the shelf goes back to its user at once: nobody loses it.
    let other =
        amfj.assets().into_iter().find(|asset| asset.holder.as_ref().is_some_and(|holder| *holder != thief));
    let other = other.context("nobody else has anything")?;
    amfj.check_in(&other.id)?;
    eventually(RUN_LIMIT, "the asset of the one to be given back", async || {
        let now = amfj.asset(&other.id).and_then(|asset| asset.holder);
        ensure!(now == other.holder, "{now:?} has it");
        Ok(())
    })
    .await?;
    eventually(RUN_LIMIT, "eight devices that wait for a run", async || {
        for asset in &held {
            let explained = scene.explained(&asset.name).await?;
            ensure!(explained.contains("next run decides"), "{explained}");
        }
        Ok(())
    })
    .await?;
    scene.nothing_waits().await?;
    let taken = |id: &String| amfj.asset(id).and_then(|asset| asset.holder) == Some(thief.clone());
    ensure!(held.iter().all(|asset| taken(&asset.id)), "an event took an asset from somebody");
    scene.run().await?;
    let explained = scene.explained(&held[0].name).await?;
    ensure!(
        explained.contains("held") && held.iter().all(|asset| taken(&asset.id)),
        "8 of 30 are too many: {explained}"
    );
    Ok(())
}
