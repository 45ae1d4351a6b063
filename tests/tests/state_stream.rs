//! The state of an integration on a real broker: workers that start late, lose their directory, find
//! another stream than before, or find the beginning of it trimmed, all end with the same view.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amfj_sync_model::amfj::{Asset, Named};
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, Key};
use amfj_sync_model::messages::{
    Ending, Event, FORMAT, Fact, InventoryCounts, LinkOutcome, Outcome, Rule, RunStarted, Sequence,
};
use amfj_sync_projection::{OnDisk, Verdict};
use amfj_sync_service::worker::{Shutdown, Worker};
use amfj_sync_stream::State;
use amfj_sync_tests::harness::{Proxy, Scratch, SharedBroker, broker_only, eventually};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};

const LIMIT: Duration = Duration::from_mins(2);

struct Follower {
    worker: Worker,
    state: State,
}

impl Follower {
    async fn start(broker: &SharedBroker, data_dir: Option<&Path>) -> Result<Self> {
        Self::start_at(broker, broker.url(), data_dir).await
    }

    /// The same, with an address that leads to the broker in another way.
    async fn start_at(broker: &SharedBroker, url: &str, data_dir: Option<&Path>) -> Result<Self> {
        let worker = Worker::start(
            "test",
            broker_only(url, broker.prefix())?,
            data_dir.map(OnDisk::at),
            Shutdown::default(),
        )
        .await?;
        let state = worker.states.values().next().context("one integration")?.clone();
        state.caught_up().await?;
        Ok(Self { worker, state })
    }

    async fn say(&self, fact: Fact) -> Result<Verdict> {
        let event = Event::fact(&self.state.origin(), Timestamp::now(), fact);
        Ok(self.state.publish_and_read_back(event).await?)
    }

    /// A link of a device to an asset, as an outcome.
    async fn link(&self, number: u32) -> Result<Verdict> {
        self.say(Fact::Ended(Box::new(linked(number)?))).await
    }

    fn links(&self) -> usize {
        self.state.read(|view| {
            let mut links = 0;
            view.each_link(&mut |_, _| {
                links += 1;
                true
            });
            links
        })
    }

    async fn stop(self) {
        self.worker.finish().await;
    }
}

fn linked(number: u32) -> Result<Outcome> {
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
    Ok(Outcome {
        change: uuid::Uuid::from_u128(u128::from(number)),
        sequence: Sequence { run: 1, step: 1 },
        key: Key::Device(DeviceId::new(format!("device-{number}"))?),
        label: format!("Mac {number}"),
        kind: "link-asset".into(),
        ending: Ending::Applied,
        action: None,
        attempts: 0,
        replay: None,
        uncertain: false,
        asset: Some(record),
        asset_deleted: None,
        record: None,
        link: Some(LinkOutcome::Linked { asset, rule: Rule::Name, takes_over: None }),
        user_link: None,
        settled: None,
        edits: BTreeMap::new(),
        found_holder: None,
        location_due: false,
        doubtful: false,
        refused: BTreeMap::new(),
        fingerprints: BTreeMap::new(),
    })
}

fn started(number: u64, leader: &str) -> Fact {
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

async fn channel(broker: &SharedBroker) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

fn stream_name(broker: &SharedBroker) -> Result<String> {
    let id = IntegrationId::new("acme")?;
    Ok(amfj_sync_broker::Names::new(broker.prefix()).state(&id))
}

/// The order of the stream is the same for everybody: of two leaders with one number, the first leads.
#[tokio::test]
async fn two_workers_agree_who_came_first_and_a_late_one_sees_the_same() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let one = Follower::start(&broker, None).await?;
    let other = Follower::start(&broker, None).await?;
    let (first, second) = tokio::join!(one.say(started(7, "one")), other.say(started(7, "other")));
    let accepted = [first?, second?].iter().filter(|verdict| **verdict == Verdict::Accepted).count();
    ensure!(accepted == 1, "{accepted} leaders of one run");
    let (counts, report) = (InventoryCounts::default(), Box::default());
    one.say(Fact::InventoryComplete { number: 7, counts, report }).await?;
    one.link(1).await?;
    let late = Follower::start(&broker, None).await?;
    let leader = |follower: &Follower| {
        follower.state.read(|view| view.meta().in_force.as_ref().map(|run| run.started.leader.clone()))
    };
    ensure!(late.links() == 1 && leader(&late) == leader(&one) && leader(&late).is_some());
    for follower in [one, other, late] {
        follower.stop().await;
    }
    Ok(())
}

/// A worker can wait until it has read what another one decided on, but not for ever.
#[tokio::test]
async fn a_worker_waits_for_what_a_change_was_decided_on() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let (one, other) = (Follower::start(&broker, None).await?, Follower::start(&broker, None).await?);
    one.link(1).await?;
    let decided_on = one.state.read(|view| view.meta().offset).context("facts were read")?;
    ensure!(other.state.has_read(decided_on, LIMIT).await && other.links() == 1);
    let beyond = decided_on + 1_000;
    ensure!(!other.state.has_read(beyond, Duration::from_millis(200)).await, "offset {beyond} is not there");
    one.stop().await;
    other.stop().await;
    Ok(())
}

/// A directory that was deleted, or holds something else, is rebuilt; one that is whole is read on.
#[tokio::test]
async fn a_worker_reads_on_and_rebuilds_what_is_gone() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let scratch = Scratch::new()?;
    let dir = scratch.path().join("view");
    let worker = Follower::start(&broker, Some(&dir)).await?;
    for number in 1..=20 {
        worker.link(number).await?;
    }
    worker.stop().await;
    let again = Follower::start(&broker, Some(&dir)).await?;
    ensure!(again.links() == 20, "{} links after a restart", again.links());
    again.link(21).await?;
    again.stop().await;
    std::fs::remove_dir_all(&dir)?;
    let anew = Follower::start(&broker, Some(&dir)).await?;
    ensure!(anew.links() == 21, "{} links after the directory was deleted", anew.links());
    anew.stop().await;
    Ok(())
}

/// Facts that are said at the same time share messages. Each is answered, every reader has all of them, and
/// a worker that comes back goes on behind the last.
#[tokio::test]
async fn facts_of_one_moment_share_messages_and_all_of_them_count() -> Result<()> {
    const LINKS: u32 = 300;
    let broker = SharedBroker::join().await?;
    let scratch = Scratch::new()?;
    let dir = scratch.path().join("view");
    let worker = Follower::start(&broker, Some(&dir)).await?;
    let verdicts = futures::future::join_all((1..=LINKS).map(|number| worker.link(number))).await;
    for verdict in verdicts {
        ensure!(verdict? == Verdict::Accepted);
    }
    let offset = |follower: &Follower| follower.state.read(|view| view.meta().offset).unwrap_or_default();
    let messages = offset(&worker);
    ensure!(messages < u64::from(LINKS) / 2, "{LINKS} facts took {messages} messages");
    let late = Follower::start(&broker, None).await?;
    ensure!(late.links() == LINKS as usize, "{} links at a reader that came later", late.links());
    late.stop().await;
    worker.stop().await;
    let again = Follower::start(&broker, Some(&dir)).await?;
    ensure!(again.links() == LINKS as usize, "{} links after a restart", again.links());
    again.link(LINKS + 1).await?;
    ensure!(again.links() == LINKS as usize + 1, "{} links after one more", again.links());
    again.stop().await;
    Ok(())
}

/// A stream that was deleted and declared again is another one: what was known from the old one is gone.
#[tokio::test]
async fn another_stream_of_the_same_name_is_noticed() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let scratch = Scratch::new()?;
    let dir = scratch.path().join("view");
    let worker = Follower::start(&broker, Some(&dir)).await?;
    for number in 1..=5 {
        worker.link(number).await?;
    }
    worker.stop().await;
    let (_connection, channel) = channel(&broker).await?;
    let stream = stream_name(&broker)?;
    channel.queue_delete(stream.as_str().into(), QueueDeleteOptions::default()).await?;
    let again = Follower::start(&broker, Some(&dir)).await?;
    ensure!(again.links() == 0, "{} links of a stream that is gone", again.links());
    ensure!(again.link(1).await? == Verdict::Accepted);
    again.stop().await;
    Ok(())
}

/// A stream that keeps 400 kB, in small segments: workers use the stream that they find. Its name.
async fn declare_a_short_stream(broker: &SharedBroker) -> Result<String> {
    declare_a_stream_of(broker, 400_000).await
}

async fn declare_a_stream_of(broker: &SharedBroker, bytes: i64) -> Result<String> {
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
async fn pad(follower: &Follower, count: usize) -> Result<()> {
    let facts = (0..count).map(|_| {
        let marker = Fact::ReadMarker { token: uuid::Uuid::new_v4() };
        Event::fact(&follower.state.origin(), Timestamp::now(), marker)
    });
    Ok(follower.state.publish(facts.collect()).await?)
}

/// The beginning of a long stream is trimmed; a new worker starts from the latest checkpoint.
#[tokio::test]
async fn a_new_worker_starts_from_the_checkpoint_of_a_trimmed_stream() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stream = declare_a_short_stream(&broker).await?;
    let worker = Follower::start(&broker, None).await?;
    for number in 1..=50 {
        worker.link(number).await?;
    }
    worker.state.write_checkpoint().await?;
    // Enough to push the first links out of the stream, with checkpoints as often as a day brings them.
    for round in 0..40_u64 {
        pad(&worker, 40).await?;
        if round % 4 == 0 {
            worker.state.read_to_end().await?;
            worker.state.write_checkpoint().await?;
        }
    }
    worker.link(51).await?;
    eventually(LIMIT, "a worker that starts from a checkpoint", async || {
        let late = Follower::start(&broker, None).await?;
        let (links, offset) = (late.links(), late.state.read(|view| view.meta().offset));
        late.stop().await;
        ensure!(links == 51, "{links} of 51 links, at offset {offset:?}");
        Ok(())
    })
    .await?;
    let first = first_offset(&broker, &stream).await?;
    ensure!(first > 60, "the stream begins at {first}: nothing was trimmed, so nothing was proven");
    worker.stop().await;
    Ok(())
}

/// Rules look at several integrations at once: who looks again while facts wait for the end of the first look does not
/// wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_look_within_a_look_does_not_wait_for_facts() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let worker = Follower::start(&broker, None).await?;
    let state = worker.state.clone();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
    let (done, is_done) = tokio::sync::oneshot::channel();
    // A thread of its own, which the end of the test does not wait for.
    std::thread::spawn(move || {
        let seen = state.read(|_| {
            let asked = begun.send(()).is_ok() && goes_on.recv().is_ok();
            asked.then(|| state.read(|view| view.meta().offset))
        });
        done.send(seen).ok();
    });
    has_begun.await?;
    let fact = Event::fact(&worker.state.origin(), Timestamp::now(), Fact::Ended(Box::new(linked(1)?)));
    let state = worker.state.clone();
    let link = tokio::spawn(async move { state.publish_and_read_back(fact).await });
    // Until it has come back and waits.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(!link.is_finished(), "the fact was folded under somebody's eyes");
    go_on.send(())?;
    tokio::time::timeout(Duration::from_secs(20), is_done).await.context("the second look waits")??;
    ensure!(link.await?? == Verdict::Accepted, "the fact is folded afterwards");
    worker.stop().await;
    Ok(())
}

/// Who waits for a fact that was trimmed, and that only a copy still has, is told so and begins anew, instead of
/// waiting for ever.
#[tokio::test]
async fn nobody_waits_for_a_fact_that_only_a_copy_has() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stream = declare_a_short_stream(&broker).await?;
    let worker = Follower::start(&broker, None).await?;
    let proxy = Proxy::before(broker.url()).await?;
    let waiting = Follower::start_at(&broker, proxy.url(), None).await?;
    ensure!(proxy.silence("consuming") == 1, "the waiting worker has one connection to consume on");
    let state = waiting.state.clone();
    let fact = Event::fact(&state.origin(), Timestamp::now(), Fact::Ended(Box::new(linked(1)?)));
    let answer = tokio::spawn(async move { state.publish_and_read_back(fact).await });
    eventually(LIMIT, "the fact to be in the stream", async || {
        ensure!(worker.links() == 1, "{} links", worker.links());
        Ok(())
    })
    .await?;
    let offset = worker.state.read(|view| view.meta().offset).context("an offset")?;
    proxy.refuse(true);
    proxy.cut("");
    eventually(LIMIT, "the fact to be trimmed", async || {
        pad(&worker, 40).await?;
        worker.state.read_to_end().await?;
        worker.state.write_checkpoint().await?;
        let first = first_offset(&broker, &stream).await?;
        ensure!(u64::try_from(first)? > offset, "the stream begins at {first}");
        Ok(())
    })
    .await?;
    ensure!(!answer.is_finished(), "the fact was read back after all");
    proxy.refuse(false);
    let answer = tokio::time::timeout(LIMIT, answer).await.context("it waits for ever")??;
    ensure!(answer.is_err(), "a copy does not say {answer:?}");
    waiting.state.read_to_end().await?;
    ensure!(waiting.links() == 1, "the copy has the link");
    for follower in [waiting, worker] {
        follower.stop().await;
    }
    Ok(())
}

/// A long stream with a checkpoint near its end is not read from its beginning: commands of people wait for it. The
/// checkpoint here is of nothing, which shows whether it was taken.
#[tokio::test]
async fn a_new_worker_on_a_long_stream_starts_from_a_checkpoint_near_its_end() -> Result<()> {
    for (messages, from_checkpoint) in [(400, false), (1_050, true), (2_000, false)] {
        let broker = SharedBroker::join().await?;
        let worker = Follower::start(&broker, None).await?;
        for number in 1..=10 {
            worker.link(number).await?;
        }
        // 512 messages are searched, and 4,096 where the stream is twice as long. None of these shares one.
        let after = if messages > 1_500 { 700 } else { 100 };
        pad(&worker, messages - after).await?;
        copy_of_nothing(&worker).await?;
        pad(&worker, after).await?;
        for number in 11..=13 {
            worker.link(number).await?;
        }
        let late = Follower::start(&broker, None).await?;
        let expected = if from_checkpoint { 3 } else { 13 };
        ensure!(late.links() == expected, "{} of {expected} links after {messages} messages", late.links());
        for follower in [late, worker] {
            follower.stop().await;
        }
    }
    Ok(())
}

/// A complete checkpoint that has none of the rows of this worker.
async fn copy_of_nothing(worker: &Follower) -> Result<()> {
    worker.state.read_to_end().await?;
    let as_of = worker.state.read(|view| view.meta().offset).context("an offset")?;
    copy_of_nothing_as_of(worker, as_of).await
}

async fn copy_of_nothing_as_of(worker: &Follower, as_of: u64) -> Result<()> {
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

/// Whoever kept the messages of an old checkpoint can publish them again, and their signatures are right. What was trimmed
/// since is in the later ones alone, whether the stream is searched near its end or from its beginning.
#[tokio::test]
async fn an_old_checkpoint_that_is_said_again_takes_nothing_away() -> Result<()> {
    for (bytes, after) in [(400_000, 0), (1_500_000, 700)] {
        let broker = SharedBroker::join().await?;
        let stream = declare_a_stream_of(&broker, bytes).await?;
        let worker = Follower::start(&broker, None).await?;
        let old = worker.state.read(|view| view.meta().offset).context("an offset")?;
        for number in 1..=10 {
            worker.link(number).await?;
        }
        let known = worker.state.read(|view| view.meta().offset).context("an offset")?;
        eventually(LIMIT, "the links to be trimmed", async || {
            pad(&worker, 400).await?;
            worker.state.read_to_end().await?;
            worker.state.write_checkpoint().await?;
            let first = first_offset(&broker, &stream).await?;
            ensure!(u64::try_from(first)? > known, "the stream begins at {first}");
            Ok(())
        })
        .await?;
        pad(&worker, after).await?;
        copy_of_nothing_as_of(&worker, old).await?;
        let late = Follower::start(&broker, None).await?;
        ensure!(late.links() == 10, "{} of 10 links in a stream of {bytes} bytes", late.links());
        for follower in [late, worker] {
            follower.stop().await;
        }
    }
    Ok(())
}

/// A worker that lags writes a checkpoint of what it has read. Whoever starts from it reads on from there, not from
/// where it stands in the stream: what the others published in between is not in it.
#[tokio::test]
async fn a_checkpoint_by_a_worker_that_lags_loses_nothing() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stream = declare_a_short_stream(&broker).await?;
    let worker = Follower::start(&broker, None).await?;
    eventually(LIMIT, "the beginning of the stream to be thrown away", async || {
        pad(&worker, 100).await?;
        let first = first_offset(&broker, &stream).await?;
        ensure!(first > 0, "the stream begins at {first}");
        Ok(())
    })
    .await?;
    for number in 1..=20 {
        worker.link(number).await?;
    }
    let proxy = Proxy::before(broker.url()).await?;
    let lagging = Follower::start_at(&broker, proxy.url(), None).await?;
    let knows = lagging.links();
    ensure!(proxy.silence("consuming") == 1, "the lagging worker has one connection to consume on");
    for number in 21..=30 {
        worker.link(number).await?;
    }
    lagging.state.write_checkpoint().await?;
    ensure!(lagging.links() == knows, "the worker does not lag: it knows {} links", lagging.links());
    for number in 31..=35 {
        worker.link(number).await?;
    }
    let late = Follower::start(&broker, None).await?;
    ensure!(late.links() == 35, "{} of 35 links", late.links());
    proxy.speak();
    for follower in [late, lagging, worker] {
        follower.stop().await;
    }
    Ok(())
}

/// A reader that gets nothing any more, though the stream has taken what it said, connects anew, long before the
/// heartbeat would tell (RabbitMQ proposes 60 seconds); who waits for the fact gets its verdict.
#[tokio::test]
async fn a_silent_stream_is_read_on_another_connection() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let proxy = Proxy::before(broker.url()).await?;
    let worker = Follower::start_at(&broker, proxy.url(), None).await?;
    worker.link(1).await?;
    ensure!(proxy.silence("consuming") == 1, "one connection to consume on");
    let said = tokio::time::timeout(Duration::from_secs(50), worker.link(2)).await;
    ensure!(said.context("nobody noticed the silence")?? == Verdict::Accepted && worker.links() == 2);
    worker.stop().await;
    Ok(())
}

/// The offset of the first record that a stream still holds.
async fn first_offset(broker: &SharedBroker, stream: &str) -> Result<i64> {
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
