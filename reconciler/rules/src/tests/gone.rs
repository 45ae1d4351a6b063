//! P22: devices that Kandji no longer has.

use amfj_sync_model::ids::DeviceId;
use amfj_sync_model::messages::{Absence, Action, DeviceStatus};

use super::World;

/// A linked device whose asset is with somebody.
fn world(sync: &str) -> World {
    let mut world = World::new(sync, "");
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1");
    world.record("r1", "Sam", None);
    world.hand_to("a1", Some("r1"));
    world.run();
    world.settle();
    world.first_sync = false;
    world
}

fn absent(world: &mut World, absence: Absence) {
    world.absences.insert(DeviceId::new("d1").unwrap(), absence);
}

#[test]
fn p22_a_linked_device_is_gone_after_two_runs_and_a_404() {
    let mut world = world("");
    world.unenrol("d1");
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::InSync, 0));
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::Gone, 0));
    assert_eq!(draft.decision.asset.unwrap().as_str(), "a1");
}

#[test]
fn p22_an_answer_other_than_404_means_unknown() {
    for absence in [Absence::Unknown, Absence::Found] {
        let mut world = world("when_gone = \"check-in\"");
        world.unenrol("d1");
        absent(&mut world, absence);
        world.run();
        world.run();
        let draft = world.decide("d1");
        assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::InSync, 0), "{absence:?}");
    }
}

#[test]
fn p22_a_gone_device_is_checked_in_where_that_is_wanted() {
    let mut world = world("when_gone = \"check-in\"");
    world.unenrol("d1");
    world.run();
    assert_eq!(world.decide("d1").changes, []);
    world.run();
    let Action::Assign { expected, to, primary, .. } = world.action("d1") else { panic!() };
    assert_eq!((expected.unwrap().id.as_str(), to, primary), ("r1", None, None));
    assert_eq!(world.state("d1"), DeviceStatus::Gone);
    assert_eq!(world.settle(), 1);
    assert_eq!(world.state("d1"), DeviceStatus::Gone);
}

#[test]
fn p22_a_removed_device_is_gone_once_its_details_are_not_found() {
    for (absence, expected) in [
        (None, DeviceStatus::InSync),
        (Some(Absence::Unknown), DeviceStatus::InSync),
        (Some(Absence::NotFound), DeviceStatus::Gone),
    ] {
        let mut world = world("when_gone = \"check-in\"");
        world.entry("d1").removed = true;
        if let Some(absence) = absence {
            absent(&mut world, absence);
        }
        world.run();
        let draft = world.decide("d1");
        assert_eq!(draft.decision.state, expected, "{absence:?}");
        assert_eq!(draft.changes.len(), usize::from(expected == DeviceStatus::Gone), "{absence:?}");
    }
}

#[test]
fn p22_a_device_without_asset_needs_no_proof() {
    let mut world = World::new("", "");
    world.device("d1", "Mac 1", "S1");
    world.run();
    world.unenrol("d1");
    absent(&mut world, Absence::Unknown);
    world.run();
    assert_eq!(world.state("d1"), DeviceStatus::Unmatched);
    world.run();
    assert_eq!(world.state("d1"), DeviceStatus::Gone);
}

#[test]
fn p22_a_device_that_comes_back_is_in_step_again() {
    let mut world = world("");
    world.unenrol("d1");
    world.run();
    world.run();
    world.device("d1", "Mac 1", "S1");
    world.run();
    assert_eq!((world.state("d1"), world.settle()), (DeviceStatus::InSync, 0));
}

#[test]
fn p19_a_device_that_left_the_scope_is_not_gone() {
    let mut world = world("when_gone = \"check-in\"");
    world.entry("d1").in_scope = false;
    world.run();
    world.unenrol("d1");
    world.run();
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::OutOfScope, 0));
}

#[test]
fn p9_the_asset_of_a_reenrolled_device_is_not_checked_in() {
    let mut world = world("when_gone = \"check-in\"");
    world.unenrol("d1");
    world.run();
    world.device("d2", "Mac 1", "S1");
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::Gone, 0));
    assert!(draft.decision.reason.contains("d2"), "{}", draft.decision.reason);
    world.settle();
    assert_eq!(world.decide("d2").decision.asset.unwrap().as_str(), "a1");
}

#[test]
fn p8_the_link_of_a_missing_device_to_a_deleted_asset_is_given_up() {
    let mut world = world("when_gone = \"check-in\"");
    world.unenrol("d1");
    world.assets.clear();
    world.run();
    assert!(matches!(world.action("d1"), Action::BreakLink { .. }));
    assert_eq!(world.settle(), 1);
}
