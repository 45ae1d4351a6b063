//! P8, P9: links to deleted assets, and devices that were enrolled again.

use amfj_sync_model::ids::{AssetId, DeviceId};
use amfj_sync_model::messages::{Absence, Action, DeviceStatus, Fact, PlannedChange, Rule, Sequence};
use uuid::Uuid;

use super::World;
use super::matching::{by, left, linked_to};
use crate::Draft;

fn world() -> World {
    World::new("", "")
}

fn world_whose_asset_was_deleted(sync: &str) -> World {
    let mut world = World::new(sync, "");
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac");
    world.run();
    world.settle();
    world.assets.clear();
    world.first_sync = false;
    world.run();
    world
}

#[test]
fn p8_a_deleted_asset_breaks_the_link_once() {
    let mut world = world_whose_asset_was_deleted("create_devices = \"first-sync\"");
    let asset = AssetId::new("a1").unwrap();
    assert_eq!(world.action("d1"), Action::BreakLink { asset });
    assert_eq!(world.state("d1"), DeviceStatus::Unmatched);
    assert_eq!(world.settle(), 1);
    assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched);
    world.asset("a2", "Mac");
    world.run();
    assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched, "matched again under until-linked only");
}

#[test]
fn p8_a_deleted_asset_is_created_again_only_under_always() {
    let mut world = world_whose_asset_was_deleted("create_devices = \"always\"");
    assert!(matches!(world.action("d1"), Action::CreateAsset { .. }));
    assert_eq!(world.settle(), 1, "the new link replaces the broken one");
    let mut world = world_whose_asset_was_deleted("create_devices = \"first-sync\"");
    world.first_sync = true;
    world.run();
    assert!(matches!(world.action("d1"), Action::BreakLink { .. }));
    world.settle();
    assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched);
}

#[test]
fn p8_a_device_that_lost_its_asset_is_matched_again_under_until_linked() {
    let mut world = world_whose_asset_was_deleted("name_matching = \"until-linked\"");
    world.asset("a2", "Mac");
    world.run();
    assert_eq!(by(&world, "d1"), ("a2".into(), Rule::Name));
    world.settle();
    assert_eq!(world.decide("d1").decision.asset.unwrap().as_str(), "a2");
}

#[test]
fn p8_a_device_that_lost_its_asset_competes_for_a_name_again() {
    let mut world = world_whose_asset_was_deleted("name_matching = \"until-linked\"");
    world.asset("a2", "Mac");
    world.device("d2", "Mac", "S2");
    world.run();
    assert_eq!((world.state("d1"), left(&world, "d2")), (DeviceStatus::Ambiguous, DeviceStatus::Ambiguous));
    world.settle();
    assert_eq!((left(&world, "d1"), left(&world, "d2")), (DeviceStatus::Ambiguous, DeviceStatus::Ambiguous));
}

fn world_with_a_reenrolled_device() -> World {
    let mut world = world();
    world.device("old", "Mac", "S1");
    world.asset("a1", "Mac");
    world.run();
    world.settle();
    world.first_sync = false;
    world.device("new", "Mac again", "s1");
    world
}

#[test]
fn p9_a_reenrolled_device_takes_over_the_link_of_its_serial() {
    let mut world = world_with_a_reenrolled_device();
    world.unenrol("old");
    world.run();
    assert_eq!(linked_to(&world, "new"), ("a1".into(), Rule::Reenrolled, Some("old".into())));
    world.settle();
    assert_eq!((left(&world, "new"), left(&world, "old")), (DeviceStatus::InSync, DeviceStatus::Unmatched));
}

#[test]
fn p9_while_both_are_listed_the_newcomer_is_ambiguous() {
    let mut world = world_with_a_reenrolled_device();
    world.run();
    assert_eq!((left(&world, "new"), left(&world, "old")), (DeviceStatus::Ambiguous, DeviceStatus::InSync));
}

#[test]
fn p9_a_device_that_is_not_known_to_be_gone_keeps_its_link() {
    for absence in [Absence::Unknown, Absence::Found] {
        let mut world = world_with_a_reenrolled_device();
        world.unenrol("old");
        world.absences.insert(DeviceId::new("old").unwrap(), absence);
        world.run();
        assert_eq!(left(&world, "new"), DeviceStatus::Ambiguous, "{absence:?}");
    }
}

#[test]
fn p9_two_newcomers_of_one_serial_are_ambiguous() {
    let mut world = world_with_a_reenrolled_device();
    world.device("newer", "Mac", "S1");
    world.unenrol("old");
    world.run();
    assert_eq!(
        (left(&world, "new"), left(&world, "newer")),
        (DeviceStatus::Ambiguous, DeviceStatus::Ambiguous)
    );
}

#[test]
fn p9_a_blank_serial_takes_over_nothing() {
    let mut world = world();
    world.device("old", "Mac", " ");
    world.asset("a1", "Mac");
    world.run();
    world.settle();
    world.device("new", "Mac again", "");
    world.unenrol("old");
    world.run();
    assert_eq!(left(&world, "new"), DeviceStatus::Unmatched);
}

#[test]
fn p9_comes_before_the_name() {
    let mut world = world_with_a_reenrolled_device();
    world.first_sync = true;
    world.asset("a2", "Mac again");
    world.unenrol("old");
    world.run();
    assert_eq!(linked_to(&world, "new"), ("a1".into(), Rule::Reenrolled, Some("old".into())));
}

#[test]
fn p9_a_device_that_takes_over_does_not_compete_for_a_name() {
    let mut world = world_with_a_reenrolled_device();
    world.first_sync = true;
    world.asset("a2", "Mac again");
    world.device("other", "Mac again", "S7");
    world.unenrol("old");
    world.run();
    assert_eq!(by(&world, "other"), ("a2".into(), Rule::Name));
}

#[test]
fn p9_one_machine_that_is_listed_twice_gets_one_asset() {
    // (assets by name of the first and second, both matched in a first sync with creation)
    for (assets, first, second) in [
        (&["Mac 1"][..], DeviceStatus::Pending, DeviceStatus::Ambiguous),
        (&["Mac 1", "Mac 2"], DeviceStatus::Ambiguous, DeviceStatus::Ambiguous),
        (&[], DeviceStatus::Ambiguous, DeviceStatus::Ambiguous),
    ] {
        let mut world = World::new("create_devices = \"always\"", "");
        world.device("d1", "Mac 1", "S1");
        world.device("d2", "Mac 2", "S1");
        for (at, name) in assets.iter().enumerate() {
            world.asset(&format!("a{at}"), name);
        }
        world.run();
        assert_eq!((world.state("d1"), world.state("d2")), (first, second), "{assets:?}");
        world.settle();
        assert_eq!(world.state("d2"), second, "{assets:?}, afterwards");
    }
}

/// Whether the link of the first of two devices with one serial is to be decided, is on its way, or is
/// made: the second gets no asset of its own (P7, P9).
#[test]
fn p9_a_twin_whose_link_is_on_its_way_is_still_a_twin() {
    let mut world = World::new("create_devices = \"always\"", "");
    world.device("d1", "Mac", "S1");
    world.device("d2", "Another name", "S1");
    world.asset("a1", "Mac");
    world.run();
    assert_eq!(world.state("d2"), DeviceStatus::Ambiguous, "to be decided");
    let published = world.site().now;
    let Draft { mut decision, changes } = world.decide("d1");
    assert_eq!(changes.len(), 1);
    for change in changes {
        let (id, sequence) = (Uuid::from_u128(1), Sequence { step: 1, ..decision.snapshot });
        decision.changes.push(PlannedChange {
            id,
            sequence,
            published: Some(published),
            staged: false,
            change,
        });
    }
    world.tell(Fact::DecisionMade(Box::new(decision)));
    assert_eq!(world.state("d2"), DeviceStatus::Ambiguous, "on its way");
    world.settle();
    assert_eq!(
        (world.view.link(&DeviceId::new("d1").unwrap()).is_some(), world.state("d2")),
        (true, DeviceStatus::Ambiguous),
        "made"
    );
}
