//! Publishing at a real broker that does not take what it is given, or loses where it was to go.

use std::collections::BTreeSet;
use std::time::Duration;

use amfj_sync_broker::{Broker, Headers, Outgoing, Publisher, Stage};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_tests::harness::{PrivateBroker, Proxy, broker_only};
use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use lapin::options::{BasicConsumeOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// More than one window.
const MESSAGES: u128 = 600;

const PARTITIONS: u16 = 4;

/// After that nothing more comes.
const SILENCE: Duration = Duration::from_secs(3);

fn message(queue: &str, id: Uuid) -> Outgoing {
    Outgoing {
        exchange: String::new(),
        routing_key: queue.to_owned(),
        id,
        body: b"{}".to_vec(),
        headers: Headers::default(),
        packable: false,
    }
}

struct Post {
    broker: PrivateBroker,
    link: Broker,
    publisher: Publisher,
    queue: String,
    stop: CancellationToken,
}

impl Post {
    async fn open() -> Result<Self> {
        let broker = PrivateBroker::start().await?;
        let stop = CancellationToken::new();
        let mut config = broker_only(&broker.url(), "publishing")?;
        config.broker.partitions = PARTITIONS;
        let link = Broker::start(&config, "writer/test", stop.clone());
        link.session().await?;
        // The last one: where it is missing, there might as well have been fewer from the beginning.
        let queue = link.names().work(&IntegrationId::new("acme")?, Stage::Apply, PARTITIONS - 1);
        let publisher = Publisher::start(link.clone(), stop.clone());
        Ok(Self { broker, link, publisher, queue, stop })
    }

    fn messages(&self, ids: std::ops::Range<u128>) -> Vec<Outgoing> {
        ids.map(|id| message(&self.queue, Uuid::from_u128(id))).collect()
    }

    async fn channel(&self) -> Result<Channel> {
        let connection = Connection::connect(&self.broker.url(), ConnectionProperties::default()).await?;
        Ok(connection.create_channel().await?)
    }

    /// The ids of what is in the queue; some may be there twice.
    async fn arrived(&self) -> Result<BTreeSet<u128>> {
        let channel = self.channel().await?;
        let mut ids = BTreeSet::new();
        let (options, arguments) = (BasicConsumeOptions::default(), Headers::default());
        let mut consumer =
            channel.basic_consume(self.queue.as_str().into(), "".into(), options, arguments).await?;
        while let Ok(Some(message)) = tokio::time::timeout(SILENCE, consumer.next()).await {
            let message = message?;
            let id = message.properties.message_id().as_ref().context("a message without an id")?;
            ids.insert(id.to_string().parse::<Uuid>()?.as_u128());
        }
        Ok(ids)
    }

    async fn close(self) {
        self.stop.cancel();
        self.link.close().await;
    }
}

/// The broker is short of memory and takes nothing, then it is killed. Nothing counts as published until it has it on
/// disk, so nothing of what lay between the two is lost.
#[tokio::test]
async fn what_a_broker_has_not_confirmed_when_it_is_killed_is_published_again() -> Result<()> {
    let mut post = Post::open().await?;
    post.publisher.publish(post.messages(0..MESSAGES)).await?;
    post.broker.ctl(&["set_vm_memory_high_watermark", "0.000001"]).await?;
    let publisher = post.publisher.clone();
    let messages = post.messages(MESSAGES..2 * MESSAGES);
    let publishing = tokio::spawn(async move { publisher.publish(messages).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(!publishing.is_finished(), "the broker takes nothing, and it counts as published");
    post.broker.kill();
    post.broker.restart().await?;
    publishing.await??;
    let arrived = post.arrived().await?;
    ensure!(arrived == (0..2 * MESSAGES).collect(), "{} of {} messages", arrived.len(), 2 * MESSAGES);
    post.close().await;
    Ok(())
}

/// Somebody deletes the queue: what cannot be routed is returned, the queue declared anew, and the same published again.
#[tokio::test]
async fn what_cannot_be_routed_is_published_again() -> Result<()> {
    let post = Post::open().await?;
    post.publisher.publish(post.messages(0..MESSAGES)).await?;
    let channel = post.channel().await?;
    channel.queue_delete(post.queue.as_str().into(), QueueDeleteOptions::default()).await?;
    post.publisher.publish(post.messages(MESSAGES..2 * MESSAGES)).await?;
    let arrived = post.arrived().await?;
    ensure!(arrived == (MESSAGES..2 * MESSAGES).collect(), "{} of {MESSAGES} messages", arrived.len());
    post.close().await;
    Ok(())
}

/// How often the connections are cut, and how much time lies between.
const CUTS: usize = 12;
const BETWEEN_CUTS: Duration = Duration::from_millis(700);

/// Publishes one message after the other, until all cuts are over, each with a publisher of its own: one that has no channel
/// yet has to open one, which is what goes wrong on a dead connection.
async fn publish_all_the_time(url: &str) -> Result<()> {
    let stop = CancellationToken::new();
    let config = broker_only(url, "publishing")?;
    let link = Broker::start(&config, "writer/test", stop.clone());
    let queue = link.names().work(&IntegrationId::new("acme")?, Stage::Apply, 0);
    let begin = Instant::now();
    while begin.elapsed() < BETWEEN_CUTS * u32::try_from(CUTS + 1)? {
        let done = stop.child_token();
        let publisher = Publisher::start(link.clone(), done.clone());
        publisher.publish(vec![message(&queue, Uuid::new_v4())]).await?;
        done.cancel();
    }
    stop.cancel();
    link.close().await;
    Ok(())
}

/// A channel cannot be opened on a connection that is dead, and is refused at once. A publisher that tried it again
/// without waiting would leave no time for the supervisor, which is to notice and to connect anew: on a thread of its own
/// here, as on the two of a small machine when several publish.
#[tokio::test]
async fn whoever_publishes_on_a_dead_connection_leaves_time_to_replace_it() -> Result<()> {
    let broker = PrivateBroker::start().await?;
    let proxy = Proxy::before(&broker.url()).await?;
    let url = proxy.url().to_owned();
    let (said, published) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let published = match runtime {
            Ok(runtime) => runtime.block_on(publish_all_the_time(&url)),
            Err(error) => Err(error.into()),
        };
        // Nobody waits any more: the test is over.
        drop(said.send(published));
    });
    for _ in 0..CUTS {
        tokio::time::sleep(BETWEEN_CUTS).await;
        proxy.cut("writer/");
    }
    let published = tokio::time::timeout(Duration::from_mins(1), published).await;
    published.context("nothing is published any more, and nobody connects anew")??
}
