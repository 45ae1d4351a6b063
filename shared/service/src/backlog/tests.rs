use amfj_sync_model::messages::RunStarted;
use jiff::Timestamp;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn run(decided: &[u16]) -> RunRow {
    RunRow {
        started: RunStarted {
            number: 1,
            leader: "fetcher/1".into(),
            at: at(0),
            first_sync: false,
            applies_to_all: true,
            auto_checkout: false,
            list_delay_ms: 0,
            judged: false,
            mapping: BTreeMap::new(),
        },
        offset: 1,
        counts: None,
        inventory_at: Some(at(10)),
        published_ms: None,
        decided: decided.iter().map(|partition| (*partition, true)).collect(),
        staged: BTreeMap::new(),
        amounts: BTreeMap::new(),
        allowed: true,
        failed: None,
        configuration: false,
        held: None,
    }
}

fn depths(stage: Stage, partitions: &[(u32, u32)]) -> Depths {
    let depth = |&(messages, consumers): &(u32, u32)| Depth { messages, consumers };
    let places = (0..).map(|partition| (stage, partition));
    Depths(places.zip(partitions.iter().map(depth)).collect())
}

#[test]
fn what_is_served_is_as_old_as_what_is_in_hand() {
    let run = run(&[]);
    let mut known = KnownTimes { in_force: Some(&run), ..KnownTimes::default() };
    let busy = depths(Stage::Reconcile, &[(7, 1), (0, 1)]);
    let elsewhere = busy.waiting(Stage::Reconcile, &known);
    assert_eq!(elsewhere, Waiting { messages: 7, served: 2, oldest: None }, "another worker knows");
    known.inflight.insert((Stage::Reconcile, 0), Some(at(40)));
    known.note_what_waits(&busy, at(60));
    assert_eq!(busy.waiting(Stage::Reconcile, &known).oldest, Some(at(40)));
    known.inflight.insert((Stage::Reconcile, 0), None);
    known.note_what_waits(&busy, at(60));
    known.note_what_waits(&busy, at(65));
    assert_eq!(busy.waiting(Stage::Reconcile, &known).oldest, Some(at(60)), "seen waiting, taken by nobody");
    let empty = depths(Stage::Reconcile, &[(0, 1), (0, 1)]);
    known.note_what_waits(&empty, at(70));
    assert_eq!(empty.waiting(Stage::Reconcile, &known), Waiting { messages: 0, served: 2, oldest: None });
}

#[test]
fn what_nobody_serves_has_waited_since_its_run() {
    let (undecided, decided) = (run(&[0]), run(&[0, 1]));
    let left = depths(Stage::Reconcile, &[(0, 0), (3, 0)]);
    let mut known = KnownTimes { in_force: Some(&undecided), ..KnownTimes::default() };
    known.note_what_waits(&left, at(100));
    assert_eq!(
        left.waiting(Stage::Reconcile, &known),
        Waiting { messages: 3, served: 0, oldest: Some(at(10)) }
    );
    let known = KnownTimes { in_force: Some(&decided), ..known };
    assert_eq!(left.waiting(Stage::Reconcile, &known).oldest, Some(at(100)), "a second snapshot of the run");
}

#[test]
fn a_change_waits_from_its_publishing_to_its_outcome_whoever_serves() {
    let known = KnownTimes { unanswered: Some(at(20)), ..KnownTimes::default() };
    for depths in [depths(Stage::Apply, &[(5, 0)]), depths(Stage::Apply, &[(0, 1)])] {
        assert_eq!(depths.waiting(Stage::Apply, &known).oldest, Some(at(20)));
    }
    let mut known = KnownTimes { inflight: [((Stage::Apply, 0), None)].into(), ..KnownTimes::default() };
    let replayed = depths(Stage::Apply, &[(2, 0)]);
    known.note_what_waits(&replayed, at(30));
    known.note_what_waits(&replayed, at(35));
    assert_eq!(
        replayed.waiting(Stage::Apply, &known).oldest,
        Some(at(30)),
        "replayed while the circuit is open"
    );
    assert_eq!(replayed.waiting(Stage::Reconcile, &known), Waiting::default());
}
