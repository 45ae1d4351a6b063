//! A part of a worker that panics ends the whole of it, with the reason: a task that is gone would leave a worker that
//! looks well and does half of its work.

use amfj_sync_tests::harness::{Role, Worker};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Result, ensure};

async fn ends_with_the_reason(mut worker: Worker, failpoint: &str) -> Result<()> {
    let status = worker.wait(RUN_LIMIT).await?;
    let log = worker.log();
    ensure!(status.code() == Some(1), "{failpoint}: {status}: {log}");
    let said = log.lines().find(|line| line.contains("panicked") && line.contains("ERROR"));
    let said = said.unwrap_or_default();
    ensure!(said.contains(failpoint) && said.contains("shared/failpoint/src/lib.rs:"), "{failpoint}: {log}");
    Ok(())
}

#[tokio::test]
async fn a_panic_ends_a_worker_with_its_reason_and_the_next_one_goes_on() -> Result<()> {
    let services = Services::plain(4, 182).await?;
    let integration = services.integration("acme").field("Notes", "device_id");
    let mut pipeline = Pipeline::idle(vec![("acme", integration)], |config| config).await?;
    let panicking = |pipeline: &Pipeline, role: Role, failpoint: &str| {
        let launch = pipeline.call(role).arg("run");
        launch.env("AMFJ_SYNC_FAILPOINTS", format!("{failpoint}=panic")).spawn()
    };
    // In a task that follows the stream, of each kind; then where each does its own work.
    for role in Role::ALL {
        ends_with_the_reason(panicking(&pipeline, role, "state.received")?, "state.received").await?;
    }
    let failpoint = "fetcher.handing-over";
    ends_with_the_reason(panicking(&pipeline, Role::Fetcher, failpoint)?, failpoint).await?;
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    let failpoint = "reconciler.concluded";
    ends_with_the_reason(panicking(&pipeline, Role::Reconciler, failpoint)?, failpoint).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    let failpoint = "writer.before-intent";
    ends_with_the_reason(panicking(&pipeline, Role::Writer, failpoint)?, failpoint).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    let written = services.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Notes")).count();
    ensure!(written == 4, "{written} of 4 written");
    Ok(())
}
