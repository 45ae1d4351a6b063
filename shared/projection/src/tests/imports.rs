//! What is exported of an integration means the same in another stream.

use std::collections::BTreeMap;

use super::super::transfer::{self, CarriedRow};
use super::*;

/// A stream in which a device was linked, written and decided about by a person, and a first sync is over.
fn known() -> Stream {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "mac"));
    stream.say(Fact::RecordListed { number: 1, record: record() });
    stream.say(Fact::DeviceListed { number: 1, device: device("d", "mac") });
    stream.say(Fact::DeviceListed { number: 1, device: device("e", "other") });
    stream.complete(1);
    stream.say(link("d", 1, &asset_id()));
    let unlink =
        OperatorDecision { by: "sam".into(), order: OperatorOrder::Unlink { device: device_id("e") } };
    stream.say(Fact::OperatorDecided { token: Uuid::from_u128(7), decision: unlink });
    let decided = Fact::PartitionDecided {
        number: 1,
        partition: 0,
        complete: true,
        staged: 0,
        counts: MassCounts::default(),
    };
    stream.say(decided);
    stream
}

fn exported(view: &Projection) -> (Vec<CarriedRow>, Standing) {
    let mut rows = Vec::new();
    transfer::each_row(view, &mut |row| rows.push(row)).unwrap();
    (rows, transfer::standing(view))
}

const IMPORT: Uuid = Uuid::from_u128(42);

fn begun() -> Fact {
    Fact::ImportBegun { import: IMPORT, format: FORMAT }
}

fn part(part: u32, rows: &[CarriedRow]) -> Fact {
    let rows = rows.iter().map(|row| (row.key(), row.row.clone()));
    Fact::ImportRows { import: IMPORT, part, rows: rows.collect::<BTreeMap<_, _>>() }
}

fn ended(parts: u32, standing: &Standing) -> Fact {
    Fact::ImportEnded { import: IMPORT, parts, standing: standing.clone() }
}

#[test]
fn what_was_exported_is_known_in_another_stream_and_exported_alike() {
    let (rows, standing) = exported(&known().view);
    let mut other = Stream::new();
    assert!(!transfer::is_here(&other.view, IMPORT));
    let (one, two) = rows.split_at(rows.len() / 2);
    for fact in [begun(), part(0, one), part(1, two)] {
        assert_eq!(other.say(fact), Verdict::Accepted);
    }
    assert!(other.view.link(&device_id("d")).is_none(), "nothing takes effect before the end");
    assert_eq!(other.say(ended(2, &standing)), Verdict::Accepted);
    assert_eq!(other.view.link(&device_id("d")).map(|link| link.asset), Some(asset_id()));
    assert_eq!(other.view.linked_device(&asset_id()), Some(device_id("d")));
    let meta = other.view.meta();
    assert!(meta.first_sync_over && meta.requested.is_some(), "a run shows what differs");
    assert!(transfer::is_here(&other.view, IMPORT));
    // It knows of the import too.
    let (mut exported, their_standing) = exported(&other.view);
    exported.retain(|row| row.id != IMPORT.to_string());
    assert_eq!((exported, their_standing), (rows, standing));
}

#[test]
fn an_import_that_is_said_again_says_nothing_new() {
    let (rows, standing) = exported(&known().view);
    let mut other = Stream::new();
    // The first time it ended half-way, and began anew.
    let half = [begun(), part(0, &rows[..1])];
    let whole = [begun(), part(0, &rows), part(0, &rows), ended(1, &standing)];
    for fact in half.into_iter().chain(whole) {
        assert_eq!(other.say(fact), Verdict::Accepted);
    }
    let before = exported(&other.view);
    for fact in [begun(), part(0, &rows), ended(1, &standing)] {
        assert!(matches!(other.say(fact), Verdict::Rejected(_)));
    }
    assert_eq!(exported(&other.view), before);
}

#[test]
fn nothing_of_an_import_takes_effect_where_it_lacks_a_part_or_could_contradict_what_is_known() {
    let (rows, standing) = exported(&known().view);
    let mut lacking = Stream::new();
    lacking.say(begun());
    assert!(matches!(lacking.say(part(1, &rows)), Verdict::Rejected(_)), "a part before it is missing");
    lacking.say(part(0, &rows[..1]));
    assert!(matches!(lacking.say(ended(2, &standing)), Verdict::Rejected(_)));
    assert!(lacking.view.link(&device_id("d")).is_none());
    let mut linked = known();
    let before = exported(&linked.view);
    linked.say(begun());
    linked.say(part(0, &rows));
    assert!(
        matches!(linked.say(ended(1, &standing)), Verdict::Rejected(why) if why.contains("links already"))
    );
    assert_eq!(exported(&linked.view), before);
    assert!(
        transfer::obstacle(&linked.view).unwrap().is_some()
            && transfer::obstacle(&lacking.view).unwrap().is_none()
    );
}

#[test]
fn what_was_listed_here_is_younger_than_what_comes_from_elsewhere() {
    let (rows, standing) = exported(&known().view);
    let mut other = Stream::new();
    other.start(1);
    other.say(listed(1, "renamed meanwhile"));
    other.complete(1);
    for fact in [begun(), part(0, &rows), ended(1, &standing)] {
        assert_eq!(other.say(fact), Verdict::Accepted);
    }
    assert_eq!(other.name().as_deref(), Some("renamed meanwhile"));
    assert!(other.view.link(&device_id("d")).is_some());
}

#[test]
fn a_row_that_nobody_here_wrote_is_refused() {
    let row = |table: &str, id: &str, row| CarriedRow { table: table.into(), id: id.into(), row };
    let link = json!({"asset": "A1", "rule": "name", "since": "2026-11-01T00:00:00Z"});
    assert!(row("link", "d", link.clone()).checked().is_ok());
    for bad in [row("meta", "", json!({})), row("link", " ", link), row("asset", "A2", json!({"asset": 7}))] {
        assert!(bad.checked().is_err());
    }
}
