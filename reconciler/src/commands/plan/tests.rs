//! What a plan says beside its changes.

use std::collections::BTreeSet;

use amfj_sync_shared::ids::DeviceId;
use amfj_sync_shared::messages::Fact;

use super::*;
use crate::rules::{World, test_config};

/// Two devices with their assets, one of which is nowhere.
fn linked() -> World {
    let mut world = World::new("", "");
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1");
    world.device("d2", "Mac 2", "S2");
    world.asset("a2", "Mac 2").location = world.catalogue.locations.first().cloned();
    world.run();
    world.settle();
    world
}

#[test]
fn p13_a_default_location_that_is_set_later_is_said_to_change_nothing() {
    let world = linked();
    assert_eq!(without_location(&world.config, &world.view), None, "there is no default");
    let later = test_config("default_location = \"HQ\"");
    let note = without_location(&later, &world.view).unwrap();
    assert!(note.starts_with("1 linked assets have no location") && note.contains("\"HQ\""), "{note}");
}

#[test]
fn p23_a_device_that_vanished_is_held_whatever_was_decided_of_it() {
    let mut world = linked();
    let decision = world.decide("d1").decision;
    assert_eq!(state_of(&world.view, &decision), DeviceState::InSync);
    let number = world.view.meta().latest.as_ref().unwrap().started.number;
    let vanished = BTreeSet::from([DeviceId::new("d1").unwrap()]);
    world.tell(Fact::DevicesVanished { number, vanished, back: BTreeSet::new() });
    assert_eq!(state_of(&world.view, &decision), DeviceState::Held);
    let other = world.decide("d2").decision;
    assert_eq!(state_of(&world.view, &other), DeviceState::InSync);
}
