//! P1, P2: when runs happen, and that a failed one leaves no trace.

use std::time::Duration;

use amfj_sync_tests::harness::{Role, Worker, eventually};
use amfj_sync_tests::model::{Model, Settings};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result, ensure};

fn mapped() -> Settings {
    Settings { auto_checkout: true, ..Settings::default() }.field("Model", "model")
}

/// How many walks over the device list began.
fn walks(services: &Services) -> usize {
    let begins =
        |query: &str| query.split('&').all(|pair| !pair.starts_with("offset=") || pair == "offset=0");
    let requests = services.kandji.requests();
    requests.iter().filter(|request| request.path == "/api/v1/devices" && begins(&request.query)).count()
}

async fn serving(pipeline: &Pipeline) -> Result<Worker> {
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    Ok(fetcher)
}

async fn walked(services: &Services, times: usize) -> Result<()> {
    eventually(RUN_LIMIT, "a run", async || {
        ensure!(walks(services) >= times, "{} of {times}", walks(services));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn p1_two_fetchers_start_one_run_and_a_restart_keeps_the_schedule() -> Result<()> {
    let services = Services::plain(20, 1).await?;
    let integration = mapped().configure(services.integration("acme"));
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let first = serving(&pipeline).await?;
    let second = serving(&pipeline).await?;
    walked(&services, 1).await?;
    pipeline.settle().await?;
    // The interval is an hour: neither the other fetcher nor a restart has a reason for a run.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(walks(&services) == 1, "P1: {} runs were started", walks(&services));
    for fetcher in [first, second] {
        let status = fetcher.terminate().await?;
        ensure!(status.success(), "{status}");
    }
    let _again = serving(&pipeline).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(walks(&services) == 1, "P1: the restart started a run of its own");
    Ok(())
}

#[tokio::test]
async fn p1_runs_come_every_interval_and_never_overlap() -> Result<()> {
    let services = Services::plain(20, 1).await?;
    // A run takes longer than the interval.
    services.kandji.set_latency(Duration::from_millis(700));
    let integration = mapped().configure(services.integration("acme")).set("interval", "1s");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let _first = serving(&pipeline).await?;
    let _second = serving(&pipeline).await?;
    walked(&services, 4).await?;
    // One walk: a page with devices, then the empty one. Two at once would mix.
    let offsets: Vec<bool> = services
        .kandji
        .requests()
        .iter()
        .filter(|request| request.path == "/api/v1/devices")
        .map(|request| request.query.contains("offset=20"))
        .collect();
    let mixed = offsets.windows(2).any(|pair| pair[0] == pair[1]);
    ensure!(!mixed, "two walks at once: {offsets:?}");
    Ok(())
}

#[tokio::test]
async fn p2_a_read_that_fails_half_way_decides_nothing() -> Result<()> {
    let services = Services::plain(310, 2).await?;
    let settings = mapped();
    let pipeline = Pipeline::start(vec![("acme", settings.configure(services.integration("acme")))]).await?;
    let before = services.amfj.site();
    let fault =
        Rule::new(Action::Status { code: 400, body: None }).on("GET", "/devices").with_query("offset=300");
    let rule = services.kandji.fault(fault);
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.code() == Some(1), "{done:?}");
    ensure!(done.stderr.contains("400"), "the reason is not in:\n{}", done.stderr);
    ensure!(pipeline.waiting("acme", "reconcile").await? == 0, "snapshots of a failed run");
    ensure!(services.amfj.write_count() == 0, "{:?}", services.take_writes());
    services.kandji.faults().remove(rule);
    let fault = Rule::new(Action::Status { code: 403, body: None }).on("GET", "/users");
    let rule = services.amfj.fault(fault);
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.code() == Some(1), "{done:?}");
    ensure!(services.amfj.write_count() == 0, "{:?}", services.take_writes());
    services.amfj.faults().remove(rule);
    let mut model = Model::default();
    let prediction = model.run(&settings, &services.content(), &before);
    pipeline.run().await?;
    model.agree(&prediction, &services.amfj.site()).map_err(anyhow::Error::msg)
}

#[tokio::test]
async fn p2_a_serving_fetcher_tries_again_by_itself() -> Result<()> {
    let services = Services::plain(10, 3).await?;
    let settings = mapped();
    let integration = settings.configure(services.integration("acme"));
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| config).await?;
    let before = services.amfj.site();
    services.kandji.revoke_token();
    let fetcher = serving(&pipeline).await?;
    eventually(RUN_LIMIT, "two failed attempts", async || {
        ensure!(walks(&services) >= 2, "{} attempts", walks(&services));
        Ok(())
    })
    .await?;
    ensure!(services.amfj.write_count() == 0);
    services.kandji.restore_token();
    let mut model = Model::default();
    let prediction = model.run(&settings, &services.content(), &before);
    eventually(RUN_LIMIT, "the run after the failed ones", async || {
        model.agree(&prediction, &services.amfj.site()).map_err(anyhow::Error::msg)
    })
    .await?;
    let page = fetcher.metrics().await?;
    let failed: f64 = page
        .samples()
        .iter()
        .filter(|sample| {
            sample.name == "amfj_sync_runs_total" && sample.labels.values().any(|v| v == "failed")
        })
        .map(|sample| sample.value)
        .sum();
    ensure!(failed >= 2.0, "amfj_sync_runs_total counts {failed} failed runs");
    Ok(())
}

/// An empty list is no fleet of zero devices, and a page that moves loses nobody.
#[tokio::test]
async fn p2_p22_lists_that_lie_break_nothing() -> Result<()> {
    let services = Services::plain(310, 5).await?;
    let settings = Settings { check_in_gone: true, ..mapped() };
    let pipeline = Pipeline::start(vec![("acme", settings.configure(services.integration("acme")))]).await?;
    pipeline.run().await?;
    services.amfj.clear_writes();
    for _ in 0..3 {
        services.kandji.fault(Rule::new(Action::EmptyList).on("GET", "/devices").times(1));
        let done = pipeline.fetch(&[]).await?;
        ensure!(done.status.code() == Some(1), "an empty list should fail the run: {done:?}");
    }
    ensure!(services.amfj.write_count() == 0, "{:?}", services.take_writes());
    let newcomer = services.kandji.devices().len() + 1;
    let enroll = Rule::new(Action::Enroll { count: 1 }).on("GET", "/devices").with_query("offset=300");
    services.kandji.fault(enroll.times(1));
    pipeline.run().await?;
    ensure!(services.kandji.devices().len() == newcomer);
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "{writes:?}");
    let status = pipeline.reconcilers[0].status().await.context("no status")?;
    let known = status["integrations"]["acme"]["devices"]["in sync"].as_u64();
    ensure!(known == Some(310), "{status}");
    Ok(())
}
