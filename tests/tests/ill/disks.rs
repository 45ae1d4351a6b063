//! The disk under a running worker fills up or becomes read-only: it is not ready and says why, another one does all of
//! the work, and once the disk is well again it goes on in the same process.

use std::path::Path;
use std::time::Duration;

use amfj_sync_tests::harness::{Launch, Role, SmallDisk, Worker, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use anyhow::{Result, ensure};
use serde_json::json;

const DEVICES: usize = 12;

/// A look at the disk every few seconds.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// What is promised.
const WELL_WITHIN: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Full,
    ReadOnly,
}

impl Failure {
    fn strike(self, disk: &SmallDisk) -> Result<()> {
        if self == Self::Full { disk.fill() } else { disk.become_read_only() }
    }

    async fn mend(self, disk: &SmallDisk) -> Result<()> {
        if self == Self::Full { disk.make_room() } else { disk.mend().await }
    }

    /// How the system calls it.
    fn says(self) -> &'static str {
        if self == Self::Full { "No space left" } else { "Read-only file system" }
    }
}

fn on_disk(launch: Launch, role: Role, place: &Path) -> Launch {
    launch.arg("run").env(format!("AMFJ_SYNC__{}__DATA_DIR", role.name().to_uppercase()), place.join("data"))
}

async fn is_ill(worker: &Worker, failure: Failure) -> Result<()> {
    eventually(NOTICED_WITHIN, "the worker to be ill", async || {
        let (status, body) = worker.get("/readyz").await?;
        ensure!(
            status == 503 && body.contains(failure.says()) && body.contains("data directory"),
            "{status}: {body}"
        );
        Ok(())
    })
    .await
}

/// Every device gets another tag, which all of the assets must have in the end.
fn give_work(services: &Services, tag: &str) -> Result<()> {
    let devices = services.kandji.devices();
    devices.iter().try_for_each(|device| services.kandji.set(&device.device_id, "asset_tag", json!(tag)))
}

fn all_is_done(services: &Services, tag: &str) -> Result<()> {
    let done =
        services.amfj.assets().iter().filter(|asset| asset.fields.get("Notes") == Some(&json!(tag))).count();
    ensure!(done == DEVICES, "{done} of {DEVICES} assets have {tag}");
    Ok(())
}

async fn start() -> Result<(SmallDisk, Services, Pipeline)> {
    let services = Services::plain(DEVICES, 180).await?;
    let integration = services.integration("acme").field("Notes", "asset_tag");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    Ok((SmallDisk::new()?, services, pipeline))
}

/// Beside a healthy worker of its kind; then it does all of the work itself.
async fn shares_its_work(role: Role, failure: Failure) -> Result<()> {
    let (disk, services, mut pipeline) = start().await?;
    let mut ill = on_disk(pipeline.call(role), role, disk.place()).spawn()?;
    ill.wait_ready().await?;
    give_work(&services, "before")?;
    pipeline.run().await?;
    failure.strike(&disk)?;
    is_ill(&ill, failure).await?;
    give_work(&services, "meanwhile")?;
    pipeline.run().await?;
    all_is_done(&services, "meanwhile")?;
    let status = pipeline.said(&["status", "--json"]).await?;
    let named = format!("a {} on", role.name());
    ensure!(status.contains(&named) && status.contains(failure.says()), "{status}");
    ensure!(ill.exited()?.is_none(), "it ended: {}", ill.log_tail());
    failure.mend(&disk).await?;
    ill.wait_ready_within(WELL_WITHIN).await?;
    let workers = if role == Role::Writer { &mut pipeline.writers } else { &mut pipeline.reconcilers };
    let healthy = std::mem::replace(&mut workers[0], ill);
    ensure!(healthy.terminate().await?.success());
    give_work(&services, "afterwards")?;
    pipeline.run().await?;
    all_is_done(&services, "afterwards")?;
    ensure!(pipeline.dead_letters().await? == 0, "something was given up");
    Ok(())
}

/// Another fetcher leads meanwhile; afterwards it leads itself.
async fn leads_again(failure: Failure) -> Result<()> {
    let (disk, services, pipeline) = start().await?;
    let mut fetcher = on_disk(pipeline.call(Role::Fetcher), Role::Fetcher, disk.place()).spawn()?;
    fetcher.wait_ready().await?;
    eventually(RUN_LIMIT, "a first run", async || {
        let run = pipeline.runs_in_force().await?;
        ensure!(run["acme"] > 0, "no run is in force");
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    failure.strike(&disk)?;
    is_ill(&fetcher, failure).await?;
    give_work(&services, "meanwhile")?;
    pipeline.run().await?;
    all_is_done(&services, "meanwhile")?;
    failure.mend(&disk).await?;
    fetcher.wait_ready_within(WELL_WITHIN).await?;
    give_work(&services, "afterwards")?;
    let before = pipeline.runs_in_force().await?;
    pipeline.said(&["trigger"]).await?;
    pipeline.settle_after(&before).await?;
    all_is_done(&services, "afterwards")?;
    ensure!(fetcher.exited()?.is_none(), "it ended: {}", fetcher.log_tail());
    Ok(())
}

macro_rules! disk_tests {
    ($($name:ident: $test:expr;)+) => {
        $(
            #[tokio::test]
            async fn $name() -> Result<()> {
                if !SmallDisk::can_be_made() {
                    eprintln!("left out: this user may not mount disks");
                    return Ok(());
                }
                $test.await
            }
        )+
    };
}

disk_tests! {
    a_writer_whose_disk_fills_up: shares_its_work(Role::Writer, Failure::Full);
    a_reconciler_whose_disk_becomes_read_only: shares_its_work(Role::Reconciler, Failure::ReadOnly);
    a_fetcher_whose_disk_fills_up: leads_again(Failure::Full);
}
