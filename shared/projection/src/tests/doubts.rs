//! What answers say and do not prove: deletions, and that a value was kept (P8, P15).

use serde_json::Value;

use super::*;
use crate::claims::Kept;

fn doubted(step: u32) -> Fact {
    let mut outcome = outcome("d", step);
    outcome.ending = Ending::Stale { reason: "not there".into() };
    outcome.asset_deleted = Some(asset_id());
    Fact::ChangeEnded(Box::new(outcome))
}

fn is_doubtful(stream: &Stream) -> bool {
    stream.view.asset(&asset_id()).expect("no answer to a write deletes a row").doubt.is_some()
}

fn absent(number: u64) -> Fact {
    Fact::AssetAbsent { number, asset: asset_id() }
}

#[test]
fn p8_no_answer_to_a_write_deletes_a_row_or_breaks_a_link() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    stream.say(link("d", 1, &asset_id()));
    stream.say(doubted(2));
    assert!(is_doubtful(&stream));
    assert_eq!(stream.view.linked_device(&asset_id()), Some(device_id("d")));
    let since = stream.view.asset(&asset_id()).and_then(|row| row.doubt).map(|doubt| doubt.since);
    stream.pass(60);
    stream.say(doubted(3));
    let again = stream.view.asset(&asset_id()).and_then(|row| row.doubt).map(|doubt| doubt.since);
    assert_eq!(since, again, "since the first time");
    stream.say(wrote(4, "Mac"));
    assert!(!is_doubtful(&stream), "an outcome shows it");
}

#[test]
fn p8_a_list_that_began_after_the_doubt_decides() {
    for name in ["Mac", "Renamed meanwhile"] {
        let mut stream = Stream::new();
        stream.start(1);
        stream.say(listed(1, "Mac"));
        stream.complete(1);
        stream.pass(3600);
        stream.start(2);
        stream.say(doubted(1));
        stream.say(listed(2, name));
        stream.complete(2);
        assert!(is_doubtful(&stream), "{name}: that list may have been read before");
        stream.pass(3600);
        stream.start(3);
        stream.say(listed(3, name));
        stream.complete(3);
        assert!(!is_doubtful(&stream), "{name}: it is there");
        stream.say(doubted(2));
        stream.pass(3600);
        stream.start(4);
        stream.say(absent(4));
        stream.complete(4);
        assert_eq!(stream.view.asset(&asset_id()), None, "missing from a list and by its id, in a run");
    }
}

#[test]
fn p8_a_list_ends_the_doubt_about_what_was_written_a_moment_ago() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    stream.say(wrote(1, "written"));
    stream.say(doubted(2));
    stream.pass(1);
    stream.start(2);
    stream.say(listed(2, "late"));
    stream.complete(2);
    assert_eq!((stream.name().as_deref(), is_doubtful(&stream)), (Some("written"), false));
}

#[test]
fn a_record_that_no_list_showed_is_found_once() {
    let mut stream = Stream::new();
    let brought = |step: u32| {
        let mut outcome = outcome("d", step);
        outcome.ending = Ending::Stale { reason: "looked".into() };
        outcome.asset = Some(asset("Mac"));
        outcome.record = Some(record());
        Fact::ChangeEnded(Box::new(outcome))
    };
    let found = |stream: &Stream| {
        let record = stream.view.record(&record().id).and_then(|row| row.found);
        (stream.view.asset(&asset_id()).and_then(|row| row.found), record)
    };
    stream.say(brought(1));
    let first = stream.view.meta().offset;
    assert_eq!(found(&stream), (first, first));
    stream.say(brought(2));
    assert_eq!(found(&stream), (first, first), "brought again it is not new");
    stream.pass(3600);
    stream.start(1);
    stream.say(Fact::AssetListed { number: 1, asset: Asset { name: "Mac 2".into(), ..asset("Mac") } });
    stream.complete(1);
    assert_eq!(found(&stream).0, None, "listed");
}

const FIELD: &str = "OS";

/// An AMFJ that answers one thing and lists another.
pub(super) struct Odd {
    pub(super) stream: Stream,
    run: u64,
    step: u32,
}

impl Odd {
    pub(super) fn new(value: &str) -> Self {
        let mut odd = Self { stream: Stream::new(), run: 0, step: 0 };
        odd.lists(value);
        odd
    }

    pub(super) fn asset(value: &str) -> Asset {
        Asset { fields: BTreeMap::from([(FIELD.to_owned(), json!(value))]), ..asset("Mac") }
    }

    pub(super) fn held(&self) -> Value {
        self.stream.view.asset(&asset_id()).expect("listed").asset.fields[FIELD].clone()
    }

    /// A run; only what differs is said.
    pub(super) fn lists(&mut self, value: &str) {
        self.run += 1;
        self.stream.pass(3600);
        self.stream.start(self.run);
        let asset = Self::asset(value);
        if self.stream.view.asset(&asset_id()).is_none_or(|row| row.asset != asset) {
            self.stream.say(Fact::AssetListed { number: self.run, asset });
        }
        self.stream.complete(self.run);
    }

    pub(super) fn wrote(&mut self, new: &str, answer: &str, fingerprint: Option<&str>) {
        self.step += 1;
        let mut outcome = outcome("d", self.step);
        outcome.edits = BTreeMap::from([(FIELD.to_owned(), Edit { old: self.held(), new: json!(new) })]);
        outcome.asset = Some(Self::asset(answer));
        let fingerprint = fingerprint.map(|text| (FIELD.to_owned(), text.to_owned()));
        outcome.fingerprints = fingerprint.into_iter().collect();
        self.stream.say(Fact::ChangeEnded(Box::new(outcome)));
    }

    /// What is known of a value that is wanted; none where it may be written like any other.
    fn kept_as(&self, wanted: &str, fingerprint: Option<&str>) -> Option<Kept> {
        let row = self.stream.view.asset(&asset_id()).expect("listed");
        let rematch = self.stream.view.meta().rematch;
        let against = row.claims.against(FIELD, &json!(wanted), rematch, fingerprint)?;
        Some(against.kept(&row.asset.fields[FIELD]))
    }

    pub(super) fn kept(&self, wanted: &str) -> Option<Kept> {
        self.kept_as(wanted, None)
    }
}

#[test]
fn p15_a_value_that_lists_do_not_show_is_sent_once_more_and_then_never_again() {
    let mut odd = Odd::new("14");
    odd.wrote("15", "15", None);
    odd.lists("14");
    assert_eq!(odd.kept("15"), Some(Kept::Unknown), "once more");
    odd.wrote("15", "15", None);
    odd.lists("14");
    assert_eq!(odd.kept("15"), Some(Kept::Not));
    odd.lists("14");
    odd.lists("14");
    assert_eq!(odd.kept("15"), Some(Kept::Not), "whatever comes later");
    assert_eq!(odd.kept("16"), None, "another value is another matter");
}

#[test]
fn p15_a_form_of_amfjs_own_is_remembered_and_other_values_are_differences() {
    let mut odd = Odd::new("14");
    for _ in 0..2 {
        odd.wrote("R&D", "R&D", None);
        odd.lists("R&amp;D");
    }
    assert_eq!(odd.kept("R&D"), Some(Kept::Otherwise));
    odd.lists("R&amp;D");
    odd.lists("by hand");
    assert_eq!(odd.kept("R&D"), Some(Kept::Unknown), "somebody changed it");
    odd.wrote("R&D", "R&D", None);
    odd.lists("R&amp;D");
    assert_eq!(odd.kept("R&D"), Some(Kept::Otherwise), "the form is still known");
}

#[test]
fn p15_a_form_that_the_answer_told_needs_no_second_write() {
    let mut odd = Odd::new("14");
    odd.wrote("R&D", "R&amp;D", None);
    odd.lists("R&amp;D");
    assert_eq!(odd.kept("R&D"), None);
    let memory = odd.stream.view.memory(&Key::Device(device_id("d")));
    assert_eq!(memory.stored[FIELD].stored, json!("R&amp;D"), "nor is it a difference");
}

#[test]
fn p3_an_amfj_that_lists_something_new_each_time_is_written_twice() {
    let mut odd = Odd::new("14");
    odd.wrote("15", "15", None);
    odd.lists("15 (1)");
    odd.wrote("15", "15", None);
    odd.lists("15 (2)");
    for time in 3..6 {
        odd.lists(&format!("15 ({time})"));
        assert_eq!(odd.kept("15"), Some(Kept::Not), "{time}");
    }
}

#[test]
fn p15_what_a_list_confirmed_and_somebody_changed_later_is_an_ordinary_difference() {
    let mut odd = Odd::new("14");
    odd.wrote("15", "15", None);
    odd.lists("15");
    odd.lists("by hand");
    assert_eq!(odd.kept("15"), None);
    odd.wrote("15", "15", None);
    odd.lists("14");
    assert_eq!(odd.kept("15"), Some(Kept::Unknown), "the count starts anew");
    odd.wrote("15", "15", None);
    odd.lists("15");
    odd.lists("by hand");
    assert_eq!(odd.kept("15"), None, "kept at the second time");
}

#[test]
fn p15_a_list_that_is_late_says_nothing() {
    let mut odd = Odd::new("14");
    odd.run += 1;
    let number = odd.run;
    odd.stream.pass(3600);
    odd.stream.start(number);
    odd.wrote("15", "15", None);
    odd.stream.say(Fact::AssetListed { number, asset: Odd::asset("14") });
    odd.stream.complete(number);
    assert_eq!((odd.held(), odd.kept("15")), (json!("15"), None));
}

#[test]
fn p15_a_value_that_was_not_taken_is_tried_again_when_the_field_was_mended_or_a_person_says_so() {
    let mut odd = Odd::new("14");
    odd.wrote("15", "15", None);
    odd.lists("14");
    odd.wrote("15", "15", Some("then"));
    odd.lists("14");
    assert_eq!(odd.kept_as("15", Some("then")), Some(Kept::Not));
    assert_eq!(odd.kept_as("15", Some("now")), None, "mended");
    odd.wrote("15", "15", Some("now"));
    odd.lists("14");
    assert_eq!(odd.kept_as("15", Some("now")), Some(Kept::Unknown));
    odd.wrote("15", "15", Some("now"));
    odd.lists("14");
    assert_eq!(odd.kept_as("15", Some("now")), Some(Kept::Not));
    let decision = OperatorDecision { by: "sam".into(), order: OperatorOrder::Rematch };
    odd.stream.say(Fact::OperatorDecided { token: Uuid::nil(), decision });
    assert_eq!(odd.kept_as("15", Some("now")), None);
}

#[test]
fn p15_an_answer_that_shows_the_old_value_is_a_refusal() {
    let mut odd = Odd::new("14");
    odd.wrote("15", "14", None);
    let memory = odd.stream.view.memory(&Key::Device(device_id("d")));
    assert_eq!((memory.refused[FIELD].value.clone(), memory.stored.len()), (json!("15"), 0));
    assert!(memory.refused[FIELD].counts("now", None), "until a rematch, where the writer did not say more");
    assert!(!memory.refused[FIELD].counts("now", Some(99)));
}

#[test]
fn p5_the_first_sync_lasts_for_a_device_that_one_list_does_not_show() {
    let mut stream = Stream::new();
    let first_sync = |stream: &Stream| stream.view.first_sync_of(&device_id("d"));
    stream.start(1);
    stream.say(Fact::DeviceListed { number: 1, device: device("d", "Mac") });
    stream.complete(1);
    assert_eq!(first_sync(&stream), FirstSync::Over);
    stream.say(Fact::DecisionMade(Box::new(Decision { first_sync: true, ..decision("d", 1, 0) })));
    assert_eq!(first_sync(&stream), FirstSync::Lasts);
    stream.start(2);
    let device = device_id("d");
    stream.say(Fact::DeviceMissing { number: 2, device, absence: Absence::Unknown });
    stream.complete(2);
    assert_eq!(stream.view.decision(&Key::Device(device_id("d"))), None);
    assert_eq!(first_sync(&stream), FirstSync::Lasts);
    stream.say(Fact::DecisionMade(Box::new(decision("d", 2, 0))));
    assert_eq!(first_sync(&stream), FirstSync::Over, "its decisions say so again");
}

#[test]
fn p23_what_is_staged_for_a_person_who_left_is_forgotten() {
    let mut stream = Stream::new();
    let user = UserKey::new("sam@example.com").expect("not blank");
    let entry = UserEntry {
        key: user.clone(),
        ids: vec![KandjiUserId::new("k1").expect("not blank")],
        email: None,
        name: "Sam".into(),
        archived: false,
        values: BTreeMap::new(),
    };
    stream.start(1);
    stream.say(Fact::UserListed { number: 1, user: entry });
    stream.complete(1);
    stream
        .say(Fact::DecisionMade(Box::new(Decision { key: Key::User(user.clone()), ..decision("d", 1, 4) })));
    assert_eq!(stream.view.open_decisions(Open::Staged), [Key::User(user.clone())]);
    stream.start(2);
    stream.say(Fact::UserMissing { number: 2, user });
    stream.complete(2);
    assert_eq!(stream.view.open_decisions(Open::Staged), []);
}
