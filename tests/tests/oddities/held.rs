//! Held whole means: not one write comes of that run (P23), odd or not.

use amfj_sync_tests::pipeline::Services;
use anyhow::{Result, ensure};

use crate::support::{Scene, everything};

#[tokio::test]
async fn a_held_run_writes_nothing_at_all_until_it_is_released() -> Result<()> {
    let services = Services::plain(40, 1711).await?;
    let settings = everything(&services);
    let mut scene = Scene::open(services, settings, "5s").await?;
    scene.to_rest().await?;
    let owned = scene.services.owned_devices();
    for device in &owned[..12] {
        scene.services.kandji.give_to(&device.device_id, "Loan Pool", "pool@example.com")?;
    }
    scene.new_versions("odd 1")?;
    scene.amfj().clear_writes();
    let before = scene.pipeline.runs_in_force().await?;
    scene.pipeline.fetch(&[]).await?;
    scene.pipeline.settle_after(&before).await?;
    scene.replace_reconcilers().await?;
    scene.pipeline.settle().await?;
    let writes = scene.services.take_writes();
    ensure!(writes.is_empty(), "a held run wrote:\n{}", writes.join("\n"));
    scene.said(&["release", "acme"]).await?;
    scene.versions("odd 1", 40).await?;
    scene.to_rest().await?;
    scene.ensure_with_owners()?;
    scene.ensure_nothing_twice()
}
