use std::collections::BTreeMap;

use amfj_sync_model::ids::DeviceId;
use amfj_sync_model::messages::{DeviceEntry, PrimaryUser};
use amfj_sync_projection::rows::Missing;

use super::*;

fn row(missing: Option<(u32, Absence)>) -> DeviceRow {
    let entry = DeviceEntry {
        device_id: DeviceId::new("d1").unwrap(),
        name: String::new(),
        serial: String::new(),
        platform: String::new(),
        user: PrimaryUser::Nobody,
        in_scope: true,
        removed: false,
        values: BTreeMap::new(),
        details: None,
    };
    DeviceRow { entry, missing: missing.map(|(runs, absence)| Missing { runs, latest: 1, absence }) }
}

fn removed(missing: Option<(u32, Absence)>) -> DeviceRow {
    let row = row(missing);
    DeviceRow { entry: DeviceEntry { removed: true, ..row.entry }, ..row }
}

#[test]
fn p22_a_linked_device_is_asked_for_until_it_is_gone() {
    use Absence::{Found, NotFound, Unknown};
    let table = [
        ("newly missing, linked", None, true, Inquiry::Ask),
        ("newly missing, not linked", None, false, Inquiry::SayMissing),
        ("missing once, 404", Some((1, NotFound)), true, Inquiry::Ask),
        ("gone", Some((2, NotFound)), true, Inquiry::Nothing),
        ("missing twice, refused", Some((2, Unknown)), true, Inquiry::Ask),
        ("missing twice, there after all", Some((3, Found)), true, Inquiry::Ask),
        ("missing, no longer linked", Some((1, NotFound)), false, Inquiry::Nothing),
    ];
    for (what, missing, linked, inquiry) in table {
        assert_eq!(not_shown(&row(missing), linked), inquiry, "{what}");
    }
    assert_eq!(shown_as_removed(None), Inquiry::Ask);
    assert_eq!(shown_as_removed(Some(&removed(Some((1, NotFound))))), Inquiry::Ask);
    assert_eq!(shown_as_removed(Some(&removed(Some((2, NotFound))))), Inquiry::Nothing);
}

#[test]
fn p22_an_answer_is_said_until_two_runs_are_counted_then_when_it_changes() {
    use Absence::{NotFound, Unknown};
    let table = [
        (None, Unknown, true),
        (Some((1, Unknown)), Unknown, true),
        (Some((2, Unknown)), Unknown, false),
        (Some((2, Unknown)), NotFound, true),
        (Some((9, NotFound)), NotFound, false),
    ];
    for (missing, answer, news) in table {
        assert_eq!(is_news(Some(&row(missing)), answer), news, "{missing:?} {answer:?}");
    }
    assert!(is_news(None, Unknown));
}

/// So many linked devices that were there before, of which so many are gone now.
fn sight(linked: usize, vanished: usize) -> Sight {
    let mut sight = Sight::default();
    for number in 0..linked {
        sight.add(Some(&row(None)), (number >= vanished).then_some(false));
    }
    sight
}

#[test]
fn p23_a_run_is_held_when_more_than_the_limit_and_more_than_five_vanish() {
    let tenth = Percent::new(10).unwrap();
    for (linked, vanished, held) in [
        (100, 0, false),
        (100, 10, false),
        (100, 11, true),
        (20, 5, false),
        (20, 6, true),
        (1_000, 100, false),
        (1_000, 101, true),
        (0, 0, false),
    ] {
        let reason = sight(linked, vanished).reason_to_hold(tenth, &"acme");
        assert_eq!(reason.is_some(), held, "{vanished} of {linked}: {reason:?}");
        if let Some(reason) = reason {
            assert!(reason.contains("amfj-sync release acme"), "{reason}");
        }
    }
}

#[test]
fn p23_a_run_is_held_when_fewer_than_half_of_the_linked_devices_are_seen() {
    let all = Percent::new(100).unwrap();
    for (linked, vanished, held) in [(4, 2, false), (4, 3, true), (1, 1, true), (1, 0, false), (3, 1, false)]
    {
        assert_eq!(
            sight(linked, vanished).reason_to_hold(all, &"acme").is_some(),
            held,
            "{vanished} of {linked}"
        );
    }
}

#[test]
fn p23_devices_that_were_missing_before_do_not_count() {
    let mut sight = sight(10, 0);
    for _ in 0..30 {
        sight.add(Some(&row(Some((5, Absence::NotFound)))), None);
    }
    sight.add(None, None);
    assert_eq!(sight, Sight { linked: 41, expected: 10, seen: 10, vanished: 0 });
    assert_eq!(sight.reason_to_hold(Percent::new(10).unwrap(), &"acme"), None);
}

#[test]
fn p22_being_listed_as_removed_counts_as_vanished_once() {
    let mut sight = Sight::default();
    sight.add(Some(&row(None)), Some(true));
    assert_eq!(sight, Sight { linked: 1, expected: 1, seen: 1, vanished: 1 });
    sight.add(Some(&removed(None)), Some(true));
    assert_eq!(sight.vanished, 1);
}
