//! Consumers of the work queues on a real broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use amfj_sync_broker::{Acknowledged, Broker, Ownership, PartitionId, Presence, Role, Serve, Stage};
use amfj_sync_config::Integration;
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_service::command::required;
use amfj_sync_tests::harness::{SharedBroker, broker_only, eventually};
use anyhow::{Context as _, Result, anyhow, ensure};
use futures::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_mins(2);

/// What the owner of the one partition has seen.
#[derive(Default)]
struct Seen {
    attached: AtomicUsize,
    messages: AtomicUsize,
}

fn serve(seen: &Arc<Seen>) -> Serve {
    let seen = seen.clone();
    Arc::new(move |lease| {
        let seen = seen.clone();
        Box::pin(async move {
            let Ok(mut intake) = lease.intake(16).await else { return };
            seen.attached.fetch_add(1, Ordering::SeqCst);
            loop {
                tokio::select! {
                    () = lease.over() => break,
                    received = intake.next() => {
                        let Some(received) = received else { break };
                        // As long as a request to AMFJ may take: a queue that waits for it does not stall.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        seen.messages.fetch_add(1, Ordering::SeqCst);
                        if received.acknowledge().await != Acknowledged::Yes {
                            break;
                        }
                    }
                }
            }
            intake.close().await;
        })
    })
}

/// A consumer that the broker prefers and that takes one message and does nothing.
async fn block(broker: &SharedBroker, queue: &str) -> Result<(Connection, Channel, Consumer)> {
    let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    Ok((connection, channel, consumer))
}

/// One message that means nothing, confirmed or not.
async fn publish(channel: &Channel, queue: &str) -> Result<()> {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish("".into(), queue.into(), options, b"{}", properties).await?.await?;
    Ok(())
}

/// A queue that has messages and delivers none is attached to anew, as often as it takes; one that is merely slow, or
/// empty, is left alone.
///
/// That RabbitMQ forgets deliveries when a node dies cannot be brought about at will. What its consumer sees is the
/// same as here, where another one is served in its place: messages wait, none comes.
#[tokio::test]
async fn a_queue_that_keeps_its_messages_back_is_attached_to_anew() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stop = CancellationToken::new();
    let link = Broker::start(&broker_only(broker.url(), broker.prefix())?, "writer/test", stop.clone());
    let queue = link.names().work(&IntegrationId::new("acme")?, Stage::Apply, 0);
    link.session().await?;
    let (blocking, channel, mut blocked) = block(&broker, &queue).await?;
    let (seen, owning) = own(&link, 1, &stop)?;
    // For longer than a queue may be quiet: nothing waits, so nothing is wrong.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let attached = seen.attached.load(Ordering::SeqCst);
    ensure!(attached == 1, "attached {attached} times to an empty queue");
    for _ in 0..200 {
        publish(&channel, &queue).await?;
    }
    drop(blocked.next().await.context("nothing came to the one that is preferred")??);
    eventually(LIMIT, "the consumer that gets nothing attaches anew", async || {
        let attached = seen.attached.load(Ordering::SeqCst);
        ensure!(attached >= 2, "attached {attached} times");
        ensure!(seen.messages.load(Ordering::SeqCst) == 0, "the other one was not served in its place");
        Ok(())
    })
    .await?;
    blocking.close(200, "done".into()).await?;
    eventually(LIMIT, "every message", async || {
        let messages = seen.messages.load(Ordering::SeqCst);
        ensure!(messages == 200, "{messages} of 200 messages");
        Ok(())
    })
    .await?;
    let attached = seen.attached.load(Ordering::SeqCst);
    ensure!(attached <= 3, "attached {attached} times, also while messages came");
    stop.cancel();
    owning.await?;
    link.close().await;
    Ok(())
}

/// Serves the partitions of a worker until `stop`.
fn own(link: &Broker, partitions: u16, stop: &CancellationToken) -> Result<(Arc<Seen>, JoinHandle<()>)> {
    let seen = Arc::new(Seen::default());
    let integration = IntegrationId::new("acme")?;
    let ids = (0..partitions).map(|partition| PartitionId { integration: integration.clone(), partition });
    let role = Role { name: "writer", stage: Stage::Apply };
    let look_every = Duration::from_millis(200);
    let owner = Ownership::new(link.clone(), role, ids.collect(), look_every, serve(&seen), stop.clone());
    Ok((seen, tokio::spawn(owner.run())))
}

/// Somebody counts as a worker and takes nothing: a connection that died unnoticed, or a worker that hangs. What would
/// be its share is taken by the others after a while, and given to a real worker when one comes.
#[tokio::test]
async fn what_a_worker_that_is_counted_does_not_take_is_taken_beyond_the_share() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stop = CancellationToken::new();
    let mut config = broker_only(broker.url(), broker.prefix())?;
    config.broker.partitions = 2;
    let link = Broker::start(&config, "writer/one", stop.clone());
    link.session().await?;
    let (counted, channel, _consumer) = block(&broker, &link.names().workers("writer")).await?;
    let acme = IntegrationId::new("acme")?;
    let queues = [0, 1].map(|partition| link.names().work(&acme, Stage::Apply, partition));
    let (seen, owning) = own(&link, 2, &stop)?;
    let publish_to_both = async || -> Result<()> {
        for queue in &queues {
            publish(&channel, queue).await?;
        }
        Ok(())
    };
    publish_to_both().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let messages = seen.messages.load(Ordering::SeqCst);
    ensure!(messages == 1, "{messages} messages: of two partitions one is the share of two workers");
    eventually(LIMIT, "the partition that nobody takes", async || {
        let messages = seen.messages.load(Ordering::SeqCst);
        ensure!(messages == 2, "{messages} of 2 messages");
        Ok(())
    })
    .await?;
    // It stays here, and is not taken and given up in turns.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let attached = seen.attached.load(Ordering::SeqCst);
    ensure!(attached == 2, "attached {attached} times to two partitions");
    // One that takes its share comes in the place of the one that does not.
    let other_link = Broker::start(&config, "writer/two", stop.clone());
    let (other, other_owning) = own(&other_link, 2, &stop)?;
    eventually(LIMIT, "the share of the new worker", async || {
        ensure!(other.attached.load(Ordering::SeqCst) == 1, "it has nothing");
        Ok(())
    })
    .await?;
    publish_to_both().await?;
    eventually(LIMIT, "every message", async || {
        let both = [&seen, &other].map(|seen| seen.messages.load(Ordering::SeqCst));
        ensure!(both == [3, 1], "{both:?} messages");
        Ok(())
    })
    .await?;
    stop.cancel();
    owning.await?;
    other_owning.await?;
    counted.close(200, "done".into()).await?;
    link.close().await;
    other_link.close().await;
    Ok(())
}

/// Every second a worker asks how many there are, and whether somebody else still holds what one of them does for all:
/// thousands of channels an hour on the connection that its partitions hang on, some of which the broker ends.
#[tokio::test]
async fn a_connection_outlasts_thousands_of_looks_at_what_is_held_or_missing() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stop = CancellationToken::new();
    let config = broker_only(broker.url(), broker.prefix())?;
    let [holder, other] =
        ["writer/one", "writer/two"].map(|worker| Broker::start(&config, worker, stop.clone()));
    let lock = holder.names().leader(&IntegrationId::new("acme")?);
    let holding = holder.session().await?;
    ensure!(holding.try_lock(&lock).await?, "nobody holds it");
    ensure!(!holding.try_lock(&lock).await?, "it is held, by this very worker");
    let session = other.session().await?;
    let (dead, nowhere) = (other.names().dead(), "nowhere".to_owned());
    // Twice as many as a connection has channels.
    for look in 0..4_200 {
        if look % 2 == 0 {
            ensure!(!session.try_lock(&lock).await?, "the other one holds it, at look {look}");
        }
        let (queue, there) = if look % 40 == 0 { (&nowhere, false) } else { (&dead, true) };
        let depth = session.inspect(queue).await.with_context(|| format!("look {look}"))?;
        ensure!(depth.is_some() == there, "{queue} is {depth:?} at look {look}");
    }
    holding.unlock(&lock).await?;
    ensure!(session.try_lock(&lock).await?, "it is free");
    ensure!(!session.broken().is_cancelled(), "the connection was given up");
    stop.cancel();
    holder.close().await;
    other.close().await;
    Ok(())
}

/// The broker takes some fifty milliseconds for a queue, so those of many integrations take longer than a connection may.
/// A command waits for them; where the broker is not reached at all it still gives up.
#[tokio::test]
async fn a_command_that_reaches_the_broker_waits_until_all_queues_are_there() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stop = CancellationToken::new();
    let mut config = broker_only(broker.url(), broker.prefix())?;
    let one = config.integrations.first().context("an integration")?.clone();
    config.integrations = (0..30)
        .map(|number| Ok(Integration { id: IntegrationId::new(format!("team-{number}"))?, ..one.clone() }))
        .collect::<Result<_>>()?;
    let limit = Duration::from_secs(1);
    let begin = Instant::now();
    let link = Broker::start(&config, "writer/many", stop.clone());
    required(&link, limit).await.map_err(|exit| anyhow!("after {:?}: {exit:?}", begin.elapsed()))?;
    link.close().await;
    config.broker.url = broker_only("amqp://127.0.0.1:1/", broker.prefix())?.broker.url;
    let nowhere = Broker::start(&config, "writer/nowhere", stop.clone());
    ensure!(required(&nowhere, limit).await.is_err(), "nothing listens there");
    stop.cancel();
    nowhere.close().await;
    Ok(())
}

/// Workers are counted by who consumes a queue to which nobody publishes. What somebody publishes there all the same is
/// dropped, from every worker in its turn, and one whose consumer the broker has ended says that it is not counted.
#[tokio::test]
async fn a_stray_message_where_workers_are_counted_is_dropped_and_a_lost_consumer_is_noticed() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stop = CancellationToken::new();
    let link = Broker::start(&broker_only(broker.url(), broker.prefix())?, "writer/test", stop.clone());
    let session = link.session().await?;
    let workers = link.names().workers("writer");
    let mut presence = Presence::open(&session, &workers).await?;
    ensure!(presence.count().await? == 1);
    let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    for _ in 0..3 {
        publish(&channel, &workers).await?;
    }
    presence.stay(Duration::from_secs(2), &stop).await?;
    let delete = async |queue: &str| -> Result<u32> {
        Ok(channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?)
    };
    let left = delete(&workers).await?;
    ensure!(left == 0, "{left} messages were still there, taken or not");
    let stayed = tokio::time::timeout(LIMIT, presence.stay(LIMIT * 2, &stop)).await;
    ensure!(stayed.is_ok_and(|stayed| stayed.is_err()), "nobody told the worker that it is not counted");
    ensure!(presence.count().await? == 1, "it serves all the same until it is counted again");
    stop.cancel();
    connection.close(200, "done".into()).await?;
    link.close().await;
    Ok(())
}
