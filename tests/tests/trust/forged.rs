//! Well-formed messages that no reconciler published: each does nothing in AMFJ, and is kept with the reason.

use std::collections::BTreeMap;

use amfj_sync_shared::amfj::{Holder, Named};
use amfj_sync_shared::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_shared::messages::{Action, AssetWrite, Change, Edit, Past, Restored, Rule, UserWrite};
use amfj_sync_tests::harness::Role;
use amfj_sync_tests::pipeline::{Pipeline, Services};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::support::{Attacker, letters, reasons};

const PREFIX: &str = "not allowed by this worker's configuration: ";

fn edit(new: Value) -> Edit {
    Edit { old: Value::Null, new }
}

fn write(field: &str, value: &str) -> AssetWrite {
    AssetWrite { fields: BTreeMap::from([(field.to_owned(), edit(json!(value)))]), ..AssetWrite::default() }
}

/// A device with the asset that it is linked to, and another one.
fn linked(attacker: &Attacker<'_>) -> Vec<(DeviceId, AssetId)> {
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
    event.integration = amfj_sync_shared::ids::IntegrationId::new("other").unwrap();
    attacker.publish_to(&attacker.queue(own), event.encode()).await?;
    let event = attacker.event(harmless.clone());
    attacker.publish_to(&attacker.queue(1 - own), event.encode()).await?;
    let mut event = attacker.event(harmless.clone());
    event.subject = "device/other".to_owned();
    attacker.publish_to(&attacker.queue(own), event.encode()).await?;
    let mut event = attacker.event(harmless);
    event.sequence = event
        .sequence
        .map(|place| amfj_sync_shared::messages::Sequence { run: 100_000_000_000_000, ..place });
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
    pipeline.said(Role::Writer, &["dead", "replay", "--all"]).await?;
    amfj_sync_tests::harness::eventually(
        amfj_sync_tests::pipeline::RUN_LIMIT,
        "it to come back",
        async || {
            let again = letters(&pipeline, 1).await?.remove(0);
            ensure!(again["time"] != first["time"] && again["id"] == first["id"], "{again}");
            Ok(())
        },
    )
    .await?;
    let mapped = settings().field("Model", "model");
    pipeline.reconfigure(vec![("acme", mapped)]).await?;
    pipeline.said(Role::Writer, &["dead", "replay", "--all"]).await?;
    amfj_sync_tests::harness::eventually(amfj_sync_tests::pipeline::RUN_LIMIT, "the change", async || {
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
    let mut pipeline = Pipeline::with(
        amfj_sync_tests::pipeline::Crew { reconcilers: 1, writers: 0 },
        vec![("acme", both)],
        |config| config,
    )
    .await?;
    pipeline.fetch_all().await?;
    amfj_sync_tests::harness::eventually(amfj_sync_tests::pipeline::RUN_LIMIT, "changes", async || {
        ensure!(pipeline.waiting("acme", "apply").await? >= 6);
        Ok(())
    })
    .await?;
    let fewer = services.integration("acme").field("Notes", "asset_tag");
    pipeline.reconfigure(vec![("acme", fewer)]).await?;
    pipeline.hire(amfj_sync_tests::pipeline::Crew { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    ensure!(pipeline.dead_letters().await? == 0, "{}", reasons(&pipeline, 6).await?);
    ensure!(services.take_writes().iter().all(|write| !write.contains("Model")));
    pipeline.run().await?;
    ensure!(pipeline.dead_letters().await? == 0);
    let linked = pipeline.view("acme").await?.count_links();
    ensure!(linked == services.kandji.devices().len(), "{linked} devices are linked");
    Ok(())
}
