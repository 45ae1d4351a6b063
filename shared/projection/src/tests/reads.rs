//! What a look-up between two runs says, and what it does not (P34).

use super::doubts::Odd;
use super::*;
use crate::claims::Kept;

fn read(name: &str, as_of: u64) -> Fact {
    Fact::AssetRead { asset: asset(name), as_of, renamed_from: None }
}

fn not_found(as_of: u64) -> Fact {
    Fact::AssetNotFound { asset: asset_id(), as_of }
}

/// A run that lists the asset.
fn started() -> Stream {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    stream
}

fn known(stream: &Stream) -> u64 {
    stream.view.meta().offset.expect("something was read")
}

fn is_doubtful(stream: &Stream) -> bool {
    stream.view.asset(&asset_id()).is_some_and(|row| row.doubt.is_some())
}

#[test]
fn p34_a_look_up_counts_at_once_unless_something_came_after_it_began() {
    let mut stream = started();
    let as_of = known(&stream);
    assert_eq!(stream.say(read("Renamed", as_of)), Verdict::Accepted);
    assert_eq!(stream.name().as_deref(), Some("Renamed"));
    let began = known(&stream);
    stream.say(wrote(1, "written meanwhile"));
    for late in [read("older", began), not_found(began)] {
        assert!(matches!(stream.say(late), Verdict::Rejected(_)));
    }
    assert_eq!(stream.name().as_deref(), Some("written meanwhile"));
    assert!(!is_doubtful(&stream));
    let ahead = known(&stream) + 5;
    assert!(matches!(stream.say(read("of nobody", ahead)), Verdict::Rejected(_)), "nobody has read so far");
    // Once more, by whoever kept it.
    let as_of = known(&stream);
    stream.say(read("by hand", as_of));
    let next = known(&stream);
    stream.say(read("by hand again", next));
    assert!(matches!(stream.say(read("by hand", as_of)), Verdict::Rejected(_)));
    assert_eq!(stream.name().as_deref(), Some("by hand again"));
}

#[test]
fn p34_a_list_that_began_after_a_look_up_decides() {
    let mut stream = started();
    let began = known(&stream);
    stream.say(read("read", began));
    stream.pass(3600);
    stream.start(2);
    stream.say(listed(2, "listed"));
    let during = known(&stream);
    stream.complete(2);
    assert_eq!(stream.name().as_deref(), Some("listed"));
    assert!(matches!(stream.say(read("older than the list", began)), Verdict::Rejected(_)));
    assert_eq!(stream.say(read("read while it was listed", during)), Verdict::Accepted);
    // And the other way round: what was read after a run began is younger than its list.
    stream.pass(3600);
    stream.start(3);
    let as_of = known(&stream);
    stream.say(read("edited during the run", as_of));
    stream.say(listed(3, "as the run saw it"));
    stream.complete(3);
    assert_eq!(stream.name().as_deref(), Some("edited during the run"));
}

#[test]
fn p8_an_asset_that_a_look_up_does_not_find_is_doubtful_and_found_again_it_is_not() {
    let mut stream = started();
    stream.say(link("d", 1, &asset_id()));
    let as_of = known(&stream);
    assert_eq!(stream.say(not_found(as_of)), Verdict::Accepted);
    assert!(is_doubtful(&stream));
    assert_eq!(stream.view.linked_device(&asset_id()), Some(device_id("d")), "the link stays");
    let as_of = known(&stream);
    stream.say(read("Mac", as_of));
    assert!(!is_doubtful(&stream), "it is there");
    let unknown = Fact::AssetNotFound { asset: AssetId::new("nobody's").expect("not blank"), as_of };
    assert!(matches!(stream.say(unknown), Verdict::Rejected(_)));
    let as_of = known(&stream);
    stream.say(not_found(as_of));
    stream.pass(3600);
    stream.start(2);
    stream.say(Fact::AssetAbsent { number: 2, asset: asset_id() });
    stream.complete(2);
    assert_eq!(stream.view.asset(&asset_id()), None, "the run decides");
}

impl Odd {
    /// Looked up between two runs.
    fn reads(&mut self, value: &str) {
        let as_of = known(&self.stream);
        let verdict =
            self.stream.say(Fact::AssetRead { asset: Self::asset(value), as_of, renamed_from: None });
        assert_eq!(verdict, Verdict::Accepted);
    }

    fn waits_to_be_seen(&self) -> bool {
        self.stream.view.asset(&asset_id()).expect("listed").claims.wait_to_be_seen()
    }
}

#[test]
fn p15_what_was_seen_and_is_another_value_now_was_changed_by_hand() {
    let mut odd = Odd::new("14");
    odd.wrote("15", "15", None);
    assert!(!odd.waits_to_be_seen(), "nothing is against it");
    for edit in 0..5 {
        odd.reads("by hand");
        assert_eq!(odd.kept("15"), Some(Kept::Unknown), "edit {edit}: it is put back");
        odd.wrote("15", "15", None);
        assert!(odd.waits_to_be_seen());
        odd.reads("15");
        assert!(!odd.waits_to_be_seen());
    }
    odd.lists("15");
    odd.reads("by hand");
    assert_eq!(odd.kept("15"), None, "a list has confirmed it: an ordinary difference");
}

#[test]
fn p15_a_form_of_amfjs_own_is_told_by_look_ups_as_by_lists() {
    let mut odd = Odd::new("14");
    odd.wrote("R&D", "R&D", None);
    odd.reads("R&amp;D");
    assert_eq!(odd.kept("R&D"), Some(Kept::Unknown), "once more");
    odd.wrote("R&D", "R&D", None);
    odd.reads("R&amp;D");
    assert_eq!(odd.kept("R&D"), Some(Kept::Otherwise), "and never again");
    odd.lists("R&amp;D");
    assert_eq!(odd.kept("R&D"), Some(Kept::Otherwise));
}

#[test]
fn p3_an_amfj_that_shows_every_value_and_changes_it_later_is_not_written_to_for_ever() {
    let mut odd = Odd::new("14");
    let mut writes = 0;
    for _ in 0..100 {
        if matches!(odd.kept("15"), Some(Kept::Otherwise | Kept::Not)) {
            break;
        }
        writes += 1;
        odd.wrote("15", "15", None);
        odd.reads("15");
        odd.reads("fifteen");
    }
    assert!(writes < 30 && odd.held() == "fifteen", "{writes} writes");
}
