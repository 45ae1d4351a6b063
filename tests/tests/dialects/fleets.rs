//! A random fleet, random settings and random changes under each dialect, against the model.

use amfj_sync_tests::random_fleet::{Story, chosen_seed};
use amfj_sync_tests::sim::amfj::Dialect;
use anyhow::{Context as _, Result};

/// `AMFJ_SYNC_SEED=1234` plays that seed instead.
async fn random_fleet(dialect: Dialect, seed: u64) -> Result<()> {
    let seed = chosen_seed(seed);
    let story = Story { seed, devices: 30..50, runs: 2, dialect };
    story.play().await.with_context(|| format!("AMFJ_SYNC_SEED={seed} repeats this"))
}

#[tokio::test]
async fn a_random_fleet_equals_the_model_under_offset_put() -> Result<()> {
    random_fleet(Dialect::OffsetPut, 61).await
}

#[tokio::test]
async fn a_random_fleet_equals_the_model_under_envelope_jobs() -> Result<()> {
    random_fleet(Dialect::EnvelopeJobs, 62).await
}

#[tokio::test]
async fn a_random_fleet_equals_the_model_under_prefix_members() -> Result<()> {
    random_fleet(Dialect::PrefixMembers, 63).await
}
