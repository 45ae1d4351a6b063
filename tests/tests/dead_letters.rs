//! Dead letters: replayed ones are really tried again, nothing that happened happens twice, and nothing is
//! lost on the way.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use amfj_sync_tests::harness::eventually;
use amfj_sync_tests::harness::workers::Finished;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers, spec};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::fleet::Fleet;
use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_mins(2);

async fn called(pipeline: &Pipeline, arguments: &[&str]) -> Result<Finished> {
    pipeline.command(arguments).finish(LIMIT).await
}

/// What a command that must succeed prints.
async fn said(pipeline: &Pipeline, arguments: &[&str]) -> Result<String> {
    pipeline.said(arguments).await
}

async fn listed(pipeline: &Pipeline) -> Result<Vec<Value>> {
    let text = said(pipeline, &["dead", "list", "--json"]).await?;
    serde_json::from_str(&text).with_context(|| format!("no JSON:\n{text}"))
}

fn requests(services: &Services, method: &str) -> usize {
    services.amfj.requests().iter().filter(|request| request.method == method).count()
}

async fn channel(pipeline: &Pipeline) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(pipeline.broker().url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

/// A fleet of which one device's asset cannot be written, and the pipeline that found out.
async fn with_a_dead_letter(seed: u64, matching: &str) -> Result<(Services, Pipeline, String, String)> {
    let services = Services::plain(6, seed).await?;
    let device = services.kandji.devices()[0].clone();
    let asset = services.amfj.assets_named(&device.device_name).pop().unwrap().id;
    let settings = services.integration("acme").field("Notes", "model");
    let settings = settings.set("sync.name_matching", matching);
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", settings)], |config| {
        config.set("retry.give_up_after", "1s").set("timing.probe_interval", "200ms")
    })
    .await?;
    let broken = Action::Status { code: 500, body: None };
    services.amfj.fault(Rule::new(broken).on("PATCH", &format!("/assets/{asset}")));
    pipeline.run().await?;
    ensure!(pipeline.dead_letters().await? == 1);
    Ok((services, pipeline, device.device_id, asset))
}

/// A replay is tried again although the change had its outcome: as often as somebody replays it, until it
/// succeeds; then a replay of it does nothing.
#[tokio::test]
async fn a_replayed_change_that_failed_is_tried_again_until_it_succeeds() -> Result<()> {
    let (services, pipeline, _, asset) = with_a_dead_letter(21, "first-sync").await?;
    let first = listed(&pipeline).await?.remove(0);
    ensure!(first["attempts"].as_u64().is_some_and(|attempts| attempts > 0), "{first}");
    ensure!(first["since"] == first["time"] && first["by_broker"] == false, "{first}");
    let id = first["id"].as_str().unwrap();

    // The link stands (P4); the value beside it is what failed.
    pipeline.run().await?;
    let said_so = said(&pipeline, &["dead", "replay", &id[..8]]).await?;
    ensure!(said_so.contains("1 dead letter was replayed"), "{said_so}");
    eventually(RUN_LIMIT, "the letter to come back", async || {
        ensure!(pipeline.dead_letters().await? == 1);
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    let second = listed(&pipeline).await?.remove(0);
    ensure!(second["id"] == first["id"] && second["since"] == first["since"], "{second}");
    ensure!(second["time"].as_str() > first["time"].as_str(), "{second}");
    ensure!(second["attempts"].as_u64() > first["attempts"].as_u64(), "tries add up: {second}");

    services.amfj.faults().clear();
    said(&pipeline, &["dead", "replay", "--kind", "update-asset", "--reason", "500"]).await?;
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0, "{:?}", listed(&pipeline).await?);
    ensure!(services.amfj.asset(&asset).unwrap().fields.contains_key("Notes"), "the change was not made");
    services.amfj.clear_requests();
    pipeline.run().await?;
    ensure!(requests(&services, "PATCH") == 0, "an idle run writes nothing");
    let status = pipeline.command(["status"]).finish(LIMIT).await?;
    ensure!(!status.stdout.contains("failed"), "{}", status.stdout);
    Ok(())
}

/// `kill -9` after the messages are in their queues and before the letters are taken away: both are there,
/// and the change is made once.
#[tokio::test]
async fn a_replay_that_is_killed_loses_nothing_and_does_nothing_twice() -> Result<()> {
    let (services, pipeline, _, asset) = with_a_dead_letter(22, "first-sync").await?;
    services.amfj.faults().clear();
    services.amfj.clear_requests();
    let kill = "command.dead-letters-replayed=kill";
    let call = pipeline.command(["dead", "replay", "--all"]).env("AMFJ_SYNC_FAILPOINTS", kill);
    let killed = call.finish(LIMIT).await?;
    ensure!(!killed.status.success(), "the command was not killed");
    eventually(RUN_LIMIT, "the change to be made", async || {
        ensure!(services.amfj.asset(&asset).is_some_and(|asset| asset.fields.contains_key("Notes")));
        Ok(())
    })
    .await?;
    eventually(RUN_LIMIT, "the letter to be back", async || {
        ensure!(pipeline.dead_letters().await? == 1);
        Ok(())
    })
    .await?;
    said(&pipeline, &["dead", "replay", "--all"]).await?;
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0);
    ensure!(requests(&services, "PATCH") == 1, "{} PATCH requests", requests(&services, "PATCH"));
    Ok(())
}

/// What came later stays: a dead letter that is out of date changes nothing.
#[tokio::test]
async fn a_replay_does_not_undo_what_came_later() -> Result<()> {
    let (services, pipeline, device, asset) = with_a_dead_letter(23, "until-linked").await?;
    services.amfj.faults().clear();
    services.kandji.set(&device, "model", json!("A later model"))?;
    pipeline.run().await?;
    ensure!(services.amfj.asset(&asset).unwrap().fields["Notes"] == json!("A later model"));
    services.amfj.clear_requests();
    said(&pipeline, &["dead", "replay", "--all"]).await?;
    pipeline.settle().await?;
    ensure!(requests(&services, "PATCH") == 0, "the older value was written");
    ensure!(services.amfj.asset(&asset).unwrap().fields["Notes"] == json!("A later model"));
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// What failed and is no longer wanted is not written by a replay, although nothing newer was written.
#[tokio::test]
async fn a_replay_makes_only_what_is_still_wanted() -> Result<()> {
    let services = Services::plain(4, 24).await?;
    let settings = services.integration("acme").field("Notes", "model");
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", settings)], |config| {
        config.set("retry.give_up_after", "1s").set("timing.probe_interval", "200ms")
    })
    .await?;
    pipeline.run().await?;
    let device = services.kandji.devices()[0].clone();
    let asset = services.amfj.assets_named(&device.device_name).pop().unwrap();
    let broken = Action::Status { code: 500, body: None };
    services.amfj.fault(Rule::new(broken).on("PATCH", &format!("/assets/{}", asset.id)));
    services.kandji.set(&device.device_id, "model", json!("For a moment"))?;
    pipeline.run().await?;
    ensure!(listed(&pipeline).await?[0]["kind"] == "update-asset");
    services.amfj.faults().clear();
    // As it was again, before anybody looked.
    services.kandji.set(&device.device_id, "model", asset.fields["Notes"].clone())?;
    pipeline.run().await?;
    services.amfj.clear_requests();
    said(&pipeline, &["dead", "replay", "--all"]).await?;
    pipeline.settle().await?;
    ensure!(requests(&services, "PATCH") == 0, "a value that nobody wants any more was written");
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// A creation that was given up although AMFJ had carried it out: its replay finds the asset instead of
/// making another.
#[tokio::test]
async fn a_replayed_creation_is_looked_for_first() -> Result<()> {
    let mut fleet = Fleet::generate(spec(1, 25));
    fleet.site.assets.clear();
    let services = Services::start(&fleet).await?;
    let settings = services.integration("acme").set("sync.create_devices", "always");
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", settings)], |config| {
        config.set("retry.give_up_after", "1s").set("timing.probe_interval", "200ms")
    })
    .await?;
    services.amfj.fault(Rule::new(Action::StatusAfter { code: 502 }).on("POST", "/assets"));
    let broken = Action::Status { code: 500, body: None };
    // But for the look before the creation.
    services.amfj.fault(Rule::new(broken).on("GET", "/assets").with_query("name=").after(1));
    pipeline.run().await?;
    ensure!(pipeline.dead_letters().await? == 1 && services.amfj.assets().len() == 1);
    services.amfj.faults().clear();
    said(&pipeline, &["dead", "replay", "--kind", "create-asset"]).await?;
    pipeline.settle().await?;
    ensure!(services.amfj.assets().len() == 1, "the replay made a second asset");
    ensure!(pipeline.dead_letters().await? == 0, "{:?}", listed(&pipeline).await?);
    let device = &services.kandji.devices()[0].serial_number;
    let told = pipeline.command(["explain", device]).finish(LIMIT).await?;
    ensure!(told.stdout.contains("in sync"), "{}", told.stdout);
    Ok(())
}

/// A message that RabbitMQ itself gave up is listed as such, and goes back to where it came from.
#[tokio::test]
async fn what_the_broker_gave_up_goes_back_to_its_queue() -> Result<()> {
    let services = Services::plain(3, 26).await?;
    let mut pipeline = Pipeline::idle(vec![("acme", services.integration("acme"))], |config| config).await?;
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    let before = pipeline.waiting("acme", "reconcile").await?;
    let (_connection, channel) = channel(&pipeline).await?;
    let mut queue = String::new();
    for partition in 0..2 {
        let name = format!("{}.acme.reconcile.{partition:02}", pipeline.broker().prefix());
        let options = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let depth = channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await?;
        if depth.message_count() > 1 {
            queue = name;
        }
    }
    // More than its delivery limit, as a worker does that dies of it again and again.
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let consume = channel.basic_consume(
        queue.as_str().into(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let mut consumer = consume.await?;
    for _ in 0..1_001 {
        let delivery = consumer.next().await.context("the consumer ended")??;
        delivery.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await?;
    }
    channel.close(200, "done".into()).await?;
    eventually(RUN_LIMIT, "the broker to give it up", async || {
        ensure!(pipeline.dead_letters().await? == 1);
        Ok(())
    })
    .await?;
    let letter = listed(&pipeline).await?.remove(0);
    ensure!(letter["by_broker"] == true && letter["queue"] == json!(queue), "{letter}");
    ensure!(letter["integration"] == "acme" && letter["stage"] == "reconcile", "{letter}");
    ensure!(letter["time"].is_string() && letter["reason"].as_str().unwrap().contains("broker"), "{letter}");
    said(&pipeline, &["dead", "replay", "--all"]).await?;
    eventually(RUN_LIMIT, "all messages in the queues again", async || {
        ensure!(pipeline.waiting("acme", "reconcile").await? == before);
        Ok(())
    })
    .await?;
    pipeline.spawn(Workers::default()).await?;
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// More dead letters than one consumer may hold: all are listed, in order, and only the chosen are dropped.
#[tokio::test]
async fn any_number_of_dead_letters_is_listed_and_only_the_chosen_are_dropped() -> Result<()> {
    const MANY: usize = 2_600;
    let services = Services::plain(1, 27).await?;
    let pipeline = Pipeline::idle(vec![("acme", services.integration("acme"))], |config| config).await?;
    // Declares the queues.
    said(&pipeline, &["dead", "list"]).await?;
    let (_connection, channel) = channel(&pipeline).await?;
    let exchange = format!("{}.dead", pipeline.broker().prefix());
    let mut confirms = Vec::new();
    for number in 0..MANY {
        let mut headers = FieldTable::default();
        let reason = if number % 2 == 0 { "even" } else { "odd" };
        headers.insert("x-reason".into(), lapin::types::AMQPValue::LongString(reason.into()));
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_headers(headers)
            .with_message_id(format!("{number:08}").as_str().into());
        let options = BasicPublishOptions::default();
        let publish =
            channel.basic_publish(exchange.as_str().into(), "".into(), options, b"poison", properties);
        confirms.push(publish.await?);
    }
    for confirm in confirms {
        confirm.await?;
    }
    let ids = |letters: &[Value]| -> Vec<String> {
        letters.iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(&listed(&pipeline).await?);
    ensure!(all.len() == MANY, "{} of {MANY} are listed", all.len());
    ensure!(all.is_sorted(), "they are not in order");

    let unclear = called(&pipeline, &["dead", "drop"]).await?;
    ensure!(unclear.status.code() == Some(2) && unclear.stderr.contains("--all"), "{}", unclear.stderr);
    let unasked = called(&pipeline, &["dead", "drop", "--all"]).await?;
    ensure!(unasked.status.code() == Some(2) && unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    let nowhere = called(&pipeline, &["dead", "replay", "00000004"]).await?;
    ensure!(nowhere.status.code() == Some(1), "{}", nowhere.stdout);
    ensure!(
        nowhere.stdout.contains("stays: it") || nowhere.stdout.contains("stays: its"),
        "{}",
        nowhere.stdout
    );
    ensure!(pipeline.dead_letters().await? as usize == MANY, "nothing was dropped so far");

    let dropped = said(&pipeline, &["dead", "drop", "--reason", "odd", "--yes", "--json"]).await?;
    let dropped: Value = serde_json::from_str(&dropped)?;
    ensure!(dropped["dropped"] == json!(MANY / 2), "{dropped}");
    let left = listed(&pipeline).await?;
    ensure!(left.len() == MANY / 2 && left.iter().all(|letter| letter["reason"] == "even"));
    // RabbitMQ 4 puts back what several consumers held in an order of its own.
    let mut stayed = ids(&left);
    stayed.sort();
    let even: Vec<String> = (0..MANY).step_by(2).map(|number| format!("{number:08}")).collect();
    ensure!(stayed == even, "others stayed than were not chosen");
    Ok(())
}

/// Puts a message among the dead letters, as a worker that gave it up then.
async fn die(channel: &Channel, exchange: &str, id: &str, time: Option<jiff::Timestamp>) -> Result<()> {
    let mut headers = FieldTable::default();
    if let Some(time) = time {
        headers.insert("x-integration".into(), AMQPValue::LongString("acme".into()));
        headers.insert("x-time".into(), AMQPValue::LongString(time.to_string().into()));
    }
    let properties =
        BasicProperties::default().with_delivery_mode(2).with_headers(headers).with_message_id(id.into());
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange.into(), "".into(), options, b"of a person", properties).await?.await?;
    Ok(())
}

/// Dead letters hold personal data: they do not wait for ever for a person, wherever they stand in the queue.
#[tokio::test]
async fn a_dead_letter_that_waited_too_long_is_dropped_and_said_so() -> Result<()> {
    let services = Services::plain(1, 29).await?;
    let pipeline =
        Pipeline::with(Workers::default(), vec![("acme", services.integration("acme"))], |config| {
            config.set("broker.dead_letter_keep", "8s")
        })
        .await?;
    let (_connection, channel) = channel(&pipeline).await?;
    let exchange = format!("{}.dead", pipeline.broker().prefix());
    let now = jiff::Timestamp::now();
    let hours = |hours: i64| jiff::SignedDuration::from_hours(hours);
    // The young one stands before the old one, and nobody says how old the third is.
    die(&channel, &exchange, "young", Some(now + hours(1))).await?;
    die(&channel, &exchange, "old", Some(now - hours(1))).await?;
    die(&channel, &exchange, "unknown", None).await?;
    die(&channel, &exchange, "new", Some(now)).await?;
    let ids = async || -> Result<Vec<String>> {
        let letters = listed(&pipeline).await?;
        Ok(letters.iter().map(|letter| letter["id"].as_str().unwrap_or_default().to_owned()).collect())
    };
    eventually(LIMIT, "the old letters to be dropped", async || {
        let mut left = ids().await?;
        left.sort();
        ensure!(left == ["unknown", "young"], "{left:?}");
        Ok(())
    })
    .await?;
    let mut dropped = 0.0;
    let mut logs = String::new();
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers) {
        dropped +=
            worker.metrics().await?.sum("amfj_sync_dead_letters_dropped_total", &[("integration", "acme")]);
        logs += &worker.log();
    }
    ensure!((dropped - 2.0).abs() < 0.1, "{dropped} were counted as dropped");
    let lines = logs.matches("dead letters were dropped").count();
    ensure!((1..=2).contains(&lines) && logs.contains("broker.dead_letter_keep"), "{logs}");
    ensure!(!logs.contains("of a person"), "a letter is quoted in the log");
    Ok(())
}
