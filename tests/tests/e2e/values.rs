//! P13–P19: what is written into which field, and what keeps a run from starting.

use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use amfj_sync_tests::sim::amfj::Mutation;
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};
use serde_json::json;

use crate::bench::Bench;

#[tokio::test]
async fn p13_fields_that_are_not_mapped_and_the_type_are_never_touched() -> Result<()> {
    let settings = Settings { default_location: Some("HQ".to_owned()), ..Settings::default() };
    let mut bench = Bench::new(settings.field("Model", "model").field("Name", "device_name")).await?;
    let (device, asset) = bench.pair("Mac")?;
    bench.services.amfj.set_field(&asset, "Notes", json!("by hand"))?;
    bench.start().await?;
    bench.run().await?;
    let hq = bench.services.amfj.site().location_id("HQ").map(str::to_owned);
    ensure!(bench.asset(&asset).location_id == hq, "the default location is set with the link");
    bench.services.kandji.rename(&device, "Mac 2")?;
    let asset_type = "Tablet".to_owned();
    bench.services.amfj.apply(Mutation::SetAssetType { asset: asset.clone(), asset_type })?;
    let writes = bench.run().await?;
    ensure!(writes == [format!(r#"PATCH /v1/assets/{asset} {{"name":"Mac 2"}}"#)], "{writes:?}");
    ensure!(bench.field(&asset, "Notes") == "by hand");
    Ok(())
}

#[tokio::test]
async fn p14_empty_values_are_kept_unless_on_empty_clears() -> Result<()> {
    let mut bench = Bench::new(Settings::default().field("Asset Tag", "asset_tag")).await?;
    let (device, asset) = bench.pair("Mac")?;
    bench.services.kandji.set(&device, "asset_tag", json!("A-1"))?;
    bench.start().await?;
    bench.run().await?;
    ensure!(bench.field(&asset, "Asset Tag") == "A-1");
    bench.services.kandji.set(&device, "asset_tag", json!("  "))?;
    bench.run_writes_nothing("on_empty = keep").await?;
    let settings = Settings { clear_on_empty: true, ..bench.settings.clone() };
    bench.change_settings(settings).await?;
    bench.run().await?;
    ensure!(bench.field(&asset, "Asset Tag").is_null());
    bench.run_writes_nothing("it is clear already").await
}

#[tokio::test]
async fn p15_a_refused_value_is_left_out_and_not_tried_again() -> Result<()> {
    let settings = Settings::default().field("Model", "model").field("Asset Tag", "asset_tag");
    let mut bench = Bench::new(settings).await?;
    let (device, asset) = bench.pair("Mac")?;
    bench.services.kandji.set(&device, "asset_tag", json!("REFUSED"))?;
    let refusal = json!({ "error": { "code": "invalid", "message": "not unique", "field": "Asset Tag" } });
    let refuse = Action::Status { code: 422, body: Some(refusal.to_string()) };
    let rule = bench.services.amfj.fault(Rule::new(refuse).on("PATCH", &format!("/assets/{asset}")).times(1));
    bench.start().await?;
    bench.run().await?;
    ensure!(!bench.services.amfj.faults().remove(rule), "nothing was refused");
    ensure!(!bench.field(&asset, "Model").is_null(), "the other field should be written");
    ensure!(bench.field(&asset, "Asset Tag").is_null());
    ensure!(bench.devices("field problem").await? == 1);
    bench.run_writes_nothing("the refused value has not changed").await?;
    bench.services.kandji.set(&device, "asset_tag", json!("FINE"))?;
    let writes = bench.run().await?;
    ensure!(
        writes == [format!(r#"PATCH /v1/assets/{asset} {{"fields":{{"Asset Tag":"FINE"}}}}"#)],
        "{writes:?}"
    );
    ensure!(bench.devices("in sync").await? == 1);
    Ok(())
}

#[tokio::test]
async fn p15_values_are_compared_after_conversion() -> Result<()> {
    let settings = Settings::default()
        .field("Cores", "details.hardware_overview.total_number_of_cores")
        .field("Managed", "details.mdm.supervised")
        .field("Enrolled On", "first_enrollment")
        .field("Platform", "platform")
        .field("Diagonal", "serial_number");
    let mut bench = Bench::new(settings).await?;
    let (device, asset) = bench.pair("Mac")?;
    bench.services.kandji.set(&device, "first_enrollment", json!("2022-08-15 13:51:01 +0000"))?;
    bench.services.kandji.set_detail(&device, "hardware_overview.total_number_of_cores", json!("8"))?;
    bench.services.kandji.set_detail(&device, "mdm.supervised", json!("True"))?;
    bench.start().await?;
    let writes = bench.run().await?;
    ensure!(writes.len() == 1, "{writes:?}");
    let asset = bench.asset(&asset);
    ensure!(asset.fields["Cores"].as_f64() == Some(8.0), "{asset:?}");
    ensure!(asset.fields["Managed"] == true && asset.fields["Enrolled On"] == "2022-08-15", "{asset:?}");
    ensure!(asset.fields["Platform"] == "Mac", "{asset:?}");
    // A laptop has no diagonal: skipped silently.
    ensure!(!asset.fields.contains_key("Diagonal") && bench.devices("in sync").await? == 1);
    bench.run_writes_nothing("nothing differs after conversion").await
}

#[tokio::test]
async fn p17_details_are_requested_once_per_check_in_and_only_if_mapped() -> Result<()> {
    let mut bench = Bench::new(Settings::default().field("Model", "model")).await?;
    let (device, asset) = bench.pair("Mac")?;
    bench.pair("Other")?;
    bench.start().await?;
    bench.run().await?;
    let details = |bench: &Bench| {
        let asked = bench.services.kandji.requests().into_iter().filter(|r| r.path.ends_with("/details"));
        let mut paths: Vec<String> = asked.map(|request| request.path).collect();
        bench.services.kandji.clear_requests();
        paths.sort();
        paths
    };
    ensure!(details(&bench).is_empty(), "no mapping needs details");
    let settings = Settings::default().field("Memory", "details.hardware_overview.memory");
    bench.change_settings(settings).await?;
    bench.run().await?;
    let asked = details(&bench);
    ensure!(asked.len() == 2 && asked[0] != asked[1], "one request for each device: {asked:?}");
    bench.run().await?;
    ensure!(details(&bench).is_empty(), "no device has checked in since");
    bench.services.kandji.set_detail(&device, "hardware_overview.memory", json!("128 GB"))?;
    bench.run().await?;
    let asked = details(&bench);
    ensure!(asked == [format!("/api/v1/devices/{device}/details")], "{asked:?}");
    ensure!(bench.field(&asset, "Memory") == "128 GB");
    Ok(())
}

#[tokio::test]
async fn p18_a_wrong_word_fails_that_integration_and_no_other() -> Result<()> {
    let (broken, healthy) = (Services::plain(3, 1).await?, Services::plain(3, 2).await?);
    let integrations = vec![
        ("broken", broken.integration("broken").field("Serail Number", "serial_number")),
        ("healthy", healthy.integration("healthy").field("Serial Number", "serial_number")),
    ];
    let pipeline = Pipeline::start(integrations).await?;
    let done = pipeline.fetch(&[]).await?;
    ensure!(matches!(done.status.code(), Some(1 | 2)), "{done:?}");
    let said = done.stderr;
    ensure!(said.contains("Serail Number") && said.contains("Serial Number"), "no nearest word in:\n{said}");
    ensure!(said.contains("amfj-sync.toml:"), "no line in:\n{said}");
    let filled = |services: &Services| {
        services.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Serial Number")).count()
    };
    amfj_sync_tests::harness::eventually(
        amfj_sync_tests::pipeline::RUN_LIMIT,
        "the healthy one",
        async || {
            ensure!(filled(&healthy) >= 3, "{} of 3", filled(&healthy));
            Ok(())
        },
    )
    .await?;
    ensure!(broken.amfj.write_count() == 0, "{:?}", broken.take_writes());
    Ok(())
}

#[tokio::test]
async fn p18_a_missing_type_location_or_property_and_an_unmapped_required_field_fail_the_run() -> Result<()> {
    let mut kiosk = Settings { create_devices: CreateDevices::Always, ..Settings::default() };
    kiosk.default_asset_type = "Kiosk".to_owned();
    let wrong = [
        (Settings { default_asset_type: "Labtop".to_owned(), ..Settings::default() }, "Laptop"),
        (
            Settings { default_location: Some("Bueros Berlin".to_owned()), ..Settings::default() },
            "Büro Berlin",
        ),
        (Settings::default().field("Model", "modell"), "model"),
        (kiosk, "Cost Centre"),
    ];
    let mut bench = Bench::new(Settings::default().field("Model", "model")).await?;
    bench.pair("Mac")?;
    bench.start().await?;
    for (settings, expected) in wrong {
        // What no service needs to be asked for is an error of the file: nothing starts at all.
        let said = match bench.change_settings(settings).await {
            Ok(()) => bench.run_fails().await?,
            Err(error) => format!("{error:#}"),
        };
        ensure!(said.contains(expected), "{expected:?} is not in:\n{said}");
        ensure!(bench.services.amfj.write_count() == 0);
    }
    Ok(())
}

#[tokio::test]
async fn p19_what_is_out_of_scope_is_left_alone_and_not_gone() -> Result<()> {
    let settings = Settings { check_in_gone: true, auto_checkout: true, ..Settings::default() };
    let mut bench = Bench::new(settings.field("Model", "model")).await?;
    let (device, asset) = bench.owned_pair("Mac", ("Ana", "ana@example.com"))?;
    bench.start().await?;
    bench.run().await?;
    let ana = bench.holder(&asset);
    ensure!(ana.is_some());
    let settings = Settings { excluded_platforms: vec!["mac".to_owned()], ..bench.settings.clone() };
    bench.change_settings(settings).await?;
    bench.services.kandji.set(&device, "model", json!("Other"))?;
    bench.services.kandji.set_user(&device, None)?;
    for _ in 0..3 {
        bench.run_writes_nothing("it is out of scope").await?;
    }
    ensure!(bench.holder(&asset) == ana && bench.devices("out of scope").await? == 1);
    let settings = Settings { excluded_platforms: Vec::new(), ..bench.settings.clone() };
    bench.change_settings(settings).await?;
    bench.run().await?;
    ensure!(bench.field(&asset, "Model") == "Other", "it is still linked");
    Ok(())
}
