//! Random fleets, random settings and random changes on both sides: after every run AMFJ holds what
//! the independent model says, and another run over the same content writes nothing (P3).
//!
//! `AMFJ_SYNC_SEED=1234` runs that seed instead; a failure names its seed.

use amfj_sync_tests::random_fleet::{Story, chosen_seed};
use amfj_sync_tests::sim::amfj::Dialect;
use anyhow::{Context as _, Result};

async fn random_fleet(seed: u64) -> Result<()> {
    let seed = chosen_seed(seed);
    let story = Story { seed, devices: 50..110, runs: 4, dialect: Dialect::chosen()? };
    story.play().await.with_context(|| format!("AMFJ_SYNC_SEED={seed} repeats this"))
}

#[tokio::test]
async fn random_fleet_1_equals_the_model() -> Result<()> {
    random_fleet(1).await
}

#[tokio::test]
async fn random_fleet_2_equals_the_model() -> Result<()> {
    random_fleet(2).await
}

#[tokio::test]
async fn random_fleet_3_equals_the_model() -> Result<()> {
    random_fleet(3).await
}

#[tokio::test]
async fn random_fleet_4_equals_the_model() -> Result<()> {
    random_fleet(4).await
}
