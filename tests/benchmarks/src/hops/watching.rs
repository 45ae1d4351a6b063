//! Counts facts as they appear in the state stream, without reading more of them than their kind.

use std::time::{Duration, Instant};

use amfj_sync_shared::messages::Glance;
use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer};

const PREFETCH: u16 = 512;

/// Nothing takes longer, or something is stuck.
const LIMIT: Duration = Duration::from_mins(3);

/// A reader of the state stream, from now on.
pub(super) struct Watcher {
    _connection: Connection,
    _channel: Channel,
    consumer: Consumer,
}

/// When the first and the last of the facts came, and how many there were.
#[derive(Debug)]
pub(super) struct Seen {
    first: Option<Instant>,
    last: Instant,
    count: usize,
}

impl Watcher {
    pub(super) async fn start(url: &str, stream: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString("next".into()));
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(stream.into(), "".into(), options, arguments).await?;
        Ok(Self { _connection: connection, _channel: channel, consumer })
    }

    /// Counts the facts of one kind until `enough` of the last kind have come.
    pub(super) async fn count(&mut self, counted: &str, last_kind: &str, enough: usize) -> Result<Seen> {
        let mut seen = Seen { first: None, last: Instant::now(), count: 0 };
        let mut ends = 0;
        let counting = async {
            while ends < enough {
                let delivery = self.consumer.next().await.context("the stream ended")??;
                let kind = kind_of(&delivery.data);
                if kind == counted {
                    seen.first.get_or_insert_with(Instant::now);
                    seen.count += 1;
                }
                ends += usize::from(kind == last_kind);
                seen.last = Instant::now();
                delivery.ack(BasicAckOptions::default()).await?;
            }
            Ok::<(), anyhow::Error>(())
        };
        match tokio::time::timeout(LIMIT, counting).await {
            Ok(counted) => counted.map(|()| seen),
            Err(_) => bail!("only {ends} of {enough} facts of the kind {last_kind} came in {LIMIT:?}"),
        }
    }
}

impl Seen {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn took(&self) -> Duration {
        self.first.map_or(Duration::ZERO, |first| self.last.duration_since(first))
    }
}

/// `decided`, `ended` …: the tag comes first in the data.
fn kind_of(body: &[u8]) -> String {
    let Ok(glance) = Glance::of(body) else { return String::new() };
    let tag = glance.data.get().strip_prefix("{\"fact\":\"").unwrap_or_default();
    tag.split('"').next().unwrap_or_default().to_owned()
}
