//! The state of an integration on a real broker: workers that start late, lose their directory, find
//! another stream than before, or find the beginning of it trimmed, all end with the same view.

mod copies;
mod support;

use std::time::Duration;

use amfj_sync_model::messages::{Event, Fact, InventoryCounts};
use amfj_sync_projection::Verdict;
use amfj_sync_tests::harness::{Proxy, Scratch, SharedBroker};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use lapin::options::QueueDeleteOptions;

use crate::support::{Follower, LIMIT, channel, linked, started, stream_name};

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
    let fact = Event::fact(&worker.state.origin(), Timestamp::now(), Fact::ChangeEnded(Box::new(linked(1)?)));
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
