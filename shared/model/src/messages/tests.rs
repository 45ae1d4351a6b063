//! The format of every message: golden files, so that a change of it is seen, and current schemas.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::schemas::schemas;
use super::*;
use crate::amfj::{Asset, AssetType, Field, FieldType, Holder, Named, Source, UserRecord};
use crate::ids::{AssetId, DeviceId, IntegrationId, KandjiUserId, Key, RecordId, RunId, UserKey};

mod samples;

use samples::{every_fact, every_payload, origin, time};

fn golden(event: &Event) -> Value {
    serde_json::from_slice(&event.encode()).expect("our own messages are JSON")
}

#[test]
fn every_message_has_its_golden_file() {
    for (name, payload) in every_payload() {
        let event = Event::new(&origin(), format!("sample/{name}"), time(), payload);
        insta::assert_json_snapshot!(name, golden(&event));
    }
}

#[test]
fn every_fact_has_its_golden_file() {
    for (name, fact) in every_fact() {
        let event = Event::fact(&origin(), time(), fact);
        insta::assert_json_snapshot!(format!("fact-{name}"), golden(&event));
    }
}

#[test]
fn every_message_is_read_as_it_was_written() {
    let facts = every_fact().into_iter().map(|(name, fact)| (name, Payload::Fact(fact)));
    for (name, payload) in every_payload().into_iter().chain(facts) {
        let event = Event::new(&origin(), "sample".into(), time(), payload);
        assert_eq!(Event::decode(&event.encode()).expect(name), event, "{name}");
    }
}

#[test]
fn the_committed_schemas_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, schema) in schemas() {
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        let path = folder.join(name);
        if std::env::var_os("AMFJ_SYNC_WRITE_SCHEMAS").is_some() {
            std::fs::write(&path, &text).expect("the schema is written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is out of date; run AMFJ_SYNC_WRITE_SCHEMAS=1 cargo nextest run -p amfj-sync-model schemas",
            path.display()
        );
    }
}

#[test]
fn unknown_members_are_ignored() {
    let (_, payload) = every_payload().swap_remove(0);
    let event = Event::new(&origin(), "device/1".into(), time(), payload);
    let mut wire = golden(&event);
    wire["extension"] = json!("of a newer release");
    wire["data"]["device"]["colour"] = json!("space grey");
    let read = Event::decode(wire.to_string().as_bytes()).expect("unknown members do no harm");
    assert_eq!(read, event);
}

#[test]
fn what_is_not_ours_is_refused_with_the_reason() {
    let (_, payload) = every_payload().swap_remove(0);
    let good = golden(&Event::new(&origin(), "device/1".into(), time(), payload));
    let altered = |change: fn(&mut Value)| {
        let mut wire = good.clone();
        change(&mut wire);
        wire.to_string()
    };
    let deep = "[".repeat(100_000);
    let table = [
        ("no JSON".to_owned(), "not a CloudEvents message"),
        (String::new(), "not a CloudEvents message"),
        (deep, "not a CloudEvents message"),
        (json!([1, 2]).to_string(), "not a CloudEvents message"),
        (
            altered(|wire| wire["type"] = json!("dev.amfj-sync.device-snapshot.v2")),
            "is unknown to this release",
        ),
        (altered(|wire| wire["data"] = json!({"device": 7})), "are malformed"),
        (altered(|wire| wire["data"]["device"]["device_id"] = json!("  ")), "a blank device id"),
        (altered(|wire| wire["sequence"] = json!("soon")), "not a sequence"),
        (altered(|wire| wire["time"] = json!("yesterday")), "not a CloudEvents message"),
    ];
    for (body, reason) in table {
        let error = Event::decode(body.as_bytes()).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error:?} should say {reason:?}");
    }
}

#[test]
fn ids_are_the_same_for_the_same_content_and_no_other() {
    let (_, payload) = every_payload().swap_remove(0);
    let make = |origin: &Origin, subject: &str, time: Timestamp, payload: &Payload| {
        Event::new(origin, subject.into(), time, payload.clone()).id
    };
    let id = make(&origin(), "device/1", time(), &payload);
    let other_worker = Origin { source: "fetcher/other".into(), ..origin() };
    let later = time() + jiff::SignedDuration::from_secs(5);
    assert_eq!(make(&other_worker, "device/1", later, &payload), id, "who and when do not matter");
    assert_ne!(make(&origin(), "device/2", time(), &payload), id);
    let next = Origin { sequence: origin().sequence.map(Sequence::next), ..origin() };
    assert_ne!(make(&next, "device/1", time(), &payload), id);
    let elsewhere = Origin { integration: IntegrationId::new("other").expect("not blank"), ..origin() };
    assert_ne!(make(&elsewhere, "device/1", time(), &payload), id);
    assert_ne!(make(&origin(), "device/1", time(), &Payload::RunRequest), id);
}

proptest! {
    #[test]
    fn a_sequence_sorts_like_its_text(a in any::<(u32, u16)>(), b in any::<(u32, u16)>()) {
        let one = Sequence { run: a.0.into(), step: a.1.into() };
        let other = Sequence { run: b.0.into(), step: b.1.into() };
        prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
        prop_assert_eq!(one.to_string().parse::<Sequence>(), Ok(one));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Event::decode(&bytes).is_err());
    }
}

#[test]
fn the_reason_for_a_dead_letter_does_not_quote_the_whole_message() {
    let much = "x".repeat(10_000_000);
    let envelope = json!({
        "specversion": "1.0", "id": Uuid::nil(), "source": "s", "type": "dev.amfj-sync.change.v1", "subject": "s",
        "time": "2026-11-23T14:42:39Z", "integrationid": "acme", "data": { "key": much },
    });
    let Err(error) = Event::decode(envelope.to_string().as_bytes()) else { panic!("it was understood") };
    assert!(error.to_string().len() < 1_000, "{} bytes", error.to_string().len());
}

#[test]
fn a_decision_supersedes_what_it_does_not_ask_for_and_what_was_decided_before_it() {
    let run = 1_764_000_000_000;
    let (asked, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let place = |run, step| Sequence { run, step };
    let decision = |snapshot, up_to, change: Option<(Uuid, Sequence)>| {
        let sample = samples::decision();
        let template = sample.changes[0].clone();
        let changes =
            change.map(|(id, sequence)| PlannedChange { id, sequence, ..template }).into_iter().collect();
        Decision { snapshot, place: up_to, changes, ..sample }
    };
    let unsaid = Sequence::default();
    for (case, decision, expected) in [
        ("nothing is wanted", decision(place(run, 0), place(run, 2), None), true),
        ("it is wanted still", decision(place(run, 0), place(run, 2), Some((asked, place(run, 2)))), false),
        (
            "something else is wanted",
            decision(place(run, 0), place(run, 3), Some((other, place(run, 3)))),
            true,
        ),
        ("decided before it", decision(place(run, 0), place(run, 1), Some((other, place(run, 1)))), false),
        ("a newer run wants nothing, by an old release", decision(place(run + 1, 0), unsaid, None), true),
        ("the same run, by an old release", decision(place(run, 0), unsaid, None), false),
    ] {
        assert_eq!(decision.supersedes(asked, place(run, 2)), expected, "{case}");
    }
}
