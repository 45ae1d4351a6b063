//! What is larger than a message may be is left out and named, and all else is done; the same is not tried for ever.

use amfj_sync_tests::harness::{PrivateBroker, SharedBroker};
use amfj_sync_tests::pipeline::{Pipeline, Services, Workers, spec};
use amfj_sync_tests::sim::fleet::{FieldKind, FieldSpec, Fleet};
use anyhow::{Context as _, Result, ensure};
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
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| config).await?;
    pipeline.run().await?;
    let written =
        services.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Asset Tag")).count();
    ensure!(written >= 3, "{written} of the others are written");
    let status = pipeline.said_as_json(&["status", "--json"]).await?;
    let named = status.to_string();
    ensure!(named.contains("its tags is too long") && named.contains("its fields is too long"), "{named}");
    services.amfj.clear_writes();
    pipeline.run().await?;
    let again = services.take_writes();
    ensure!(again.is_empty(), "written again: {}", again.join("\n").chars().take(2_000).collect::<String>());
    Ok(())
}

/// What somebody set as `max_message_size`.
const LIMIT: usize = 64 << 10;

/// A site with more kinds of assets and options than a message of the broker can carry.
fn with_many_options(devices: usize, seed: u64) -> Fleet {
    let mut fleet = Fleet::generate(spec(devices, seed));
    let laptop = fleet.site.type_id("Laptop").unwrap_or_default().to_owned();
    for asset in &mut fleet.site.assets {
        asset.asset_type_id.clone_from(&laptop);
    }
    for kind in &mut fleet.site.asset_types {
        let options = (0..2_000).map(|number| format!("cost centre number {number}")).collect();
        let (name, required) = ("Cost Centre".to_owned(), false);
        kind.fields.push(FieldSpec { name, kind: FieldKind::Select, required, options });
    }
    fleet
}

/// How often a channel was closed at the broker because a message was too large.
fn refusals(broker: &PrivateBroker) -> Result<usize> {
    let log = std::fs::read_to_string(broker.folder().join("node.log"))?;
    Ok(log.matches("message size").count())
}

/// A broker that takes 64 KiB: what does not fit is left out and named, everything else is done, and nothing is refused again
/// and again. Each process asks once how much it is.
#[tokio::test]
async fn p30_a_broker_of_small_messages_takes_all_that_fits() -> Result<()> {
    let mut broker = PrivateBroker::start().await?;
    // RabbitMQ 4 reads it when it starts, and never again.
    std::fs::write(
        broker.folder().join("conf.d").join("small.conf"),
        format!("max_message_size = {LIMIT}\n"),
    )?;
    broker.restart().await?;
    let services = Services::start(&with_many_options(30, 188)).await?;
    let devices = services.kandji.devices();
    let asset_of = |place: usize| -> Result<String> {
        let named = services.amfj.assets_named(&devices[place].device_name).pop();
        Ok(named.context("it has no asset")?.id)
    };
    // Four values of a device that are too large together; an asset that is; and a change that is, of both that are not.
    for property in ["agent_version", "asset_tag", "os_version", "model"] {
        services.kandji.set(&devices[0].device_id, property, json!("t".repeat(30_000)))?;
    }
    services.amfj.set_field(&asset_of(1)?, "Notes", json!("x".repeat(100_000)))?;
    for (field, value) in [("Notes", "a"), ("Asset Tag", "b"), ("OS Version", "c")] {
        services.amfj.set_field(&asset_of(2)?, field, json!(value.repeat(18_000)))?;
    }
    for (property, value) in [("agent_version", "d"), ("asset_tag", "e"), ("os_version", "f")] {
        services.kandji.set(&devices[2].device_id, property, json!(value.repeat(18_000)))?;
    }
    let integration = services
        .integration("acme")
        .set("sync.create_devices", "always")
        .field("Notes", "agent_version")
        .field("Asset Tag", "asset_tag")
        .field("OS Version", "os_version")
        .field("Model", "model");
    let mut pipeline =
        Pipeline::idle_at(SharedBroker::at(broker.url()), vec![("acme", integration)], |config| {
            config.set("timing.checkpoint_every", "1s")
        })
        .await?;
    pipeline.spawn(Workers::default()).await?;
    let assets = services.amfj.assets().len();
    pipeline.run().await?;
    pipeline.run().await?;
    ensure!(
        services.amfj.assets().len() == assets,
        "an asset was created beside one that is too large to be known"
    );
    let status = pipeline.reconcilers[0].status().await?;
    let devices_by_state = &status["integrations"]["acme"]["devices"];
    ensure!(devices_by_state["in sync"] == 27, "{devices_by_state}");
    let named = pipeline.said(&["status", "--json"]).await?;
    for id in [&devices[0].device_id, &asset_of(1)?] {
        ensure!(named.contains(id), "{id} is not named: {named}");
    }
    ensure!(named.contains("the broker takes no message of more than"), "{named}");
    let explained = pipeline.said(&["explain", &devices[2].device_id]).await?;
    ensure!(explained.contains("larger than a message may be"), "{explained}");
    ensure!(pipeline.dead_letters().await? == 0);
    // A copy of the state can be made, and a new worker begins with it.
    let stream = format!("{}.acme.state", pipeline.broker().prefix());
    ensure!(pipeline.everything_in(&stream).await?.contains("checkpoint_ended"), "no copy of the state");
    services.take_writes();
    let (before, refused) = (services.amfj.requests().len(), refusals(&broker)?);
    ensure!(refused <= 4, "{refused} channels were closed by four processes that asked once each");
    for _ in 0..2 {
        pipeline.run().await?;
    }
    ensure!(services.take_writes().is_empty(), "the same is written again");
    let looked =
        services.amfj.requests()[before..].iter().filter(|asked| asked.query.contains("name=")).count();
    ensure!(looked <= 2, "it was looked for {looked} times in two runs");
    let again = refusals(&broker)? - refused;
    ensure!(again <= 2, "{again} channels were closed in two more runs, of a fetcher each");
    let checked = pipeline.command(["check"]).finish(amfj_sync_tests::pipeline::RUN_LIMIT).await?;
    ensure!(checked.stdout.contains("takes messages of up to 65536 bytes"), "{}", checked.stdout);
    Ok(())
}
