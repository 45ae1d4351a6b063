//! First sync and idle run, end to end, for fleets of several sizes: time, memory, requests.

use std::path::PathBuf;
use std::time::Duration;

use amfj_sync_benchmarks::figures::{machine, table};
use amfj_sync_benchmarks::plot::{Curve, Plot};
use amfj_sync_tests::harness::{Role, Worker};
use amfj_sync_tests::ledger::{Run, check};
use amfj_sync_tests::pipeline::{Services, spec};
use amfj_sync_tests::sim::fleet::{Fleet, Site};
use anyhow::{Result, ensure};
use clap::Args;

use super::stage::{Stage, Took};

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Sizes of the fleets
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    devices: Vec<usize>,
    /// Where the plot goes, as SVG
    #[arg(long)]
    plot: Option<PathBuf>,
}

/// The figures of one size.
struct Size {
    devices: usize,
    first: Took,
    /// The run after the first sync: its fetcher first reads what the first sync said, and then copies the state.
    second: Took,
    idle: Took,
    /// A run with one device in a hundred changed.
    changed: Took,
    /// Whether each of these runs made the requests of the formulas, and no other.
    ledger: Vec<Result<()>>,
    reconciler: u64,
    writer: u64,
    /// Time until a new reconciler has read everything, and until one with a directory is back.
    new_worker: Duration,
    known_worker: Duration,
    kandji: usize,
    amfj: usize,
}

impl Size {
    /// Of the fetcher of each run, in bytes.
    fn fetcher_peaks(&self) -> [u64; 4] {
        [self.first, self.second, self.idle, self.changed].map(|took| took.fetcher_peak)
    }

    fn fetcher_peak(&self) -> u64 {
        self.fetcher_peaks().into_iter().max().unwrap_or_default()
    }
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    println!("{}", machine());
    let mut sizes = Vec::new();
    for devices in &options.devices {
        let size = measure(*devices).await?;
        println!(
            "{} devices: first sync {:.1?}, idle run {:.1?}",
            size.devices, size.first.all, size.idle.all
        );
        sizes.push(size);
    }
    show(&sizes);
    println!(
        "peak memory of the fetcher in each run: {:?} MB",
        sizes.iter().map(|size| size.fetcher_peaks().map(|peak| peak / 1_000_000)).collect::<Vec<_>>()
    );
    if let Some(path) = &options.plot {
        std::fs::write(path, plot(&sizes).to_svg())?;
        println!("plot: {}", path.display());
    }
    // Last, so that a request too many does not cost the figures.
    sizes.into_iter().flat_map(|size| size.ledger).collect()
}

/// An empty AMFJ site, so that every device and every person is created; no latency, no limits.
async fn measure(devices: usize) -> Result<Size> {
    let mut fleet = Fleet::generate(spec(devices, 7));
    fleet.site = Site::empty();
    let services = Services::start(&fleet).await?;
    drop(fleet);
    let integration = services
        .integration("acme")
        .set("mode", "apply")
        .set("sync.create_devices", "always")
        .set("amfj.requests_per_second", 10_000)
        .set("amfj.request_timeout", "30s")
        .field("Model", "model")
        .field("OS Version", "os_version");
    let stage = Stage::set(vec![("acme", integration)], 1, 1).await?;
    let first = stage.run().await?;
    ensure!(services.amfj.assets().len() == devices, "{} assets", services.amfj.assets().len());
    let records = services.amfj.users().len();
    let made = Run { devices, new_assets: devices, new_records: records, ..Run::default() };
    let mut ledger = vec![check("the first sync", &services, made)];
    services.amfj.clear_writes();
    let known = Run { devices, assets: devices, records, ..Run::default() };
    let second = stage.run().await?;
    ledger.push(check("the run after it", &services, known));
    let idle = stage.run().await?;
    ensure!(services.amfj.write_count() == 0, "an idle run wrote {} times (P3)", services.amfj.write_count());
    let (kandji, amfj) = (services.kandji.request_count(), services.amfj.request_count());
    ledger.push(check("an idle run", &services, known));
    let peak = |workers: &[Worker]| workers.first().map_or(Ok(0), Worker::peak_rss_bytes);
    let (reconciler, writer) = (peak(&stage.reconcilers)?, peak(&stage.writers)?);
    let changed_assets = devices / 100;
    for device in services.kandji.devices().iter().take(changed_assets) {
        services.kandji.set(&device.device_id, "os_version", "99.9".into())?;
    }
    let changed = stage.run().await?;
    ledger.push(check(
        "a run with one device in a hundred changed",
        &services,
        Run { changed_assets, ..known },
    ));
    let (new_worker, known_worker) = newcomer(&stage).await?;
    Ok(Size {
        devices,
        first,
        second,
        idle,
        changed,
        ledger,
        reconciler,
        writer,
        new_worker,
        known_worker,
        kandji,
        amfj,
    })
}

/// How long a reconciler takes to be ready: without a directory, and with the one it left.
async fn newcomer(stage: &Stage) -> Result<(Duration, Duration)> {
    let begin = std::time::Instant::now();
    let mut new = stage.spawn(Role::Reconciler)?;
    new.wait_ready_within(Duration::from_mins(10)).await?;
    let took = begin.elapsed();
    new.terminate().await?;
    let begin = std::time::Instant::now();
    let mut known = stage.spawn(Role::Reconciler)?;
    known.wait_ready_within(Duration::from_mins(10)).await?;
    let again = begin.elapsed();
    known.terminate().await?;
    Ok((took, again))
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

fn show(sizes: &[Size]) {
    let mut shown = table(&[
        "",
        "first sync",
        "of it fetching",
        "the run after it",
        "idle run",
        "of it fetching",
        "1 % changed",
    ]);
    for size in sizes {
        shown.add_row([
            format!("{} devices", size.devices),
            seconds(size.first.all),
            seconds(size.first.fetching),
            seconds(size.second.all),
            seconds(size.idle.all),
            seconds(size.idle.fetching),
            seconds(size.changed.all),
        ]);
    }
    println!("{shown}");
    let mut shown = table(&["peak memory", "fetcher", "reconciler", "writer", "requests of an idle run"]);
    for size in sizes {
        shown.add_row([
            format!("{} devices", size.devices),
            megabytes(size.fetcher_peak()),
            megabytes(size.reconciler),
            megabytes(size.writer),
            format!("{} Kandji, {} AMFJ", size.kandji, size.amfj),
        ]);
    }
    println!("{shown}");
    let mut shown = table(&["ready after", "a new reconciler", "one with its directory"]);
    for size in sizes {
        let (new, known) = (seconds(size.new_worker), seconds(size.known_worker));
        shown.add_row([format!("{} devices", size.devices), new, known]);
    }
    println!("{shown}");
}

fn plot(sizes: &[Size]) -> Plot {
    #[expect(clippy::cast_precision_loss, reason = "seconds, megabytes and devices")]
    let curve = |name: &str, figure: &dyn Fn(&Size) -> f64| Curve {
        name: name.to_owned(),
        points: sizes.iter().map(|size| (size.devices as f64, figure(size))).collect(),
    };
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let mb = |bytes: u64| bytes as f64 / 1e6;
    Plot {
        title: machine(),
        below: "devices".into(),
        panels: vec![
            (
                "seconds".into(),
                vec![
                    curve("first sync", &|size| size.first.all.as_secs_f64()),
                    curve("idle run", &|size| size.idle.all.as_secs_f64()),
                    curve("a new worker catches up", &|size| size.new_worker.as_secs_f64()),
                ],
            ),
            (
                "peak memory, MB".into(),
                vec![
                    curve("fetcher", &|size| mb(size.fetcher_peak())),
                    curve("reconciler", &|size| mb(size.reconciler)),
                    curve("writer", &|size| mb(size.writer)),
                ],
            ),
        ],
    }
}
