//! A storm of AMFJ's events: how long the answers take, and what it costs (P34).

use std::time::{Duration, Instant};

use amfj_sync_benchmarks::figures::{machine, table};
use amfj_sync_tests::harness::{Role, http_client, ports::free_ports};
use amfj_sync_tests::pipeline::{Services, spec};
use amfj_sync_tests::sim::fleet::Fleet;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::stage::Stage;

/// Requests at the same time, less than the connections that are taken.
const AT_ONCE: usize = 48;

/// Longer than any storm is looked into.
const LIMIT: Duration = Duration::from_mins(5);

const KEY: &str = "b3nCh_k3y-0fAnyb0dyE15e42";

/// What is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Events
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// Assets that they are about
    #[arg(long, default_value_t = 50)]
    assets: usize,
    /// Events a second
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    println!("{}", machine());
    let services = Services::start(&Fleet::generate(spec(options.assets, 7))).await?;
    let integration = services.integration("acme").field("OS Version", "os_version").events_key(KEY);
    let stage = Stage::set(vec![("acme", integration)], 1, 1).await?;
    stage.run().await?;
    let listen = format!("127.0.0.1:{}", free_ports(1)?.pop().context("no port")?);
    let url = format!("http://{listen}/events/acme/{KEY}");
    let fetcher = stage.call(Role::Fetcher).env("AMFJ_SYNC__FETCHER__EVENTS_LISTEN", &listen);
    let mut fetcher = fetcher.arg("run").spawn()?;
    fetcher.wait_ready().await?;
    let assets = services.amfj.assets();
    services.amfj.clear_writes();
    let http = http_client()?;
    let began = Instant::now();
    let answers = stream::iter(0..options.events).map(|number| {
        let asset = &assets[number * 7 % assets.len()];
        let event = json!({ "event_type": "asset.update", "id": asset.id, "name": asset.name });
        let request = http.post(&url).json(&event);
        let at = began + Duration::from_secs(1) * u32::try_from(number).unwrap_or(u32::MAX) / options.rate;
        async move {
            tokio::time::sleep_until(at.into()).await;
            let asked = Instant::now();
            let answer = request.send().await?;
            ensure!(answer.status().is_success(), "an event was answered with {}", answer.status());
            Ok(asked.elapsed())
        }
    });
    let mut answers: Vec<Duration> = answers.buffer_unordered(AT_ONCE).try_collect().await?;
    let took = began.elapsed();
    answers.sort();
    let looked_up = async || -> Result<f64> {
        let page = fetcher.metrics().await?;
        ensure!(page.sum("amfj_sync_events_waiting", &[]) < 0.5, "events wait");
        let all = page.sum("amfj_sync_event_look_ups_total", &[]);
        Ok(all - page.sum("amfj_sync_event_look_ups_total", &[("result", "covered")]))
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let look_ups = loop {
        match looked_up().await {
            Ok(look_ups) => break look_ups,
            Err(error) => ensure!(began.elapsed() < LIMIT, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let at =
        |share: usize| format!("{:.1} ms", answers[(answers.len() - 1) * share / 100].as_secs_f64() * 1e3);
    let mut shown = table(&[
        "events",
        "assets",
        "sent in",
        "answers, median",
        "99 of 100",
        "the slowest",
        "look-ups",
        "writes",
    ]);
    shown.add_row([
        options.events.to_string(),
        options.assets.to_string(),
        format!("{:.1} s", took.as_secs_f64()),
        at(50),
        at(99),
        at(100),
        format!("{look_ups:.0}"),
        services.amfj.write_count().to_string(),
    ]);
    println!("{shown}");
    Ok(())
}
