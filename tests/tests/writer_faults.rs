//! The writer against an AMFJ that loses answers, refuses, is slow or away: nothing is written twice,
//! nothing is lost, and nobody's asset is taken on a stale decision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amfj_sync_tests::harness::{IntegrationBuilder, Role, Worker, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers, newcomers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};
use serde_json::json;

/// Everything is created, assigned and kept in step.
fn everything(services: &Services) -> IntegrationBuilder {
    services.everything("acme").set("sync.default_asset_type", "Laptop").field("Model", "model")
}

/// Every device has one asset, every person one record, and every asset its owner.
fn ensure_exactly_once(services: &Services) -> Result<()> {
    let devices = services.kandji.devices();
    let people: BTreeMap<String, String> = services
        .amfj
        .users()
        .iter()
        .map(|user| (user.id.clone(), user.email.clone().unwrap_or_default()))
        .collect();
    let emails: BTreeSet<&String> = people.values().collect();
    ensure!(emails.len() == people.len(), "a user record was created twice: {people:?}");
    let assets = services.amfj.assets();
    ensure!(assets.len() == devices.len(), "{} assets for {} devices", assets.len(), devices.len());
    for device in &devices {
        let of_device: Vec<_> = assets
            .iter()
            .filter(|asset| asset.fields.get("Serial Number") == Some(&json!(device.serial_number)))
            .collect();
        ensure!(of_device.len() == 1, "{} has {} assets", device.device_name, of_device.len());
        let owner = device.to_json()["user"]["email"].as_str().map(str::to_lowercase);
        let holder = of_device[0].holder.as_ref().map(|holder| people[holder].to_lowercase());
        ensure!(owner == holder, "{} is with {holder:?} instead of {owner:?}", device.device_name);
    }
    Ok(())
}

/// Runs until a run finds nothing left to do: changes found out of date are decided again (P21).
async fn run_to_the_end(pipeline: &Pipeline, services: &Services) -> Result<()> {
    for _ in 0..4 {
        pipeline.run().await?;
        if services.take_writes().is_empty() {
            return Ok(());
        }
    }
    anyhow::bail!("five runs in a row wrote something")
}

fn misbehave(services: &Services) {
    let faults = [
        (Action::LoseAnswer, 0.08),
        (Action::DropBefore, 0.08),
        (Action::Status { code: 503, body: None }, 0.08),
        (Action::StatusAfter { code: 502 }, 0.08),
        (Action::EmptyBody, 0.05),
        (Action::TruncatedBody, 0.05),
        (Action::Html, 0.05),
        (Action::TooManyRequests { retry_after: Some(1), http_date: false }, 0.02),
        (Action::Silence { ms: 3_000, applied: true }, 0.02),
    ];
    for (action, chance) in faults {
        for method in ["POST", "PATCH"] {
            services.amfj.fault(Rule::new(action.clone()).on(method, "*").probability(chance));
        }
    }
}

/// Lost answers, cut connections, errors before and after the write, HTML, 429 and silence, while lists
/// show writes late: every record is created exactly once.
#[tokio::test]
async fn no_record_is_created_twice_whatever_becomes_of_the_answer() -> Result<()> {
    let services = Services::start(&newcomers(60, 11)).await?;
    services.amfj.set_list_lag(Duration::from_millis(400));
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", everything(&services))], |config| {
        config.set("retry.initial", "20ms").set("retry.max", "200ms")
    })
    .await?;
    misbehave(&services);
    pipeline.run().await?;
    services.amfj.faults().clear();
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)?;
    ensure!(pipeline.dead_letters().await? == 0, "trouble of AMFJ is no reason for a dead letter");
    ensure!(services.amfj.violations().is_empty(), "{:?}", services.amfj.violations());
    Ok(())
}

/// `kill -9` of the writer again and again during a first sync over a bad network.
#[tokio::test]
async fn a_killed_writer_leaves_nothing_undone_and_nothing_done_twice() -> Result<()> {
    let services = Services::start(&newcomers(80, 12)).await?;
    let mut pipeline =
        Pipeline::with(Workers::default(), vec![("acme", everything(&services))], |config| config).await?;
    services.amfj.fault(Rule::new(Action::LoseAnswer).on("POST", "*").probability(0.05));
    services.amfj.set_latency(Duration::from_millis(20));
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    for round in 0..4_u64 {
        tokio::time::sleep(Duration::from_millis(150 + 170 * round)).await;
        pipeline.writers.drain(..).try_for_each(|writer| Worker::kill9(writer).map(drop))?;
        pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    }
    services.amfj.faults().clear();
    pipeline.settle().await?;
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)
}

/// While AMFJ is away the queue grows, nothing becomes a dead letter and little is tried; then it drains.
#[tokio::test]
async fn p28_an_outage_leaves_the_changes_in_the_queue_until_it_is_over() -> Result<()> {
    let services = Services::start(&newcomers(60, 13)).await?;
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", everything(&services))], |config| {
        config.set("timing.probe_interval", "300ms").set("retry.give_up_after", "5s")
    })
    .await?;
    services.amfj.fault(Rule::new(Action::Status { code: 503, body: None }).on("POST", "*"));
    services.amfj.fault(Rule::new(Action::Status { code: 503, body: None }).on("GET", "/locations").after(1));
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    let writer = &pipeline.writers[0];
    eventually(RUN_LIMIT, "an open circuit", async || {
        let open = writer.metrics().await?.sum("amfj_sync_circuit_open", &[("integration", "acme")]);
        ensure!(open > 0.0, "the circuit is closed");
        Ok(())
    })
    .await?;
    let tried = services.amfj.request_count();
    // Longer than `give_up_after`: an outage is not counted.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let tried = services.amfj.request_count() - tried;
    ensure!(tried <= 30, "{tried} requests in six seconds of an outage");
    ensure!(pipeline.waiting("acme", "apply").await? > 30, "the queue is the signal");
    ensure!(pipeline.dead_letters().await? == 0);
    services.amfj.faults().clear();
    pipeline.settle().await?;
    run_to_the_end(&pipeline, &services).await?;
    ensure_exactly_once(&services)?;
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// One asset that AMFJ cannot write does not hold up the others, and is given up with a reason.
#[tokio::test]
async fn one_change_that_always_fails_is_given_up_and_the_others_go_on() -> Result<()> {
    let services = Services::plain(30, 14).await?;
    let bad = services.kandji.devices()[0].device_name.clone();
    let asset = services.amfj.assets_named(&bad).pop().unwrap().id;
    let pipeline = Pipeline::with(
        Workers::default(),
        vec![("acme", services.integration("acme").field("Notes", "device_id"))],
        |config| config.set("retry.give_up_after", "2s").set("timing.probe_interval", "200ms"),
    )
    .await?;
    let broken = Rule::new(Action::Status { code: 500, body: None }).on("PATCH", &format!("/assets/{asset}"));
    services.amfj.fault(broken);
    pipeline.run().await?;
    let written = services.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Notes")).count();
    ensure!(written == 29, "{written} of 30 written");
    ensure!(pipeline.dead_letters().await? == 1);
    services.take_writes();
    services.amfj.clear_requests();
    pipeline.run().await?;
    let again = services.amfj.requests().iter().filter(|request| request.method == "PATCH").count();
    ensure!(again == 0, "a change that failed for good is not repeated until its inputs differ");
    Ok(())
}

/// A check-out made by hand after the decision and before it is applied stays (P21).
#[tokio::test]
async fn p21_nobody_loses_an_asset_to_a_stale_decision() -> Result<()> {
    let services = Services::plain(12, 15).await?;
    let settings = services
        .integration("acme")
        .set("sync.create_users", "all")
        .set("sync.auto_checkout", true)
        .set("sync.first_assignment", "take-over");
    let mut pipeline = Pipeline::with(Workers::default(), vec![("acme", settings)], |config| config).await?;
    let colleague = services.amfj.add_user("Hand Made", Some("hand@example.com"), false)?;
    // Linked and assigned first, so that the next run decides hand-overs only.
    pipeline.run().await?;
    let device = services.owned_devices().into_iter().next().unwrap();
    let asset = services.amfj.assets_named(&device.device_name).pop().unwrap();
    pipeline.writers.drain(..).try_for_each(|writer| Worker::kill9(writer).map(drop))?;
    services.kandji.give_to(&device.device_id, "Next Owner", "next@example.com")?;
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    eventually(RUN_LIMIT, "changes in the queue", async || {
        ensure!(pipeline.waiting("acme", "apply").await? > 0);
        Ok(())
    })
    .await?;
    services.amfj.check_in(&asset.id)?;
    services.amfj.check_out(&asset.id, &colleague)?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    let holder = services.amfj.asset(&asset.id).unwrap().holder;
    ensure!(holder.as_ref() == Some(&colleague), "the check-out by hand was undone on a stale decision");
    // The next run knows who has it, and Kandji's primary user did change: now it is handed over.
    pipeline.run().await?;
    let holder = services.amfj.asset(&asset.id).unwrap().holder;
    let next = services.amfj.users_with_email("next@example.com").pop().map(|user| user.id);
    ensure!(holder == next, "the next run did not hand the asset over");
    Ok(())
}

/// The writer checks the mode itself: changes queued under `apply` are not made under `plan` (P25).
#[tokio::test]
async fn p25_changes_queued_before_the_mode_became_plan_are_not_made() -> Result<()> {
    let services = Services::plain(20, 16).await?;
    let mut pipeline =
        Pipeline::idle(vec![("acme", services.integration("acme").field("Model", "model"))], |c| c).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    eventually(RUN_LIMIT, "changes in the queue", async || {
        ensure!(pipeline.waiting("acme", "apply").await? > 0);
        Ok(())
    })
    .await?;
    let plan = services.integration("acme").field("Model", "model").set("mode", "plan");
    pipeline.reconfigure(vec![("acme", plan)]).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    ensure!(services.amfj.write_count() == 0, "{:?}", services.take_writes());
    let call = pipeline.call(Role::Writer).arg("--version").finish(Duration::from_secs(10)).await?;
    ensure!(call.status.success());
    Ok(())
}
