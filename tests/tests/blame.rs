//! The blame goes to the smallest thing (P28): a record, a kind of request, and only then the service.

use std::collections::BTreeSet;
use std::time::Duration;

use amfj_sync_tests::harness::{IntegrationBuilder, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers, spec};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::fleet::{Device, Fleet};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

fn refused(status: u16) -> Action {
    Action::Status { code: status, body: None }
}

/// Every asset gets a note; nothing else is written.
fn notes(services: &Services) -> IntegrationBuilder {
    services.integration("acme").set("sync.create_users", "never").field("Notes", "device_id")
}

/// Makes AMFJ refuse the assets of these devices for ever, each with the next of the statuses.
fn refuse_assets(services: &Services, statuses: &[u16], chosen: impl Fn(usize) -> bool) -> Result<usize> {
    let places = (0..services.kandji.devices().len()).filter(|at| chosen(*at));
    let mut count = 0;
    for (place, status) in places.zip(statuses.iter().cycle()) {
        services.refuse_asset(place, refused(*status))?;
        count += 1;
    }
    Ok(count)
}

fn written(services: &Services) -> usize {
    let is_written = |device: &&Device| {
        let asset = services.amfj.assets_named(&device.device_name).pop();
        asset.is_some_and(|asset| asset.fields.get("Notes") == Some(&json!(device.device_id)))
    };
    services.kandji.devices().iter().filter(is_written).count()
}

fn opened(pipeline: &Pipeline) -> bool {
    pipeline.logs().contains("AMFJ is paused")
}

/// A third of all assets is refused for ever, in different ways: the others are written meanwhile, and each of the
/// refused ends as failed, alone, although nothing is left that could succeed.
async fn a_third_is_refused(statuses: &[u16]) -> Result<()> {
    let services = Services::plain(120, 301).await?;
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", notes(&services))], |config| {
        config.set("retry.give_up_after", "4s")
    })
    .await?;
    let bad = refuse_assets(&services, statuses, |at| at % 3 == 0)?;
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "all healthy assets", async || {
        ensure!(written(&services) == 120 - bad, "{} of {} written", written(&services), 120 - bad);
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    // A 404 is for those to judge who read the asset afterwards.
    let letters: Value = serde_json::from_str(&pipeline.said(&["dead", "list", "--json"]).await?)?;
    let letters = letters.as_array().context("a list")?;
    let judged =
        services.amfj.faults().active().iter().filter(|(_, rule)| rule.action != refused(404)).count();
    ensure!((judged..=bad).contains(&letters.len()), "{} dead letters of {judged}", letters.len());
    let mut keys: Vec<&str> = letters.iter().filter_map(|letter| letter["key"].as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    ensure!(keys.len() == letters.len(), "more than one dead letter of a record: {letters:?}");
    ensure!(!opened(&pipeline), "the circuit opened: {}", pipeline.writers[0].log_tail());
    Ok(())
}

#[tokio::test]
async fn p28_a_third_of_refused_assets_costs_the_others_nothing() -> Result<()> {
    a_third_is_refused(&[403, 409, 422, 500, 423, 404]).await
}

/// The same where each of them is refused as if the token lacked a permission, or by a failing AMFJ.
#[tokio::test]
async fn p28_records_that_are_forbidden_or_fail_do_not_stop_their_kind() -> Result<()> {
    a_third_is_refused(&[403]).await?;
    a_third_is_refused(&[500]).await
}

/// 12 of 40 always answer 500, the first ones: the others are written, and nothing is held up.
#[tokio::test]
async fn p28_assets_that_always_fail_at_the_head_of_the_queue_hold_up_nobody() -> Result<()> {
    let services = Services::plain(40, 302).await?;
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", notes(&services))], |config| {
        config.set("retry.give_up_after", "3s")
    })
    .await?;
    ensure!(refuse_assets(&services, &[500], |at| at < 12)? == 12);
    pipeline.fetch_all().await?;
    pipeline.settle().await?;
    ensure!(written(&services) == 28, "{} of 28 written", written(&services));
    ensure!(pipeline.dead_letters().await? == 12, "{} dead letters", pipeline.dead_letters().await?);
    ensure!(!opened(&pipeline), "the circuit opened");
    Ok(())
}

/// The token may not create users: assets are created all the same, nothing is given up, status names the permission,
/// and the users are created once it may.
#[tokio::test]
async fn p28_a_missing_permission_makes_only_its_kind_wait() -> Result<()> {
    let mut fleet = Fleet::generate(spec(30, 303));
    fleet.site.assets.clear();
    fleet.site.users.clear();
    let services = Services::start(&fleet).await?;
    let settings = services.integration("acme").set("sync.create_devices", "always");
    let settings = settings.set("sync.create_users", "all").set("sync.auto_checkout", true);
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", settings)], |config| {
        config.set("retry.give_up_after", "1s")
    })
    .await?;
    let forbidden = services.amfj.fault(Rule::new(refused(403)).on("POST", "/users"));
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "all assets and a kind that waits", async || {
        ensure!(services.amfj.assets().len() == 30, "{} assets", services.amfj.assets().len());
        let waits = pipeline.writers[0].metrics().await?;
        ensure!(
            waits.sum("amfj_sync_kind_waiting", &[("operation", "create user")]) > 0.0,
            "it does not wait"
        );
        Ok(())
    })
    .await?;
    let shown = pipeline.said(&["status"]).await?;
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(shown.contains("permission to create users"), "{shown}");
    let before = services.amfj.requests().iter().filter(|ask| ask.path.ends_with("/users")).count();
    // Longer than a change may be refused.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let tried = services.amfj.requests().iter().filter(|ask| ask.path.ends_with("/users")).count() - before;
    ensure!(tried <= 12, "{tried} attempts in three seconds at what is not permitted");
    ensure!(pipeline.dead_letters().await? == 0, "waiting makes no dead letters");
    services.amfj.faults().remove(forbidden);
    pipeline.settle().await?;
    let owned = services.owned_devices();
    let emails: BTreeSet<String> =
        owned.iter().filter_map(|device| device.email()).map(str::to_lowercase).collect();
    ensure!(services.amfj.users().len() == emails.len(), "{} users", services.amfj.users().len());
    ensure!(pipeline.dead_letters().await? == 0 && !opened(&pipeline));
    Ok(())
}

/// `Retry-After`, longer than a change may fail: nobody is given up, and all of it is written when the pause is over.
#[tokio::test]
async fn p28_a_pause_that_was_asked_for_is_no_failure() -> Result<()> {
    let services = Services::plain(20, 304).await?;
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", notes(&services))], |config| {
        config.set("retry.give_up_after", "1s")
    })
    .await?;
    let asked = Action::TooManyRequests { retry_after: Some(3), http_date: false };
    services.amfj.fault(Rule::new(asked).on("PATCH", "/assets/*").times(5));
    pipeline.run().await?;
    ensure!(written(&services) == 20, "{} written", written(&services));
    ensure!(pipeline.dead_letters().await? == 0, "a pause that was asked for is no failure");
    Ok(())
}

/// Half an hour: the circuit is open until then, says so, and nothing is in hand; a person may have it tried at once.
#[tokio::test]
async fn p28_a_long_pause_leaves_the_changes_in_the_queue() -> Result<()> {
    let services = Services::plain(20, 305).await?;
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", notes(&services))], |config| {
        config.set("retry.give_up_after", "1s")
    })
    .await?;
    let asked = Action::TooManyRequests { retry_after: Some(1800), http_date: false };
    let rule = services.amfj.fault(Rule::new(asked).on("PATCH", "/assets/*"));
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "everything in the queue", async || {
        // More where a reconciler had to say something again: the same change twice is written once.
        let waiting = pipeline.waiting("acme", "apply").await?;
        let inflight = pipeline.writers[0].in_flight().await?;
        ensure!(waiting >= 20 && inflight < 0.5, "{waiting} wait, {inflight} are in hand");
        Ok(())
    })
    .await?;
    let shown = pipeline.said(&["status"]).await?;
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(shown.contains("asked again in 29 min") && !shown.contains("takes changes"), "{shown}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(pipeline.dead_letters().await? == 0);
    services.amfj.faults().remove(rule);
    services.take_writes();
    pipeline.said(&["stopped", "retry", "--all"]).await?;
    pipeline.settle().await?;
    ensure!(written(&services) == 20 && pipeline.dead_letters().await? == 0);
    let writes = services.take_writes();
    ensure!(writes.len() == 20, "one for each asset, however often it was said: {writes:?}");
    Ok(())
}

/// What stepped aside is named by `status`, `explain` and `amfj-sync stopped list`, can be tried at once, and given up.
#[tokio::test]
async fn a_change_that_stepped_aside_can_be_seen_tried_and_given_up() -> Result<()> {
    let services = Services::plain(12, 306).await?;
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", notes(&services))], |config| {
        config.set("retry.initial", "1m").set("retry.max", "10m")
    })
    .await?;
    let devices = services.kandji.devices();
    for device in &devices[..2] {
        let asset = services.amfj.assets_named(&device.device_name).pop().context("its asset")?.id;
        services.amfj.fault(Rule::new(refused(403)).on("PATCH", &format!("/assets/{asset}")));
    }
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "all others, and two that stepped aside", async || {
        ensure!(written(&services) == 10);
        let stopped = pipeline.writers[0].metrics().await?.sum("amfj_sync_stopped_changes", &[]);
        ensure!((1.9..2.1).contains(&stopped), "{stopped} stopped");
        Ok(())
    })
    .await?;
    let (first, second) = (&devices[0], &devices[1]);
    let listed: Value = serde_json::from_str(&pipeline.said(&["stopped", "list", "--json"]).await?)?;
    ensure!(listed[0]["in_all"] == 2, "{listed}");
    ensure!(listed[0]["records"][0]["reason"].as_str().is_some_and(|why| why.contains("403")), "{listed}");
    let text = pipeline.said(&["stopped", "list"]).await?;
    ensure!(text.contains(&first.device_name) && text.contains("next try"), "{text}");
    let status: Value = serde_json::from_str(&pipeline.said(&["status", "--json"]).await?)?;
    let troubles = &status["integrations"][0]["troubles"];
    ensure!(troubles[0]["stopped"] == 2 && troubles[0]["records"][0]["attempts"] == 1, "{troubles}");
    let why = pipeline.said(&["explain", &first.serial_number]).await?;
    ensure!(why.contains("refused") && why.contains("403"), "{why}");

    services.amfj.faults().clear();
    pipeline.said(&["stopped", "retry", &first.serial_number]).await?;
    eventually(RUN_LIMIT, "the first, tried at once", async || {
        ensure!(written(&services) == 11);
        Ok(())
    })
    .await?;
    pipeline.said(&["stopped", "drop", &second.device_id]).await?;
    pipeline.settle().await?;
    ensure!(written(&services) == 11 && pipeline.dead_letters().await? == 1);
    let letters = pipeline.said(&["dead", "list"]).await?;
    ensure!(letters.contains("given up by"), "{letters}");
    ensure!(pipeline.said(&["stopped", "list"]).await?.contains("Nothing is stopped"));
    pipeline.said(&["dead", "replay", "--all"]).await?;
    pipeline.settle().await?;
    ensure!(written(&services) == 12 && pipeline.dead_letters().await? == 0);
    Ok(())
}
