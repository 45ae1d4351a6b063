//! `/readyz` and `amfj_sync_ready`: whether a worker can work, and if not, what is missing.

use std::time::Duration;

use amfj_sync_tests::harness::{
    ConfigBuilder, IntegrationBuilder, Launch, PrivateBroker, Role, Scratch, Worker,
};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use anyhow::{Result, ensure};

use crate::serving::{SHOWN_WITHIN, shows};
use amfj_sync_tests::harness::eventually;

/// RabbitMQ 3.10 and 4.0 know a new stream for ever, but only if they live for about two seconds after the first
/// stream of all was declared: until then the register of the logs behind it is not on the disk.
/// A node killed earlier answers "home node … is down or inaccessible" from then on; `docs/operating.md` has the cure.
const FIRST_STREAM_IS_KEPT_AFTER: Duration = Duration::from_secs(8);

async fn answers(worker: &Worker, status: u16, piece: &str) -> Result<()> {
    let name = worker.role().name();
    eventually(SHOWN_WITHIN, &format!("/readyz of the {name} to answer {status}"), async || {
        let (found, body) = worker.get("/readyz").await?;
        ensure!(found == status && body.contains(piece), "it answers {found}: {body}");
        Ok(())
    })
    .await?;
    shows(worker, "amfj_sync_ready", &[], |ready| ready == f64::from(u8::from(status == 200))).await?;
    ensure!(worker.get("/healthz").await?.0 == 200, "the {name} lives, ready or not");
    Ok(())
}

/// Without a broker no worker is ready, and each says why; with it they are, as often as it comes back.
#[tokio::test]
async fn a_worker_is_ready_while_the_broker_is_there() -> Result<()> {
    let mut broker = PrivateBroker::start().await?;
    broker.stop().await?;
    let scratch = Scratch::new()?;
    // No fetcher gets as far as asking either of these.
    let integration = IntegrationBuilder::new("acme", "http://127.0.0.1:9", "http://127.0.0.1:9/v1");
    let config = ConfigBuilder::new(&broker.url(), "t-ready").set("broker.partitions", 2);
    let config = config.integration(integration).write(&scratch)?;
    let mut workers = Vec::new();
    for role in Role::ALL {
        workers.push(Launch::with(role, &config).spawn()?);
    }
    for worker in &workers {
        answers(worker, 503, "broker: ").await?;
    }
    broker.restart().await?;
    for worker in &workers {
        answers(worker, 200, "ready").await?;
    }
    tokio::time::sleep(FIRST_STREAM_IS_KEPT_AFTER).await;
    broker.kill();
    for worker in &workers {
        answers(worker, 503, "broker: ").await?;
    }
    broker.restart().await?;
    for worker in &workers {
        answers(worker, 200, "ready").await?;
    }
    Ok(())
}

/// A worker that has not read the state to its end names the integration.
#[tokio::test]
async fn a_worker_that_still_reads_the_state_is_not_ready() -> Result<()> {
    let services = Services::plain(4, 44).await?;
    let pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    pipeline.run().await?;
    for role in [Role::Fetcher, Role::Writer] {
        let slow = pipeline.call(role).arg("run").env("AMFJ_SYNC_FAILPOINTS", "state.received=wait@1:8s");
        let slow = slow.spawn()?;
        answers(&slow, 503, "acme: reading the state stream").await?;
        answers(&slow, 200, "ready").await?;
    }
    Ok(())
}
