//! P25: plan writes nothing, and `apply_only` only where it is told to.

use amfj_sync_tests::model::{CreateDevices, Model, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use amfj_sync_tests::sim::kandji::NewDevice;
use anyhow::{Result, ensure};

use crate::bench::Bench;

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
    // As it is before the workers start, for they begin at once.
    let prediction = model.run(&settings, &services.content(), &services.amfj.site());
    pipeline.reconfigure(vec![("acme", settings.configure(services.integration("acme")))]).await?;
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

/// P24: what is no longer in Kandji and never had an asset is in no state.
#[tokio::test]
async fn p24_devices_without_asset_that_left_are_not_counted() -> Result<()> {
    let settings = Settings { excluded_platforms: vec!["iPad".to_owned()], ..Settings::default() };
    let mut bench = Bench::new(settings).await?;
    for name in ["Stays", "Stays too"] {
        bench.pair(name)?;
    }
    let unmatched = bench.enrol("Unmatched", None)?;
    let tablet =
        NewDevice { name: "Tablet".to_owned(), platform: Some("iPad".to_owned()), ..NewDevice::default() };
    let tablet = bench.services.kandji.add_device(tablet)?.device_id;
    bench.start().await?;
    bench.run().await?;
    ensure!(bench.devices("unmatched").await? == 1 && bench.devices("out of scope").await? == 1);
    bench.services.kandji.remove_device(&unmatched)?;
    bench.services.kandji.remove_device(&tablet)?;
    for _ in 0..3 {
        bench.run_writes_nothing("two devices left").await?;
    }
    let (unmatched, excluded) = (bench.devices("unmatched").await?, bench.devices("out of scope").await?);
    ensure!((unmatched, excluded) == (0, 0), "{unmatched} are unmatched, {excluded} are out of scope");
    Ok(())
}
