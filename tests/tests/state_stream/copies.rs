//! Copies of the state in the stream: where a view begins that cannot read all of it, or need not.

use amfj_sync_model::messages::{Event, Fact};
use amfj_sync_tests::harness::{Proxy, SharedBroker, eventually};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use crate::support::{
    Follower, LIMIT, copy_of_nothing, copy_of_nothing_as_of, declare_a_short_stream, declare_a_stream_of,
    first_offset, linked, pad,
};

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
    let fact = Event::fact(&state.origin(), Timestamp::now(), Fact::ChangeEnded(Box::new(linked(1)?)));
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

/// Somebody without the key fills the end of the stream, so that whoever searches only that meets no signed record before
/// their copy of the state.
#[tokio::test]
async fn a_copy_that_nobody_signed_is_not_taken_however_near_the_end_it_is() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let worker = Follower::start_signing(&broker).await?;
    for number in 1..=10 {
        worker.link(number).await?;
    }
    pad(&worker, 520).await?;
    let stranger = Follower::start(&broker, None).await?;
    pad(&stranger, 500).await?;
    copy_of_nothing(&stranger).await?;
    pad(&stranger, 50).await?;
    let late = Follower::start_signing(&broker).await?;
    ensure!(late.links() == 10, "{} of 10 links", late.links());
    for follower in [late, stranger, worker] {
        follower.stop().await;
    }
    Ok(())
}

/// All that was signed is trimmed, but for the copy of a worker that lags; before it stands one that says it has read further.
#[tokio::test]
async fn a_copy_that_nobody_signed_is_not_taken_in_place_of_a_signed_one() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let stream = declare_a_short_stream(&broker).await?;
    let worker = Follower::start_signing(&broker).await?;
    for number in 1..=10 {
        worker.link(number).await?;
    }
    let proxy = Proxy::before(broker.url()).await?;
    let lagging = Follower::start_signing_at(&broker, proxy.url()).await?;
    ensure!(lagging.links() == 10 && proxy.silence("consuming") == 1, "one connection to consume on");
    let stranger = Follower::start(&broker, None).await?;
    let known = stranger.state.read(|view| view.meta().offset).context("an offset")?;
    eventually(LIMIT, "all that was signed to be trimmed", async || {
        pad(&stranger, 400).await?;
        let first = first_offset(&broker, &stream).await?;
        ensure!(u64::try_from(first)? > known, "the stream begins at {first}");
        Ok(())
    })
    .await?;
    copy_of_nothing(&stranger).await?;
    lagging.state.write_checkpoint().await?;
    let late = Follower::start_signing(&broker).await?;
    ensure!(late.links() == 10, "{} of 10 links", late.links());
    proxy.speak();
    for follower in [late, stranger, lagging, worker] {
        follower.stop().await;
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
