//! Lists that are older than what was written meanwhile.

use amfj_sync_tests::harness::Role;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Result, ensure};

use super::support::{
    FAILPOINTS, decided, ensure_exactly_once, everything, fetch, newcomers, queued, run_to_the_end, sent,
    waits_at,
};

/// A run reads AMFJ's lists, then the writer creates everything that an earlier run had queued, and only
/// then the run publishes what it read. The list without the new assets and records takes no link away,
/// and nothing is created a second time.
#[tokio::test]
async fn amfj_listed_before_and_published_after_a_creation() -> Result<()> {
    let services = Services::start(&newcomers(10, 101)).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 10).await?;
    let before = pipeline.runs_in_force().await?;
    let late = pipeline.call(Role::Fetcher).args(["run", "--once"]);
    let mut late = late.env(FAILPOINTS, "fetcher.amfj-read=wait:20s").spawn()?;
    waits_at(&late, "fetcher.amfj-read").await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    ensure!(late.exited()?.is_none(), "the run was over before the creations were");
    ensure!(services.amfj.assets().len() == 10, "{} of 10 created", services.amfj.assets().len());
    ensure_exactly_once(&services)?;
    let posts = sent(&services, "POST", "/assets") + sent(&services, "POST", "/users");
    let status = late.wait(RUN_LIMIT).await?;
    ensure!(status.success(), "{}", late.log_tail());
    pipeline.settle_after(&before).await?;
    let after = sent(&services, "POST", "/assets") + sent(&services, "POST", "/users");
    ensure!(posts == after, "{} records were created again", after - posts);
    pipeline.run().await?;
    pipeline.run().await?;
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}

/// The same when AMFJ's lists themselves are late: a run right after the creations lists none of them.
#[tokio::test]
async fn a_list_that_shows_the_creations_late() -> Result<()> {
    let services = Services::start(&newcomers(10, 102)).await?;
    let settings = everything(&services).set("amfj.list_delay", "6s");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    services.amfj.set_list_lag(std::time::Duration::from_secs(5));
    pipeline.run().await?;
    ensure_exactly_once(&services)?;
    let posts = sent(&services, "POST", "/assets") + sent(&services, "POST", "/users");
    pipeline.run().await?;
    let after = sent(&services, "POST", "/assets") + sent(&services, "POST", "/users");
    ensure!(posts == after, "{} records were created again", after - posts);
    services.amfj.set_list_lag(std::time::Duration::ZERO);
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}
