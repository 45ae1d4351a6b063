//! `SIGTERM`, `kill -9` and a pause in the middle of a first sync: nothing is lost and nothing done twice.

use std::time::Duration;

use amfj_sync_tests::harness::{Role, Worker, eventually};
use amfj_sync_tests::model::{CreateDevices, Model, Prediction, Settings};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::random_fleet::chosen_seed;
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use anyhow::{Context as _, Result, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};

const DEVICES: usize = 100;

/// A first sync in which everything happens: links, creations, records, check-outs.
pub(crate) struct FirstSync {
    pub(crate) services: Services,
    pub(crate) pipeline: Pipeline,
    settings: Settings,
    model: Model,
    prediction: Prediction,
}

impl FirstSync {
    pub(crate) async fn prepare(seed: u64) -> Result<Self> {
        let mut fleet = Fleet::generate(FleetSpec { devices: DEVICES, seed, traps: Traps::None });
        // A third of the assets and of the records is to be created.
        let mut position = 0;
        fleet.site.assets.retain(|_| {
            position += 1;
            position % 3 != 0
        });
        let services = Services::start(&fleet).await?;
        // Slow enough that the worker dies in the middle of it.
        services.amfj.set_latency(Duration::from_millis(15));
        let settings =
            Settings { create_devices: CreateDevices::FirstSync, auto_checkout: true, ..Settings::default() }
                .field("Serial Number", "serial_number")
                .field("Model", "model");
        let integration = settings.configure(services.integration("acme"));
        let integrations = vec![("acme", integration)];
        let pipeline =
            Pipeline::with(Workers::default(), integrations, |config| config.set("writer.concurrency", 4))
                .await?;
        let mut model = Model::default();
        let prediction = model.run(&settings, &services.content(), &services.amfj.site());
        Ok(Self { services, pipeline, settings, model, prediction })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) async fn writes(&self, count: usize) -> Result<()> {
        eventually(RUN_LIMIT, "the first writes", async || {
            let done = self.services.amfj.write_count();
            ensure!(done >= count, "{done} of {count}");
            Ok(())
        })
        .await
    }

    /// The rest is done, nothing twice, and an idle run writes nothing.
    pub(crate) async fn ends_well(mut self) -> Result<()> {
        self.pipeline.settle().await?;
        let actual = self.services.amfj.site();
        self.model.agree(&self.prediction, &actual).map_err(anyhow::Error::msg)?;
        let idle = self.model.run(&self.settings, &self.services.content(), &actual);
        self.services.amfj.clear_writes();
        self.pipeline.run().await?;
        self.model.agree(&idle, &self.services.amfj.site()).map_err(anyhow::Error::msg)?;
        let writes = self.services.take_writes();
        ensure!(writes.is_empty(), "P3: an idle run wrote {writes:?}");
        ensure!(self.pipeline.dead_letters().await? == 0, "there are dead letters");
        ensure!(self.services.amfj.violations().is_empty(), "{:?}", self.services.amfj.violations());
        Ok(())
    }

    /// Waits until nothing is written for two seconds, and answers how much was.
    async fn stands_still(&self) -> Result<usize> {
        let mut before = None;
        for _ in 0..10 {
            let written = self.services.amfj.write_count();
            if before.replace(written) == Some(written) {
                return Ok(written);
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        anyhow::bail!("P33: it goes on being written after twenty seconds")
    }

    async fn tells_of_the_pause(&self) -> Result<()> {
        let status = self.pipeline.said_as_json(&["status", "--json"]).await?;
        let site = &status["integrations"][0];
        ensure!(site["paused"]["reason"] == "AMFJ moves" && site["paused"]["until"].is_string(), "{site}");
        ensure!(status["wrong"].as_array().is_some_and(Vec::is_empty), "{}", status["wrong"]);
        let status = self.pipeline.said(&["status"]).await?;
        ensure!(status.contains("paused") && status.contains("amfj-sync resume acme"), "{status}");
        let content = self.services.content();
        let device = content.devices[0]["device_id"].as_str().context("a device without id")?;
        for command in [&["plan", "acme"][..], &["explain", device]] {
            let said = self.pipeline.said(command).await?;
            ensure!(said.contains("AMFJ moves"), "{command:?}: {said}");
        }
        Ok(())
    }

    fn take(&mut self, role: Role) -> Result<Worker> {
        let workers = match role {
            Role::Reconciler => &mut self.pipeline.reconcilers,
            _ => &mut self.pipeline.writers,
        };
        workers.pop().context("no such worker")
    }

    async fn replace(&mut self, role: Role) -> Result<()> {
        let workers = Workers {
            reconcilers: usize::from(role == Role::Reconciler),
            writers: usize::from(role == Role::Writer),
        };
        self.pipeline.spawn(workers).await
    }
}

async fn terminated(role: Role) -> Result<()> {
    let mut sync = FirstSync::prepare(31).await?;
    let done = sync.pipeline.fetch(&[]).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    sync.writes(20).await?;
    // `terminate` insists on the promised 20 seconds.
    let status = sync.take(role)?.terminate().await?;
    ensure!(status.success(), "SIGTERM ended the {} with {status}", role.name());
    ensure!(role == Role::Reconciler || sync.services.amfj.write_count() < DEVICES, "it was done already");
    sync.replace(role).await?;
    sync.ends_well().await
}

async fn killed(role: Role, seed: u64) -> Result<()> {
    let seed = chosen_seed(seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let story = async {
        let mut sync = FirstSync::prepare(seed).await?;
        let done = sync.pipeline.fetch(&[]).await?;
        ensure!(done.status.success(), "{}", done.stderr);
        for _ in 0..3 {
            let target = sync.services.amfj.write_count() + rng.random_range(1..30);
            sync.writes(target.min(DEVICES)).await?;
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..30))).await;
            sync.take(role)?.kill9()?;
            sync.replace(role).await?;
        }
        sync.ends_well().await
    };
    story.await.with_context(|| format!("AMFJ_SYNC_SEED={seed} repeats this"))
}

#[tokio::test]
async fn sigterm_of_the_reconciler_loses_nothing() -> Result<()> {
    terminated(Role::Reconciler).await
}

#[tokio::test]
async fn sigterm_of_the_writer_loses_nothing() -> Result<()> {
    terminated(Role::Writer).await
}

#[tokio::test]
async fn sigterm_of_the_fetcher_loses_nothing() -> Result<()> {
    let sync = FirstSync::prepare(33).await?;
    sync.services.kandji.set_latency(Duration::from_millis(500));
    let fetcher = sync.pipeline.call(Role::Fetcher).arg("run").spawn()?;
    eventually(RUN_LIMIT, "the walk to begin", async || {
        ensure!(sync.services.amfj.request_count() > 2, "no request yet");
        Ok(())
    })
    .await?;
    let status = fetcher.terminate().await?;
    ensure!(status.success(), "SIGTERM ended the fetcher with {status}");
    sync.services.kandji.set_latency(Duration::ZERO);
    let mut again = sync.pipeline.call(Role::Fetcher).arg("run").spawn()?;
    again.wait_ready().await?;
    eventually(RUN_LIMIT, "the run", async || {
        let runs = sync.pipeline.runs_in_force().await?;
        ensure!(runs["acme"] > 0, "no run is in force");
        Ok(())
    })
    .await?;
    // Only then: until now the queues may be empty because nothing was published.
    sync.pipeline.settle().await?;
    let status = again.terminate().await?;
    ensure!(status.success(), "SIGTERM ended the fetcher with {status}");
    sync.ends_well().await
}

#[tokio::test]
async fn kill_9_of_the_reconciler_leaves_the_right_end_state() -> Result<()> {
    killed(Role::Reconciler, 41).await
}

#[tokio::test]
async fn kill_9_of_the_writer_leaves_the_right_end_state() -> Result<()> {
    killed(Role::Writer, 42).await
}

#[tokio::test]
async fn kill_9_of_the_fetcher_leaves_the_right_end_state() -> Result<()> {
    let mut rng = StdRng::seed_from_u64(43);
    let sync = FirstSync::prepare(43).await?;
    for _ in 0..4 {
        let fetcher = sync.pipeline.call(Role::Fetcher).args(["run", "--once"]).spawn()?;
        let before = sync.services.amfj.request_count();
        eventually(RUN_LIMIT, "the run to begin", async || {
            ensure!(sync.services.amfj.request_count() > before, "no request yet");
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..250))).await;
        fetcher.kill9()?;
    }
    let before = sync.pipeline.runs_in_force().await?;
    let done = sync.pipeline.fetch(&[]).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    sync.pipeline.settle_after(&before).await?;
    sync.ends_well().await
}

/// P33: within seconds nothing is written, whoever dies and starts meanwhile; then everything goes on where it was.
#[tokio::test]
async fn p33_a_paused_integration_stands_still_until_it_is_resumed() -> Result<()> {
    let mut sync = FirstSync::prepare(51).await?;
    // So slow that the order comes in the middle of it.
    sync.services.amfj.set_latency(Duration::from_millis(400));
    let mut fetcher = sync.pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    sync.writes(20).await?;
    let said = sync.pipeline.said(&["pause", "acme", "--reason", "AMFJ moves", "--until", "2h"]).await?;
    ensure!(said.contains("acme is paused") && said.contains("It ends at"), "{said}");
    let written = sync.stands_still().await?;
    ensure!(written < DEVICES, "it was done already");
    for role in [Role::Writer, Role::Reconciler] {
        sync.take(role)?.kill9()?;
        sync.replace(role).await?;
    }
    fetcher.kill9()?;
    let mut fetcher = sync.pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    let said = sync.pipeline.said(&["trigger", "acme"]).await?;
    ensure!(said.contains("begins when it is resumed"), "{said}");
    let requests = sync.services.kandji.request_count();
    ensure!(sync.stands_still().await? == written, "workers that were started anew wrote");
    ensure!(sync.services.kandji.request_count() == requests, "a fetcher that was started anew read");
    sync.tells_of_the_pause().await?;
    let once = sync.pipeline.fetch(&[]).await?;
    ensure!(!once.status.success() && once.stderr.contains("AMFJ moves"), "{}", once.stderr);

    sync.services.amfj.set_latency(Duration::ZERO);
    let said = sync.pipeline.said(&["resume", "acme"]).await?;
    ensure!(said.contains("acme goes on"), "{said}");
    let again = sync.pipeline.command(["resume", "acme"]).finish(RUN_LIMIT).await?;
    ensure!(again.status.code() == Some(1) && again.stderr.contains("is not paused"), "{}", again.stderr);
    eventually(RUN_LIMIT, "the run that was asked for", async || {
        let status = sync.pipeline.said_as_json(&["status", "--json"]).await?;
        ensure!(status["integrations"][0]["run_requested"] == false, "it has not begun");
        Ok(())
    })
    .await?;
    sync.pipeline.settle().await?;
    ensure!(fetcher.terminate().await?.success());
    sync.ends_well().await
}

/// A pause ends by itself at its time, and one that was ordered anew at its own.
#[tokio::test]
async fn p33_a_pause_ends_at_its_time() -> Result<()> {
    let sync = FirstSync::prepare(52).await?;
    sync.pipeline.said(&["pause", "acme", "--reason", "AMFJ moves"]).await?;
    ensure!(!sync.pipeline.fetch(&[]).await?.status.success());
    let said = sync.pipeline.said(&["pause", "acme", "--reason", "for a moment", "--until", "3s"]).await?;
    ensure!(said.contains("Until now: acme was paused") && said.contains("AMFJ moves"), "{said}");
    eventually(RUN_LIMIT, "the end of the pause", async || {
        let done = sync.pipeline.fetch(&[]).await?;
        ensure!(done.status.success(), "{}", done.stderr);
        Ok(())
    })
    .await?;
    sync.ends_well().await
}
