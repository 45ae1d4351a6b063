//! What is larger than a message may be is left out and named, and all else is done; the same is not tried for ever.

use amfj_sync_tests::pipeline::{Crew, Pipeline, Services};
use anyhow::{Result, ensure};
use serde_json::json;

/// A value, a device and an asset that no message could carry: the device is cut, the asset left out, both named.
#[tokio::test]
async fn p30_what_is_too_large_is_left_out_and_named_and_written_once() -> Result<()> {
    let services = Services::plain(4, 184).await?;
    let devices = services.kandji.devices();
    let large = &devices[0].device_id;
    services.kandji.set(large, "tags", json!(vec!["a tag of some length"; 500_000]))?;
    for number in 0..40 {
        services.kandji.set(large, &format!("extra_{number}"), json!("\u{1}".repeat(60_000)))?;
    }
    let asset = services.amfj.add_asset("Large", "Laptop")?;
    services.amfj.set_field(&asset, "Notes", json!("x".repeat(100_000)))?;
    let integration = services.integration("acme").field("Notes", "tags").field("Asset Tag", "device_id");
    let pipeline = Pipeline::with(Crew::default(), vec![("acme", integration)], |config| config).await?;
    pipeline.run().await?;
    let written =
        services.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Asset Tag")).count();
    ensure!(written >= 3, "{written} of the others are written");
    let status =
        pipeline.said_as_json(amfj_sync_tests::harness::Role::Reconciler, &["status", "--json"]).await?;
    let named = status.to_string();
    ensure!(named.contains("its tags is too long") && named.contains("its fields is too long"), "{named}");
    services.amfj.clear_writes();
    pipeline.run().await?;
    let again = services.take_writes();
    ensure!(again.is_empty(), "written again: {}", again.join("\n").chars().take(2_000).collect::<String>());
    Ok(())
}
