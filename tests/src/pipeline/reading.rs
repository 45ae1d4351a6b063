//! What is in the queues and streams of a pipeline, for tests that search it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use amfj_sync_model::messages::{Event, unpack};
use amfj_sync_projection::Projection;
use anyhow::Result;
use futures::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};

use super::Pipeline;
use super::workers::RUN_LIMIT;

/// Nothing has come for so long: that was all.
const SILENCE: Duration = Duration::from_secs(1);

/// How long the first record of a stream may take on a busy machine.
const FIRST: Duration = Duration::from_secs(20);

impl Pipeline {
    /// What is known of an integration by everything in its state stream, read from its first record: as far as a worker that
    /// serves has read, however long that takes on a busy machine, and on until nothing comes.
    ///
    /// # Errors
    /// When there is no such stream, or it cannot be read.
    pub async fn view(&self, id: &str) -> Result<Projection> {
        let connection = Connection::connect(self.broker().url(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(5_000, BasicQosOptions::default()).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        let stream = format!("{}.{id}.state", self.broker().prefix());
        let options = BasicConsumeOptions::default();
        let mut consumer =
            channel.basic_consume(stream.as_str().into(), "".into(), options, arguments).await?;
        let mut view = Projection::in_memory(None);
        let known = self.known_offset(id).await;
        let until = Instant::now() + RUN_LIMIT;
        loop {
            let delivery = match tokio::time::timeout(SILENCE, consumer.next()).await {
                Ok(Some(delivery)) => delivery?,
                Err(_) if view.meta().offset < known && Instant::now() < until => continue,
                Ok(None) | Err(_) => break,
            };
            let headers = delivery.properties.headers().clone().unwrap_or_default();
            let offset = match headers.inner().get("x-stream-offset") {
                Some(AMQPValue::LongLongInt(offset)) => u64::try_from(*offset)?,
                other => anyhow::bail!("a record of {stream} has the offset {other:?}"),
            };
            let facts: Result<Vec<_>, _> = unpack(&delivery.data)?.into_iter().map(Event::decode).collect();
            let facts: Vec<_> = facts?.into_iter().map(|fact| (offset, fact)).collect();
            view.apply(&facts)?;
            delivery.ack(BasicAckOptions::default()).await?;
        }
        connection.close(200, "read".into()).await?;
        Ok(view)
    }

    /// How far a worker that serves has read the state stream; none where none answers.
    async fn known_offset(&self, id: &str) -> Option<u64> {
        let worker = self.reconcilers.iter().chain(&self.writers).next()?;
        worker.status().await.ok()?["integrations"][id]["state_offset"].as_u64()
    }

    /// Everything that a queue or stream holds, bodies and headers, as text. It stays there.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn everything_in(&self, queue: &str) -> Result<String> {
        let connection = Connection::connect(self.broker().url(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(5_000, BasicQosOptions::default()).await?;
        let is_stream = [".state", ".history"].iter().any(|end| queue.ends_with(end));
        let mut arguments = FieldTable::default();
        if is_stream {
            arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        }
        let options = BasicConsumeOptions::default();
        let mut consumer = channel.basic_consume(queue.into(), "".into(), options, arguments).await?;
        let mut text = String::new();
        let until = Instant::now() + FIRST;
        loop {
            let delivery = match tokio::time::timeout(SILENCE, consumer.next()).await {
                Ok(Some(delivery)) => delivery?,
                // A stream has a first record as soon as it is there.
                Err(_) if is_stream && text.is_empty() && Instant::now() < until => continue,
                Ok(None) | Err(_) => break,
            };
            text.push_str(&String::from_utf8_lossy(&delivery.data));
            write!(text, "{:?}", delivery.properties)?;
            if is_stream {
                delivery.ack(BasicAckOptions::default()).await?;
            }
        }
        // What was not acknowledged goes back when the connection ends.
        connection.close(200, "read".into()).await?;
        Ok(text)
    }
}
