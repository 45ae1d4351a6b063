//! A worker that only follows the stream, and what is said to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amfj_sync_config::{Config, Secret, SigningConfig};
use amfj_sync_model::amfj::{Asset, Named};
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, Key};
use amfj_sync_model::messages::{
    Action, AssetWrite, Change, Ending, Event, FORMAT, Fact, LinkOutcome, Outcome, Rule, RunStarted, Sequence,
};
use amfj_sync_projection::{OnDisk, Verdict};
use amfj_sync_service::worker::{Shutdown, Worker};
use amfj_sync_stream::StateHandle;
use amfj_sync_tests::harness::{SharedBroker, broker_only};
use anyhow::{Context as _, Result};
use jiff::Timestamp;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};

pub(crate) const LIMIT: Duration = Duration::from_mins(2);

pub(crate) struct Follower {
    pub(crate) worker: Worker,
    pub(crate) state: StateHandle,
}

impl Follower {
    pub(crate) async fn start(broker: &SharedBroker, data_dir: Option<&Path>) -> Result<Self> {
        Self::start_at(broker, broker.url(), data_dir).await
    }

    /// The same, with an address that leads to the broker in another way.
    pub(crate) async fn start_at(broker: &SharedBroker, url: &str, data_dir: Option<&Path>) -> Result<Self> {
        Self::start_with(broker_only(url, broker.prefix())?, data_dir).await
    }

    /// One that signs what it says, and reads nothing else.
    pub(crate) async fn start_signing(broker: &SharedBroker) -> Result<Self> {
        Self::start_signing_at(broker, broker.url()).await
    }

    pub(crate) async fn start_signing_at(broker: &SharedBroker, url: &str) -> Result<Self> {
        let mut config = broker_only(url, broker.prefix())?;
        let keys = vec![Secret::new("a signing key that nobody else has: 0123456789")];
        config.broker.signing = Some(SigningConfig { keys, accept_unsigned: false });
        Self::start_with(config, None).await
    }

    async fn start_with(config: Config, data_dir: Option<&Path>) -> Result<Self> {
        let on_disk = data_dir.map(OnDisk::at);
        let worker = Worker::start("test", config, on_disk, Shutdown::default()).await?;
        let state = worker.states.values().next().context("one integration")?.clone();
        state.caught_up().await?;
        Ok(Self { worker, state })
    }

    pub(crate) async fn say(&self, fact: Fact) -> Result<Verdict> {
        let event = Event::fact(&self.state.origin(), Timestamp::now(), fact);
        Ok(self.state.publish_and_read_back(event).await?)
    }

    /// A link of a device to an asset, as an outcome.
    pub(crate) async fn link(&self, number: u32) -> Result<Verdict> {
        self.say(Fact::ChangeEnded(Box::new(linked(number)?))).await
    }

    pub(crate) fn links(&self) -> usize {
        self.state.read(|view| {
            let mut links = 0;
            view.each_link(&mut |_, _| {
                links += 1;
                true
            });
            links
        })
    }

    pub(crate) async fn stop(self) {
        self.worker.finish().await;
    }
}

pub(crate) fn linked(number: u32) -> Result<Outcome> {
    let asset = AssetId::new(format!("asset-{number}"))?;
    let record = Asset {
        id: asset.clone(),
        name: format!("Mac {number}"),
        asset_type: Named { id: "T1".into(), name: "Laptop".into() },
        location: None,
        fields: BTreeMap::new(),
        checked_out_to: None,
        created_at: None,
    };
    let (rule, takes_over, label) = (Rule::Name, None, record.name.clone());
    let action = Action::LinkAsset {
        asset: asset.clone(),
        rule,
        takes_over: takes_over.clone(),
        write: AssetWrite::default(),
    };
    let key = Key::Device(DeviceId::new(format!("device-{number}"))?);
    let change = Change { key, label, serial: String::new(), serials: Vec::new(), action };
    let place = Sequence { run: 1, step: 1 };
    let outcome = Outcome::of(uuid::Uuid::from_u128(u128::from(number)), place, &change, Ending::Applied);
    let link = LinkOutcome::Linked { asset, rule, takes_over };
    Ok(Outcome { asset: Some(record), link: Some(link), ..outcome })
}

pub(crate) fn started(number: u64, leader: &str) -> Fact {
    Fact::RunStarted(RunStarted {
        number,
        leader: leader.into(),
        at: Timestamp::now(),
        first_sync: true,
        applies_to_all: true,
        auto_checkout: false,
        list_delay_ms: 0,
        judged: false,
        mapping: BTreeMap::new(),
    })
}

pub(crate) async fn channel(broker: &SharedBroker) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

pub(crate) fn stream_name(broker: &SharedBroker) -> Result<String> {
    let id = IntegrationId::new("acme")?;
    Ok(amfj_sync_broker::Names::new(broker.prefix()).state(&id))
}

/// A stream that keeps 400 kB, in small segments: workers use the stream that they find. Its name.
pub(crate) async fn declare_a_short_stream(broker: &SharedBroker) -> Result<String> {
    declare_a_stream_of(broker, 400_000).await
}

pub(crate) async fn declare_a_stream_of(broker: &SharedBroker, bytes: i64) -> Result<String> {
    let (_connection, channel) = channel(broker).await?;
    let stream = stream_name(broker)?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(100_000));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(stream.as_str().into(), options, arguments).await?;
    Ok(stream)
}

/// Facts that change nothing.
pub(crate) async fn pad(follower: &Follower, count: usize) -> Result<()> {
    let facts = (0..count).map(|_| {
        let marker = Fact::ReadMarker { token: uuid::Uuid::new_v4() };
        Event::fact(&follower.state.origin(), Timestamp::now(), marker)
    });
    Ok(follower.state.publish(facts.collect()).await?)
}

/// A complete checkpoint that has none of the rows of this worker.
pub(crate) async fn copy_of_nothing(worker: &Follower) -> Result<()> {
    worker.state.read_to_end().await?;
    let as_of = worker.state.read(|view| view.meta().offset).context("an offset")?;
    copy_of_nothing_as_of(worker, as_of).await
}

pub(crate) async fn copy_of_nothing_as_of(worker: &Follower, as_of: u64) -> Result<()> {
    let checkpoint = uuid::Uuid::new_v4();
    let meta = worker.state.read(|view| serde_json::to_value(view.meta()));
    for fact in [
        Fact::CheckpointBegun { checkpoint, as_of, format: FORMAT },
        Fact::CheckpointRows { checkpoint, part: 0, rows: BTreeMap::from([("meta/".to_owned(), meta?)]) },
        Fact::CheckpointEnded { checkpoint, parts: 1 },
    ] {
        worker.say(fact).await?;
    }
    Ok(())
}

/// The offset of the first record that a stream still holds.
pub(crate) async fn first_offset(broker: &SharedBroker, stream: &str) -> Result<i64> {
    use futures::StreamExt as _;
    use lapin::options::{BasicConsumeOptions, BasicQosOptions};
    let (_connection, channel) = channel(broker).await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let mut consumer =
        channel.basic_consume(stream.into(), "".into(), BasicConsumeOptions::default(), arguments).await?;
    let delivery = consumer.next().await.context("an empty stream")??;
    let headers = delivery.properties.headers().clone().unwrap_or_default();
    match headers.inner().get("x-stream-offset") {
        Some(AMQPValue::LongLongInt(offset)) => Ok(*offset),
        other => anyhow::bail!("no offset: {other:?}"),
    }
}
