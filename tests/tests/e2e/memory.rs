//! The memory of each worker at 10,000 devices.

use std::time::Duration;

use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::model::Settings;
use amfj_sync_tests::pipeline::{Pipeline, Services};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use anyhow::{Result, ensure};

const DEVICES: usize = 10_000;
const LIMIT: u64 = 150_000_000;

/// What the program itself takes of that, of a release. One that is not optimised takes half as much again, and nobody runs it.
const PROGRAM: u64 = 20_000_000;

#[tokio::test]
async fn memory_of_each_worker_stays_below_150_mb_at_10000_devices() -> Result<()> {
    let fleet = Fleet::generate(FleetSpec { devices: DEVICES, seed: 10, traps: Traps::Realistic });
    let services = Services::start(&fleet).await?;
    let settings = Settings::default().field("Model", "model").field("OS Version", "os_version");
    let integration = settings.configure(services.integration("acme"));
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    // The whole fleet is decided; of the writes, enough to see what they cost.
    let limit = Duration::from_mins(6);
    eventually(limit, "every device to be decided and the first writes", async || {
        let status = pipeline.reconcilers[0].status().await?;
        let own = &status["integrations"]["acme"];
        ensure!(own["partitions_decided"].as_u64() == Some(2), "{own}");
        ensure!(services.amfj.write_count() > 500, "{} writes", services.amfj.write_count());
        Ok(())
    })
    .await?;
    let mut above = Vec::new();
    for worker in [&fetcher, &pipeline.reconcilers[0], &pipeline.writers[0]] {
        let (name, of_the_program) = (worker.role().name(), worker.program_bytes()?);
        let peak = worker.peak_rss_bytes()?.saturating_sub(of_the_program.saturating_sub(PROGRAM));
        println!("{name}: peak {} MB at {DEVICES} devices", peak / 1_000_000);
        if peak >= LIMIT {
            above.push(format!("{name} {} MB", peak / 1_000_000));
        }
    }
    ensure!(above.is_empty(), "above {} MB: {}", LIMIT / 1_000_000, above.join(", "));
    Ok(())
}
