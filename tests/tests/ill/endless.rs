//! Services whose answers have no end: a run fails within its bounds, says why with the setting that bounds it, and
//! nothing is decided; the next one goes through.

use std::time::{Duration, Instant};

use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};

const MEBIBYTE: usize = 1 << 20;

/// What a run may take that fails, on a machine that is busy.
const BOUNDED: Duration = Duration::from_mins(1);

#[tokio::test]
async fn answers_without_end_fail_a_run_within_its_bounds() -> Result<()> {
    let services = Services::plain(6, 183).await?;
    let integration = services
        .integration("acme")
        .field("Notes", "device_id")
        .set("sync.longest_list", 500)
        .set("sync.longest_run", "10s")
        .set("kandji.request_timeout", "1s")
        .set("amfj.request_timeout", "1s")
        .set("amfj.list_delay", "50ms");
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        config.set("retry.give_up_after", "100ms")
    })
    .await?;
    let (kandji, amfj) = (&*services.kandji, &*services.amfj);
    let cases = [
        (kandji, "/devices", Action::EndlessList, "sync.longest_list"),
        (amfj, "/assets", Action::EndlessList, "sync.longest_list"),
        (amfj, "/users", Action::EndlessList, "sync.longest_list"),
        (amfj, "/locations", Action::Delay { ms: 900 }, ""),
        (kandji, "/devices", Action::Drip { ms: 1_000 }, "no complete answer"),
        (kandji, "/devices", Action::EndlessBody, "Kandji, list devices"),
        (amfj, "/assets", Action::HugeRow { bytes: 40 * MEBIBYTE }, "AMFJ, list assets"),
        (kandji, "/devices", Action::Compressed, "Kandji"),
        (amfj, "/assets", Action::GiantHeader { bytes: 4 * MEBIBYTE }, "AMFJ"),
    ];
    for (service, path, action, says) in cases {
        let story = format!("{action:?} at {path}");
        let fault = service.fault(Rule::new(action).on("GET", path));
        let begun = Instant::now();
        let done = pipeline.fetch(&[]).await?;
        service.faults().remove(fault);
        ensure!(begun.elapsed() < BOUNDED, "{story}: it took {:?}", begun.elapsed());
        if says.is_empty() {
            ensure!(done.status.success(), "{story}: slow is not endless: {}", done.stderr);
            pipeline.settle().await?;
            continue;
        }
        ensure!(done.status.code() == Some(1) && done.stderr.contains(says), "{story}: {}", done.stderr);
    }
    pipeline.run().await?;
    let written = services.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Notes")).count();
    ensure!(written == 6, "{written} of 6 written");
    Ok(())
}

/// Each page comes in time and is as it should be; there is only no end to waiting for the next one.
#[tokio::test]
async fn reading_longer_than_a_run_may_last_fails_it_with_the_setting() -> Result<()> {
    let services = Services::plain(3, 184).await?;
    let integration = services.integration("acme").field("Notes", "device_id").set("sync.longest_run", "1s");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let slow = services.kandji.fault(Rule::new(Action::Delay { ms: 1_500 }).on("GET", "/devices"));
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.code() == Some(1) && done.stderr.contains("sync.longest_run"), "{}", done.stderr);
    services.kandji.faults().remove(slow);
    ensure!(services.take_writes().is_empty(), "something was decided on half of a list");
    Ok(())
}
