//! When a kind of request waits, and when its records are blamed instead.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_model::ids::{AssetId, DeviceId};
use amfj_sync_model::messages::{Change, Edit, Ending, Outcome, Sequence};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

const FORBIDDEN: Cause = Cause::Refused(403);
const CONFLICT: Cause = Cause::Refused(409);
const SECOND: Duration = Duration::from_secs(1);

fn key(number: usize) -> Key {
    Key::Device(DeviceId::new(number.to_string()).expect("not blank"))
}

/// A ledger with a clock.
struct World {
    ledger: Ledger,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self { ledger: Ledger::default(), now: Instant::now() }
    }

    fn succeed(&mut self, times: usize) {
        for _ in 0..times {
            self.now += SECOND;
            self.ledger.succeeded(&key(usize::MAX), true, self.now);
        }
    }

    /// Refuses these keys for the first time.
    fn refuse(&mut self, keys: std::ops::Range<usize>, cause: Cause) {
        for number in keys {
            self.now += SECOND;
            self.ledger.refused(&key(number), cause, self.now, false);
        }
    }

    fn suspicion(&self) -> Option<Cause> {
        self.ledger.suspicion(self.now)
    }

    fn wait(&mut self) {
        let cause = self.suspicion().expect("a suspicion");
        self.ledger.wait(cause, "403".into(), SECOND, self.now, Timestamp::now());
    }
}

/// What was carried out is told to other workers in these words.
#[test]
fn outcomes_and_reports_have_the_same_words_for_each_kind() {
    let asset = AssetId::new("A1").unwrap();
    let change = Change {
        key: key(1),
        label: "Mac".into(),
        serial: "S1".into(),
        serials: Vec::new(),
        action: Action::BreakLink { asset },
    };
    let accepted = |kind: &str, field: &str, new: Value| {
        let mut outcome = Outcome::of(Uuid::nil(), Sequence::first(1), &change, Ending::Applied);
        outcome.kind = kind.into();
        outcome.edits = BTreeMap::from([(field.to_owned(), Edit { old: json!("before"), new })]);
        outcome.accepted()
    };
    let kinds = [
        accepted("create-asset", "OS", json!("14")),
        accepted("update-asset", "OS", json!("14")),
        accepted("create-user", "Team", json!("IT")),
        accepted("update-user", "Team", json!("IT")),
        accepted("assign", Outcome::HOLDER, json!("Sam")),
        accepted("assign", Outcome::HOLDER, Value::Null),
    ];
    let words: BTreeSet<_> = kinds.into_iter().flatten().collect();
    assert_eq!(words, RequestKind::ALL.iter().map(|kind| kind.as_str()).collect());
    assert_eq!(accepted("break-link", "OS", json!("14")), None);
}

#[test]
fn a_kind_that_never_succeeded_is_suspected_with_the_third_record() {
    let mut world = World::new();
    world.refuse(0..2, FORBIDDEN);
    world.refuse(0..2, FORBIDDEN);
    assert_eq!(world.suspicion(), None, "the same two records");
    world.refuse(2..3, FORBIDDEN);
    assert_eq!(world.suspicion(), Some(FORBIDDEN));
}

#[test]
fn one_that_succeeded_needs_more_and_one_that_did_long_ago_does_not() {
    let mut world = World::new();
    world.succeed(50);
    world.refuse(0..5, FORBIDDEN);
    assert_eq!(world.suspicion(), None);
    world.refuse(5..6, FORBIDDEN);
    assert_eq!(world.suspicion(), Some(FORBIDDEN));
    let mut world = World::new();
    world.succeed(50);
    world.now += LONG_AGO;
    world.refuse(0..3, FORBIDDEN);
    assert_eq!(world.suspicion(), Some(FORBIDDEN));
}

#[test]
fn records_that_were_refused_while_others_succeeded_are_bad_themselves() {
    let mut world = World::new();
    let first = world.now;
    for number in 0..40 {
        world.ledger.refused(&key(number), FORBIDDEN, first, false);
        world.succeed(1);
    }
    for number in 0..40 {
        world.now += SECOND;
        world.ledger.refused(&key(number), FORBIDDEN, first, false);
    }
    assert_eq!(world.suspicion(), None, "nothing healthy is left, and nothing new was refused");
}

/// What a worker that was started anew meets: nothing healthy is left, and it has seen none succeed.
#[test]
fn records_that_another_worker_was_refused_before_others_succeeded_are_bad_themselves() {
    let mut world = World::new();
    for number in 0..40 {
        world.now += SECOND;
        world.ledger.refused(&key(number), FORBIDDEN, world.now, true);
    }
    assert_eq!(world.suspicion(), None);
    world.refuse(40..43, FORBIDDEN);
    assert_eq!(world.suspicion(), Some(FORBIDDEN), "what is new says as much as ever");
}

/// What a hand-over finds out that asks first: AMFJ answers about the asset, and no longer about the permission.
#[test]
fn a_kind_waits_no_longer_once_it_is_refused_for_another_reason() {
    let mut world = World::new();
    world.refuse(0..3, FORBIDDEN);
    world.wait();
    for same in [FORBIDDEN, Cause::Refused(451), Cause::Failed] {
        assert!(!world.ledger.is_otherwise(same), "{same:?}");
        assert!(!world.ledger.refused_otherwise(same, world.now));
        assert!(world.ledger.waiting().is_some());
    }
    assert!(world.ledger.refused_otherwise(CONFLICT, world.now));
    assert!(world.ledger.waiting().is_none());
    assert!(world.ledger.is_otherwise(CONFLICT), "also where it does not wait any more");
    assert!(!world.ledger.refused_otherwise(CONFLICT, world.now));
}

#[test]
fn different_refusals_do_not_add_up_but_all_ways_to_fail_are_one() {
    let mut world = World::new();
    world.refuse(0..2, FORBIDDEN);
    world.refuse(2..4, CONFLICT);
    world.refuse(4..6, Cause::Failed);
    assert_eq!(world.suspicion(), None);
    world.refuse(6..7, Cause::Failed);
    assert_eq!(world.suspicion(), None, "three of seven");
    world.refuse(7..9, Cause::Failed);
    assert_eq!(world.suspicion(), Some(Cause::Failed), "five of nine");
}

/// A record that is known to be refused says nothing about its kind, also when another change of it is refused.
#[test]
fn records_that_were_refused_before_are_no_evidence_until_they_are_accepted() {
    let mut world = World::new();
    world.refuse(0..20, FORBIDDEN);
    world.succeed(50);
    world.refuse(0..20, FORBIDDEN);
    assert_eq!(world.suspicion(), None);
    for number in 0..20 {
        world.ledger.succeeded(&key(number), false, world.now);
    }
    world.refuse(0..20, FORBIDDEN);
    assert_eq!(world.suspicion(), Some(FORBIDDEN));
}

/// The last changes of a run that are refused, each in its own way.
#[test]
fn a_kind_is_not_blamed_where_its_records_are_refused_in_many_ways() {
    let mut world = World::new();
    world.succeed(80);
    for number in 0..40 {
        let causes = [FORBIDDEN, CONFLICT, Cause::Refused(422), Cause::Failed, Cause::Refused(423)];
        world.refuse(number..number + 1, causes[number % 5]);
    }
    assert_eq!(world.suspicion(), None);
}

/// Where one record was refused before and after another was accepted, the refusal is one that records get.
#[test]
fn few_records_are_blamed_in_the_end_where_such_a_refusal_was_about_a_record_before() {
    for proven in [false, true] {
        let mut world = World::new();
        let before = world.now;
        world.refuse(90..91, FORBIDDEN);
        world.succeed(50);
        if proven {
            world.ledger.refused(&key(90), FORBIDDEN, before, false);
        }
        world.refuse(0..6, FORBIDDEN);
        world.wait();
        let acquitted = (0..TRIALS).any(|_| world.ledger.trial_failed(false, SECOND, world.now));
        assert_eq!(acquitted, proven);
    }
}

/// Where a third of all records are bad, some in a row are bad by chance.
#[test]
fn the_more_records_are_bad_anyway_the_more_in_a_row_it_takes() {
    let mut world = World::new();
    for number in 0..60 {
        world.refuse(number * 10..number * 10 + 1, FORBIDDEN);
        world.succeed(2);
    }
    world.refuse(1000..1007, FORBIDDEN);
    assert_eq!(world.suspicion(), None);
    world.refuse(1007..1012, FORBIDDEN);
    assert_eq!(world.suspicion(), Some(FORBIDDEN));
}

#[test]
fn the_first_trial_is_at_once_the_pauses_grow_and_a_success_opens_it() {
    let mut world = World::new();
    world.refuse(0..3, FORBIDDEN);
    world.wait();
    let longest = SECOND * 8;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let next = world.ledger.waiting().expect("it waits").next;
        pauses.push(next.saturating_duration_since(world.now));
        world.now = world.now.max(next);
        assert!(!world.ledger.trial_failed(true, longest, world.now));
    }
    assert_eq!(pauses[..3], [Duration::ZERO, SECOND, SECOND * 3 / 2]);
    assert_eq!(pauses[9], longest);
    assert_eq!(world.suspicion(), None, "it is no suspicion any more");
    assert!(world.ledger.succeeded(&key(0), false, world.now));
    assert!(world.ledger.waiting().is_none());
}

/// 13 records that always fail, at the end of a fleet of 40: they end, although nothing is left that could succeed.
#[test]
fn a_few_bad_records_at_the_end_are_blamed_themselves() {
    for (cause, blamed) in [(CONFLICT, true), (Cause::Failed, true), (FORBIDDEN, false)] {
        let mut world = World::new();
        world.succeed(27);
        world.refuse(0..13, cause);
        world.wait();
        assert!(!world.ledger.trial_failed(true, SECOND, world.now), "something is left to be tried");
        assert!(!world.ledger.trial_failed(true, SECOND, world.now));
        assert_eq!(world.ledger.trial_failed(false, SECOND, world.now), blamed, "{cause:?}");
        assert_eq!(world.ledger.waiting().is_none(), blamed, "{cause:?}");
        world.refuse(0..0, cause);
        assert_eq!(world.suspicion(), None, "{cause:?}");
    }
}

#[test]
fn a_kind_that_never_succeeded_waits_however_few_there_are() {
    let mut world = World::new();
    world.refuse(0..4, Cause::Failed);
    world.wait();
    for _ in 0..5 {
        assert!(!world.ledger.trial_failed(false, SECOND, world.now));
    }
    assert!(world.ledger.waiting().is_some());
}
