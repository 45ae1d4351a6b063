//! A fleet of a thousand devices with every trap in it: what one run leaves is at rest, and what changes is written, and
//! nothing else (P3).

use amfj_sync_tests::model::{CreateDevices, CreateUsers, Model, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

const CHANGED: usize = 5;

#[tokio::test]
async fn p3_a_thousand_devices_in_every_trap_are_at_rest_after_one_run() -> Result<()> {
    let fleet = Fleet::generate(FleetSpec { devices: 1000, seed: 17, traps: Traps::Realistic });
    let services = Services::start(&fleet).await?;
    let settings = Settings {
        create_devices: CreateDevices::FirstSync,
        create_users: CreateUsers::All,
        auto_checkout: true,
        ..Settings::default()
    }
    .field("Serial Number", "serial_number")
    .field("OS Version", "os_version")
    .field("Notes", "tags")
    .field("Asset Tag", "{{ model }}, Mac {{ os_version }}")
    .user_field("Name", "{{ user.name }}");
    // With the product's own limits.
    let integration = settings
        .configure(services.integration("acme"))
        .set("sync.gone_limit", "10%")
        .set("sync.change_limit", "10%");
    let workers = Workers { reconcilers: 2, writers: 2 };
    let pipeline = Pipeline::with(workers, vec![("acme", integration)], |config| config).await?;
    let mut model = Model::default();
    let prediction = model.run(&settings, &services.content(), &services.amfj.site());
    pipeline.run().await?;
    model.agree(&prediction, &services.amfj.site()).map_err(anyhow::Error::msg).context("the first run")?;
    services.take_writes();

    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "the second run wrote:\n{}", writes.join("\n"));

    let linked: Vec<String> = model.links.keys().cloned().collect();
    for device in services.kandji.devices() {
        if let Some(tags) = device.tags.filter(|tags| tags.len() > 1) {
            let turned: Vec<String> = tags.into_iter().rev().collect();
            services.kandji.set(&device.device_id, "tags", json!(turned))?;
        }
    }
    let kinds = services.amfj.site().asset_types;
    let has_field = |device: &String| {
        let asset = model.links.get(device).and_then(|asset| services.amfj.asset(asset));
        let kind = asset.and_then(|asset| kinds.iter().find(|kind| kind.id == asset.asset_type_id).cloned());
        kind.is_some_and(|kind| kind.fields.iter().any(|field| field.name == "OS Version"))
    };
    let live = services.kandji.devices();
    let is_live = |id: &&String| live.iter().any(|device| device.device_id == **id && !device.is_removed);
    let changed: Vec<&String> =
        linked.iter().filter(is_live).filter(|id| has_field(id)).take(CHANGED).collect();
    for device in &changed {
        services.kandji.set(device, "os_version", json!("99.9"))?;
    }
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(writes.len() == changed.len(), "{} changes, written:\n{}", changed.len(), writes.join("\n"));
    for device in changed {
        let path = format!("/assets/{}", model.links[device]);
        let of_it: Vec<_> = writes.iter().filter(|write| write.contains(&path)).collect();
        ensure!(of_it.len() == 1 && of_it[0].contains("99.9"), "{device}: {of_it:?}");
    }
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}
