//! Writers that are killed in the middle of a first sync, in every dialect: what was sent and not answered is found again.

use amfj_sync_tests::harness::eventually;
use amfj_sync_tests::pipeline::{RUN_LIMIT, Services, newcomers};
use amfj_sync_tests::scene::{Scene, everything};
use amfj_sync_tests::sim::amfj::Dialect;
use amfj_sync_tests::sim::personality::{Kind, Oddity, Personality};
use anyhow::{Result, ensure};

/// After so many writes each time.
const WRITES: [usize; 3] = [3, 14, 30];

async fn killed(dialect: Dialect, seed: u64) -> Result<()> {
    let services = Services::speaking(dialect, &newcomers(20, seed)).await?;
    let settings = everything(&services);
    let mut scene = Scene::open(services, settings, "2m").await?;
    // Long enough for the death to come between a write and its answer, or its job.
    scene.odd(Personality::new(Oddity::Slow { ms: 40 }).at(Kind::Writes));
    scene.odd(Personality::new(Oddity::JobTakes { ms: 150 }).at(Kind::Writes));
    scene.publish().await?;
    for writes in WRITES {
        eventually(RUN_LIMIT, "the writes before a death", async || {
            let made = scene.amfj().write_count();
            ensure!(made >= writes, "{made} writes");
            Ok(())
        })
        .await?;
        scene.replace_writers().await?;
    }
    scene.pipeline.settle().await?;
    scene.to_rest().await?;
    scene.ensure_nothing_twice()?;
    scene.ensure_with_owners()?;
    scene.ensure_idle().await?;
    scene.ensure_dead_letters(0).await
}

#[tokio::test]
async fn a_killed_writer_makes_nothing_twice_under_offset_put() -> Result<()> {
    killed(Dialect::OffsetPut, 2121).await
}

#[tokio::test]
async fn a_killed_writer_makes_nothing_twice_under_envelope_jobs() -> Result<()> {
    killed(Dialect::EnvelopeJobs, 2122).await
}

#[tokio::test]
async fn a_killed_writer_makes_nothing_twice_under_prefix_members() -> Result<()> {
    killed(Dialect::PrefixMembers, 2123).await
}
