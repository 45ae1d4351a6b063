//! P25: plan writes nothing, and `apply_only` only where it is told to.

use amfj_sync_tests::model::{CreateDevices, Model, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use anyhow::{Result, ensure};

fn everything() -> Settings {
    Settings {
        create_devices: CreateDevices::FirstSync,
        auto_checkout: true,
        default_location: Some("HQ".to_owned()),
        ..Settings::default()
    }
    .field("Serial Number", "serial_number")
    .field("Model", "model")
}

#[tokio::test]
async fn p25_plan_writes_nothing_and_apply_is_a_first_sync_then() -> Result<()> {
    let fleet = Fleet::generate(FleetSpec { devices: 60, seed: 25, traps: Traps::Realistic });
    let services = Services::start(&fleet).await?;
    let settings = everything();
    let plan = Settings { apply: false, ..settings.clone() };
    let mut pipeline = Pipeline::start(vec![("acme", plan.configure(services.integration("acme")))]).await?;
    for _ in 0..2 {
        pipeline.run().await?;
    }
    let writes = services.amfj.requests().into_iter().filter(|request| request.method != "GET");
    let writes: Vec<String> = writes.map(|request| format!("{} {}", request.method, request.path)).collect();
    ensure!(writes.is_empty(), "{writes:?}");
    let status = pipeline.reconcilers[0].status().await?;
    let planned = status["integrations"]["acme"]["devices"]["plan only"].as_u64();
    ensure!(planned.is_some_and(|devices| devices > 30), "{status}");

    let mut model = Model::default();
    model.run(&plan, &services.content(), &services.amfj.site());
    pipeline.reconfigure(vec![("acme", settings.configure(services.integration("acme")))]).await?;
    let prediction = model.run(&settings, &services.content(), &services.amfj.site());
    pipeline.run().await?;
    model.agree(&prediction, &services.amfj.site()).map_err(anyhow::Error::msg)
}

#[tokio::test]
async fn p25_apply_only_applies_to_exactly_these_serials() -> Result<()> {
    let services = Services::plain(12, 25).await?;
    let devices = services.kandji.devices();
    let chosen: Vec<_> = devices.iter().skip(3).take(2).collect();
    let serials: Vec<String> = chosen.iter().map(|device| device.serial_number.clone()).collect();
    let settings = Settings::default().field("Model", "model");
    let integration = settings.configure(services.integration("acme")).set("apply_only", serials);
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let mut expected: Vec<String> =
        chosen.iter().map(|device| services.amfj.assets_named(&device.device_name)[0].id.clone()).collect();
    expected.sort();
    let mut touched: Vec<String> = services
        .amfj
        .writes()
        .iter()
        .filter(|write| write.path.contains("/assets"))
        .map(|write| write.path.rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    touched.sort();
    ensure!(touched == expected, "{touched:?} instead of {expected:?}");
    let people: Vec<_> = chosen.iter().filter_map(|device| device.user.person()?.email.clone()).collect();
    for write in services.amfj.writes().iter().filter(|write| write.path.contains("/users")) {
        let email = write.body["email"].as_str().unwrap_or_default().to_owned();
        ensure!(people.contains(&email), "a record was created for {email}");
    }
    Ok(())
}
