//! P12: what an asset is created with.

use amfj_sync_model::messages::{Action, DeviceStatus};
use serde_json::json;

use super::World;

const ALWAYS: &str = "create_devices = \"always\"";
const SERIALS: &str = "[integration.fields]\n\"Serial Number\" = \"serial_number\"";

fn created(world: &World, device: &str) -> (String, String) {
    match world.action(device) {
        Action::CreateAsset { name, asset_type, .. } => (name, asset_type.name),
        other => panic!("{other:?}"),
    }
}

#[test]
fn p12_a_created_asset_has_name_type_location_and_fields() {
    let mut world = World::new(&format!("{ALWAYS}\ndefault_location = \"HQ\""), SERIALS);
    world.device("d1", " Mac 1 ", "S1");
    world.run();
    let Action::CreateAsset { name, asset_type, location, fields } = world.action("d1") else { panic!() };
    assert_eq!((name.as_str(), asset_type.id.as_str()), ("Mac 1", "t1"));
    assert_eq!(location.unwrap().name, "HQ");
    assert_eq!(fields, [("Serial Number".to_owned(), json!("S1"))].into());
    assert_eq!(world.settle(), 1);
    assert_eq!(world.state("d1"), DeviceStatus::InSync);
}

#[test]
fn p12_the_type_depends_on_the_platform() {
    for (platform, expected) in [("iPhone", "Phone"), ("IPHONE ", "Phone"), ("Mac", "Laptop")] {
        let mut world = World::new(ALWAYS, SERIALS);
        world.device("d1", "Device", "S1").platform = platform.into();
        world.run();
        assert_eq!(created(&world, "d1").1, expected, "{platform}");
    }
}

#[test]
fn p12_a_blank_name_gives_way_to_the_serial() {
    let mut world = World::new(ALWAYS, "");
    world.device("d1", "  ", "S1");
    world.device("d2", "", " ");
    world.run();
    assert_eq!(created(&world, "d1").0, "S1");
    let draft = world.decide("d2");
    assert_eq!((draft.changes.len(), draft.decision.state), (0, DeviceStatus::Unmatched));
    assert!(draft.decision.reason.contains("neither a name nor a serial"), "{}", draft.decision.reason);
}

#[test]
fn p12_a_mapped_name_is_the_name_unless_it_is_blank() {
    for (tag, expected) in [(json!("IT-7"), "IT-7"), (json!(""), "Mac 1"), (json!(null), "Mac 1")] {
        let mut world = World::new(ALWAYS, "[integration.fields]\nName = \"asset_tag\"");
        world.device("d1", "Mac 1", "S1").values.insert("asset_tag".into(), tag);
        world.run();
        assert_eq!(created(&world, "d1").0, expected);
        world.settle();
        assert_eq!(world.settle(), 0);
    }
}

#[test]
fn p12_an_unknown_asset_type_creates_nothing() {
    let mut world = World::new(ALWAYS, "");
    world.config.sync.default_asset_type = "Labtop".into();
    world.device("d1", "Mac 1", "S1");
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.changes.len(), draft.decision.state), (0, DeviceStatus::FieldProblem));
    assert!(draft.decision.reason.contains("Labtop"));
}

#[test]
fn p7_an_asset_without_a_required_value_is_not_created() {
    let mut world = World::new(ALWAYS, SERIALS);
    world.device("d1", "Phone 1", "").platform = "iPhone".into();
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.changes.len(), draft.decision.state), (0, DeviceStatus::FieldProblem));
    assert!(draft.decision.reason.contains("\"Serial Number\""), "{}", draft.decision.reason);
    assert!(draft.decision.field_problems.contains_key("Serial Number"));
}

#[test]
fn p7_a_required_value_that_has_not_been_read_is_waited_for() {
    let mut world = World::new(ALWAYS, "[integration.fields]\n\"Serial Number\" = \"details.serial\"");
    world.device("d1", "Phone 1", "S1").platform = "iPhone".into();
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.changes.len(), draft.decision.state), (0, DeviceStatus::Pending));
    world.details("d1", json!({"details.serial": "S1"}));
    world.run();
    assert_eq!(created(&world, "d1").0, "Phone 1");
}

#[test]
fn p15_a_value_that_cannot_be_converted_does_not_stop_creation() {
    let mut world = World::new(ALWAYS, "[integration.fields]\nMemory = \"details.memory\"");
    world.device("d1", "Mac 1", "S1");
    world.details("d1", json!({"details.memory": "8 GB"}));
    world.run();
    assert_eq!(created(&world, "d1").0, "Mac 1");
    assert_eq!(world.state("d1"), DeviceStatus::FieldProblem);
}

/// It is decided again in the next run as in the first, and then ever more seldom, at least once in 24 runs.
#[test]
fn p5_a_creation_that_failed_is_asked_for_again_in_later_runs() {
    let mut world = World::new(ALWAYS, "");
    world.device("d1", "Mac 1", "S1");
    let mut asked = Vec::new();
    for run in 1..=80 {
        world.run();
        for change in world.decide("d1").changes {
            asked.push(run);
            world.fail(&change, "AMFJ answered 403");
        }
        assert_eq!(
            (world.decide("d1").changes.len(), world.state("d1")),
            (0, DeviceStatus::Failed),
            "run {run}"
        );
    }
    assert_eq!(asked, [1, 2, 4, 8, 16, 32, 56, 80]);
    world.entry("d1").name = "Mac 2".into();
    world.run();
    assert_eq!(created(&world, "d1").0, "Mac 2");
}
