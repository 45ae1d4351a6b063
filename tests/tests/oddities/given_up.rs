//! What a change that is given up may have done before (P26), and when it is given up at all (P28): not while AMFJ is out of
//! order, and not where its kind waits.

use amfj_sync_tests::harness::{IntegrationBuilder, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality, Shape};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::support::newcomers;

/// A change is given up with its second refusal: its first pause is all the time that it has.
async fn second_refusal_is_the_last(integration: IntegrationBuilder) -> Result<Pipeline> {
    Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        config
            .set("retry.initial", "2s")
            .set("retry.max", "2s")
            .set("retry.give_up_after", "600ms")
            .set("timing.probe_interval", "200ms")
    })
    .await
}

/// Every asset is in step, and then this many devices get another tag, which fills `Notes`.
async fn with_news_for(seed: u64, devices: usize) -> Result<(Services, Pipeline, Vec<String>)> {
    let services = Services::plain(6, seed).await?;
    let pipeline =
        second_refusal_is_the_last(services.integration("acme").field("Notes", "asset_tag")).await?;
    pipeline.run().await?;
    let mut assets = Vec::new();
    for device in services.kandji.devices().into_iter().take(devices) {
        services.kandji.set(&device.device_id, "asset_tag", json!("the new tag"))?;
        assets.push(services.amfj.assets_named(&device.device_name).pop().context("its asset")?.id);
    }
    services.take_writes();
    Ok((services, pipeline, assets))
}

fn refused(status: u16) -> Action {
    Action::Status { code: status, body: None }
}

async fn in_sync(pipeline: &Pipeline) -> Result<u64> {
    let status = pipeline.reconcilers[0].status().await?;
    Ok(status["integrations"]["acme"]["devices"]["in sync"].as_u64().unwrap_or(0))
}

/// Carried out, answered 502, and then refused until it is given up: by the writer that began, or by the one after it.
async fn told_although_refused_later(seed: u64, killed: bool) -> Result<()> {
    let (services, mut pipeline, assets) = with_news_for(seed, 1).await?;
    let path = format!("/assets/{}", assets[0]);
    services.amfj.fault(Rule::new(Action::StatusAfter { code: 502 }).on("PATCH", &path).times(1));
    services.amfj.fault(Rule::new(refused(409)).on("PATCH", &path));
    if killed {
        pipeline.fetch_all().await?;
        eventually(RUN_LIMIT, "the write", async || {
            ensure!(services.amfj.write_count() == 1, "it is not carried out yet");
            Ok(())
        })
        .await?;
        pipeline.writers.drain(..).try_for_each(|writer| writer.kill9().map(drop))?;
        pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
        pipeline.settle().await?;
    } else {
        pipeline.run().await?;
    }
    let past = pipeline.said(&["history", "--since", "1h", "--json"]).await?;
    ensure!(past.contains("the new tag"), "what was carried out is not in the history: {past}");
    ensure!(pipeline.dead_letters().await? == 0, "it failed, although AMFJ holds what was wanted");
    ensure!(in_sync(&pipeline).await? == 6);
    Ok(())
}

#[tokio::test]
async fn p26_an_update_whose_answer_was_lost_and_that_was_refused_later_is_told() -> Result<()> {
    told_although_refused_later(1731, false).await
}

#[tokio::test]
async fn p26_an_update_of_a_writer_that_was_killed_and_that_was_refused_later_is_told() -> Result<()> {
    told_although_refused_later(1732, true).await
}

/// P26, P4: the values beside a link that AMFJ took, and answered with 502.
#[tokio::test]
async fn p26_values_beside_a_link_whose_answer_was_lost_are_told() -> Result<()> {
    let services = Services::plain(4, 1733).await?;
    let pipeline =
        second_refusal_is_the_last(services.integration("acme").field("Notes", "device_id")).await?;
    services.amfj.fault(Rule::new(Action::StatusAfter { code: 502 }).on("PATCH", "/assets/*").times(4));
    pipeline.run().await?;
    let past = pipeline.said(&["history", "--since", "1h", "--json"]).await?;
    for device in services.kandji.devices() {
        ensure!(past.contains(&device.device_id), "{} is not in the history: {past}", device.device_name);
    }
    ensure!(in_sync(&pipeline).await? == 4 && pipeline.dead_letters().await? == 0);
    Ok(())
}

/// The last attempt at a creation is carried out, answered 502, and given up: it is looked for once more.
#[tokio::test]
async fn p7_a_creation_is_looked_for_once_more_when_it_is_given_up() -> Result<()> {
    let services = Services::start(&newcomers(1, 1734)).await?;
    let integration = services
        .integration("acme")
        .set("sync.create_devices", "always")
        .set("sync.create_users", "never")
        .set("sync.default_asset_type", "Laptop")
        .field("Serial Number", "serial_number");
    let pipeline = second_refusal_is_the_last(integration).await?;
    services.amfj.fault(Rule::new(refused(500)).on("POST", "/assets").times(1));
    services.amfj.fault(Rule::new(Action::StatusAfter { code: 502 }).on("POST", "/assets").times(1));
    services.amfj.fault(Rule::new(refused(409)).on("POST", "/assets"));
    pipeline.run().await?;
    ensure!(services.amfj.assets().len() == 1, "{} assets", services.amfj.assets().len());
    ensure!(in_sync(&pipeline).await? == 1, "the asset that was made is not the device's");
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// Refused when its time is over, in the middle of an outage that nobody else has noticed yet: it is not given up.
#[tokio::test]
async fn p28_nothing_is_given_up_before_amfj_has_shown_that_it_is_well() -> Result<()> {
    let (services, pipeline, assets) = with_news_for(1735, 1).await?;
    let path = format!("/assets/{}", assets[0]);
    services.amfj.fault(Rule::new(refused(409)).on("PATCH", &path).times(1));
    services.amfj.fault(Rule::new(refused(502)).on("PATCH", &path));
    // The run itself reads the locations once.
    services.amfj.fault(Rule::new(refused(502)).on("GET", "/locations").after(1));
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "the outage to be noticed", async || {
        ensure!(pipeline.logs().contains("AMFJ is paused"), "the circuit is closed");
        Ok(())
    })
    .await?;
    ensure!(pipeline.dead_letters().await? == 0, "it was given up in an outage");
    services.amfj.faults().clear();
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0 && in_sync(&pipeline).await? == 6);
    Ok(())
}

/// The time of three changes is over before the probe has answered that tells whose fault it is: it is their kind's.
#[tokio::test]
async fn p28_nothing_is_given_up_once_its_kind_is_known_to_wait() -> Result<()> {
    let (services, mut pipeline, _) = with_news_for(1736, 3).await?;
    // A writer that has seen no such change succeed suspects the kind after three.
    pipeline.dismiss().await?;
    pipeline.spawn(Workers::default()).await?;
    services.amfj.fault(Rule::new(refused(403)).on("PATCH", "/assets/*"));
    services.amfj.fault(Rule::new(Action::Delay { ms: 1_500 }).on("GET", "/locations").after(1));
    services.amfj.clear_requests();
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "a third attempt of one, or the end of any", async || {
        let tried = services.amfj.requests().iter().filter(|asked| asked.method == "PATCH").count();
        let dead = pipeline.dead_letters().await?;
        ensure!(tried > 6 || dead > 0, "{tried} attempts");
        Ok(())
    })
    .await?;
    ensure!(pipeline.dead_letters().await? == 0, "a missing permission made dead letters");
    ensure!(pipeline.logs().contains("this kind of change waits"), "the kind does not wait");
    services.amfj.faults().clear();
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0 && in_sync(&pipeline).await? == 6);
    Ok(())
}

/// P15: AMFJ says that it took a value, and shows it only a moment later.
#[tokio::test]
async fn p15_what_a_bare_success_does_not_show_yet_is_read_twice() -> Result<()> {
    let (services, pipeline, assets) = with_news_for(1737, 1).await?;
    let succeed = Oddity::succeed(204, Body::Empty);
    services.amfj.personality(Personality::new(succeed).at(Kind::UpdateAsset));
    let old = Personality::new(Shape::set("/fields/Notes", "the old tag")).at(Kind::ReadAsset);
    let old = services.amfj.personality(old.of(&assets[0]).times(1));
    pipeline.run().await?;
    ensure!(services.amfj.personalities().strikes(old) == 1, "it was not read back");
    let past = pipeline.said(&["history", "--since", "1h", "--json"]).await?;
    ensure!(past.contains("the new tag"), "{past}");
    ensure!(in_sync(&pipeline).await? == 6, "it is taken for a value that AMFJ does not keep");
    ensure!(services.amfj.writes().len() == 1, "{:?}", services.take_writes());
    Ok(())
}
