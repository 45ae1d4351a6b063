//! Replaying the past (P26, P29): what came later stays, and what AMFJ lost comes back.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use amfj_sync_tests::harness::{
    ConfigBuilder, IntegrationBuilder, PrivateBroker, Role, Scratch, Worker, eventually,
};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_mins(2);

async fn json_of(pipeline: &Pipeline, arguments: &[&str]) -> Result<Value> {
    pipeline.said_as_json(arguments).await
}

/// A fleet that was synced, and whose first device got another model and another owner since.
struct Synced {
    services: Services,
    pipeline: Pipeline,
    device: String,
    asset: String,
    /// Model and holder before the change, and after it.
    before: (Value, Option<String>),
    after: (Value, Option<String>),
}

impl Synced {
    async fn start(seed: u64) -> Result<Self> {
        let services = Services::plain(8, seed).await?;
        let settings = services
            .integration("acme")
            .field("Notes", "model")
            .set("sync.create_users", "all")
            .set("sync.auto_checkout", true);
        let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
        pipeline.run().await?;
        let device = services.owned_devices().into_iter().next().context("somebody has a device")?;
        let asset = services.amfj.assets_named(&device.device_name).pop().unwrap().id;
        let before = now(&services, &asset);
        services.kandji.set(&device.device_id, "model", json!("A new model"))?;
        services.kandji.give_to(&device.device_id, "Next Owner", "next@example.com")?;
        pipeline.run().await?;
        let after = now(&services, &asset);
        ensure!(before.0 != after.0 && before.1 != after.1, "{before:?} became {after:?}");
        Ok(Self { services, pipeline, device: device.device_id, asset, before, after })
    }

    fn now(&self) -> (Value, Option<String>) {
        now(&self.services, &self.asset)
    }

    /// Puts the asset back to this, as a restored backup or a person does.
    fn put(&self, (notes, holder): &(Value, Option<String>)) -> Result<()> {
        self.services.amfj.set_field(&self.asset, "Notes", notes.clone())?;
        if self.now().1.is_some() {
            self.services.amfj.check_in(&self.asset)?;
        }
        if let Some(holder) = holder {
            self.services.amfj.check_out(&self.asset, holder)?;
        }
        Ok(())
    }

    async fn replay(&self, arguments: &[&str]) -> Result<Value> {
        self.services.amfj.clear_writes();
        let arguments: Vec<&str> = ["replay", "--json"].iter().chain(arguments).copied().collect();
        let done = json_of(&self.pipeline, &arguments).await?;
        self.pipeline.settle().await?;
        Ok(done)
    }
}

fn now(services: &Services, asset: &str) -> (Value, Option<String>) {
    let asset = services.amfj.asset(asset).unwrap();
    (asset.fields.get("Notes").cloned().unwrap_or_default(), asset.holder)
}

/// AMFJ comes back from an old backup: the replay brings the changes back, without waiting for a run, and
/// a second one finds nothing to do.
#[tokio::test]
async fn p29_a_replay_brings_back_what_a_restored_backup_lost() -> Result<()> {
    let synced = Synced::start(31).await?;
    synced.put(&synced.before)?;
    let shown = synced.replay(&["--since", "1h", "--dry-run"]).await?;
    ensure!(shown["queued"] == 0 && synced.now() == synced.before, "a dry run changed something: {shown}");
    let rows = shown["values"].as_array().unwrap();
    let row = rows.iter().find(|row| row["field"] == "Notes" && row["asset"] == json!(synced.asset)).unwrap();
    ensure!(row["found"] == synced.before.0 && row["written"] == synced.after.0, "{row}");

    let done = synced.replay(&["--since", "1h"]).await?;
    ensure!(done["queued"].as_u64() == done["changes"].as_u64(), "{done}");
    ensure!(synced.now() == synced.after, "{:?} instead of {:?}", synced.now(), synced.after);
    // What AMFJ had not lost was read and not written.
    let writes = synced.services.take_writes();
    let others: Vec<_> = writes.iter().filter(|write| !write.contains(&synced.asset)).collect();
    ensure!(others.is_empty(), "{others:?}");

    synced.replay(&["--since", "1h"]).await?;
    ensure!(synced.services.amfj.write_count() == 0, "{:?}", synced.services.take_writes());
    ensure!(synced.pipeline.dead_letters().await? == 0);
    synced.pipeline.run().await?;
    ensure!(synced.services.amfj.write_count() == 0, "an idle run wrote {:?}", synced.services.take_writes());
    Ok(())
}

/// Somebody edits AMFJ by hand after a change, and gives the asset to somebody else: both stay.
#[tokio::test]
async fn p29_a_replay_leaves_an_edit_by_hand_alone() -> Result<()> {
    let synced = Synced::start(32).await?;
    let colleague = synced.services.amfj.add_user("Hand Made", Some("hand@example.com"), false)?;
    let by_hand = (json!("By hand"), Some(colleague));
    synced.put(&by_hand)?;
    synced.replay(&["--since", "1h"]).await?;
    ensure!(synced.now() == by_hand, "{:?} instead of {by_hand:?}", synced.now());
    // Nobody has it by hand: that is neither what was found nor what was written.
    let nobody = (json!("By hand"), None);
    synced.put(&nobody)?;
    synced.replay(&["--since", "1h"]).await?;
    ensure!(synced.now() == nobody, "{:?} instead of {nobody:?}", synced.now());
    Ok(())
}

/// A replay of one run considers a value only if no later run changed it.
#[tokio::test]
async fn p29_a_replay_of_a_run_does_not_undo_a_later_run() -> Result<()> {
    let synced = Synced::start(33).await?;
    let past = json_of(&synced.pipeline, &["history", &synced.device, "--json"]).await?;
    let runs: Vec<&str> = past.as_array().unwrap().iter().filter_map(|one| one["run"].as_str()).collect();
    let (first, second) = (runs[0], *runs.last().unwrap());
    ensure!(first != second, "{past}");
    let whole = past.as_array().unwrap();
    for one in whole {
        let complete =
            one["time"].is_string() && one["asset"] == json!(synced.asset) && one["edits"].is_object();
        ensure!(complete, "the history says time, run, asset, old and new value (P26): {one}");
    }
    // As it was before the second run.
    synced.put(&synced.before)?;
    synced.replay(&["--run", first]).await?;
    ensure!(synced.now() == synced.before, "the first run's values are not the latest");
    synced.replay(&["--run", second]).await?;
    ensure!(synced.now() == synced.after, "{:?} instead of {:?}", synced.now(), synced.after);
    Ok(())
}

/// An asset that was lost in a restore is not made again by a replay (P8), and nothing is tried for ever.
#[tokio::test]
async fn p29_a_replay_makes_no_lost_asset_again() -> Result<()> {
    let synced = Synced::start(34).await?;
    synced.services.amfj.delete_asset(&synced.asset)?;
    let count = synced.services.amfj.assets().len();
    synced.replay(&["--since", "1h"]).await?;
    ensure!(synced.services.amfj.assets().len() == count && synced.pipeline.dead_letters().await? == 0);
    Ok(())
}

/// Under `mode = "plan"` nothing is put on the queue, and the command says why (P25).
#[tokio::test]
async fn p25_a_replay_under_plan_writes_nothing() -> Result<()> {
    let mut synced = Synced::start(35).await?;
    synced.put(&synced.before)?;
    let plan = synced
        .services
        .integration("acme")
        .field("Notes", "model")
        .set("sync.create_users", "all")
        .set("sync.auto_checkout", true)
        .set("mode", "plan");
    synced.pipeline.reconfigure(vec![("acme", plan)]).await?;
    let done = synced.replay(&["--since", "1h"]).await?;
    ensure!(done["queued"] == 0 && done["withheld"].to_string().contains("only plans"), "{done}");
    ensure!(synced.now() == synced.before);
    Ok(())
}

/// The stream of the past is declared with `history_keep`, and what is older is not shown (P26).
#[tokio::test]
async fn p26_the_history_is_kept_as_long_as_configured() -> Result<()> {
    let services = Services::plain(2, 36).await?;
    let settings = services.integration("acme").field("Notes", "model").set("sync.history_keep", "2h");
    let mut pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    let connection = Connection::connect(pipeline.broker().url(), ConnectionProperties::default()).await?;
    let stream = format!("{}.acme.history", pipeline.broker().prefix());
    for (age, fits) in [("7200s", true), ("7201s", false)] {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
        arguments.insert("x-max-age".into(), AMQPValue::LongString(age.into()));
        arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(50_000_000));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let channel = connection.create_channel().await?;
        let declared = channel.queue_declare(stream.as_str().into(), options, arguments).await;
        ensure!(declared.is_ok() == fits, "x-max-age {age}: {declared:?}");
    }
    let all = json_of(&pipeline, &["history", "--json"]).await?;
    ensure!(all.as_array().is_some_and(|all| !all.is_empty()), "{all}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let short = services.integration("acme").field("Notes", "model").set("sync.history_keep", "1s");
    pipeline.reconfigure(vec![("acme", short)]).await?;
    let none = json_of(&pipeline, &["history", "--json"]).await?;
    ensure!(none == json!([]), "{none}");
    Ok(())
}

/// A stream that was made with a longer `history_keep`, in small segments: whole segments are what RabbitMQ removes.
async fn long_past(channel: &lapin::Channel, stream: &str) -> Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    arguments.insert("x-max-age".into(), AMQPValue::LongString("3600s".into()));
    arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(50_000));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(stream.into(), options, arguments).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for _ in 0..40 {
        append(channel, stream).await?;
    }
    Ok(())
}

/// A tenth of a segment.
async fn append(channel: &lapin::Channel, stream: &str) -> Result<()> {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish("".into(), stream.into(), options, &[b'.'; 5_000], properties).await?.await?;
    Ok(())
}

/// The first record that a stream still has.
async fn first_offset(connection: &Connection, stream: &str) -> Result<i64> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(stream.into(), "".into(), options, arguments).await?;
    let first =
        tokio::time::timeout(Duration::from_secs(20), consumer.next()).await?.context("no record")??;
    channel.close(200, "seen".into()).await?;
    match first.properties.headers().as_ref().and_then(|headers| headers.inner().get("x-stream-offset")) {
        Some(AMQPValue::LongLongInt(offset)) => Ok(*offset),
        other => anyhow::bail!("no offset: {other:?}"),
    }
}

/// A stream that exists takes no other age from a worker. What a worker says to do then is done here, as it says it.
#[tokio::test]
async fn p26_a_shorter_history_keep_is_told_of_with_the_command_that_removes_what_is_older() -> Result<()> {
    let broker = PrivateBroker::start().await?;
    let connection = Connection::connect(&broker.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    long_past(&channel, "t.acme.history").await?;
    ensure!(first_offset(&connection, "t.acme.history").await? == 0);

    let scratch = Scratch::new()?;
    let integration = IntegrationBuilder::new("acme", "http://127.0.0.1:1", "http://127.0.0.1:2/v1");
    let config = ConfigBuilder::new(&broker.url(), "t")
        .set("broker.partitions", 1)
        .integration(integration.set("sync.history_keep", "1s"))
        .write(&scratch)?;
    let writer = Worker::spawn(Role::Writer, &config)?;
    let command = eventually(LIMIT, "the writer to say what to do", async || {
        let lines = writer.log_lines();
        let mut said = lines.iter().filter_map(|line| line.get("message")?.as_str());
        let command = said.find_map(|said| said.split("run: rabbitmqctl ").nth(1));
        Ok(command.with_context(|| writer.log())?.to_owned())
    })
    .await?;
    let arguments = command.replace("VHOST", "/").replace('\'', "");
    broker.ctl(&arguments.split(' ').collect::<Vec<_>>()).await?;
    eventually(LIMIT, "what is older to be removed", async || {
        // All of it may be gone, and a stream without records has no first one.
        append(&channel, "t.acme.history").await?;
        let first = first_offset(&connection, "t.acme.history").await?;
        ensure!(first > 20, "the stream still begins with record {first}");
        Ok(())
    })
    .await?;
    writer.terminate().await?;
    Ok(())
}
