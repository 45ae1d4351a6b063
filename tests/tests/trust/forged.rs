//! Well-formed messages that no reconciler published: each does nothing in AMFJ, and is kept with the reason.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::{Holder, Named};
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{
    Action, AssetWrite, Change, Edit, Event, Origin, Past, Payload, Restored, Rule, Sequence, UserWrite,
};
use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{Attacker, ask, letters, reasons};

const PREFIX: &str = "not allowed by this worker's configuration: ";

fn edit(new: Value) -> Edit {
    Edit { old: Value::Null, new }
}

pub(crate) fn write(field: &str, value: &str) -> AssetWrite {
    AssetWrite { fields: BTreeMap::from([(field.to_owned(), edit(json!(value)))]), ..AssetWrite::default() }
}

/// A device with the asset that it is linked to, and another one.
pub(crate) fn linked(attacker: &Attacker<'_>) -> Vec<(DeviceId, AssetId)> {
    let mut linked = Vec::new();
    attacker.view.each_link(&mut |device, link| {
        linked.push((device, link.asset));
        true
    });
    linked
}

fn person(attacker: &Attacker<'_>) -> (UserKey, KandjiUserId) {
    let mut found = None;
    attacker.view.each_user(&mut |row| {
        found = Some((row.entry.key.clone(), row.entry.ids[0].clone()));
        false
    });
    found.unwrap()
}

fn about(key: UserKey, action: Action) -> Change {
    let (label, serial) = ("forged".to_owned(), String::new());
    Change { key: Key::User(key), label, serial, serials: Vec::new(), action }
}

/// All that a configuration which creates and hands over nothing forbids.
fn forbidden(attacker: &Attacker<'_>) -> Vec<(Change, &'static str)> {
    let all = linked(attacker);
    let ((device, asset), (_, other)) = (all[0].clone(), all[1].clone());
    let (key, id) = person(attacker);
    let stranger = Holder { id: RecordId::new("u-9999").unwrap(), name: "Mallory".to_owned() };
    let of = |action| attacker.change(device.as_str(), action);
    let update = |write| of(Action::UpdateAsset { asset: asset.clone(), write });
    let link = |rule| {
        of(Action::LinkAsset { asset: other.clone(), rule, takes_over: None, write: AssetWrite::default() })
    };
    let laptop = attacker.view.catalogue().asset_type_named("Laptop").unwrap();
    let laptop = Named { id: laptop.id.clone(), name: laptop.name.clone() };
    let nowhere = Named { id: "l-1".to_owned(), name: "Somewhere".to_owned() };
    let named = AssetWrite { name: Some(edit(json!("pwned"))), ..AssetWrite::default() };
    let located = AssetWrite { location: Some(nowhere), ..AssetWrite::default() };
    let held = |from: Option<Holder>, to: Option<Holder>| {
        let primary = to.as_ref().map(|to| to.id.clone());
        of(Action::Assign { asset: asset.clone(), expected: from, to, primary })
    };
    let past = Past { found: Value::Null, written: json!("pwned"), stored: None };
    let again =
        Restored::Asset { asset: asset.clone(), fields: BTreeMap::from([("Model".to_owned(), past)]) };
    let hands = Restored::Holder {
        asset: asset.clone(),
        found: None,
        holder: Some(stranger.clone()),
        primary: Some(stranger.id.clone()),
    };
    let record = RecordId::new("u-1").unwrap();
    let ids = vec![id];
    vec![
        (update(write("Model", "pwned")), "field \"Model\" is not mapped"),
        (update(named), "field \"Name\" is not mapped"),
        (update(located), "not the one in default_location"),
        (update(write("Serial Number", "")), "on_empty is \"keep\""),
        (update(write("Serial Number", &"x".repeat(2 << 20))), "larger than a value may be"),
        (
            Change { serial: "OTHER".to_owned(), ..update(write("Serial Number", "x")) },
            "serial number is not the one",
        ),
        (
            of(Action::CreateAsset {
                name: "pwned".to_owned(),
                asset_type: laptop,
                location: None,
                fields: BTreeMap::new(),
            }),
            "create_devices is \"never\"",
        ),
        (link(Rule::Person), "no person did"),
        (link(Rule::Created), "no rule links"),
        (held(None, Some(stranger.clone())), "auto_checkout is off"),
        (held(Some(stranger), None), "auto_checkout is off"),
        (of(Action::Restore { again }), "field \"Model\" is not mapped"),
        (of(Action::Restore { again: hands }), "auto_checkout is off"),
        (
            about(
                key.clone(),
                Action::CreateUser {
                    name: "Mallory".to_owned(),
                    email: None,
                    fields: BTreeMap::new(),
                    ids: ids.clone(),
                },
            ),
            "create_users is \"never\"",
        ),
        (
            about(key.clone(), Action::LinkUser { record: record.clone(), rule: Rule::Person, ids }),
            "no person did",
        ),
        (
            about(
                key.clone(),
                Action::UpdateUser {
                    record: record.clone(),
                    write: UserWrite { name: Some(edit(json!("Mallory"))), ..UserWrite::default() },
                },
            ),
            "did not create the user record",
        ),
        (
            about(
                key.clone(),
                Action::LinkUser {
                    record,
                    rule: Rule::Email,
                    ids: vec![KandjiUserId::new("somebody-elses").unwrap()],
                },
            ),
            "not this person's",
        ),
        (about(key, update(write("Serial Number", "x")).action), "does not fit what it is about"),
        (attacker.change("no-such-device", update(write("Serial Number", "x")).action), "no run has read"),
    ]
}

/// Each kind that the review named, and their neighbours, against a configuration that allows none of it.
#[tokio::test]
async fn a_forged_change_does_nothing_and_is_kept_with_the_reason() -> Result<()> {
    let services = Services::plain(6, 91).await?;
    let settings = services
        .integration("acme")
        .field("Serial Number", "serial_number")
        .set("sync.create_users", "never");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    let mut attacker = Attacker::at(&pipeline).await?;
    let forbidden = forbidden(&attacker);
    let count = forbidden.len();
    for (change, _) in &forbidden {
        attacker.publish_change(change.clone()).await?;
    }
    // Well-formed and allowed, but not here: of another integration, partition, subject, and of a run to come.
    let (device, asset) = linked(&attacker)[0].clone();
    let harmless = attacker.change(
        device.as_str(),
        Action::UpdateAsset { asset: asset.clone(), write: write("Serial Number", "x") },
    );
    let own = harmless.key.partition(2);
    let mut event = attacker.event(harmless.clone());
    event.integration = IntegrationId::new("other").unwrap();
    attacker.publish_to(&attacker.queue(own), event.encode()).await?;
    let event = attacker.event(harmless.clone());
    attacker.publish_to(&attacker.queue(1 - own), event.encode()).await?;
    let mut event = attacker.event(harmless.clone());
    event.subject = "device/other".to_owned();
    attacker.publish_to(&attacker.queue(own), event.encode()).await?;
    let mut event = attacker.event(harmless);
    event.sequence = event.sequence.map(|place| Sequence { run: 100_000_000_000_000, ..place });
    attacker.publish_to(&attacker.queue(own), event.encode()).await?;

    let reasons = reasons(&pipeline, count + 4).await?;
    pipeline.settle().await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "a forged change was made:\n{}", writes.join("\n"));
    let also = [
        "integration `other`",
        "another partition",
        "another device or person",
        "nobody has started that run",
    ];
    for why in forbidden.iter().map(|(_, why)| *why).chain(also) {
        let line =
            reasons.lines().find(|line| line.contains(why)).with_context(|| format!("{why}:\n{reasons}"))?;
        ensure!(line.starts_with(PREFIX), "{line}");
    }
    // The order of no key ended with it: what Kandji says from now on is still written.
    services.kandji.set(device.as_str(), "serial_number", json!("NEWSERIAL"))?;
    pipeline.run().await?;
    let field = services.amfj.asset(asset.as_str()).unwrap().fields["Serial Number"].clone();
    ensure!(field == json!("NEWSERIAL"), "{field}");
    Ok(())
}

/// Before the first run the view is empty: a change finds nothing there to change, and a creation nobody to be made for.
#[tokio::test]
async fn a_forged_creation_before_the_first_run_makes_nothing() -> Result<()> {
    let services = Services::plain(3, 94).await?;
    let settings = services.integration("acme").field("Serial Number", "serial_number");
    let settings = settings.set("sync.create_devices", "always").set("sync.create_users", "all");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    let mut attacker = Attacker::at(&pipeline).await?;
    let laptop = Named { id: "t-1".to_owned(), name: "Laptop".to_owned() };
    let fields = BTreeMap::new();
    let asset = Action::CreateAsset { name: "pwned".to_owned(), asset_type: laptop, location: None, fields };
    let asset = attacker.change("no-such-device", asset);
    let (key, ids) = (UserKey::new("mallory@example.com")?, vec![KandjiUserId::new("mallory")?]);
    let (name, email, fields) = ("Mallory".to_owned(), None, BTreeMap::new());
    let person = about(key, Action::CreateUser { name, email, fields, ids });
    for change in [asset, person] {
        attacker.publish_change(change).await?;
    }
    pipeline.run().await?;
    let reasons = reasons(&pipeline, 2).await?;
    ensure!(
        reasons.contains("no run has read this device") && reasons.contains("no run has read this person"),
        "{reasons}"
    );
    let writes = services.take_writes().join("\n");
    ensure!(!writes.contains("pwned") && !writes.contains("Mallory"), "{writes}");
    Ok(())
}

/// A question to all workers names a queue for the answers. Whoever may ask and nothing else has no worker write into
/// others, with its rights and its signature.
#[tokio::test]
async fn workers_answer_into_the_queue_of_who_asks_and_no_other() -> Result<()> {
    let services = Services::plain(2, 95).await?;
    let pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    pipeline.run().await?;
    let prefix = pipeline.broker().prefix();
    let queues = ["acme.apply.00", "acme.reconcile.01", "acme.state", "acme.history", "triggers", "dead"];
    for queue in queues {
        ask(pipeline.broker().url(), &format!("{prefix}.roll-call"), &format!("{prefix}.{queue}")).await?;
    }
    // Each worker answers one question after the other.
    let status = pipeline.said_as_json(&["status", "--json"]).await?;
    ensure!(status["reports"].as_array().is_some_and(|reports| reports.len() == 2), "{status}");
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0, "{}", letters(&pipeline, 1).await?[0]);
    let logs = pipeline.logs();
    ensure!(!logs.contains("cannot be read"), "{logs}");
    Ok(())
}

/// One message of many things that are no facts: in each worker one line with their count, not megabytes of them.
#[tokio::test]
async fn a_message_of_many_unreadable_things_is_one_warning() -> Result<()> {
    let services = Services::plain(2, 97).await?;
    let pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    pipeline.run().await?;
    let attacker = Attacker::at(&pipeline).await?;
    let many = serde_json::to_vec(&vec![1; 5_000])?;
    attacker.publish_to(&format!("{}.acme.state", pipeline.broker().prefix()), many).await?;
    // What comes behind it was read after it.
    pipeline.run().await?;
    let logs = pipeline.logs();
    let lines: Vec<&str> = logs.lines().filter(|line| line.contains("cannot be read")).collect();
    ensure!(lines.len() == 2 && lines.iter().all(|line| line.contains("5000")), "{lines:?}");
    Ok(())
}

/// A request for a run names an integration, whose queues are looked for; no name ends who looks, nor its connections.
#[tokio::test]
async fn a_forged_request_for_a_run_ends_nobody() -> Result<()> {
    let services = Services::plain(2, 96).await?;
    let pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    let attacker = Attacker::at(&pipeline).await?;
    let triggers = format!("{}.triggers", pipeline.broker().prefix());
    for integration in ["x".repeat(300), "acme.apply.00".to_owned(), "\u{1b}[31m\n".repeat(9)] {
        let origin = Attacker::origin(&format!("x{integration}"));
        let event = Event::new(&origin, "run".to_owned(), Timestamp::now(), Payload::RunRequest);
        attacker.publish_to(&triggers, event.encode()).await?;
    }
    let origin = Origin { traceparent: Some("0".repeat(15 << 20)), ..Attacker::origin("acme") };
    let event = Event::new(&origin, "run".to_owned(), Timestamp::now(), Payload::RunRequest);
    attacker.publish_to(&triggers, event.encode()).await?;
    let before = pipeline.runs_in_force().await?;
    pipeline.said(&["trigger"]).await?;
    pipeline.settle_after(&before).await?;
    let log = fetcher.log();
    ensure!(fetcher.exited()?.is_none() && !log.contains("connection is given up"), "{log}");
    ensure!(log.matches("no integration; the request is dropped").count() == 3, "{log}");
    ensure!(fetcher.terminate().await?.success());
    Ok(())
}

/// A person who allows it makes a replay succeed; until then it is checked again, and comes back.
#[tokio::test]
async fn a_refused_change_is_checked_again_when_it_is_replayed() -> Result<()> {
    let services = Services::plain(3, 92).await?;
    let settings = || services.integration("acme").field("Serial Number", "serial_number");
    let mut pipeline = Pipeline::start(vec![("acme", settings())]).await?;
    pipeline.run().await?;
    services.take_writes();
    let mut attacker = Attacker::at(&pipeline).await?;
    let (device, asset) = linked(&attacker)[0].clone();
    let action = Action::UpdateAsset { asset: asset.clone(), write: write("Model", "by hand") };
    let change = attacker.change(device.as_str(), action);
    attacker.publish_change(change).await?;
    let first = letters(&pipeline, 1).await?.remove(0);
    pipeline.said(&["dead", "replay", "--all"]).await?;
    eventually(RUN_LIMIT, "it to come back", async || {
        let again = letters(&pipeline, 1).await?.remove(0);
        ensure!(again["time"] != first["time"] && again["id"] == first["id"], "{again}");
        Ok(())
    })
    .await?;
    let mapped = settings().field("Model", "model");
    pipeline.reconfigure(vec![("acme", mapped)]).await?;
    pipeline.said(&["dead", "replay", "--all"]).await?;
    eventually(RUN_LIMIT, "the change", async || {
        let model = services.amfj.asset(asset.as_str()).and_then(|asset| asset.fields.get("Model").cloned());
        ensure!(model == Some(json!("by hand")), "{model:?}");
        Ok(())
    })
    .await?;
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// What was decided before a field was unmapped is out of date, not a dead letter; the next run decides anew.
#[tokio::test]
async fn changes_that_were_queued_when_a_field_was_unmapped_are_decided_anew() -> Result<()> {
    let services = Services::plain(6, 93).await?;
    let both = services.integration("acme").field("Model", "model").field("Notes", "asset_tag");
    let mut pipeline =
        Pipeline::with(Workers { reconcilers: 1, writers: 0 }, vec![("acme", both)], |config| config).await?;
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "changes", async || {
        ensure!(pipeline.waiting("acme", "apply").await? >= 6);
        Ok(())
    })
    .await?;
    let fewer = services.integration("acme").field("Notes", "asset_tag");
    pipeline.reconfigure(vec![("acme", fewer)]).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0, "{}", reasons(&pipeline, 6).await?);
    ensure!(services.take_writes().iter().all(|write| !write.contains("Model")));
    pipeline.run().await?;
    ensure!(pipeline.dead_letters().await? == 0);
    let linked = pipeline.view("acme").await?.count_links();
    ensure!(linked == services.kandji.devices().len(), "{linked} devices are linked");
    Ok(())
}
