//! Devices that leave Kandji, or seem to (P9, P22, P23): what is proof, what is not, and what a person
//! has to look at first.

use amfj_sync_tests::harness::{IntegrationBuilder, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::fleet::Device;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

fn settings(services: &Services) -> IntegrationBuilder {
    services
        .integration("acme")
        .set("sync.create_users", "all")
        .set("sync.auto_checkout", true)
        .set("sync.when_gone", "check-in")
}

/// A device with an owner, and its asset.
fn owned(services: &Services) -> Result<(Device, String)> {
    let device = services.owned_devices().into_iter().next().context("a device with an owner")?;
    let asset = services.amfj.assets_named(&device.device_name).pop().context("its asset")?.id;
    Ok((device, asset))
}

fn holder(services: &Services, asset: &str) -> Option<String> {
    services.amfj.asset(asset).and_then(|asset| asset.holder)
}

async fn devices(pipeline: &Pipeline, state: &str) -> Result<u64> {
    let status = pipeline.reconcilers[0].status().await?;
    Ok(status["integrations"]["acme"]["devices"][state].as_u64().unwrap_or(0))
}

async fn command(pipeline: &Pipeline, arguments: &[&str]) -> Result<()> {
    let done = pipeline.command(arguments).finish(RUN_LIMIT).await?;
    ensure!(done.status.success(), "{arguments:?}: {}", done.stderr);
    Ok(())
}

/// A run that its leader holds before anything of it is published.
async fn held(pipeline: &Pipeline, word: &str) -> Result<()> {
    let done = pipeline.fetch(&[]).await?;
    let said = format!("{}{}", done.stdout, done.stderr);
    ensure!(done.status.code() == Some(1), "a held run ends with 1, not {}:\n{said}", done.status);
    ensure!(said.contains(word) && said.contains("amfj-sync release acme"), "{said}");
    eventually(RUN_LIMIT, "the metric", async || {
        let metrics = pipeline.reconcilers[0].metrics().await?;
        ensure!(metrics.sum("amfj_sync_held", &[("integration", "acme")]) > 0.0, "it is not held");
        Ok(())
    })
    .await
}

/// P22: 401 and 403 say nothing about a device; only 404 does, in two complete runs.
#[tokio::test]
async fn p22_refused_details_are_no_proof_that_a_device_is_gone() -> Result<()> {
    let services = Services::plain(12, 181).await?;
    let pipeline = Pipeline::start(vec![("acme", settings(&services))]).await?;
    pipeline.run().await?;
    services.take_writes();
    let (device, asset) = owned(&services)?;
    services.kandji.remove_device(&device.device_id)?;
    services.kandji.permit_details(false)?;
    for run in 1..=3 {
        pipeline.run().await?;
        let writes = services.take_writes();
        ensure!(writes.is_empty(), "run {run}, details are refused:\n{}", writes.join("\n"));
        ensure!(devices(&pipeline, "gone").await? == 0, "run {run}: unknown is not gone");
    }
    services.kandji.permit_details(true)?;
    pipeline.run().await?;
    pipeline.run().await?;
    ensure!(holder(&services, &asset).is_none(), "404 in a complete run after two without it");
    ensure!(devices(&pipeline, "gone").await? == 1);
    Ok(())
}

/// P22: `when_gone = "report"` writes nothing; a device that was missing once and is back was never gone.
#[tokio::test]
async fn p22_report_writes_nothing_and_who_comes_back_was_never_gone() -> Result<()> {
    let services = Services::plain(12, 182).await?;
    let settings = settings(&services).set("sync.when_gone", "report");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    let (device, asset) = owned(&services)?;
    let before = holder(&services, &asset);
    for _ in 0..2 {
        services.kandji.remove_device(&device.device_id)?;
        pipeline.run().await?;
        ensure!(devices(&pipeline, "gone").await? == 0, "one run does not prove it");
        services.kandji.insert_device(device.clone())?;
        pipeline.run().await?;
    }
    ensure!(devices(&pipeline, "gone").await? == 0, "two runs, but not in a row");
    services.kandji.remove_device(&device.device_id)?;
    pipeline.run().await?;
    pipeline.run().await?;
    ensure!(devices(&pipeline, "gone").await? == 1);
    let writes = services.take_writes();
    ensure!(writes.is_empty() && holder(&services, &asset) == before, "{}", writes.join("\n"));
    Ok(())
}

/// P22: listed as removed, and 404: gone. Listed as removed while Kandji still has the details: not.
#[tokio::test]
async fn p22_a_device_listed_as_removed_is_gone_once_its_details_are() -> Result<()> {
    let services = Services::plain(12, 183).await?;
    let pipeline = Pipeline::start(vec![("acme", settings(&services))]).await?;
    pipeline.run().await?;
    services.take_writes();
    let (device, asset) = owned(&services)?;
    services.kandji.set(&device.device_id, "is_removed", json!(true))?;
    pipeline.run().await?;
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "its details are there:\n{}", writes.join("\n"));
    let path = format!("/devices/{}/details", device.device_id);
    services.kandji.fault(Rule::new(Action::Status { code: 404, body: None }).on("GET", &path));
    pipeline.run().await?;
    pipeline.run().await?;
    ensure!(holder(&services, &asset).is_none(), "it is listed as removed, and 404");
    ensure!(devices(&pipeline, "gone").await? == 1);
    services.take_writes();
    pipeline.run().await?;
    ensure!(services.take_writes().is_empty(), "once");
    Ok(())
}

/// P9: wiped and enrolled again, with the owner kept: nothing is written, nobody loses the asset, and
/// nothing is created, although new devices get assets.
#[tokio::test]
async fn p9_a_wiped_device_keeps_its_asset_and_its_holder() -> Result<()> {
    let services = Services::plain(12, 184).await?;
    let settings = settings(&services).set("sync.create_devices", "always");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    let assets = services.amfj.assets().len();
    let (device, asset) = owned(&services)?;
    let before = holder(&services, &asset);
    let again = services.kandji.reenroll(&device.device_id)?;
    for run in 1..=3 {
        pipeline.run().await?;
        let writes = services.take_writes();
        ensure!(writes.is_empty(), "run {run} wrote:\n{}", writes.join("\n"));
    }
    ensure!(services.amfj.assets().len() == assets && holder(&services, &asset) == before);
    ensure!(devices(&pipeline, "gone").await? == 0, "its successor has the asset");
    // The link is the newcomer's: its next owner gets the asset.
    services.kandji.give_to(&again.device_id, "Next Owner", "next@example.com")?;
    pipeline.run().await?;
    let next = services.amfj.users_with_email("next@example.com").pop().map(|user| user.id);
    ensure!(next.is_some() && holder(&services, &asset) == next);
    Ok(())
}

/// P9: while it cannot be known whether the old one is gone (403), the newcomer waits.
#[tokio::test]
async fn p9_a_newcomer_waits_until_the_old_device_is_known_to_be_gone() -> Result<()> {
    let services = Services::plain(12, 185).await?;
    let settings = settings(&services).set("sync.create_devices", "always");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    let (device, _) = owned(&services)?;
    services.kandji.permit_details(false)?;
    services.kandji.reenroll(&device.device_id)?;
    pipeline.run().await?;
    pipeline.run().await?;
    ensure!(services.take_writes().is_empty());
    ensure!(devices(&pipeline, "ambiguous").await? == 1, "the newcomer is ambiguous");
    services.kandji.permit_details(true)?;
    pipeline.run().await?;
    ensure!(devices(&pipeline, "ambiguous").await? == 0, "the old one answers 404 now");
    ensure!(services.take_writes().is_empty(), "the owner has it already");
    Ok(())
}

/// What people are told of the devices that a held run does not see: in the plan, by its filters, and of each device (P23).
async fn shows_vanished(pipeline: &Pipeline, vanished: &[Device]) -> Result<()> {
    let plan = pipeline.said_as_json(&["plan", "--json"]).await?;
    let keys = |plan: &serde_json::Value| -> Vec<String> {
        let listed = plan[0]["vanished"].as_array().cloned().unwrap_or_default();
        let mut keys: Vec<String> =
            listed.iter().filter_map(|one| Some(one["key"].as_str()?.to_owned())).collect();
        keys.sort();
        keys
    };
    let mut wanted: Vec<String> =
        vanished.iter().map(|device| format!("device/{}", device.device_id)).collect();
    wanted.sort();
    ensure!(keys(&plan) == wanted, "{:?}, not {wanted:?}", keys(&plan));
    ensure!(plan[0]["devices"]["held"] == wanted.len(), "{}", plan[0]["devices"]);
    ensure!(plan[0]["hold"].is_object() != vanished.is_empty(), "{}", plan[0]["hold"]);
    let Some(first) = vanished.first() else { return Ok(()) };
    let shown = pipeline.said(&["plan"]).await?;
    ensure!(!shown.contains("nothing to change."), "it is not nothing:\n{shown}");
    for device in vanished {
        ensure!(shown.contains(&device.serial_number), "{} is missing in:\n{shown}", device.serial_number);
    }
    for (filter, count) in [
        (&["--state", "held"][..], vanished.len()),
        (&["--device", &first.device_id], 1),
        (&["--state", "unmatched"], 0),
        (&["--kind", "hand-over"], 0),
    ] {
        let arguments = [&["plan", "--json"], filter].concat();
        let plan = pipeline.said_as_json(&arguments).await?;
        ensure!(keys(&plan).len() == count, "{filter:?}: {:?}", keys(&plan));
    }
    let explained = pipeline.said_as_json(&["explain", &first.device_id, "--json"]).await?;
    ensure!(explained["state"] == "held", "{explained}");
    let text = format!("{}{}", explained["reason"], explained["what_to_do"]);
    ensure!(text.contains("vanished") && text.contains("amfj-sync release acme"), "{text}");
    Ok(())
}

/// P23: more than `gone_limit` vanish at once: held until released, or until they are back.
#[tokio::test]
async fn p23_too_many_vanished_devices_hold_the_run_until_released_or_back() -> Result<()> {
    let services = Services::plain(40, 186).await?;
    let pipeline = Pipeline::start(vec![("acme", settings(&services))]).await?;
    pipeline.run().await?;
    services.take_writes();
    let leaving: Vec<Device> = services.kandji.devices().into_iter().take(7).collect();
    for device in &leaving {
        services.kandji.remove_device(&device.device_id)?;
    }
    held(&pipeline, "gone_limit").await?;
    shows_vanished(&pipeline, &leaving).await?;
    let stream = format!("{}.acme.state", pipeline.broker().prefix());
    let said = async || -> Result<usize> {
        Ok(pipeline.everything_in(&stream).await?.matches("\"devices_vanished\"").count())
    };
    let at_first = said().await?;
    held(&pipeline, "gone_limit").await?;
    ensure!(at_first == 1 && said().await? == 1, "a hold that lasts says the same again");
    ensure!(services.take_writes().is_empty(), "a held run wrote");
    shows_vanished(&pipeline, &leaving).await?;
    // They are back: the hold ends by itself.
    for device in &leaving {
        services.kandji.insert_device(device.clone())?;
    }
    pipeline.run().await?;
    shows_vanished(&pipeline, &[]).await?;
    ensure!(services.take_writes().is_empty());
    eventually(RUN_LIMIT, "the end of the hold", async || {
        let metrics = pipeline.reconcilers[0].metrics().await?;
        ensure!(metrics.sum("amfj_sync_held", &[("integration", "acme")]) < 0.5, "it is held");
        Ok(())
    })
    .await?;
    // They leave for good, and a person says that this is right.
    for device in &leaving {
        services.kandji.remove_device(&device.device_id)?;
    }
    held(&pipeline, "gone_limit").await?;
    let released = pipeline.said(&["release", "acme"]).await?;
    for device in &leaving {
        ensure!(
            released.contains(&device.serial_number),
            "{} is missing in:\n{released}",
            device.serial_number
        );
    }
    pipeline.run().await?;
    shows_vanished(&pipeline, &[]).await?;
    // The second run misses them too: gone, and so many check-ins are a mass change of their own. Whether the
    // fetcher sees that depends on how fast the reconcilers are.
    let before = pipeline.runs_in_force().await?;
    let done = pipeline.fetch(&[]).await?;
    let held = done.status.code() == Some(1) && done.stderr.contains("change_limit");
    ensure!(done.status.success() || held, "the run ended with {}:\n{}", done.status, done.stderr);
    pipeline.settle_after(&before).await?;
    ensure!(devices(&pipeline, "gone").await? + devices(&pipeline, "held").await? == 7);
    Ok(())
}

/// P23: fewer than half of the linked devices are there: another tenant's token. Whatever the limits.
#[tokio::test]
async fn p23_another_tenants_fleet_is_held_whatever_the_limits() -> Result<()> {
    let services = Services::plain(14, 187).await?;
    let settings = settings(&services)
        .set("sync.gone_limit", "100%")
        .set("sync.change_limit", "100%")
        .set("sync.create_devices", "always");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    let fleet = services.kandji.devices();
    for device in &fleet[..8] {
        services.kandji.reenroll(&device.device_id)?;
    }
    held(&pipeline, "another tenant").await?;
    ensure!(services.take_writes().is_empty());
    command(&pipeline, &["release", "acme"]).await?;
    pipeline.run().await?;
    ensure!(services.amfj.assets().len() == 14, "each took over the link of its serial (P9)");
    Ok(())
}

/// P23: with `allow_empty` an empty list is a list, and then most of the fleet is missing: held.
#[tokio::test]
async fn p23_an_empty_list_that_is_allowed_is_held_and_can_be_released() -> Result<()> {
    let services = Services::plain(12, 188).await?;
    let settings = settings(&services).set("sync.allow_empty", true);
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    for device in services.kandji.devices() {
        services.kandji.remove_device(&device.device_id)?;
    }
    held(&pipeline, "another tenant").await?;
    ensure!(services.take_writes().is_empty());
    command(&pipeline, &["release", "acme"]).await?;
    pipeline.run().await?;
    ensure!(devices(&pipeline, "in sync").await? == 12, "one run does not prove that they are gone (P22)");
    ensure!(services.take_writes().is_empty());
    Ok(())
}

/// P5: after `rematch` the next run is a first sync again: names match, and the run after it is none.
#[tokio::test]
async fn p5_rematch_makes_the_next_run_a_first_sync_again() -> Result<()> {
    let services = Services::plain(8, 189).await?;
    let pipeline = Pipeline::start(vec![("acme", settings(&services).field("Notes", "device_id"))]).await?;
    pipeline.run().await?;
    let newcomer = |name: &str| -> Result<(String, String)> {
        let new = amfj_sync_tests::sim::kandji::NewDevice { name: name.to_owned(), ..Default::default() };
        Ok((services.kandji.add_device(new)?.device_id, services.amfj.add_asset(name, "Laptop")?))
    };
    let notes = |asset: &str| services.amfj.asset(asset).and_then(|asset| asset.fields.get("Notes").cloned());
    let (device, asset) = newcomer("Came later")?;
    pipeline.run().await?;
    ensure!(notes(&asset).is_none(), "names are matched in the first sync only");
    command(&pipeline, &["rematch", "acme"]).await?;
    pipeline.run().await?;
    ensure!(notes(&asset) == Some(json!(device)), "the name was not matched after `rematch`");
    let (_, another) = newcomer("Came later still")?;
    pipeline.run().await?;
    ensure!(notes(&another).is_none(), "one `rematch` is one first sync");
    Ok(())
}
