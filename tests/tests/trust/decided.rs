//! A change that was decided and is not allowed any more is out of date, and no dead letter: also where the decision is read
//! later than its change.

use std::time::Duration;

use amfj_sync_failpoint::VARIABLE;
use amfj_sync_model::messages::{Action, Decision, Event, Fact, PlannedChange};
use amfj_sync_tests::harness::raw_amqp::RawPublisher;
use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use crate::forged::{linked, write};
use crate::support::{Attacker, reasons};

/// A change of a field that is not mapped, and the decision that asks for it.
fn out_of_date(attacker: &mut Attacker<'_>) -> Result<(Event, Decision)> {
    let (device, asset) = linked(attacker)[0].clone();
    let update = Action::UpdateAsset { asset, write: write("Model", "not mapped any more") };
    let change = attacker.change(device.as_str(), update);
    let event = attacker.event(change.clone());
    let (id, sequence) = (event.id, event.sequence.unwrap());
    let decision = attacker.view.decision(&change.key).context("a device of which nothing was decided")?;
    let planned = PlannedChange { id, sequence, published: Some(Timestamp::now()), staged: false, change };
    Ok((event, Decision { place: sequence, changes: vec![planned], ..decision }))
}

async fn nothing_came_of_it(pipeline: &Pipeline, services: &Services) -> Result<()> {
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0, "{}", reasons(pipeline, 1).await?);
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "it is out of date: {writes:?}");
    Ok(())
}

/// A reconciler publishes the decision right after its changes: the writer waits for it before it takes one for forged.
#[tokio::test]
async fn a_decision_that_is_published_after_its_change_is_waited_for() -> Result<()> {
    let services = Services::plain(3, 94).await?;
    let settings = services.integration("acme").field("Serial Number", "serial_number");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    let mut attacker = Attacker::at(&pipeline).await?;
    let (event, decision) = out_of_date(&mut attacker)?;
    let queue = attacker.queue(decision.key.partition(2));
    attacker.publish_to(&queue, event.encode()).await?;
    eventually(RUN_LIMIT, "the writer to have it", async || {
        let in_flight = pipeline.writers[0].in_flight().await?;
        ensure!(in_flight > 0.0 || pipeline.dead_letters().await? > 0, "it is still in its queue");
        Ok(())
    })
    .await?;
    attacker.publish_fact(Timestamp::now(), Fact::DecisionMade(Box::new(decision))).await?;
    nothing_came_of_it(&pipeline, &services).await
}

/// Facts that say nothing, until the writer stands still with the next ones in its hand.
async fn until_it_lags(pipeline: &Pipeline, failpoint: &str) -> Result<()> {
    let mut raw = RawPublisher::connect(pipeline.broker().url()).await?;
    let stream = format!("{}.acme.state", pipeline.broker().prefix());
    let lags = || pipeline.writers[0].log().contains("waiting at a failpoint");
    ensure!(!lags(), "it came to {failpoint} too early");
    for _ in 0..2_000 {
        let marker = Fact::ReadMarker { token: uuid::Uuid::new_v4() };
        let event = Event::fact(&Attacker::origin("acme"), Timestamp::now(), marker);
        raw.publish("", stream.as_bytes(), &[0, 0], &event.encode()).await?;
        if lags() {
            return Ok(());
        }
    }
    anyhow::bail!("the writer never came to {failpoint}")
}

/// The decision is in the stream, and the writer has not read it, for longer than it waits for one that is not there.
#[tokio::test]
async fn a_writer_that_lags_reads_to_the_end_before_it_takes_a_change_for_forged() -> Result<()> {
    let services = Services::plain(3, 95).await?;
    let settings = services.integration("acme").field("Serial Number", "serial_number");
    let mut pipeline =
        Pipeline::with(Workers { reconcilers: 1, writers: 0 }, vec![("acme", settings)], |config| config)
            .await?;
    let armed = "state.received=wait@200:5s";
    let mut writer = pipeline.call(Role::Writer).arg("run").env(VARIABLE, armed).spawn()?;
    writer.wait_ready_within(Duration::from_mins(1)).await?;
    pipeline.writers.push(writer);
    pipeline.run().await?;
    services.take_writes();
    let mut attacker = Attacker::at(&pipeline).await?;
    let (event, decision) = out_of_date(&mut attacker)?;
    let queue = attacker.queue(decision.key.partition(2));
    until_it_lags(&pipeline, armed).await?;
    attacker.publish_fact(Timestamp::now(), Fact::DecisionMade(Box::new(decision))).await?;
    attacker.publish_to(&queue, event.encode()).await?;
    nothing_came_of_it(&pipeline, &services).await
}

/// No reconciler is there to decide anew: what is queued is held against what the writer is told now, right before the request.
#[tokio::test]
async fn what_was_queued_is_not_made_once_it_is_not_allowed_although_nobody_decides_anew() -> Result<()> {
    let services = Services::plain(4, 99).await?;
    let both = services.integration("acme").field("Model", "model").field("Notes", "asset_tag");
    let workers = Workers { reconcilers: 1, writers: 0 };
    let mut pipeline = Pipeline::with(workers, vec![("acme", both)], |config| config).await?;
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "changes", async || {
        ensure!(
            pipeline.waiting("acme", "apply").await? >= 4
                && pipeline.waiting("acme", "reconcile").await? == 0
        );
        Ok(())
    })
    .await?;
    pipeline.dismiss().await?;
    let fewer = services.integration("acme").field("Notes", "asset_tag");
    pipeline.reconfigure(vec![("acme", fewer)]).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    eventually(RUN_LIMIT, "all of them to be out of date", async || {
        let left = pipeline.waiting("acme", "apply").await?;
        let in_flight = pipeline.writers[0].in_flight().await?;
        ensure!(left == 0 && in_flight == 0.0, "{left} wait, {in_flight} are in flight");
        Ok(())
    })
    .await?;
    let writes = services.take_writes();
    ensure!(writes.iter().all(|write| !write.contains("Model")), "{}", writes.join("\n"));
    ensure!(pipeline.dead_letters().await? == 0, "{}", reasons(&pipeline, 1).await?);
    Ok(())
}
