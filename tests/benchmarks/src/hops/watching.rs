//! Looks at the broker from outside, cheaply: how much waits in a queue, and afterwards what the state
//! stream holds and when it was said.

use std::time::{Duration, Instant};

use amfj_sync_model::messages::unpack;
use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use jiff::Timestamp;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::PARTITIONS;

const PREFETCH: u16 = 512;

/// Nothing takes longer, or something is stuck.
pub(super) const LIMIT: Duration = Duration::from_mins(3);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A connection that only looks.
pub(super) struct Watcher {
    _connection: Connection,
    channel: Channel,
    /// `prefix.integration`.
    names: String,
}

/// A fact, as far as it is looked at.
#[derive(Deserialize)]
struct Said<'a> {
    time: Timestamp,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Kind {
    fact: String,
    #[serde(default)]
    number: u64,
}

/// A fact of the stream: what kind, of which run where it says so, and when it was said.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) kind: String,
    pub(super) run: u64,
    pub(super) at: Timestamp,
}

impl Watcher {
    pub(super) async fn start(url: &str, names: String) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        Ok(Self { _connection: connection, channel, names })
    }

    /// Waits until the first message has been taken out of the queues of a stage.
    pub(super) async fn wait_until_taken(&self, stage: &str, messages: usize) -> Result<Timestamp> {
        let begin = Instant::now();
        loop {
            if self.waiting(stage).await? < messages {
                return Ok(Timestamp::now());
            }
            ensure!(begin.elapsed() < LIMIT, "nobody took a message in {LIMIT:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Messages that are ready in the queues of a stage.
    async fn waiting(&self, stage: &str) -> Result<usize> {
        let mut ready = 0;
        for partition in 0..PARTITIONS {
            let queue = format!("{}.{stage}.{partition:02}", self.names);
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
            ready += queue.message_count() as usize;
        }
        Ok(ready)
    }

    /// Every fact of the state stream, until so many of one kind have come.
    pub(super) async fn facts(&self, last_kind: &str, enough: usize) -> Result<Vec<Fact>> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
        let stream = format!("{}.state", self.names);
        let options = BasicConsumeOptions::default();
        let mut consumer = self.channel.basic_consume(stream.into(), "".into(), options, arguments).await?;
        let (mut facts, mut ends, mut messages) = (Vec::new(), 0, 0_usize);
        let reading = async {
            while ends < enough {
                let delivery = consumer.next().await.context("the stream ended")??;
                messages += 1;
                for event in unpack(&delivery.data)? {
                    if let Ok(said) = serde_json::from_slice::<Said<'_>>(event)
                        && let Ok(kind) = serde_json::from_str::<Kind>(said.data.get())
                    {
                        ends += usize::from(kind.fact == last_kind);
                        facts.push(Fact { kind: kind.fact, run: kind.number, at: said.time });
                    }
                }
                if messages % usize::from(PREFETCH / 2) == 0 {
                    delivery.ack(BasicAckOptions { multiple: true }).await?;
                }
            }
            Ok::<(), anyhow::Error>(())
        };
        tokio::time::timeout(LIMIT, reading).await.with_context(|| {
            format!("the stream does not hold {enough} facts of the kind {last_kind} after {LIMIT:?}")
        })??;
        Ok(facts)
    }
}
