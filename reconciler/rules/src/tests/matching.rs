//! P4 … P7: which asset a device is.

use amfj_sync_model::ids::{AssetId, DeviceId};
use amfj_sync_model::messages::{Action, DeviceStatus, OperatorOrder, Rule, Sequence};

use super::World;

const SERIALS: &str = "[integration.fields]\n\"Serial Number\" = \"serial_number\"";

fn world() -> World {
    World::new("", "")
}

pub(super) fn linked_to(world: &World, device: &str) -> (String, Rule, Option<String>) {
    match world.action(device) {
        Action::LinkAsset { asset, rule, takes_over, .. } => {
            (asset.to_string(), rule, takes_over.map(|id| id.to_string()))
        }
        other => panic!("{device} should be linked, not {other:?}"),
    }
}

pub(super) fn by(world: &World, device: &str) -> (String, Rule) {
    let (asset, rule, _) = linked_to(world, device);
    (asset, rule)
}

/// The state of a device that nothing is done about.
pub(super) fn left(world: &World, device: &str) -> DeviceStatus {
    let draft = world.decide(device);
    assert_eq!(draft.changes, [], "{device}");
    assert!(draft.decision.reason.ends_with('.'), "{}", draft.decision.reason);
    draft.decision.state
}

#[test]
fn p4_a_linked_device_is_its_asset_whatever_either_is_called() {
    let mut world = world();
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1");
    world.run();
    world.settle();
    world.entry("d1").name = "Renamed".into();
    world.assets.get_mut("a1").unwrap().name = "Something else".into();
    world.asset("a2", "Renamed");
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::InSync, 0));
    assert_eq!(draft.decision.asset.unwrap().as_str(), "a1");
}

#[test]
fn p4_an_asset_that_a_sibling_integration_linked_is_not_free() {
    let mut theirs = world();
    theirs.device("x1", "Mac 1", "S9");
    theirs.asset("a1", "Mac 1");
    theirs.run();
    theirs.settle();
    let mut ours = world();
    ours.device("d1", "Mac 1", "S1");
    ours.asset("a1", "Mac 1");
    ours.run();
    let siblings = [&theirs.view];
    let site = crate::Site { siblings: &siblings, ..ours.site() };
    let device = ours.view.device(&DeviceId::new("d1").unwrap()).unwrap().entry;
    let draft = crate::decide_device(&site, &device, Sequence::default());
    assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::Unmatched, 0));
}

#[test]
fn p4_two_integrations_of_one_site_do_not_both_take_an_asset() {
    for (tables, serial, asset_serial) in [("", "S9", ""), (SERIALS, "S9", ""), (SERIALS, "S1", "S1")] {
        let (mut ours, mut theirs) = (World::new("", tables), World::new("", tables));
        ours.device("d1", "Mac 1", "S1");
        theirs.device("x1", "Mac 1", serial);
        for world in [&mut ours, &mut theirs] {
            world.asset_with_serial("a1", "Mac 1", asset_serial);
            world.run();
        }
        for (one, other, id) in [(&ours, &theirs, "d1"), (&theirs, &ours, "x1")] {
            let siblings = [&other.view];
            let site = crate::Site { siblings: &siblings, ..one.site() };
            let device = one.view.device(&DeviceId::new(id).unwrap()).unwrap().entry;
            let draft = crate::decide_device(&site, &device, Sequence::default());
            assert_eq!(
                (draft.decision.state, draft.changes.len()),
                (DeviceStatus::Ambiguous, 0),
                "{id} {serial}"
            );
        }
    }
}

#[test]
fn p5_a_device_is_matched_by_name_however_it_is_spelt() {
    for asset in ["Sam’s MacBook", "  sam’s   MACBOOK ", "SAM’S MACBOOK", "Sam's MacBook"] {
        let mut world = world();
        world.device("d1", "Sam’s MacBook", "");
        world.asset("a1", asset);
        world.asset("a2", "Sams MacBook");
        world.run();
        assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name), "{asset:?}");
    }
}

#[test]
fn p5_composed_and_decomposed_names_are_equal() {
    let mut world = world();
    world.device("d1", "Zoé", "");
    world.asset("a1", "Zoe\u{301}");
    world.run();
    assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name));
}

#[test]
fn p5_names_are_matched_in_the_first_sync_only() {
    let mut world = world();
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1");
    world.first_sync = false;
    world.run();
    assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched);
    let decision = world.decide("d1").decision;
    assert!(decision.reason.contains("`amfj-sync link \"S1\" a1`"), "{}", decision.reason);
    assert_eq!(decision.candidates[0].id, "a1");
}

#[test]
fn p5_until_linked_goes_on_matching() {
    let mut world = World::new("name_matching = \"until-linked\"", "");
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1");
    world.first_sync = false;
    world.run();
    assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name));
}

#[test]
fn p6_two_free_assets_are_ambiguous() {
    let mut world = world();
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1");
    world.asset("a2", "mac 1");
    world.run();
    assert_eq!(left(&world, "d1"), DeviceStatus::Ambiguous);
    let ids: Vec<_> = world.decide("d1").decision.candidates.into_iter().map(|one| one.id).collect();
    assert_eq!(ids, ["a1", "a2"]);
}

#[test]
fn p6_two_unlinked_devices_and_a_free_asset_are_ambiguous() {
    let mut world = world();
    world.device("d1", "Mac", "S1");
    world.device("d2", "MAC", "S2");
    world.asset("a1", "Mac");
    world.run();
    assert_eq!((left(&world, "d1"), left(&world, "d2")), (DeviceStatus::Ambiguous, DeviceStatus::Ambiguous));
}

#[test]
fn p6_devices_that_no_rule_may_link_do_not_make_a_name_ambiguous() {
    type Change = fn(&mut World);
    let cases: [(&str, Change); 4] = [
        ("out of scope", |world| world.entry("d2").in_scope = false),
        ("removed", |world| world.entry("d2").removed = true),
        ("unenrolled", |world| world.unenrol("d2")),
        ("unlinked by a person", |_| {}),
    ];
    for (what, change) in cases {
        let mut world = world();
        world.device("d1", "Mac", "S1");
        world.device("d2", "Mac", "S2");
        world.asset("a1", "Mac");
        world.run();
        change(&mut world);
        world.run();
        if what == "unlinked by a person" {
            world.order(OperatorOrder::Unlink { device: DeviceId::new("d2").unwrap() });
        }
        assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name), "{what}");
    }
}

#[test]
fn p6_an_asset_of_another_device_is_not_free() {
    let mut world = world();
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac");
    world.run();
    world.settle();
    world.device("d2", "Mac", "S2");
    world.run();
    assert_eq!(left(&world, "d2"), DeviceStatus::Unmatched);
}

#[test]
fn p6_a_blank_name_matches_nothing() {
    let mut world = world();
    world.device("d1", " \u{a0} ", "S1");
    world.asset("a1", " ");
    world.run();
    assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched);
}

#[test]
fn p6_an_asset_with_another_serial_is_no_candidate() {
    for (serial, expected) in
        [("S2", DeviceStatus::Unmatched), (" s1", DeviceStatus::Pending), ("", DeviceStatus::Pending)]
    {
        let mut world = World::new("", SERIALS);
        world.device("d1", "Mac", "S1");
        world.asset_with_serial("a1", "Mac", serial);
        world.run();
        assert_eq!(world.state("d1"), expected, "{serial:?}");
    }
}

#[test]
fn p6_what_another_serial_speaks_against_is_shown_as_refused() {
    let mut world = World::new("", SERIALS);
    world.device("d1", "Mac", "S1");
    world.asset_with_serial("a1", "Mac", "S2");
    world.run();
    let decision = world.decide("d1").decision;
    assert!(decision.reason.contains("holds another serial number"), "{}", decision.reason);
    assert_eq!(decision.candidates[0].id, "a1");
    assert!(decision.candidates[0].note.contains("S2"), "{:?}", decision.candidates);
}

#[test]
fn p6_without_a_mapped_serial_the_field_says_nothing() {
    let mut world = world();
    world.device("d1", "Mac", "S1");
    world.asset_with_serial("a1", "Mac", "S2");
    world.run();
    assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name));
}

#[test]
fn p6_a_device_without_serial_may_be_an_asset_that_has_one() {
    let mut world = World::new("", SERIALS);
    world.device("d1", "Mac", "");
    world.asset_with_serial("a1", "Mac", "S2");
    world.run();
    assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name), "a blank one says nothing");
}

#[test]
fn p6_among_several_candidates_the_serial_decides() {
    let mut world = World::new("", SERIALS);
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac");
    world.asset_with_serial("a2", "Mac", "S1");
    world.run();
    assert_eq!(by(&world, "d1"), ("a2".into(), Rule::Serial));
}

#[test]
fn p6_two_candidates_with_the_serial_are_ambiguous() {
    let mut world = World::new("", SERIALS);
    world.device("d1", "Mac", "S1");
    world.asset_with_serial("a1", "Mac", "S1");
    world.asset_with_serial("a2", "Mac", "S1");
    world.run();
    assert_eq!(left(&world, "d1"), DeviceStatus::Ambiguous);
}

#[test]
fn p6_serials_tell_devices_of_one_name_apart_in_any_order() {
    let mut world = World::new("", SERIALS);
    for id in ["1", "2", "3"] {
        world.device(&format!("d{id}"), "Mac", &format!("S{id}"));
    }
    world.asset_with_serial("a1", "Mac", "S1");
    world.asset_with_serial("a2", "Mac", "S2");
    world.asset("a3", "Mac");
    world.run();
    // The first two are decided by serial, which leaves one device and one asset.
    assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Serial));
    assert_eq!(by(&world, "d2"), ("a2".into(), Rule::Serial));
    assert_eq!(by(&world, "d3"), ("a3".into(), Rule::Name));
    world.device("d4", "Mac", "S4");
    world.run();
    assert_eq!((left(&world, "d3"), left(&world, "d4")), (DeviceStatus::Ambiguous, DeviceStatus::Ambiguous));
}

#[test]
fn p7_no_match_is_left_unmatched_unless_creation_is_allowed() {
    for (setting, first_sync, expected) in [
        ("never", true, DeviceStatus::Unmatched),
        ("never", false, DeviceStatus::Unmatched),
        ("first-sync", true, DeviceStatus::Pending),
        ("first-sync", false, DeviceStatus::Unmatched),
        ("always", true, DeviceStatus::Pending),
        ("always", false, DeviceStatus::Pending),
    ] {
        let mut world = World::new(&format!("create_devices = \"{setting}\""), "");
        world.device("d1", "Mac", "S1");
        world.first_sync = first_sync;
        world.run();
        assert_eq!(world.state("d1"), expected, "{setting}, first sync: {first_sync}");
        let creates = matches!(
            world.decide("d1").changes.first().map(|change| &change.action),
            Some(Action::CreateAsset { .. })
        );
        assert_eq!(creates, expected == DeviceStatus::Pending, "{setting}");
    }
}

#[test]
fn p7_nothing_is_created_while_a_free_asset_has_the_name() {
    let mut world = World::new("create_devices = \"always\"", "");
    world.device("d1", "Mac", "S1");
    world.asset("a1", "mac");
    world.first_sync = false;
    world.run();
    assert_eq!(left(&world, "d1"), DeviceStatus::Ambiguous);
    let reason = world.decide("d1").decision.reason;
    assert!(reason.contains("`amfj-sync link \"S1\" a1`"), "{reason}");
}

#[test]
fn p7_nothing_is_created_while_any_asset_has_the_serial() {
    let mut world = World::new("create_devices = \"always\"", SERIALS);
    world.device("d1", "Mac", "S1");
    world.asset_with_serial("a1", "Another name", "s1 ");
    world.run();
    assert_eq!(left(&world, "d1"), DeviceStatus::Ambiguous);
    assert_eq!(world.decide("d1").decision.candidates[0].id, "a1");
}

#[test]
fn p7_an_asset_with_another_serial_does_not_stop_creation() {
    let mut world = World::new("create_devices = \"always\"", SERIALS);
    world.device("d1", "Mac", "S1");
    world.asset_with_serial("a1", "Mac", "S2");
    world.run();
    assert!(matches!(world.action("d1"), Action::CreateAsset { .. }));
}

#[test]
fn a_person_stands_above_the_rules() {
    let mut world = world();
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac");
    world.asset("a2", "Other");
    world.run();
    world.order(OperatorOrder::Unlink { device: DeviceId::new("d1").unwrap() });
    assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched);
    let (device, asset) = (DeviceId::new("d1").unwrap(), AssetId::new("a2").unwrap());
    world.order(OperatorOrder::Link { device, asset });
    let decision = world.decide("d1").decision;
    assert_eq!((decision.state, decision.rule), (DeviceStatus::InSync, Some(Rule::Person)));
}

#[test]
fn p19_what_is_out_of_scope_is_left_alone() {
    let mut world = world();
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac");
    world.run();
    world.settle();
    world.entry("d1").in_scope = false;
    world.assets.clear();
    world.run();
    assert_eq!(left(&world, "d1"), DeviceStatus::OutOfScope);
}

#[test]
fn p22_a_removed_device_is_neither_linked_nor_created() {
    let mut world = World::new("create_devices = \"always\"", "");
    world.device("d1", "Mac", "S1").removed = true;
    world.device("d2", "Mac 2", "S2").removed = true;
    world.asset("a1", "Mac");
    world.run();
    assert_eq!((left(&world, "d1"), left(&world, "d2")), (DeviceStatus::Unmatched, DeviceStatus::Unmatched));
}
