//! Many small integrations on two workers of each kind.

use std::time::{Duration, Instant};

use amfj_sync_benchmarks::figures::{machine, table};
use amfj_sync_tests::pipeline::{Services, spec};
use amfj_sync_tests::sim::fleet::{Fleet, Site};
use anyhow::{Context as _, Result};
use clap::Args;

use super::stage::Stage;

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Integrations
    #[arg(long, default_value_t = 200)]
    integrations: usize,
    /// Devices of each
    #[arg(long, default_value_t = 50)]
    devices: usize,
}

/// Messages of all integrations, as far as one reconciler's metrics tell: it looks every five seconds.
#[derive(Default)]
struct Backlog {
    to_decide: f64,
    to_apply: f64,
}

impl Backlog {
    /// Keeps the most that waits at any time; ends only with an error.
    async fn watch<T>(&mut self, stage: &Stage) -> Result<T> {
        let reconciler = stage.reconcilers.first().context("a reconciler")?;
        loop {
            let metrics = reconciler.metrics().await?;
            let waiting = |kind| metrics.sum("amfj_sync_queue_messages", &[("stage", kind)]);
            self.to_decide = self.to_decide.max(waiting("reconcile"));
            self.to_apply = self.to_apply.max(waiting("apply"));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    println!("{}", machine());
    let mut fleet = Fleet::generate(spec(options.devices, 7));
    fleet.site = Site::empty();
    let mut all = Vec::new();
    for _ in 0..options.integrations {
        all.push(Services::start(&fleet).await?);
    }
    let names: Vec<String> = (0..options.integrations).map(|number| format!("team-{number:03}")).collect();
    let settings = names.iter().zip(&all).map(|(id, services)| {
        let integration = services
            .integration(id)
            .set("mode", "apply")
            .set("sync.create_devices", "always")
            .field("Model", "model");
        (id.as_str(), integration)
    });
    let begin = Instant::now();
    let stage = Stage::set(settings.collect(), 2, 2).await?;
    let ready = begin.elapsed();
    let mut backlog = Backlog::default();
    let first = tokio::select! {
        took = stage.run() => took?,
        failed = backlog.watch(&stage) => failed?,
    };
    let queues = stage.count_queues().await?;
    // When the last write of each was made tells whether one was served before the others.
    let mut ends: Vec<_> =
        all.iter().filter_map(|services| services.amfj.writes().last().map(|write| write.time)).collect();
    ends.sort_unstable();
    let spread = match (ends.first(), ends.last()) {
        (Some(first), Some(last)) => last.duration_since(*first).as_secs_f64(),
        _ => 0.0,
    };
    let idle = stage.run().await?;
    let peak = |workers: &[amfj_sync_tests::harness::Worker]| -> Result<u64> {
        let peaks = workers.iter().map(amfj_sync_tests::harness::Worker::peak_rss_bytes);
        Ok(peaks.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(0) / 1_000_000)
    };
    let mut shown = table(&["", "figure"]);
    let mut add = |what: &str, figure: String| {
        shown.add_row([what.to_owned(), figure]);
    };
    add("integrations × devices", format!("{} × {}", options.integrations, options.devices));
    add("queues and streams at the broker", queues.to_string());
    add("two reconcilers and two writers ready", format!("{:.1} s", ready.as_secs_f64()));
    add("first run of all", format!("{:.1} s", first.all.as_secs_f64()));
    add(
        "most that waited to be decided, and to be applied",
        format!("{}, {}", backlog.to_decide, backlog.to_apply),
    );
    add("between the first and the last integration done", format!("{spread:.1} s"));
    add("idle run of all", format!("{:.1} s", idle.all.as_secs_f64()));
    add(
        "peak memory of the fetcher",
        format!("{} MB", first.fetcher_peak.max(idle.fetcher_peak) / 1_000_000),
    );
    add("peak memory of a reconciler", format!("{} MB", peak(&stage.reconcilers)?));
    add("peak memory of a writer", format!("{} MB", peak(&stage.writers)?));
    println!("{shown}");
    Ok(())
}
