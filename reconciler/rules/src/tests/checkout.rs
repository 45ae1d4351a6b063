//! P20, P21: who has the asset.

use amfj_sync_model::ids::RecordId;
use amfj_sync_model::messages::{Action, DeviceStatus, PrimaryUser};

use super::World;

const ON: &str = "auto_checkout = true\n";

/// A linked device of Sam; Kim has a device of her own. Both have records, linked already.
fn world(sync: &str, holder: Option<&str>) -> World {
    let mut world = World::new(&format!("{ON}{sync}"), "");
    world.config.sync.auto_checkout = false;
    for (at, name) in [("1", "Sam"), ("2", "Kim"), ("3", "Jo")] {
        world.device(&format!("d{at}"), &format!("Mac {at}"), &format!("S{at}"));
        world.asset(&format!("a{at}"), &format!("Mac {at}"));
        world.record(&format!("r{at}"), name, Some(&format!("{name}@x.com")));
        world.person(&format!("k{at}"), name, Some(&format!("{name}@x.com")));
        world.owns(&format!("k{at}"), &format!("d{at}"));
    }
    world.hand_to("a1", holder);
    world.run();
    world.settle();
    world.first_sync = false;
    world.config.sync.auto_checkout = true;
    world.run();
    world
}

/// Settles the first sight: Sam has the asset of d1, unless `holder` is somebody else and stays.
fn settled(sync: &str, holder: Option<&str>) -> World {
    let mut world = world(sync, holder);
    world.settle();
    world
}

/// What an assignment of d1 says: expected, to, primary.
fn assigned(world: &World) -> (Option<String>, Option<String>, Option<String>) {
    match world.action("d1") {
        Action::Assign { expected, to, primary, .. } => (
            expected.map(|holder| holder.id.to_string()),
            to.map(|holder| holder.id.to_string()),
            primary.as_ref().map(RecordId::to_string),
        ),
        other => panic!("{other:?}"),
    }
}

fn who(
    expected: Option<&str>,
    to: Option<&str>,
    primary: Option<&str>,
) -> (Option<String>, Option<String>, Option<String>) {
    (expected.map(str::to_owned), to.map(str::to_owned), primary.map(str::to_owned))
}

fn holder(world: &World) -> Option<&str> {
    world.assets["a1"].checked_out_to.as_ref().map(|holder| holder.id.as_str())
}

fn nothing(world: &World) -> DeviceStatus {
    let draft = world.decide("d1");
    assert_eq!(draft.changes, []);
    draft.decision.state
}

#[test]
fn p20_at_first_sight_the_asset_goes_to_the_primary_user() {
    for (holder, sync, to) in [
        (None, "", "r1"),
        (Some("r1"), "", "r1"),
        (Some("r2"), "", "r1"),
        (Some("r2"), "first_assignment = \"keep\"", "r2"),
        (None, "first_assignment = \"keep\"", "r1"),
        (Some("r2"), "first_assignment = \"keep\"\nassignment = \"enforce\"", "r1"),
    ] {
        let mut world = world(sync, holder);
        assert_eq!(assigned(&world), who(holder, Some(to), Some("r1")), "{holder:?} {sync}");
        world.settle();
        assert_eq!(nothing(&world), DeviceStatus::InSync);
        assert_eq!(self::holder(&world), Some(to));
    }
}

#[test]
fn p20_keeping_is_reported() {
    let world = settled("first_assignment = \"keep\"", Some("r2"));
    let warnings = world.decide("d1").decision.warnings;
    assert!(warnings[0].contains("Kim") && warnings[0].contains("Sam"), "{warnings:?}");
}

#[test]
fn p20_without_auto_checkout_nobody_is_checked_out() {
    let mut world = world("", None);
    world.config.sync.auto_checkout = false;
    world.run();
    assert_eq!(nothing(&world), DeviceStatus::InSync);
}

#[test]
fn p20_nothing_is_newly_checked_out_to_an_archived_user() {
    let mut world = world("", None);
    world.people.get_mut("k1").unwrap().archived = true;
    world.run();
    assert_eq!(nothing(&world), DeviceStatus::UserProblem);
    let reason = world.decide("d1").decision.reason;
    assert!(reason.contains("archived"), "{reason}");
}

#[test]
fn p20_nothing_is_newly_checked_out_to_a_listed_user() {
    let world = world("no_checkout_users = [\" SAM@x.com\"]", None);
    assert_eq!(nothing(&world), DeviceStatus::InSync);
    let warnings = world.decide("d1").decision.warnings;
    assert!(warnings[0].contains("no_checkout_users"), "{warnings:?}");
}

#[test]
fn p20_who_has_the_asset_keeps_it_when_archived() {
    let mut world = settled("", None);
    world.people.get_mut("k1").unwrap().archived = true;
    world.run();
    assert_eq!(nothing(&world), DeviceStatus::InSync);
    assert_eq!(holder(&world), Some("r1"));
}

#[test]
fn p21_a_new_primary_user_gets_the_asset_from_whoever_has_it() {
    for has_it in [Some("r1"), Some("r3"), Some("r2"), None] {
        let mut world = settled("", None);
        world.hand_to("a1", has_it);
        world.owns("k2", "d1");
        world.run();
        assert_eq!(assigned(&world), who(has_it, Some("r2"), Some("r2")), "{has_it:?}");
        world.settle();
        assert_eq!((nothing(&world), holder(&world)), (DeviceStatus::InSync, Some("r2")));
    }
}

#[test]
fn p21_a_new_id_of_the_same_record_is_no_change() {
    let mut world = settled("", None);
    world.hand_to("a1", Some("r2"));
    world.person("k9", "Sam", Some("sam@x.com"));
    world.owns("k9", "d1");
    world.run();
    let key = "sam@x.com";
    assert!(matches!(world.user_action(key), Action::LinkUser { .. }));
    world.settle();
    assert_eq!(holder(&world), Some("r2"), "handed over by hand, and the primary user is the same record");
}

#[test]
fn p21_a_check_out_by_hand_is_left_alone() {
    for by_hand in [None, Some("r3")] {
        let mut world = settled("", None);
        world.hand_to("a1", by_hand);
        world.run();
        assert_eq!(nothing(&world), DeviceStatus::InSync, "{by_hand:?}");
        assert_eq!(world.decide("d1").decision.warnings.len(), 1);
    }
}

#[test]
fn p21_enforce_makes_the_holder_equal_in_every_run() {
    for by_hand in [None, Some("r3")] {
        let mut world = settled("assignment = \"enforce\"", None);
        world.hand_to("a1", by_hand);
        world.run();
        assert_eq!(assigned(&world), who(by_hand, Some("r1"), Some("r1")), "{by_hand:?}");
        world.settle();
        assert_eq!((nothing(&world), holder(&world)), (DeviceStatus::InSync, Some("r1")));
    }
}

#[test]
fn p21_without_primary_user_only_the_old_user_is_checked_in() {
    for (has_it, to) in [(Some("r1"), None), (Some("r3"), Some("r3")), (None, None)] {
        let mut world = settled("", None);
        world.hand_to("a1", has_it);
        world.nobody_owns("d1");
        world.run();
        assert_eq!(assigned(&world), who(has_it, to, None), "{has_it:?}");
        world.settle();
        assert_eq!((nothing(&world), holder(&world)), (DeviceStatus::InSync, to));
        world.hand_to("a1", Some("r1"));
        world.run();
        assert_eq!(nothing(&world), DeviceStatus::InSync, "given back by hand");
    }
}

#[test]
fn p21_enforce_checks_in_where_there_is_no_primary_user() {
    let mut world = settled("assignment = \"enforce\"", None);
    world.hand_to("a1", Some("r3"));
    world.nobody_owns("d1");
    world.run();
    assert_eq!(assigned(&world), who(Some("r3"), None, None));
    world.settle();
    world.hand_to("a1", Some("r2"));
    world.run();
    assert_eq!(assigned(&world), who(Some("r2"), None, None));
}

#[test]
fn p20_a_device_that_never_had_a_primary_user_is_left_alone() {
    let mut world = world("", Some("r2"));
    world.nobody_owns("d1");
    world.run();
    assert_eq!(nothing(&world), DeviceStatus::InSync);
}

#[test]
fn p21_a_new_primary_user_who_may_not_have_it_takes_it_from_the_old_one() {
    for (has_it, to) in [(Some("r1"), None), (Some("r3"), Some("r3"))] {
        let mut world = settled("no_checkout_users = [\"kim@x.com\"]", None);
        world.hand_to("a1", has_it);
        world.owns("k2", "d1");
        world.run();
        assert_eq!(assigned(&world), who(has_it, to, None), "{has_it:?}");
        world.settle();
        assert_eq!((nothing(&world), holder(&world)), (DeviceStatus::InSync, to));
        world.owns("k1", "d1");
        world.run();
        assert_eq!(assigned(&world), who(to, Some("r1"), Some("r1")));
    }
}

#[test]
fn p21_a_new_user_without_record_is_waited_for_and_reported() {
    let mut world = settled("create_users = \"never\"", None);
    world.person("k7", "Max", Some("max@x.com"));
    world.owns("k7", "d1");
    world.run();
    assert_eq!(nothing(&world), DeviceStatus::UserProblem);
    assert!(world.decide("d1").decision.reason.contains("Max"));
    world.record("r7", "Max", Some("max@x.com"));
    world.run();
    let decision = world.decide("d1").decision;
    assert_eq!((decision.state, decision.awaits.unwrap().as_str()), (DeviceStatus::Pending, "max@x.com"));
    assert_eq!(decision.record.unwrap().as_str(), "r7");
    world.settle();
    assert_eq!(holder(&world), Some("r7"));
}

#[test]
fn p10_a_primary_user_without_id_is_reported_and_nothing_is_done() {
    let mut world = settled("", None);
    world.nobody_owns("d1");
    world.entry("d1").user = PrimaryUser::Unusable { reason: "Kandji user Sam has no id".into() };
    world.run();
    assert_eq!(nothing(&world), DeviceStatus::UserProblem);
    assert_eq!(world.decide("d1").decision.reason, "Kandji user Sam has no id.");
}

#[test]
fn p20_a_device_that_is_not_linked_yet_is_assigned_after_that() {
    let mut world = World::new(ON, "");
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1");
    world.person("k1", "Sam", Some("sam@x.com"));
    world.owns("k1", "d1");
    world.run();
    assert!(matches!(world.action("d1"), Action::LinkAsset { .. }));
    assert_eq!(world.settle(), 3, "link, record, assignment");
    assert_eq!(holder(&world), Some("new-record-user/sam@x.com-1"));
}

#[test]
fn p21_an_assignment_that_failed_for_good_is_not_repeated() {
    let mut world = world("", None);
    let change = world.decide("d1").changes.remove(0);
    world.fail(&change, "AMFJ answered 404.");
    assert_eq!(nothing(&world), DeviceStatus::Failed);
    world.owns("k2", "d1");
    world.run();
    assert_eq!(assigned(&world), who(None, Some("r2"), Some("r2")));
}

#[test]
fn p9_a_reenrolled_device_goes_on_where_the_old_one_was() {
    let mut world = settled("", None);
    world.hand_to("a1", Some("r3"));
    world.unenrol("d1");
    world.device("d9", "Mac 1", "S1");
    world.owns("k1", "d9");
    world.run();
    world.settle();
    assert_eq!(world.decide("d9").decision.asset.unwrap().as_str(), "a1");
    assert_eq!(holder(&world), Some("r3"), "by hand, with the primary user unchanged");
}

#[test]
fn p11_a_record_that_may_be_deleted_is_handed_nothing() {
    let mut world = settled("", None);
    world.records.remove("r2");
    world.owns("k2", "d1");
    world.run();
    assert_eq!(nothing(&world), DeviceStatus::UserProblem, "missing from one list");
    assert!(world.decide("d1").decision.reason.contains("last list"));
}

#[test]
fn p30_of_an_asset_whose_holder_cannot_be_read_nothing_is_decided() {
    use amfj_sync_model::amfj::Holder;
    for sync in ["", "assignment = \"enforce\"", "first_assignment = \"keep\""] {
        for seen_before in [false, true] {
            let mut world = if seen_before { settled(sync, None) } else { world(sync, None) };
            if let Some(asset) = world.assets.get_mut("a1") {
                asset.checked_out_to = Some(Holder::unreadable("Sam"));
            }
            world.owns("k2", "d1");
            world.run();
            assert_eq!(nothing(&world), DeviceStatus::UserProblem, "{sync} {seen_before}");
            world.hand_to("a1", Some("r1"));
            world.run();
            assert_ne!(world.decide("d1").changes, [], "{sync} {seen_before}: as soon as it can be read");
        }
    }
}
