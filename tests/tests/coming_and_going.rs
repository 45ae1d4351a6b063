//! Writers come and go while there is much to write: it costs no time, and nothing is done twice.
//!
//! A machine that is busy can stand still for a second by itself, so the longest pause counts in the best of a few rounds;
//! that everything is done once counts in every round.

use std::time::Duration;

use amfj_sync_tests::harness::{IntegrationBuilder, Role, Worker, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers, spec};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::fleet::Fleet;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// Creations of a story, unless `AMFJ_SYNC_CREATIONS` says how many.
const CREATIONS: usize = 240;

/// How long nothing may be written while writers come and go.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Of which the best has to keep to it.
const ROUNDS: usize = 3;

/// What AMFJ takes for an answer.
const LATENCY: Duration = Duration::from_millis(100);

/// Changes are in the queues and no writer is there.
struct Story {
    services: Services,
    pipeline: Pipeline,
    creations: usize,
}

fn creations() -> usize {
    std::env::var("AMFJ_SYNC_CREATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(CREATIONS)
}

impl Story {
    async fn begin(seed: u64, adapt: impl FnOnce(IntegrationBuilder) -> IntegrationBuilder) -> Result<Self> {
        // Slow enough for what happens meanwhile; a long story is told by writers as they are by default.
        let concurrency = if creations() > CREATIONS { 16 } else { 4 };
        Self::with(creations(), concurrency, seed, adapt).await
    }

    async fn with(
        creations: usize,
        concurrency: i64,
        seed: u64,
        adapt: impl FnOnce(IntegrationBuilder) -> IntegrationBuilder,
    ) -> Result<Self> {
        let mut fleet = Fleet::generate(spec(creations, seed));
        fleet.site.assets.clear();
        let services = Services::start(&fleet).await?;
        let integration = services
            .integration("acme")
            .set("sync.create_devices", "always")
            .set("sync.create_users", "never")
            .field("Serial Number", "serial_number")
            // As long as it is by default: whoever finds an open intent waits for it.
            .set("amfj.request_timeout", "30s");
        let integrations = vec![("acme", adapt(integration))];
        let mut pipeline = Pipeline::idle(integrations, |config| {
            config.set("timing.ownership_interval", "1s").set("writer.concurrency", concurrency)
        })
        .await?;
        pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
        let fetched = pipeline.fetch(&[]).await?;
        ensure!(fetched.status.success(), "{}", fetched.stderr);
        let wanted = u32::try_from(creations)?;
        eventually(RUN_LIMIT, "every creation in the queues", async || {
            let waiting = pipeline.waiting("acme", "apply").await?;
            ensure!(waiting >= wanted, "{waiting} of {wanted}");
            Ok(())
        })
        .await?;
        services.amfj.set_latency(LATENCY);
        Ok(Self { services, pipeline, creations })
    }

    /// Starts one more writer; the others write meanwhile.
    fn start(&mut self) -> Result<()> {
        self.pipeline.writers.push(self.pipeline.call(Role::Writer).arg("run").spawn()?);
        Ok(())
    }

    async fn are_ready(&mut self) -> Result<()> {
        for writer in &mut self.pipeline.writers {
            writer.wait_ready().await?;
        }
        Ok(())
    }

    async fn join(&mut self) -> Result<()> {
        self.start()?;
        self.are_ready().await
    }

    /// The writer that has been there longest leaves in good order.
    async fn leave(&mut self) -> Result<()> {
        ensure!(self.pipeline.writers.len() > 1, "the last writer would leave");
        let status = self.pipeline.writers.remove(0).terminate().await?;
        ensure!(status.success(), "a writer ended with {status}");
        Ok(())
    }

    /// Waits until so many more creations are carried out, or all.
    async fn write(&self, more: usize) -> Result<()> {
        let enough = (self.services.amfj.write_count() + more).min(self.creations);
        eventually(RUN_LIMIT, "creations", async || {
            let done = self.services.amfj.write_count();
            ensure!(done >= enough, "{done} of {enough}");
            Ok(())
        })
        .await
    }

    /// Whatever happens from now on happens under load.
    fn ensure_not_over(&self) -> Result<()> {
        let done = self.services.amfj.write_count();
        ensure!(done < self.creations, "everything was written before it could happen");
        Ok(())
    }

    /// The longest time in which nothing was written, from the first write to the last.
    fn longest_pause(&self) -> Duration {
        let times: Vec<_> = self.services.amfj.writes().iter().map(|write| write.time).collect();
        let pauses = times.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        pauses.max().and_then(|pause| Duration::try_from(pause).ok()).unwrap_or_default()
    }

    /// Every device has one asset, nothing is open, and the next run writes nothing.
    async fn ends_well(&self) -> Result<Duration> {
        self.pipeline.settle().await?;
        let pause = self.longest_pause();
        self.services.amfj.set_latency(Duration::ZERO);
        let assets = self.services.amfj.assets();
        ensure!(assets.len() == self.creations, "{} assets of {}", assets.len(), self.creations);
        for device in self.services.kandji.devices() {
            let serial = json!(device.serial_number);
            let own = assets.iter().filter(|asset| asset.fields.get("Serial Number") == Some(&serial));
            ensure!(own.count() == 1, "{} has not one asset", device.device_name);
        }
        let open = open_intents(&self.pipeline).await?;
        ensure!(open.is_empty(), "open after everything was done: {open:?}");
        self.services.take_writes();
        self.pipeline.run().await?;
        let writes = self.services.take_writes();
        ensure!(writes.is_empty(), "the next run wrote {writes:?}");
        ensure!(self.pipeline.dead_letters().await? == 0, "there are dead letters");
        Ok(pause)
    }
}

/// The changes that are announced and neither answered nor withdrawn, by the writer that announced them.
async fn open_intents(pipeline: &Pipeline) -> Result<Vec<String>> {
    let mut open = Vec::new();
    pipeline.view("acme").await?.each_intent(&mut |id, _| {
        open.push(id.to_owned());
        true
    });
    Ok(open)
}

/// Tells a story until its longest pause is short enough, a few times at most.
async fn at_best(what: &str, mut story: impl AsyncFnMut(u64) -> Result<Duration>) -> Result<()> {
    let mut pauses = Vec::new();
    for round in 0..ROUNDS {
        let pause = story(u64::try_from(round)?).await?;
        println!("{what}: the longest pause was {pause:.2?}");
        if pause < LONGEST_PAUSE {
            return Ok(());
        }
        pauses.push(pause);
    }
    anyhow::bail!("{what}: nothing was written for {pauses:?}")
}

#[tokio::test]
async fn two_writers_that_start_together_write_from_the_first_moment_on() -> Result<()> {
    at_best("two start together", async |round| {
        let mut story = Story::begin(911 + round, |settings| settings).await?;
        story.start()?;
        story.join().await?;
        story.ends_well().await
    })
    .await
}

#[tokio::test]
async fn writers_that_join_leave_and_restart_one_after_the_other_cost_no_time() -> Result<()> {
    at_best("join, leave, restart", async |round| {
        let mut story = Story::begin(921 + round, |settings| settings).await?;
        let step = story.creations / 12;
        story.join().await?;
        story.write(step).await?;
        story.join().await?;
        story.write(step).await?;
        story.ensure_not_over()?;
        story.leave().await?;
        story.write(step).await?;
        story.join().await?;
        // One after the other, and never none.
        for _ in 0..2 {
            story.ensure_not_over()?;
            story.leave().await?;
            story.write(step).await?;
            story.join().await?;
        }
        story.ends_well().await
    })
    .await
}

/// Killed while AMFJ takes its time: no more is announced than could be sent, so no more has to be waited for.
#[tokio::test]
async fn no_more_is_announced_than_can_be_sent() -> Result<()> {
    for (seed, concurrency, rate) in [(931, 4_u64, 2_000_u64), (932, 32, 1)] {
        let with_rate = |settings: IntegrationBuilder| {
            settings.set("amfj.requests_per_second", i64::try_from(rate).unwrap_or(1))
        };
        let mut story = Story::with(60, i64::try_from(concurrency)?, seed, with_rate).await?;
        story.services.amfj.fault(Rule::new(Action::Silence { ms: 60_000, applied: false }).on("POST", "*"));
        let begin = std::time::Instant::now();
        story.join().await?;
        eventually(RUN_LIMIT, "a change on its way", async || {
            ensure!(!open_intents(&story.pipeline).await?.is_empty(), "nothing is announced");
            Ok(())
        })
        .await?;
        // Reading the stream to its end has taken a second. Killed, it withdraws nothing.
        story.pipeline.writers.drain(..).try_for_each(|writer| Worker::kill9(writer).map(drop))?;
        // A place for each second that this took here, or as many as may be under way.
        let seconds = begin.elapsed().as_secs().saturating_add(1);
        let places = seconds.saturating_mul(rate).saturating_add(2).min(concurrency);
        let most = usize::try_from(places)?;
        let open = open_intents(&story.pipeline).await?.len();
        ensure!((1..=most).contains(&open), "{open} changes are announced of {most} that could be sent");
    }
    Ok(())
}

/// What was announced and not sent is withdrawn before the partition is free; what is under way is not, and only that is
/// waited for.
#[tokio::test]
async fn what_was_not_sent_is_withdrawn_in_good_order() -> Result<()> {
    let mut story = Story::with(24, 4, 941, |settings| settings.set("amfj.list_delay", "100ms")).await?;
    let writer = story.pipeline.call(Role::Writer).env("AMFJ_SYNC_FAILPOINTS", "writer.turn=wait:2s");
    story.pipeline.writers.push(writer.arg("run").spawn()?);
    eventually(RUN_LIMIT, "changes announced", async || {
        ensure!(!open_intents(&story.pipeline).await?.is_empty(), "nothing is announced");
        Ok(())
    })
    .await?;
    let writer = story.pipeline.writers.pop().context("the writer")?;
    let status = writer.terminate().await?;
    ensure!(status.success(), "the writer ended with {status}");
    let open = open_intents(&story.pipeline).await?;
    ensure!(open.is_empty(), "not withdrawn: {open:?}");
    let withdrawn = story
        .pipeline
        .everything_in(&format!("{}.acme.state", story.pipeline.broker().prefix()))
        .await?
        .matches("intent_withdrawn")
        .count();
    ensure!(withdrawn > 0, "nothing was withdrawn");
    story.join().await?;
    story.ends_well().await?;
    let created = story.services.amfj.requests().iter().filter(|request| request.method == "POST").count();
    ensure!(created == 24, "{created} requests for 24 creations");
    Ok(())
}

/// Hundreds of changes wait for what a killed writer had announced; those behind them are written meanwhile.
#[tokio::test]
async fn changes_that_wait_hold_up_nobody_behind_them() -> Result<()> {
    // As many as a writer works on in two partitions.
    const WAITING: usize = 128;
    let timeout = |settings: IntegrationBuilder| settings.set("amfj.request_timeout", "2m");
    let mut story = Story::with(400, 256, 951, timeout).await?;
    let silence = Rule::new(Action::Silence { ms: 300_000, applied: false }).on("POST", "*");
    story.services.amfj.fault(silence);
    story.join().await?;
    eventually(RUN_LIMIT, "as many changes announced as are worked on", async || {
        let open = open_intents(&story.pipeline).await?.len();
        ensure!(open == WAITING, "{open} of {WAITING}");
        Ok(())
    })
    .await?;
    story.pipeline.writers.drain(..).try_for_each(|writer| Worker::kill9(writer).map(drop))?;
    story.services.amfj.faults().clear();
    story.join().await?;
    // The others are waited for longer than this test may take.
    eventually(RUN_LIMIT, "all others created", async || {
        let done = story.services.amfj.write_count();
        ensure!(done >= 2 * WAITING, "{done} of {}", 2 * WAITING);
        Ok(())
    })
    .await?;
    let open = open_intents(&story.pipeline).await?.len();
    ensure!(open >= WAITING, "{open} are open: those that were to wait are done");
    Ok(())
}
