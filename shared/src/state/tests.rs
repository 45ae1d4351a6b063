//! What facts do to a view: the age rule, inventory in one step, first facts win, checkpoints.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::checkpoint::{Copying, Found, Loading, Search, outline};
use super::rows::Open;
use super::view::{row_key, table};
use super::*;
use crate::amfj::{Asset, Named, Source, UserRecord};
use crate::ids::{AssetId, DeviceId, IntegrationId, KandjiUserId, Key, RecordId, UserKey};
use crate::messages::*;
use crate::names::NameKey;

mod indexes;
mod retries;
mod shared_offsets;

const LIST_DELAY: SignedDuration = SignedDuration::from_secs(60);

/// Facts with offsets and a clock that the test moves.
struct Stream {
    view: View,
    facts: Vec<(u64, Event)>,
    now: Timestamp,
}

impl Stream {
    fn new() -> Self {
        Self::into(View::in_memory(Some("Serial Number")))
    }

    fn into(view: View) -> Self {
        let now = "2026-11-23T12:00:00Z".parse().expect("a time stamp");
        let mut stream = Self { view, facts: Vec::new(), now };
        let opened = Fact::StreamOpened { stream: Uuid::nil(), format: FORMAT, partitions: 1 };
        assert_eq!(stream.say(opened), Verdict::Accepted);
        stream
    }

    /// What somebody says now.
    fn event(&self, fact: Fact) -> Event {
        let origin = Origin {
            source: "test/1".into(),
            integration: IntegrationId::new("acme").expect("not blank"),
            run: None,
            sequence: None,
            traceparent: None,
        };
        Event::fact(&origin, self.now, fact)
    }

    fn say(&mut self, fact: Fact) -> Verdict {
        let offset = self.facts.len() as u64;
        let event = self.event(fact);
        self.facts.push((offset, event.clone()));
        self.view.apply(&[(offset, event)]).expect("memory does not fail").swap_remove(0)
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn start(&mut self, number: u64) -> Verdict {
        let started = RunStarted {
            number,
            leader: "fetcher/1".into(),
            at: self.now,
            first_sync: !self.view.meta().first_sync_over,
            applies_to_all: true,
            auto_checkout: true,
            list_delay_ms: 60_000,
        };
        self.say(Fact::RunStarted(started))
    }

    fn complete(&mut self, number: u64) -> Verdict {
        self.say(Fact::InventoryComplete { number, counts: InventoryCounts::default() })
    }

    fn name(&self) -> Option<String> {
        self.view.asset(&asset_id()).map(|row| row.asset.name)
    }
}

fn asset_id() -> AssetId {
    AssetId::new("A1").expect("not blank")
}

fn device_id(id: &str) -> DeviceId {
    DeviceId::new(id).expect("not blank")
}

fn asset(name: &str) -> Asset {
    Asset {
        id: asset_id(),
        name: name.into(),
        asset_type: Named { id: "T1".into(), name: "Laptop".into() },
        location: None,
        fields: BTreeMap::from([("Serial Number".into(), json!(" C02X "))]),
        checked_out_to: None,
        created_at: None,
    }
}

fn record() -> UserRecord {
    UserRecord {
        id: RecordId::new("U1").expect("not blank"),
        name: "Sam Okafor".into(),
        email: Some("Sam@Example.com ".into()),
        source: Source::Local,
        fields: BTreeMap::new(),
    }
}

fn device(id: &str, name: &str) -> DeviceEntry {
    DeviceEntry {
        device_id: device_id(id),
        name: name.into(),
        serial: format!("SERIAL-{id}"),
        platform: "Mac".into(),
        user: PrimaryUser::Nobody,
        in_scope: true,
        removed: false,
        values: BTreeMap::new(),
        details: None,
    }
}

/// An outcome about a device; `step` gives it its place and its id.
fn outcome(device: &str, step: u32) -> Outcome {
    Outcome {
        change: Uuid::from_u128(u128::from(step) + 1),
        sequence: Sequence { run: 1, step },
        key: Key::Device(device_id(device)),
        label: device.into(),
        kind: "update-asset".into(),
        ending: Ending::Applied,
        action: None,
        attempts: 1,
        replay: None,
        uncertain: false,
        asset: None,
        asset_deleted: None,
        record: None,
        link: None,
        user_link: None,
        settled: None,
        edits: BTreeMap::new(),
        found_holder: None,
        refused: BTreeMap::new(),
    }
}

fn link(device: &str, step: u32, asset: &AssetId) -> Fact {
    let link = LinkOutcome::Linked { asset: asset.clone(), rule: Rule::Name, takes_over: None };
    Fact::Ended(Box::new(Outcome { link: Some(link), ..outcome(device, step) }))
}

fn wrote(step: u32, name: &str) -> Fact {
    Fact::Ended(Box::new(Outcome { asset: Some(asset(name)), ..outcome("d", step) }))
}

fn listed(number: u64, name: &str) -> Fact {
    Fact::AssetListed { number, asset: asset(name) }
}

#[test]
fn the_first_announcement_of_a_run_wins_and_numbers_only_grow() {
    let mut stream = Stream::new();
    assert_eq!(stream.start(5), Verdict::Accepted);
    assert!(matches!(stream.start(5), Verdict::Rejected(_)), "another leader, the same number");
    assert!(matches!(stream.start(4), Verdict::Rejected(_)), "a late one");
    assert_eq!(stream.start(6), Verdict::Accepted);
}

#[test]
fn the_inventory_takes_effect_in_one_step_at_its_marker() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.say(Fact::DeviceListed { number: 1, device: device("d", "Mac") });
    let key = NameKey::of("mac").expect("not blank");
    assert_eq!(stream.name(), None);
    assert!(stream.view.devices_named(&key).is_empty());
    assert_eq!(stream.complete(1), Verdict::Accepted);
    assert_eq!(stream.name().as_deref(), Some("Mac"));
    assert_eq!(stream.view.assets_named(&key), [asset_id()]);
    assert_eq!(stream.view.assets_with_serial("c02x"), [asset_id()]);
    assert_eq!(stream.view.devices_named(&key), [device_id("d")]);
    assert_eq!(stream.view.devices_with_serial("serial-D"), [device_id("d")]);
}

#[test]
fn p2_what_a_run_staged_that_did_not_complete_never_takes_effect() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "half read"));
    stream.start(2);
    assert!(matches!(stream.complete(1), Verdict::Rejected(_)), "the newer run fences the older");
    assert!(matches!(stream.say(listed(1, "late")), Verdict::Rejected(_)));
    stream.complete(2);
    assert_eq!(stream.name(), None);
}

#[test]
fn the_age_rule_keeps_the_later_of_list_and_outcome() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "first"));
    stream.complete(1);
    stream.pass(3600);
    stream.start(2);
    stream.say(wrote(1, "written while the list was read"));
    stream.say(listed(2, "read before it was written"));
    stream.complete(2);
    assert_eq!(stream.name().as_deref(), Some("written while the list was read"));
    stream.pass(30);
    stream.start(3);
    stream.say(listed(3, "still without the write"));
    stream.complete(3);
    assert_eq!(stream.name().as_deref(), Some("written while the list was read"), "within the list delay");
    stream.pass(3600);
    stream.start(4);
    stream.say(listed(4, "changed by hand"));
    stream.complete(4);
    assert_eq!(stream.name().as_deref(), Some("changed by hand"));
}

#[test]
fn the_age_rule_holds_when_a_clock_is_set_back() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.pass(-7200);
    stream.say(wrote(1, "written while the list was read"));
    stream.say(listed(1, "read before it was written"));
    stream.complete(1);
    assert_eq!(stream.name().as_deref(), Some("written while the list was read"));
}

#[test]
fn absence_removes_only_what_is_older_than_the_list() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(wrote(1, "created meanwhile"));
    stream.say(Fact::AssetAbsent { number: 1, asset: asset_id() });
    stream.complete(1);
    assert!(stream.name().is_some());
    stream.pass(3600);
    stream.start(2);
    stream.say(Fact::AssetAbsent { number: 2, asset: asset_id() });
    stream.complete(2);
    assert!(stream.name().is_none());
    assert!(stream.view.assets_named(&NameKey::of("created meanwhile").expect("not blank")).is_empty());
}

#[test]
fn p11_a_user_record_is_deleted_after_two_complete_lists_without_it() {
    let mut stream = Stream::new();
    let id = record().id;
    let absent = |number| Fact::RecordAbsent { number, record: record().id };
    stream.start(1);
    stream.say(Fact::RecordListed { number: 1, record: record() });
    stream.complete(1);
    assert_eq!(stream.view.records_with_email("sam@example.com"), std::slice::from_ref(&id));
    for (number, present) in [(2, true), (3, false)] {
        stream.pass(3600);
        stream.start(number);
        stream.say(absent(number));
        stream.complete(number);
        assert_eq!(stream.view.record(&id).is_some(), present, "after run {number}");
    }
    assert!(stream.view.records_with_email("sam@example.com").is_empty());
}

#[test]
fn p4_the_first_link_of_an_asset_stands() {
    let mut stream = Stream::new();
    stream.say(link("one", 1, &asset_id()));
    stream.say(link("two", 2, &asset_id()));
    assert_eq!(stream.view.linked_device(&asset_id()), Some(device_id("one")));
    assert_eq!(stream.view.link(&device_id("two")), None);
}

#[test]
fn p9_a_re_enrolled_device_takes_the_link_and_the_settled_user() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(link("old", 1, &asset_id()));
    let settled = Settled { primary: Some(record().id) };
    stream.say(Fact::Ended(Box::new(Outcome { settled: Some(settled), ..outcome("old", 2) })));
    let link =
        LinkOutcome::Linked { asset: asset_id(), rule: Rule::Reenrolled, takes_over: Some(device_id("old")) };
    stream.say(Fact::Ended(Box::new(Outcome { link: Some(link), ..outcome("new", 3) })));
    assert_eq!(stream.view.linked_device(&asset_id()), Some(device_id("new")));
    assert_eq!(stream.view.link(&device_id("old")), None);
    let memory = stream.view.memory(&Key::Device(device_id("new")));
    assert_eq!(memory.settled.and_then(|settled| settled.primary), Some(record().id));
}

#[test]
fn an_answer_that_comes_twice_or_too_late_changes_nothing() {
    let mut stream = Stream::new();
    stream.say(wrote(2, "second"));
    assert!(matches!(stream.say(wrote(2, "second again")), Verdict::Rejected(_)));
    assert!(matches!(stream.say(wrote(1, "first, late")), Verdict::Rejected(_)));
    assert_eq!(stream.name().as_deref(), Some("second"));
}

#[test]
fn p20_switching_auto_checkout_off_forgets_the_settled_users() {
    let mut stream = Stream::new();
    let key = Key::Device(device_id("d"));
    let settled = Settled { primary: Some(record().id) };
    stream.say(Fact::Ended(Box::new(Outcome { settled: Some(settled), ..outcome("d", 1) })));
    assert!(stream.view.memory(&key).settled.is_some());
    let off = RunStarted {
        number: 9,
        leader: "fetcher/1".into(),
        at: stream.now,
        first_sync: false,
        applies_to_all: true,
        auto_checkout: false,
        list_delay_ms: 0,
    };
    stream.say(Fact::RunStarted(off));
    assert!(stream.view.memory(&key).settled.is_none());
}

#[test]
fn p5_the_first_sync_ends_when_every_partition_decided_a_complete_run_that_applies() {
    let mut stream = Stream::new();
    let decided = |number, complete| Fact::PartitionDecided { number, partition: 0, complete, staged: 0 };
    stream.start(1);
    stream.complete(1);
    stream.say(decided(1, false));
    assert!(!stream.view.meta().first_sync_over, "a partition was overtaken");
    stream.say(decided(1, true));
    assert!(stream.view.meta().first_sync_over);
    let order = PersonDecision { by: "sam".into(), order: Order::Rematch };
    stream.say(Fact::PersonDecided { token: Uuid::nil(), decision: order });
    assert!(!stream.view.meta().first_sync_over, "a person asked for a first sync");
}

#[test]
fn claims_stand_in_the_order_of_the_stream_until_they_are_answered() {
    let mut stream = Stream::new();
    let intent = |worker: &str, step: u32| Intent {
        change: outcome("d", step).change,
        key: Key::Device(device_id(worker)),
        asset: Some(asset_id()),
        record: None,
        users: Vec::new(),
        worker: worker.into(),
        at: Timestamp::UNIX_EPOCH,
    };
    stream.say(Fact::Intended(intent("w1", 1)));
    stream.say(Fact::Intended(intent("w2", 2)));
    stream.say(Fact::Intended(intent("w1", 1)));
    let workers = |view: &View| -> Vec<String> {
        view.claims("asset/A1").into_iter().map(|row| row.intent.worker).collect()
    };
    assert_eq!(workers(&stream.view), ["w1", "w2"], "a claim said twice keeps its first place");
    stream.say(Fact::Ended(Box::new(outcome("w1", 1))));
    assert_eq!(workers(&stream.view), ["w2"]);
}

#[test]
fn a_person_links_only_what_is_there_and_free() {
    let mut stream = Stream::new();
    let order = |order| Fact::PersonDecided {
        token: Uuid::new_v4(),
        decision: PersonDecision { by: "sam".into(), order },
    };
    let link_by_hand = |device: &str| order(Order::Link { device: device_id(device), asset: asset_id() });
    assert!(matches!(stream.say(link_by_hand("d")), Verdict::Rejected(_)), "no such asset");
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    assert_eq!(stream.say(link_by_hand("d")), Verdict::Accepted);
    assert_eq!(stream.view.person("device/d").map(|row| row.decision.by), Some("sam".to_owned()));
    assert!(!stream.view.is_unlinked_by_person(&device_id("d")));
    assert!(matches!(stream.say(link_by_hand("e")), Verdict::Rejected(_)), "linked to another");
    stream.say(order(Order::Unlink { device: device_id("d") }));
    assert!(stream.view.is_unlinked_by_person(&device_id("d")));
    assert_eq!(stream.view.link(&device_id("d")), None);
    stream.say(link_by_hand("d"));
    assert!(!stream.view.is_unlinked_by_person(&device_id("d")), "linking takes the refusal back");
}

#[test]
fn a_view_reads_on_from_where_it_was_and_passes_over_what_it_has() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    let before = rows(&stream.view);
    let facts = stream.facts.clone();
    let verdicts = stream.view.apply(&facts).expect("memory does not fail");
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Rejected(_))));
    assert_eq!(rows(&stream.view), before);
}

/// All rows; those that are piled one after the other, since which pile they are on depends on what came together.
fn rows(view: &View) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    let staged = row_key(table::STAGED, "");
    let mut number = 0_usize;
    view.store
        .scan(b"", &mut |key, value| {
            if key.starts_with(&staged) {
                let piled: Vec<serde_json::Value> = coding::decode(value).expect("a list");
                for one in piled {
                    rows.insert(row_key(table::STAGED, &number.to_string()), coding::encode(&one));
                    number += 1;
                }
            } else {
                rows.insert(key.to_vec(), value.to_vec());
            }
            true
        })
        .expect("memory does not fail");
    rows
}

/// The facts of a checkpoint.
fn copy_of(view: &View) -> Vec<Fact> {
    let mut copying = Copying::of(view).expect("something was read");
    let mut facts = copying.begin(view);
    loop {
        let step = copying.step(view).expect("memory does not fail");
        if step.is_empty() {
            break;
        }
        facts.extend(step);
    }
    facts.push(copying.end());
    facts
}

fn find(facts: &[Fact]) -> Option<Found> {
    find_from(1_000_000, facts)
}

/// What is found where the first of the facts is at that offset.
fn find_from(first: u64, facts: &[Fact]) -> Option<Found> {
    let mut search = Search::default();
    for (offset, fact) in (first..).zip(facts) {
        search.look_at(offset, &serde_json::value::to_raw_value(fact).expect("facts are JSON"));
    }
    search.found()
}

/// A view that a checkpoint was loaded into; none while parts are missing.
fn load(found: Found, facts: Vec<Fact>) -> Option<View> {
    load_into(View::in_memory(Some("Serial Number")), found, facts)
}

fn load_into(mut view: View, found: Found, facts: Vec<Fact>) -> Option<View> {
    let mut loading = Loading::begin(&mut view, found).expect("memory does not fail");
    for fact in facts {
        if loading.take(&mut view, fact).expect("memory does not fail") {
            loading.end(&mut view).expect("memory does not fail");
            return Some(view);
        }
    }
    None
}

/// A decision that waits for a user, asks for a change, keeps it staged, as the bits of `waits` say.
fn decision(device: &str, run: u64, waits: u8) -> Decision {
    let key = Key::Device(device_id(device));
    let change = Change {
        key: key.clone(),
        label: device.into(),
        serial: String::new(),
        serials: Vec::new(),
        action: Action::BreakLink { asset: asset_id() },
    };
    let decided = Decided {
        id: Uuid::nil(),
        sequence: Sequence::first(run),
        published: None,
        staged: waits & 4 != 0,
        change,
    };
    Decision {
        key,
        snapshot: Sequence::first(run),
        state: if waits == 0 { crate::messages::State::InSync } else { crate::messages::State::Pending },
        reason: "Because.".into(),
        asset: None,
        record: None,
        rule: None,
        candidates: Vec::new(),
        field_problems: BTreeMap::new(),
        warnings: Vec::new(),
        failed: Vec::new(),
        awaits: (waits & 1 != 0).then(|| UserKey::new("sam@example.com").expect("not blank")),
        changes: if waits & 6 == 0 { Vec::new() } else { vec![decided] },
    }
}

/// A worker that lost its partition publishes what it had decided before that, after another one has decided a newer
/// snapshot.
#[test]
fn a_late_decision_about_an_older_snapshot_changes_nothing() {
    let mut stream = Stream::new();
    let newer = decision("a", 2, 1);
    assert_eq!(stream.say(Fact::Decided(Box::new(newer.clone()))), Verdict::Accepted);
    let late = stream.say(Fact::Decided(Box::new(decision("a", 1, 6))));
    assert!(matches!(late, Verdict::Rejected(_)), "{late:?}");
    let key = Key::Device(device_id("a"));
    assert_eq!(stream.view.decision(&key), Some(newer));
    // The same snapshot may be decided again, on facts that came since.
    assert_eq!(stream.say(Fact::Decided(Box::new(decision("a", 2, 0)))), Verdict::Accepted);
    assert_eq!(stream.view.decision(&key).map(|decision| decision.awaits), Some(None));
}

/// One step of a random history of one asset and a few devices.
#[derive(Debug, Clone)]
enum Step {
    Pass(i64),
    Start,
    List(u8),
    Absent,
    Complete,
    Write(u8),
    Link(u8),
    Person(u8),
    /// A device is listed, or missing.
    Device(u8, bool),
    /// What a decision waits for.
    Decide(u8, u8),
    Checkpoint,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0_i64..120).prop_map(Step::Pass),
        3 => Just(Step::Start),
        3 => any::<u8>().prop_map(Step::List),
        1 => Just(Step::Absent),
        3 => Just(Step::Complete),
        3 => any::<u8>().prop_map(Step::Write),
        1 => (0_u8..3).prop_map(Step::Link),
        1 => (0_u8..3).prop_map(Step::Person),
        2 => (0_u8..3, any::<bool>()).prop_map(|(device, listed)| Step::Device(device, listed)),
        2 => (0_u8..3, 0_u8..8).prop_map(|(device, waits)| Step::Decide(device, waits)),
        1 => Just(Step::Checkpoint),
    ];
    prop::collection::vec(step, 0..40)
}

/// The age rule once more, in the plainest words: what the asset is called after a history.
#[derive(Default)]
struct Oracle {
    name: Option<String>,
    written: Option<(usize, Timestamp)>,
    run: Option<(usize, Timestamp)>,
    staged: Vec<Option<String>>,
}

impl Oracle {
    fn complete(&mut self) {
        let Some((started, at)) = self.run else { return };
        for read in std::mem::take(&mut self.staged) {
            let later = self
                .written
                .is_some_and(|(place, time)| place > started || at.duration_since(time) < LIST_DELAY);
            if !(later && self.name.is_some()) {
                self.name = read;
                self.written = None;
            }
        }
    }
}

fn play(steps: &[Step]) -> (Stream, Oracle, Vec<Fact>) {
    let mut stream = Stream::new();
    let mut oracle = Oracle::default();
    let mut checkpoints = Vec::new();
    let mut number = 0;
    for (place, step) in steps.iter().enumerate() {
        let sequence = u32::try_from(place).expect("few steps");
        match step {
            Step::Pass(seconds) => stream.pass(*seconds),
            Step::Start => {
                number += 1;
                stream.start(number);
                oracle.run = Some((place, stream.now));
                oracle.staged.clear();
            }
            Step::List(name) => {
                stream.say(listed(number, &name.to_string()));
                if number > 0 {
                    oracle.staged.push(Some(name.to_string()));
                }
            }
            Step::Absent => {
                stream.say(Fact::AssetAbsent { number, asset: asset_id() });
                if number > 0 {
                    oracle.staged.push(None);
                }
            }
            Step::Complete => {
                stream.complete(number);
                oracle.complete();
            }
            Step::Write(name) => {
                stream.say(wrote(sequence, &name.to_string()));
                oracle.name = Some(name.to_string());
                oracle.written = Some((place, stream.now));
            }
            Step::Link(device) => {
                stream.say(link(&format!("device-{device}"), sequence, &asset_id()));
            }
            Step::Person(device) => {
                let order = Order::Unlink { device: device_id(&format!("device-{device}")) };
                let decision = PersonDecision { by: "sam".into(), order };
                stream.say(Fact::PersonDecided { token: Uuid::from_u128(place as u128), decision });
            }
            Step::Device(id, true) => {
                let device = device(&format!("device-{id}"), &format!("Mac {id}"));
                stream.say(Fact::DeviceListed { number, device });
            }
            Step::Device(id, false) => {
                let device = device_id(&format!("device-{id}"));
                stream.say(Fact::DeviceMissing { number, device, absence: Absence::Unknown });
            }
            Step::Decide(id, waits) => {
                let decision = decision(&format!("device-{id}"), number, *waits);
                stream.say(Fact::Decided(Box::new(decision)));
            }
            Step::Checkpoint => {
                checkpoints = copy_of(&stream.view);
                for fact in checkpoints.clone() {
                    stream.say(fact);
                }
            }
        }
    }
    (stream, oracle, checkpoints)
}

proptest! {
    /// Any interleaving of lists, outcomes and checkpoints gives what the age rule says.
    #[test]
    fn the_view_is_what_the_age_rule_says(steps in steps()) {
        let (stream, oracle, _) = play(&steps);
        prop_assert_eq!(stream.name(), oracle.name);
    }

    /// A reader that starts from a checkpoint ends where a reader of everything does.
    #[test]
    fn a_checkpoint_and_the_rest_give_the_same_view(steps in steps()) {
        let (stream, _, checkpoints) = play(&steps);
        if let Some(found) = find(&checkpoints) {
            let from = found.as_of;
            let mut late = load(found, checkpoints).expect("the checkpoint is complete");
            let rest: Vec<_> = stream.facts.iter().filter(|(offset, _)| *offset > from).cloned().collect();
            late.apply(&rest).expect("memory does not fail");
            prop_assert_eq!(rows(&late), rows(&stream.view));
        }
    }

    /// What is looked up is what going through everything finds.
    #[test]
    fn indexes_and_counts_are_those_of_the_rows(steps in steps()) {
        let (stream, _, _) = play(&steps);
        let view = &stream.view;
        let (mut missing, mut devices) = (Vec::new(), BTreeMap::new());
        view.each_device(&mut |row| {
            missing.extend((!row.is_listed()).then(|| row.entry.device_id.clone()));
            true
        });
        prop_assert_eq!(view.missing_devices(), missing);
        let mut open: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
        let mut note = |of: Open, is: bool, key: &Key| {
            open.entry(of.as_str()).or_default().extend(is.then(|| key.clone()));
        };
        view.each_decision(&mut |decision| {
            *devices.entry(decision.state).or_insert(0) += 1;
            note(Open::Awaiting, decision.awaits.is_some(), &decision.key);
            note(Open::WithChanges, !decision.changes.is_empty(), &decision.key);
            note(Open::Staged, decision.changes.iter().any(|change| change.staged), &decision.key);
            true
        });
        for of in [Open::Awaiting, Open::WithChanges, Open::Staged] {
            prop_assert_eq!(view.open_decisions(of), open.get(of.as_str()).cloned().unwrap_or_default());
        }
        prop_assert_eq!(&view.meta().devices, &devices);
    }

    /// However many facts are applied at once, and in whichever store, the view is the same.
    #[test]
    fn chunks_and_stores_do_not_matter(steps in steps(), chunk in 1_usize..20) {
        let (stream, _, _) = play(&steps);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = DataDir::open(OnDisk::at(&folder.path().join("view"))).expect("an empty directory");
        let store = Box::new(dir.store("acme").expect("a tree"));
        let mut view = View::open(store, Indexes::All { serial_field: Some("Serial Number") }).expect("an empty view");
        for facts in stream.facts.chunks(chunk) {
            view.apply(facts).expect("sled does not fail");
        }
        prop_assert_eq!(rows(&view), rows(&stream.view));
    }

    /// No asset is ever linked to two devices (P4).
    #[test]
    fn p4_no_asset_is_linked_twice(steps in steps()) {
        let (stream, _, _) = play(&steps);
        let mut linked = Vec::new();
        stream.view.each_link(&mut |_, row| {
            linked.push(row.asset);
            true
        });
        prop_assert!(linked.len() <= 1, "{linked:?}");
    }
}

#[test]
fn a_directory_in_use_is_left_alone_and_a_broken_one_moved_aside() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("state");
    let first = DataDir::open(OnDisk::at(&path)).expect("an empty directory");
    let second = DataDir::open(OnDisk::at(&path)).expect("a directory beside it");
    assert_eq!(first.path(), path);
    assert_eq!(second.path(), folder.path().join("state.2"));
    drop((first, second));
    std::fs::write(path.join("conf"), "this is not sled's").expect("the file is written");
    let rebuilt = DataDir::open(OnDisk::at(&path)).expect("an empty directory in place of the broken one");
    assert_eq!(rebuilt.path(), path);
    let aside = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    assert!(aside.into_iter().any(|entry| entry.file_name().to_string_lossy().contains(".broken-")));
}

/// A large inventory and a large copy go in steps; every one of them counts.
#[test]
fn an_inventory_of_many_steps_takes_effect_whole() {
    const DEVICES: usize = 1_500;
    let mut stream = Stream::new();
    stream.start(1);
    for number in 0..DEVICES {
        let device = device(&format!("device-{number:04}"), &format!("Mac {number}"));
        stream.say(Fact::DeviceListed { number: 1, device });
    }
    let count = |view: &View| {
        let mut devices = 0;
        view.each_device_id(&mut |_| {
            devices += 1;
            true
        });
        devices
    };
    assert_eq!(count(&stream.view), 0, "staged");
    stream.complete(1);
    assert_eq!(count(&stream.view), DEVICES);
    let copy = copy_of(&stream.view);
    assert!(copy.len() > DEVICES / 200, "in {} facts", copy.len());
    let found = find(&copy).expect("a complete checkpoint");
    let mut short = copy.clone();
    short.remove(3);
    assert!(find(&short).is_none(), "without one part it is none");
    assert!(find_from(0, &copy).is_none(), "nor where it says that it copies what comes after it");
    assert!(
        find(&[copy[0].clone(), Fact::CheckpointEnded { checkpoint: found.checkpoint, parts: 0 }]).is_none()
    );
    assert!(load(found, short).is_none());
    assert_eq!(rows(&load(found, copy).expect("all parts")), rows(&stream.view));
    // What a run that nobody completed had staged is forgotten, however much it is.
    stream.start(2);
    for number in 0..DEVICES {
        let device = device_id(&format!("device-{number:04}"));
        stream.say(Fact::DeviceMissing { number: 2, device, absence: Absence::Unknown });
    }
    stream.start(3);
    stream.complete(3);
    assert!(stream.view.missing_devices().is_empty());
}

/// A row costs the store the same whatever is in it, so what comes together is kept together until it takes effect.
#[test]
fn facts_that_are_staged_at_the_same_time_share_rows() {
    const DEVICES: usize = 256;
    let mut stream = Stream::new();
    stream.start(1);
    let number = |at: usize| device(&format!("device-{at:04}"), &format!("Mac {at}"));
    let listed = |at| Fact::DeviceListed { number: 1, device: number(at) };
    let first = stream.facts.last().map_or(0, |(offset, _)| offset + 1);
    let facts: Vec<_> = (0..DEVICES).map(|at| (first + at as u64, stream.event(listed(at)))).collect();
    stream.view.apply(&facts).expect("memory does not fail");
    let mut staged = 0;
    let prefix = row_key(table::STAGED, "");
    let mut count = |_: &[u8], value: &[u8]| {
        assert!(value.len() < 8_192, "{} bytes in one row", value.len());
        staged += 1;
        true
    };
    stream.view.store.scan(&prefix, &mut count).expect("memory does not fail");
    assert!((2..=DEVICES / 4).contains(&staged), "{DEVICES} facts in {staged} rows");
    let end = first + DEVICES as u64;
    let counts = InventoryCounts::default();
    let complete = stream.event(Fact::InventoryComplete { number: 1, counts });
    stream.view.apply(&[(end, complete)]).expect("memory does not fail");
    let known = |at| stream.view.device(&number(at).device_id).is_some();
    assert!((0..DEVICES).all(known), "every device of every row");
    assert!(!rows(&stream.view).keys().any(|key| key.starts_with(&prefix)), "nothing is left");
}

/// Who has read the facts needs no copy of them, and a copy is large.
#[test]
fn a_copy_is_passed_over_without_its_rows() {
    let mut stream = Stream::new();
    stream.start(1);
    let outlined = |json: &[u8]| outline(&Glance::of(json).expect("an envelope"));
    for fact in copy_of(&stream.view) {
        let json = stream.event(fact.clone()).encode();
        let without = match fact {
            Fact::CheckpointRows { checkpoint, part, rows } => {
                assert!(!rows.is_empty());
                Fact::CheckpointRows { checkpoint, part, rows: BTreeMap::new() }
            }
            other => other,
        };
        assert_eq!(outlined(&json), Some(without));
        let later = String::from_utf8(json).expect("JSON").replace(".fact.v1", ".fact.v2");
        assert_eq!(outlined(later.as_bytes()), None, "another version is refused by its name");
    }
    let other = stream.event(Fact::MassChangesAllowed { number: 1 });
    assert_eq!(outlined(&other.encode()), None);
}

#[test]
fn user_links_are_found_from_both_sides() {
    let mut stream = Stream::new();
    let kandji_user = KandjiUserId::new("K1").expect("not blank");
    let user_link =
        UserLinkOutcome { record: record().id, rule: Rule::Created, ids: vec![kandji_user.clone()] };
    let created = Outcome { record: Some(record()), user_link: Some(user_link), ..outcome("d", 1) };
    stream.say(Fact::Ended(Box::new(created)));
    assert_eq!(stream.view.linked_users(&record().id), std::slice::from_ref(&kandji_user));
    assert_eq!(stream.view.user_link(&kandji_user).map(|link| link.record), Some(record().id));
    assert!(stream.view.record(&record().id).is_some_and(|row| row.ours));
}

#[test]
fn numbers_and_minutes_that_no_clock_shows_are_refused() {
    let mut stream = Stream::new();
    assert!(matches!(stream.start(u64::MAX), Verdict::Rejected(_)), "no run could come after it");
    let minute = |minute| Fact::KandjiRequests { minute, count: u32::MAX, token: Uuid::nil() };
    assert!(matches!(stream.say(minute(u64::MAX)), Verdict::Rejected(_)));
    assert_eq!(stream.say(minute(29_400_000)), Verdict::Accepted);
    assert_eq!(stream.start(1_764_000_000_000), Verdict::Accepted);
}
