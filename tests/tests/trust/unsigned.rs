//! With a signing key, what nobody signed is not even read: each is looked for where it would show, not where it would be
//! written to AMFJ.

use amfj_sync_model::ids::{DeviceId, Key};
use amfj_sync_model::messages::{Decision, DeviceStatus, Event, Fact, Payload};
use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use jiff::Timestamp;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

use crate::support::{Attacker, know_the_key, publish_all, with_a_key};

/// So many that several reach a follower of the stream at once, whatever else the machine does.
const DEVICES: u16 = 40;

async fn signed(services: &Services) -> Result<Pipeline> {
    let mut pipeline = Pipeline::idle(vec![("acme", services.integration("acme"))], with_a_key).await?;
    know_the_key(&mut pipeline);
    pipeline.spawn(Workers::default()).await?;
    Ok(pipeline)
}

async fn devices(pipeline: &Pipeline) -> Result<Value> {
    let status = pipeline.said_as_json(&["status", "--json"]).await?;
    Ok(status["integrations"][0]["devices"].clone())
}

/// Facts that say of every device that it failed: each in a message of its own, as many at once as there are, and then two in
/// one message.
#[tokio::test]
async fn no_unsigned_fact_is_folded_not_the_second_of_a_batch_or_message_either() -> Result<()> {
    let services = Services::plain(usize::from(DEVICES), 102).await?;
    let pipeline = signed(&services).await?;
    pipeline.run().await?;
    let before = devices(&pipeline).await?;
    ensure!(before["failed"] == 0, "{before}");
    let attacker = Attacker::at(&pipeline).await?;
    let mut forged = Vec::new();
    for device in services.kandji.devices() {
        let key = Key::Device(DeviceId::new(&device.device_id)?);
        let decision = attacker.view.decision(&key).context("a device of which nothing was decided")?;
        let decision = Decision { state: DeviceStatus::Failed, ..decision };
        let fact = Fact::DecisionMade(Box::new(decision));
        forged.push(Event::fact(&Attacker::origin("acme"), Timestamp::now(), fact).encode());
    }
    let pack = [b"[".as_slice(), &forged[..2].join(&b','), b"]"].concat();
    let stream = format!("{}.acme.state", pipeline.broker().prefix());
    publish_all(pipeline.broker().url(), &stream, &[forged, vec![pack]].concat()).await?;
    let labels = [("reason", "unsigned")];
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers) {
        eventually(RUN_LIMIT, "all of them to be refused", async || {
            let refused = worker.metrics().await?.sum("amfj_sync_refused_messages_total", &labels);
            ensure!(refused >= f64::from(DEVICES + 1), "{refused} were refused");
            Ok(())
        })
        .await?;
    }
    let after = devices(&pipeline).await?;
    ensure!(after == before, "{before} became {after}");
    Ok(())
}

/// Somebody asks for a run, and a person does after that: one run is asked for.
#[tokio::test]
async fn no_unsigned_request_for_a_run_is_taken() -> Result<()> {
    let services = Services::plain(2, 103).await?;
    let pipeline = signed(&services).await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    let event = Event::new(&Attacker::origin("acme"), "run".into(), Timestamp::now(), Payload::RunRequest);
    let queue = format!("{}.triggers", pipeline.broker().prefix());
    publish_all(pipeline.broker().url(), &queue, &[event.encode(), event.encode()]).await?;
    let asked = || fetcher.log().matches("a run was requested").count();
    eventually(RUN_LIMIT, "the fetcher to serve", async || pipeline.said(&["trigger"]).await.map(drop))
        .await?;
    eventually(RUN_LIMIT, "the request of a person", async || {
        ensure!(asked() > 0, "nobody asked for a run");
        Ok(())
    })
    .await?;
    // The queue keeps its order, so those before it were looked at.
    ensure!(asked() == 1, "{} runs were requested: {}", asked(), fetcher.log());
    Ok(())
}

/// Somebody answers each question about the workers, as a worker would.
#[tokio::test]
async fn no_unsigned_answer_about_a_worker_is_shown() -> Result<()> {
    let services = Services::plain(2, 104).await?;
    let pipeline = signed(&services).await?;
    let connection = Connection::connect(pipeline.broker().url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
    let exchange = format!("{}.roll-call", pipeline.broker().prefix());
    let bind = QueueBindOptions::default();
    channel
        .queue_bind(queue.name().clone(), exchange.as_str().into(), "".into(), bind, FieldTable::default())
        .await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut questions =
        channel.basic_consume(queue.name().clone(), "".into(), options, FieldTable::default()).await?;
    let answered = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let answers = answered.clone();
    let liar = tokio::spawn(async move {
        while let Some(Ok(question)) = questions.next().await {
            let Some(asker) = question.properties.reply_to().clone() else { continue };
            let report = json!({ "role": "writer", "worker": "writer/forged", "since": Timestamp::now() });
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let body = report.to_string();
            drop(channel.basic_publish("".into(), asker, options, body.as_bytes(), properties).await);
            answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    for _ in 0..3 {
        let status = pipeline.said_as_json(&["status", "--json"]).await?;
        let reports = status["reports"].as_array().cloned().unwrap_or_default();
        ensure!(reports.len() == 2, "{reports:#?}");
    }
    liar.abort();
    ensure!(answered.load(std::sync::atomic::Ordering::Relaxed) >= 3, "nobody lied");
    Ok(())
}
