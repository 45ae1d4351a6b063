//! Two fetchers and one run.

use std::time::Duration;

use amfj_sync_tests::harness::{Proxy, Role, Worker, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use anyhow::{Result, ensure};
use serde_json::json;

use super::support::{FAILPOINTS, a_while, everything, newcomers, run_to_the_end, waits_at, writes_by_asset};

async fn serving(pipeline: &Pipeline, url: Option<&str>, failpoints: &str) -> Result<Worker> {
    let mut launch = pipeline.call(Role::Fetcher).arg("run").env(FAILPOINTS, failpoints);
    if let Some(url) = url {
        launch = launch.env("AMFJ_SYNC__BROKER__URL", url);
    }
    let mut fetcher = launch.spawn()?;
    fetcher.wait_ready().await?;
    Ok(fetcher)
}

/// The leader of a run has read both sides when its connections break and another fetcher takes the
/// lead. The newer run counts; the older one says nothing any more, not even what it had read.
#[tokio::test]
async fn a_leader_loses_its_lock_in_the_middle_of_a_run() -> Result<()> {
    let services = Services::start(&newcomers(10, 111)).await?;
    let settings = everything(&services).set("interval", "1h");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    let set = |value: &str| -> Result<()> {
        for device in services.kandji.devices() {
            services.kandji.set(&device.device_id, "asset_tag", json!(value))?;
        }
        Ok(())
    };
    set("as the first leader read it")?;
    let proxy = Proxy::before(pipeline.broker().url()).await?;
    let first = serving(&pipeline, Some(proxy.url()), "fetcher.walked=wait@1:12s").await?;
    waits_at(&first, "fetcher.walked").await?;
    set("as the second leader read it")?;
    proxy.refuse(true);
    ensure!(proxy.cut("fetcher/") == 2, "both connections go through the proxy");
    let second = serving(&pipeline, None, "").await?;
    eventually(RUN_LIMIT, "the second leader's run", async || {
        let status = second.status().await?;
        ensure!(status["integrations"]["acme"]["leader"] == json!(true), "{status}");
        Ok(())
    })
    .await?;
    // The first leader's run was started and never finished, so the next one is due at once or when a
    // person asks for it.
    let asked = pipeline.command(["trigger", "acme"]).finish(RUN_LIMIT).await?;
    ensure!(asked.status.success(), "{}", asked.stderr);
    eventually(RUN_LIMIT, "the second run written", async || {
        let assets = services.amfj.assets();
        ensure!(assets.len() == 10, "{} assets", assets.len());
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    proxy.refuse(false);
    eventually(RUN_LIMIT, "the end of the first leader's run", async || {
        ensure!(first.log().contains("a newer run has taken its place"));
        Ok(())
    })
    .await?;
    a_while().await;
    pipeline.settle().await?;
    for (asset, writes) in writes_by_asset(&services) {
        for write in writes {
            let notes = write.body["fields"]["Notes"].clone();
            ensure!(
                notes.is_null() || notes == json!("as the second leader read it"),
                "asset {asset} was written with what the first leader had read: {}",
                write.body
            );
        }
    }
    for fetcher in [first, second] {
        ensure!(fetcher.terminate().await?.success());
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    run_to_the_end(&pipeline, &services).await
}
