//! Workers of different releases at one broker: what one of them does not understand is kept for a
//! person, with a word that says so, and stops nothing.

use amfj_sync_tests::harness::eventually;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use anyhow::{Result, ensure};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::json;

fn of_version_2(kind: &str) -> Vec<u8> {
    let message = json!({
        "specversion": "1.0",
        "id": uuid::Uuid::new_v4(),
        "source": "reconciler/of-a-later-release",
        "type": format!("dev.amfj-sync.{kind}.v2"),
        "subject": "device/1",
        "time": "2030-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "integrationid": "acme",
        "sequence": "0001764000000000.00003",
        "data": {"all": "different"},
    });
    message.to_string().into_bytes()
}

#[tokio::test]
async fn a_message_of_a_future_version_is_a_dead_letter_that_says_so() -> Result<()> {
    let services = Services::plain(6, 191).await?;
    let integration = services.integration("acme").field("Notes", "asset_tag");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let connection = Connection::connect(pipeline.broker().url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let prefix = pipeline.broker().prefix();
    for (queue, kind) in
        [("apply.00", "change"), ("reconcile.01", "device-snapshot"), ("state", "fact"), ("state", "change")]
    {
        let name = format!("{prefix}.acme.{queue}");
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish("".into(), name.as_str().into(), options, &of_version_2(kind), properties)
            .await?;
    }
    eventually(RUN_LIMIT, "two dead letters", async || {
        let dead = pipeline.dead_letters().await?;
        ensure!(dead == 2, "{dead} dead letters");
        Ok(())
    })
    .await?;
    let letters = pipeline
        .call(amfj_sync_tests::harness::Role::Writer)
        .args(["dead", "list", "--json"])
        .finish(RUN_LIMIT);
    let letters = letters.await?;
    for kind in ["dev.amfj-sync.change.v2", "dev.amfj-sync.device-snapshot.v2"] {
        ensure!(letters.stdout.contains(kind), "{}", letters.stdout);
    }
    ensure!(letters.stdout.contains("unknown to this release"), "{}", letters.stdout);
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers) {
        let passed_over = worker.metrics().await?.sum("amfj_sync_unreadable_facts_total", &[]);
        ensure!(passed_over >= 2.0, "{passed_over} records were passed over");
    }
    // It goes on as before.
    let device = services.kandji.devices().pop().ok_or_else(|| anyhow::anyhow!("no devices"))?;
    services.kandji.set(&device.device_id, "asset_tag", json!("after the other release"))?;
    services.take_writes();
    pipeline.run().await?;
    ensure!(services.take_writes().len() == 1);
    Ok(())
}
