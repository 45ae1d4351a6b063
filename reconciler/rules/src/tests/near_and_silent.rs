//! P6, P7, P9: names that are near, and serials that say nothing.

use amfj_sync_model::amfj::{Field, FieldType};
use amfj_sync_model::messages::{Action, DeviceStatus, Rule};
use serde_json::{Value, json};

use super::World;
use super::matching::{by, left, linked_to};

const SERIALS: &str = "[integration.fields]\n\"Serial Number\" = \"serial_number\"";
const ALWAYS: &str = "create_devices = \"always\"";

/// A world in which the serial field of laptops is of this type.
fn world_with(sync: &str, field_type: FieldType) -> World {
    let mut world = World::new(sync, SERIALS);
    let field = Field { name: "Serial Number".into(), field_type, required: false, options: Vec::new() };
    world.catalogue.asset_types[0].fields[0] = field;
    world
}

fn hold(world: &mut World, id: &str, name: &str, serial: Value) {
    world.asset(id, name).fields.insert("Serial Number".into(), serial);
}

#[test]
fn p6_serials_are_compared_as_the_field_holds_them() {
    for (field_type, serial, held, same) in [
        (FieldType::Number, "0778", json!(778.0), true),
        (FieldType::Number, "778", json!(778), true),
        (FieldType::Number, "00778", json!("778"), true),
        (FieldType::Number, "7780", json!(778), false),
        (FieldType::Text, "c02x", json!(" C02X "), true),
        (FieldType::Text, "0778", json!("778"), false),
    ] {
        let mut world = world_with("", field_type);
        world.device("d1", "Mac", serial);
        hold(&mut world, "a1", "Mac", held.clone());
        hold(&mut world, "a2", "Mac", json!("ANOTHER9"));
        world.run();
        if same {
            assert_eq!(by(&world, "d1").0, "a1", "{serial:?} and {held}");
            world.settle();
            let idle = world.decide("d1");
            assert_eq!(idle.changes, [], "{serial:?} and {held}: the same, and not written again");
        } else {
            assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched, "{serial:?} and {held}");
        }
    }
}

#[test]
fn p6_three_sevens_in_a_number_field_are_that_number() {
    for serial in ["0777", "777"] {
        for held in [json!(777), json!(777.0)] {
            let mut world = world_with("", FieldType::Number);
            world.device("d1", "Mac", serial);
            hold(&mut world, "a1", "Mac", held.clone());
            world.run();
            assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name), "{serial} and {held}");
        }
    }
}

#[test]
fn p6_devices_whose_serials_are_one_number_do_not_both_take_the_asset() {
    let mut world = world_with("", FieldType::Number);
    for (device, serial) in [("d1", "0778"), ("d2", "00778")] {
        world.device(device, "Mac", serial);
    }
    hold(&mut world, "a1", "Mac", json!(778));
    world.run();
    assert_eq!((left(&world, "d1"), left(&world, "d2")), (DeviceStatus::Ambiguous, DeviceStatus::Ambiguous));
}

#[test]
fn p6_a_serial_that_says_nothing_speaks_against_no_asset() {
    for (serial, held) in [
        ("", "S1"),
        ("unknown", "S1"),
        ("S1", ""),
        ("S1", "N/A"),
        ("XXXX", "S1"),
        ("Not Present", "0"),
        ("S1", "None"),
    ] {
        let mut world = world_with("", FieldType::Text);
        world.device("d1", "Mac", serial);
        hold(&mut world, "a1", "Mac", json!(held));
        world.run();
        assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name), "{serial:?} and {held:?}");
    }
}

#[test]
fn p6_a_device_whose_serial_is_silent_leaves_alone_what_another_one_of_its_name_has_the_serial_of() {
    let mut world = world_with("", FieldType::Text);
    world.device("d1", "Mac", "S1");
    world.device("d2", "Mac", "");
    hold(&mut world, "a1", "Mac", json!("S1"));
    world.run();
    assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Serial));
    assert_eq!(left(&world, "d2"), DeviceStatus::Unmatched);
    world.settle();
    assert_eq!(left(&world, "d2"), DeviceStatus::Unmatched, "the same once the other is linked");
}

#[test]
fn p6_a_serial_of_three_listed_devices_says_nothing() {
    for (devices, expected) in [(2, DeviceStatus::Ambiguous), (3, DeviceStatus::InSync)] {
        let mut world = world_with("", FieldType::Text);
        for at in 0..devices {
            world.device(&format!("d{at}"), &format!("Mac {at}"), "SAME9");
            world.asset(&format!("a{at}"), &format!("Mac {at}"));
        }
        world.run();
        world.settle();
        assert_eq!(world.state("d0"), expected, "{devices} devices of one serial");
    }
}

#[test]
fn p14_a_placeholder_is_no_value_to_write() {
    for serial in ["unknown", "To be filled by O.E.M.", "000000"] {
        let mut world = world_with(ALWAYS, FieldType::Text);
        world.device("d1", "Mac", serial);
        world.run();
        match world.action("d1") {
            Action::CreateAsset { fields, .. } => assert!(fields.is_empty(), "{serial}: {fields:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn p12_nothing_is_called_after_a_serial_that_says_nothing() {
    for (serial, expected) in [("", None), ("unknown", None), ("0", None), ("C02X", Some("C02X"))] {
        let mut world = world_with(ALWAYS, FieldType::Text);
        world.device("d1", " ", serial);
        world.run();
        match expected {
            None => assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched, "{serial:?}"),
            Some(name) => match world.action("d1") {
                Action::CreateAsset { name: given, .. } => assert_eq!(given, name),
                other => panic!("{other:?}"),
            },
        }
    }
}

/// An Android phone that leaves hands its asset to nobody's computer.
#[test]
fn p9_taking_over_needs_a_serial_that_says_something_and_the_same_platform() {
    for (old, new, platform, takes_over) in [
        ("unknown", "UNKNOWN", "Mac", false),
        ("0", "0", "Mac", false),
        ("C02X", "c02x", "Mac", true),
        ("C02X", "C02X", "mac", true),
        ("C02X", "C02X", "Windows", false),
    ] {
        let mut world = World::new("", "");
        world.device("d1", "Mac", old);
        world.asset("a1", "Mac");
        world.run();
        world.settle();
        world.unenrol("d1");
        world.device("d2", "Another", new).platform = platform.into();
        world.first_sync = false;
        world.run();
        if takes_over {
            assert_eq!(linked_to(&world, "d2"), ("a1".into(), Rule::Reenrolled, Some("d1".into())));
        } else {
            assert_eq!(left(&world, "d2"), DeviceStatus::Unmatched, "{old} {new} {platform}");
        }
    }
}

#[test]
fn p6_near_names_are_shown_and_never_matched() {
    let mut world = World::new("", "");
    world.device("d1", "Sam’s MacBook-Pro", "S1");
    world.asset("a1", "Sams MacBook Pro");
    world.asset("a2", "Kims MacBook Pro");
    world.run();
    let decision = world.decide("d1").decision;
    assert_eq!(left(&world, "d1"), DeviceStatus::Unmatched);
    let shown: Vec<_> = decision.candidates.iter().map(|candidate| candidate.id.as_str()).collect();
    assert_eq!(shown, ["a1"], "{decision:?}");
    assert!(decision.candidates[0].note.contains("nearly"), "{decision:?}");
}

#[test]
fn p6_near_names_do_not_disturb_a_match_of_the_same_name() {
    let mut world = World::new("", "");
    world.device("d1", "Sam-Mac", "S1");
    world.asset("a1", "sam-mac");
    world.asset("a2", "Sam Mac");
    world.run();
    assert_eq!(by(&world, "d1"), ("a1".into(), Rule::Name));
}

#[test]
fn p6_nothing_is_created_beside_a_near_one_that_has_no_other_serial() {
    for (held, expected) in [("", false), ("S1", false), ("S2", true), ("unknown", false)] {
        let mut world = world_with(ALWAYS, FieldType::Text);
        world.device("d1", "Sam-Mac", "S1");
        hold(&mut world, "a1", "Sam Mac", json!(held));
        world.run();
        assert_eq!(world.decide("d1").changes.len(), usize::from(expected), "{held:?}");
        if !expected {
            assert_eq!(left(&world, "d1"), DeviceStatus::Ambiguous, "{held:?}");
        }
    }
}

/// The asset is free when the run begins and gets its own device in it: whichever is decided first, nothing is created
/// beside it in that run, and something is in the next.
#[test]
fn p6_what_counts_is_what_was_free_when_the_run_began() {
    for first in ["d1", "d2"] {
        let mut world = World::new(ALWAYS, "");
        world.device("d1", "Sam Mac", "S1");
        world.device("d2", "Sam-Mac", "S2");
        world.asset("a1", "Sam Mac");
        world.run();
        let mut keys = world.keys();
        keys.sort_by_key(|key| !key.to_string().ends_with(first));
        world.decide_all(&keys);
        assert_eq!(left(&world, "d2"), DeviceStatus::Ambiguous, "{first} first");
        world.settle();
        assert_eq!(left(&world, "d2"), DeviceStatus::Ambiguous, "{first} first");
        world.run();
        assert!(matches!(world.action("d2"), Action::CreateAsset { .. }), "the asset has a device");
    }
}

/// Two newcomers of near names are no obstacle to each other.
#[test]
fn p6_newcomers_of_near_names_are_both_created() {
    let mut world = World::new(ALWAYS, "");
    world.device("d1", "Sam Mac", "S1");
    world.device("d2", "Sam-Mac", "S2");
    world.run();
    world.settle();
    assert_eq!(
        (world.state("d1"), world.state("d2"), world.assets.len()),
        (DeviceStatus::InSync, DeviceStatus::InSync, 2)
    );
}
