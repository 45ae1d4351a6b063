//! Forged facts: numbers and times that no clock can have reached.

use std::collections::BTreeMap;

use amfj_sync_model::messages::{Ending, Fact, Outcome, RunStarted, Sequence};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::support::Attacker;

fn started(number: u64, at: Timestamp) -> Fact {
    Fact::RunStarted(RunStarted {
        number,
        leader: "fetcher/forged".to_owned(),
        at,
        first_sync: false,
        applies_to_all: true,
        auto_checkout: false,
        list_delay_ms: 0,
        judged: false,
        mapping: BTreeMap::new(),
    })
}

/// Each of them once ended an integration for ever, and `run --once` said that all was well.
#[tokio::test]
async fn no_number_stops_the_runs_of_an_integration() -> Result<()> {
    let services = Services::plain(3, 97).await?;
    let pipeline =
        Pipeline::start(vec![("acme", services.integration("acme").field("Serial Number", "serial_number"))])
            .await?;
    pipeline.run().await?;
    services.take_writes();
    let attacker = Attacker::at(&pipeline).await?;
    let (now, device) = (Timestamp::now(), services.kandji.devices()[0].device_id.clone());
    let far = Timestamp::from_millisecond(99_999_999_999_999)?;
    for (number, time) in [
        (100_000_000_000_000, now),
        (99_999_999_999_999, now),
        (u64::MAX, now),
        (100_000_000_000_000, far),
        (99_999_999_999_998, far),
        (9_999_999_999_999_999, Timestamp::MAX),
    ] {
        attacker.publish_fact(time, started(number, time)).await?;
    }
    let change = attacker.change(
        &device,
        amfj_sync_model::messages::Action::BreakLink {
            asset: amfj_sync_model::ids::AssetId::new("a-0").unwrap(),
        },
    );
    let place = Sequence { run: 100_000_000_000_000, step: u32::MAX };
    let answered = Outcome::of(Uuid::new_v4(), place, &change, Ending::Unneeded);
    attacker.publish_fact(Timestamp::MAX, Fact::ChangeEnded(Box::new(answered))).await?;

    services.kandji.set(&device, "serial_number", json!("AFTERWARDS"))?;
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.success(), "{}{}", done.stdout, done.stderr);
    pipeline.settle().await?;
    let writes = services.take_writes();
    ensure!(writes.len() == 1 && writes[0].contains("AFTERWARDS"), "{writes:?}");
    Ok(())
}

/// Somebody's run of today that never goes on: the next one is a run of this fetcher, and does not wait for it.
#[tokio::test]
async fn a_run_that_nobody_leads_is_followed_by_nobody() -> Result<()> {
    let services = Services::plain(2, 98).await?;
    let pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    pipeline.run().await?;
    let attacker = Attacker::at(&pipeline).await?;
    let now = Timestamp::now();
    let soon = u64::try_from(now.as_millisecond())? + 3_600_000;
    attacker.publish_fact(now, started(soon, now)).await?;
    pipeline.run().await?;
    let view = pipeline.view("acme").await?;
    let latest = view.meta().latest.as_ref().map(|run| run.started.number);
    ensure!(latest == Some(soon + 1), "{latest:?} after {soon}");
    Ok(())
}
