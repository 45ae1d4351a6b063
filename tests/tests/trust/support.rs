//! Messages of an attacker: well-formed, and published straight to the broker.

use amfj_sync_model::ids::{DeviceId, IntegrationId, Key};
use amfj_sync_model::messages::{Action, Change, Event, Fact, Origin, Payload, Sequence};
use amfj_sync_projection::Projection;
use amfj_sync_tests::harness::{ConfigBuilder, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::Value;

const KEY: &str = "a signing key that nobody else has: 0123456789";

/// A setting whose value stands in the environment.
pub(crate) fn env(name: &str) -> toml::Value {
    toml::Value::Table(toml::Table::from_iter([("env".to_owned(), name.into())]))
}

/// Workers have a key, which stands in `KEY`.
pub(crate) fn with_a_key(config: ConfigBuilder) -> ConfigBuilder {
    config.set("broker.signing_key", env("KEY"))
}

/// What workers with and without a key are started with.
pub(crate) fn know_the_key(pipeline: &mut Pipeline) {
    pipeline.config.environment.insert("KEY".to_owned(), KEY.to_owned());
}

/// Somebody who may write to the broker, and knows everything that is in it.
pub(crate) struct Attacker<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) view: Projection,
    step: u32,
}

impl<'a> Attacker<'a> {
    pub(crate) async fn at(pipeline: &'a Pipeline) -> Result<Self> {
        Ok(Self { pipeline, view: pipeline.view("acme").await?, step: 100 })
    }

    /// A place behind everything that was decided.
    pub(crate) fn next_place(&mut self) -> Sequence {
        self.step += 1;
        let run = self.view.meta().latest.as_ref().map_or(0, |run| run.started.number);
        Sequence { run, step: self.step }
    }

    pub(crate) fn origin(integration: &str) -> Origin {
        Origin {
            source: "reconciler/00000000-0000-0000-0000-000000000000".to_owned(),
            integration: IntegrationId::new(integration).unwrap(),
            run: None,
            sequence: None,
            traceparent: None,
        }
    }

    /// A change of a device, as a reconciler would publish it.
    pub(crate) fn change(&self, device: &str, action: Action) -> Change {
        let id = DeviceId::new(device).unwrap();
        let serial = self.view.device(&id).map(|row| row.entry.serial).unwrap_or_default();
        Change { key: Key::Device(id), label: "forged".to_owned(), serial, serials: Vec::new(), action }
    }

    pub(crate) fn event(&mut self, change: Change) -> Event {
        let origin = Origin { sequence: Some(self.next_place()), ..Self::origin("acme") };
        Event::new(&origin, change.key.to_string(), Timestamp::now(), Payload::Change(change))
    }

    /// Into the queue where the key belongs.
    pub(crate) async fn publish_change(&mut self, change: Change) -> Result<()> {
        let partition = change.key.partition(2);
        let event = self.event(change);
        self.publish_to(&self.queue(partition), event.encode()).await
    }

    pub(crate) fn queue(&self, partition: u16) -> String {
        format!("{}.acme.apply.{partition:02}", self.pipeline.broker().prefix())
    }

    /// A fact, into the state stream.
    pub(crate) async fn publish_fact(&self, time: Timestamp, fact: Fact) -> Result<()> {
        let event = Event::fact(&Self::origin("acme"), time, fact);
        let stream = format!("{}.acme.state", self.pipeline.broker().prefix());
        self.publish_to(&stream, event.encode()).await
    }

    pub(crate) async fn publish_to(&self, queue: &str, body: Vec<u8>) -> Result<()> {
        let url = self.pipeline.broker().url();
        publish(url, queue, &body).await
    }
}

/// Publishes to a queue, and waits until the broker has it.
pub(crate) async fn publish(url: &str, queue: &str, body: &[u8]) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default()
        .with_message_id(ShortString::from(uuid::Uuid::new_v4().to_string()))
        .with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await?;
    ensure!(confirm.is_ack(), "the broker did not take it: {confirm:?}");
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Asks all workers how they are, and wants the answers in that queue.
pub(crate) async fn ask(url: &str, exchange: &str, reply_to: &str) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default().with_reply_to(reply_to.into());
    let options = BasicPublishOptions::default();
    let confirm =
        channel.basic_publish(exchange.into(), "".into(), options, b"{}", properties).await?.await?;
    ensure!(confirm.is_ack(), "the broker did not take it: {confirm:?}");
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Waits until there are so many dead letters, and lists them.
pub(crate) async fn letters(pipeline: &Pipeline, count: usize) -> Result<Vec<Value>> {
    eventually(RUN_LIMIT, "the dead letters", async || {
        let there = pipeline.dead_letters().await?;
        ensure!(there as usize == count, "{there} dead letters instead of {count}");
        Ok(())
    })
    .await?;
    let text = pipeline.said(&["dead", "list", "--json"]).await?;
    serde_json::from_str(&text).with_context(|| format!("no JSON:\n{text}"))
}

/// The reasons of all dead letters, one a line.
pub(crate) async fn reasons(pipeline: &Pipeline, count: usize) -> Result<String> {
    let letters = letters(pipeline, count).await?;
    let reasons: Vec<&str> = letters.iter().filter_map(|letter| letter["reason"].as_str()).collect();
    Ok(reasons.join("\n"))
}

/// Publishes all of these to a queue, at once and as nobody would who has a key, and waits until the broker has them.
pub(crate) async fn publish_all(url: &str, queue: &str, bodies: &[Vec<u8>]) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let mut confirms = Vec::new();
    for body in bodies {
        let properties = BasicProperties::default()
            .with_message_id(ShortString::from(uuid::Uuid::new_v4().to_string()))
            .with_delivery_mode(2);
        confirms.push(channel.basic_publish("".into(), queue.into(), options, body, properties).await?);
    }
    for confirm in confirms {
        ensure!(confirm.await?.is_ack(), "the broker did not take it");
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}
