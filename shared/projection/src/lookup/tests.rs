//! Names as people type them, and what they may mean.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::{Named, Source};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{
    Absence, Change, Ending, Event, FORMAT, Fact, InventoryCounts, LinkOutcome, Origin, Outcome, PrimaryUser,
    Rule, RunStarted, Sequence,
};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::*;

fn device(id: &str, name: &str, serial: &str) -> DeviceEntry {
    DeviceEntry {
        device_id: DeviceId::new(id).expect("not blank"),
        name: name.into(),
        serial: serial.into(),
        platform: "Mac".into(),
        user: PrimaryUser::Nobody,
        in_scope: true,
        removed: false,
        values: BTreeMap::new(),
        details: None,
    }
}

fn asset(id: &str, name: &str, serial: &str) -> Asset {
    Asset {
        id: AssetId::new(id).expect("not blank"),
        name: name.into(),
        asset_type: Named { id: "T1".into(), name: "Laptop".into() },
        location: None,
        fields: BTreeMap::from([("Serial Number".into(), json!(serial))]),
        checked_out_to: None,
        created_at: None,
    }
}

fn person(email: &str, name: &str) -> UserEntry {
    UserEntry {
        key: UserKey::new(email).expect("not blank"),
        ids: vec![KandjiUserId::new(format!("k-{name}")).expect("not blank")],
        email: Some(email.into()),
        name: name.into(),
        archived: false,
        values: BTreeMap::new(),
    }
}

fn event(fact: Fact) -> Event {
    let integration = IntegrationId::new("acme").expect("not blank");
    let origin = Origin { source: "test".into(), integration, run: None, sequence: None, traceparent: None };
    Event::fact(&origin, Timestamp::UNIX_EPOCH, fact)
}

fn started(number: u64) -> Fact {
    Fact::RunStarted(RunStarted {
        number,
        leader: "fetcher/1".into(),
        at: Timestamp::UNIX_EPOCH,
        first_sync: true,
        applies_to_all: true,
        auto_checkout: true,
        judged: false,
        mapping: std::collections::BTreeMap::new(),
        list_delay_ms: 0,
    })
}

fn complete(number: u64) -> Fact {
    Fact::InventoryComplete { number, counts: InventoryCounts::default(), report: Box::default() }
}

fn linked(device: &str, asset: &str) -> Fact {
    let key = Key::Device(DeviceId::new(device).expect("not blank"));
    let asset = AssetId::new(asset).expect("not blank");
    let action = amfj_sync_model::messages::Action::BreakLink { asset: asset.clone() };
    let change = Change { key, label: String::new(), serial: String::new(), serials: Vec::new(), action };
    let outcome = Outcome::of(Uuid::nil(), Sequence::first(1), &change, Ending::Applied);
    let link = Some(LinkOutcome::Linked { asset, rule: Rule::Name, takes_over: None });
    Fact::ChangeEnded(Box::new(Outcome { link, ..outcome }))
}

/// A fleet with everything in it that a name can run into.
fn view() -> Projection {
    let record = |id: &str, name: &str, email: &str| Fact::RecordListed {
        number: 1,
        record: UserRecord {
            id: RecordId::new(id).expect("not blank"),
            name: name.into(),
            email: Some(email.into()),
            source: Source::Local,
            fields: BTreeMap::new(),
        },
    };
    let device = |id, name, serial| Fact::DeviceListed { number: 1, device: device(id, name, serial) };
    let asset = |id, name, serial| Fact::AssetListed { number: 1, asset: asset(id, name, serial) };
    let missing = |id: &str| Fact::DeviceMissing {
        number: 2,
        device: DeviceId::new(id).expect("not blank"),
        absence: Absence::NotFound,
    };
    let facts = vec![
        Fact::StreamOpened { stream: Uuid::nil(), format: FORMAT, partitions: 1 },
        started(1),
        device("d1", "Imani’s MacBook", "C02IMANI"),
        device("d2", "Lobby", "C02LOB1"),
        device("d3", "Lobby", "C02LOB2"),
        device("d4", "Reception iPad", "DMPOLD"),
        device("d5", "Reception iPad", "DMPOLD"),
        device("d6", "Straße 5", "unknown"),
        asset("a1", "Imani's MacBook", "C02IMANI"),
        asset("a2", "Spare", "C02SPARE"),
        asset("a3", "Lobby", ""),
        Fact::UserListed { number: 1, user: person("imani@example.com", "Imani Okafor") },
        record("u1", "Imani Okafor", "other@example.com"),
        record("u2", "Petra Nobody", "petra@example.com"),
        complete(1),
        linked("d1", "a1"),
        started(2),
        missing("d4"),
        complete(2),
    ];
    let mut view = Projection::in_memory(Some("Serial Number"));
    for (offset, fact) in (0..).zip(facts) {
        view.apply(&[(offset, event(fact))]).expect("memory does not fail");
    }
    view
}

fn shown(view: &Projection, hits: &[Hit]) -> Vec<String> {
    let shown = hits.iter().map(|hit| describe(view, hit));
    shown.map(|line| line.split(" \"").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn p5_a_text_finds_what_people_call_so() {
    let view = view();
    for (text, found) in [
        ("Imani's MacBook", &["device d1"][..]),
        ("imani\u{2bc}s  macbook", &["device d1"]),
        ("c02imani", &["device d1"]),
        ("a1", &["asset a1"]),
        ("STRASSE 5", &["device d6"]),
        ("unknown", &[]),
        ("Lobby", &["device d2", "device d3", "asset a3"]),
        ("Reception iPad", &["device d5"]),
        ("DMPOLD", &["device d5"]),
        ("d4", &["device d4"]),
        ("Spare", &["asset a2"]),
        ("C02SPARE", &["asset a2"]),
        ("IMANI@example.com", &["person imani@example.com"]),
        ("k-Imani Okafor", &["person imani@example.com"]),
        ("Imani Okafor", &["person imani@example.com", "user record u1"]),
        ("petra@example.com", &["user record u2"]),
        ("nothing of that name", &[]),
        ("", &[]),
        ("’", &[]),
    ] {
        assert_eq!(shown(&view, &find(&view, text)), found, "{text:?}");
    }
}

#[test]
fn p6_what_is_not_found_is_answered_with_what_is_near() {
    let view = view();
    for (text, first) in [
        ("Imanis MacBook", "device d1"),
        ("Imani MacBok", "device d1"),
        ("C02IMANl", "device d1"),
        ("Recption-iPad", "device d4"),
        ("petra", "user record u2"),
        ("imani@exmaple.com", "person imani@example.com"),
    ] {
        let near = near(&view, text, &|_| true);
        assert_eq!(shown(&view, &near).first().map(String::as_str), Some(first), "{text:?}");
        assert!(near.len() <= NEAR);
    }
    assert!(near(&view, "zzzzzzzz", &|_| true).is_empty());
    assert!(near(&view, "’”", &|_| true).is_empty());
    let assets = near(&view, "Imanis MacBook", &|hit| matches!(hit, Hit::Asset(_)));
    assert_eq!(shown(&view, &assets), ["asset a1"]);
}

#[test]
fn p6_a_serial_finds_the_asset_whose_number_field_holds_it() {
    let mut view = view();
    let mut spare = asset("a9", "Numbered", "");
    spare.fields.insert("Serial Number".into(), json!(777.0));
    let mut facts = vec![started(3), Fact::AssetListed { number: 3, asset: spare }];
    facts.push(complete(3));
    for (offset, fact) in (100..).zip(facts) {
        view.apply(&[(offset, event(fact))]).expect("memory does not fail");
    }
    for text in ["0777", "777", " 777.0 "] {
        assert_eq!(shown(&view, &find(&view, text)), ["asset a9"], "{text:?}");
    }
    assert!(find(&view, "7770").is_empty());
}
