//! The first run over a fleet with every trap, an idle run, and a run after a few changes.

use amfj_sync_tests::model::{Class, Model, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Trap, Traps};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// P1–P7, P10, P11, P13: 650 devices over three pages.
#[tokio::test]
async fn p3_p5_p13_first_run_links_and_writes_then_only_what_changed() -> Result<()> {
    let fleet = Fleet::generate(FleetSpec { devices: 650, seed: 42, traps: Traps::Realistic });
    let services = Services::start(&fleet).await?;
    let settings = Settings::default()
        .field("Serial Number", "serial_number")
        .field("Model", "model")
        .field("OS Version", "os_version")
        .user_field("Name", "user.name");
    let pipeline = Pipeline::start(vec![("acme", settings.configure(services.integration("acme")))]).await?;

    let mut model = Model::default();
    let first = model.run(&settings, &services.content(), &services.amfj.site());
    pipeline.run().await?;
    model.agree(&first, &services.amfj.site()).map_err(anyhow::Error::msg)?;
    ensure!(services.amfj.assets().len() == fleet.site.assets.len(), "P7: assets were created");
    for trap in [Trap::BlankName, Trap::TwoAssets, Trap::DuplicateName, Trap::NoAsset, Trap::AssetOtherSerial]
    {
        for device in fleet.trapped(trap) {
            let class = first.classes[device];
            ensure!(class != Class::Linked || trap == Trap::DuplicateName, "{trap:?} {device} was linked");
        }
    }
    ensure!(services.amfj.users().len() > fleet.site.users.len(), "P11: no user record was created");
    ensure!(pipeline.dead_letters().await? == 0);

    services.amfj.clear_writes();
    pipeline.run().await?;
    let idle = services.take_writes();
    ensure!(idle.is_empty(), "P3: an idle run wrote\n{}", idle.join("\n"));

    // Two values of linked devices, one of a device that has no asset, and a name that is not mapped.
    let linked: Vec<String> = model.links.keys().take(3).cloned().collect();
    let [a, b, c] = linked.as_slice() else { anyhow::bail!("fewer than three links") };
    services.kandji.set(a, "os_version", json!("99.1"))?;
    services.kandji.set(b, "model", json!("MacBook Max"))?;
    services.kandji.rename(c, "Renamed in Kandji")?;
    let unmatched = fleet.trapped(Trap::NoAsset).first().context("no such trap")?;
    services.kandji.set(unmatched, "os_version", json!("99.2"))?;
    pipeline.run().await?;
    let mut expected = [
        format!(r#"PATCH /v1/assets/{} {{"fields":{{"OS Version":"99.1"}}}}"#, model.links[a]),
        format!(r#"PATCH /v1/assets/{} {{"fields":{{"Model":"MacBook Max"}}}}"#, model.links[b]),
    ];
    expected.sort();
    let writes = services.take_writes();
    ensure!(writes == expected, "exactly the changed values should be written, but:\n{}", writes.join("\n"));
    ensure!(services.amfj.violations().is_empty(), "{:?}", services.amfj.violations());
    ensure!(services.kandji.violations().is_empty(), "{:?}", services.kandji.violations());
    Ok(())
}
