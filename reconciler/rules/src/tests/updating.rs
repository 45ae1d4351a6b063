//! P13 … P15: what is written to an asset.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::Named;
use amfj_sync_model::messages::{Action, Change, DeviceStatus, Edit, Ending, Fact, Refusal};
use serde_json::{Value, json};

use super::World;

/// A linked device with these field mappings; "details.memory" and such are in its details.
fn world(sync: &str, fields: &str, details: Value) -> World {
    let mut world = World::new(sync, &format!("[integration.fields]\n{fields}"));
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1");
    world.run();
    let link = world.decide("d1").changes.remove(0);
    // Only the link: what the tests look at is what follows it.
    let mut outcome = world.outcome(&link, Ending::Applied);
    outcome.link = Some(amfj_sync_model::messages::LinkOutcome::Linked {
        asset: link.action.asset().unwrap().clone(),
        rule: amfj_sync_model::messages::Rule::Name,
        takes_over: None,
    });
    world.tell(Fact::ChangeEnded(Box::new(outcome)));
    if !details.is_null() {
        world.details("d1", details);
    }
    world
}

fn edits(world: &World) -> BTreeMap<String, Edit> {
    match world.action("d1") {
        Action::UpdateAsset { write, .. } => write.fields,
        other => panic!("{other:?}"),
    }
}

fn set(world: &mut World, field: &str, value: Value) {
    world.assets.get_mut("a1").unwrap().fields.insert(field.to_owned(), value);
}

#[test]
fn p13_only_mapped_fields_that_differ_are_written() {
    let mut world = world("", "\"Serial Number\" = \"serial_number\"\n\"OS\" = \"os_version\"", Value::Null);
    set(&mut world, "Serial Number", json!("S1"));
    set(&mut world, "Memory", json!(4));
    set(&mut world, "OS", json!("15.0"));
    world.run();
    let expected = Edit { old: json!("15.0"), new: json!("15.1") };
    assert_eq!(edits(&world), BTreeMap::from([("OS".to_owned(), expected)]));
    assert_eq!(world.settle(), 1);
    assert_eq!(world.state("d1"), DeviceStatus::InSync);
}

#[test]
fn p13_a_mapped_name_is_kept_in_step() {
    let mut world = world("", "\"Name\" = \"device_name\"", Value::Null);
    world.assets.get_mut("a1").unwrap().name = "Old".into();
    world.run();
    let Action::UpdateAsset { write, .. } = world.action("d1") else { panic!() };
    assert_eq!(write.name, Some(Edit { old: json!("Old"), new: json!("Mac 1") }));
    assert!(write.fields.is_empty());
    world.entry("d1").values.insert("device_name".into(), json!(" "));
    world.run();
    assert_eq!(world.decide("d1").changes, [], "a name is never cleared");
}

#[test]
fn p13_the_default_location_is_set_with_the_link_where_there_is_none() {
    let hq = Named { id: "l1".into(), name: "HQ".into() };
    let elsewhere = Named { id: "l2".into(), name: "Lab".into() };
    for (location, expected) in [(None, Some(hq)), (Some(elsewhere), None)] {
        let mut world = World::new("default_location = \"HQ\"", "");
        world.device("d1", "Mac 1", "S1");
        world.asset("a1", "Mac 1").location = location;
        world.run();
        let Action::LinkAsset { write, .. } = world.action("d1") else { panic!() };
        assert_eq!(write.location, expected);
        world.settle();
        world.assets.get_mut("a1").unwrap().location = None;
        world.run();
        assert_eq!(world.decide("d1").changes, [], "a person may take it away again");
    }
}

#[test]
fn p13_the_asset_type_is_never_changed() {
    let mut world = World::new("", "[integration.fields]\n\"Serial Number\" = \"serial_number\"");
    world.device("d1", "Mac 1", "S1").platform = "iPhone".into();
    world.asset("a1", "Mac 1");
    world.run();
    world.settle();
    assert_eq!(world.assets["a1"].asset_type.name, "Laptop");
}

#[test]
fn p14_a_blank_value_keeps_amfjs_value_or_clears_it() {
    for blank in [json!(null), json!(""), json!("  "), json!([]), json!({})] {
        for (setting, clears) in [("keep", false), ("clear", true)] {
            let setting = format!("on_empty = \"{setting}\"");
            let mut world = world(&setting, "\"OS\" = \"os_version\"", Value::Null);
            set(&mut world, "OS", json!("15.0"));
            world.entry("d1").values.insert("os_version".into(), blank.clone());
            world.run();
            let changes = world.decide("d1").changes;
            assert_eq!(changes.len(), usize::from(clears), "{blank} {setting}");
            if clears {
                assert_eq!(edits(&world)["OS"], Edit { old: json!("15.0"), new: Value::Null });
                assert_eq!(world.settle(), 1);
            }
        }
    }
}

#[test]
fn p14_a_required_field_is_never_cleared() {
    let mut world = world("on_empty = \"clear\"", "\"OS\" = \"os_version\"", Value::Null);
    world.catalogue.asset_types[0].fields.iter_mut().for_each(|field| field.required = true);
    set(&mut world, "OS", json!("15.0"));
    world.entry("d1").values.insert("os_version".into(), json!(""));
    world.run();
    assert_eq!(world.decide("d1").changes, []);
}

#[test]
fn p14_what_has_not_been_read_is_not_blank() {
    let mut world = world("on_empty = \"clear\"", "\"Memory\" = \"details.memory\"", Value::Null);
    set(&mut world, "Memory", json!(8));
    world.run();
    assert_eq!(world.decide("d1").changes, []);
    world.details("d1", json!({"details.memory": null}));
    world.run();
    assert_eq!(edits(&world)["Memory"].new, Value::Null);
}

#[test]
fn p15_nothing_is_written_again_that_is_equal_after_conversion() {
    let fields = "\"Memory\" = \"details.memory\"\n\"Supervised\" = \"details.supervised\"\n\
                  \"Enrolled\" = \"details.enrolled\"\n\"Colour\" = \"details.colour\"";
    let details = json!({"details.memory": "8", "details.supervised": "True", "details.colour": "space grey",
        "details.enrolled": "2022-08-15 13:51:01 +0000"});
    let mut world = world("", fields, details);
    world.run();
    let new: BTreeMap<_, _> = edits(&world).into_iter().map(|(field, edit)| (field, edit.new)).collect();
    let expected = [
        ("Colour", json!("Space Grey")),
        ("Enrolled", json!("2022-08-15")),
        ("Memory", json!(8)),
        ("Supervised", json!(true)),
    ];
    assert_eq!(new, expected.map(|(field, value)| (field.to_owned(), value)).into());
    set(&mut world, "Memory", json!(8.0));
    set(&mut world, "Supervised", json!("yes"));
    set(&mut world, "Enrolled", json!("2022-08-15T00:00:00Z"));
    set(&mut world, "Colour", json!("SPACE GREY"));
    world.run();
    assert_eq!(world.decide("d1").changes, []);
}

#[test]
fn p15_a_field_that_the_assets_type_does_not_have_is_skipped_silently() {
    let mut world = world("", "\"OS\" = \"os_version\"", Value::Null);
    world.assets.get_mut("a1").unwrap().asset_type = Named { id: "t2".into(), name: "Phone".into() };
    world.run();
    let draft = world.decide("d1");
    assert_eq!((draft.changes.len(), draft.decision.state), (0, DeviceStatus::InSync));
    assert!(draft.decision.field_problems.is_empty() && draft.decision.warnings.is_empty());
}

#[test]
fn p15_a_value_that_cannot_be_converted_is_left_out_and_the_others_are_written() {
    let fields = "\"Memory\" = \"details.memory\"\n\"OS\" = \"os_version\"";
    let mut world = world("", fields, json!({"details.memory": "228.27 GB"}));
    world.run();
    let draft = world.decide("d1");
    assert_eq!(draft.decision.state, DeviceStatus::FieldProblem);
    assert!(draft.decision.reason.contains("\"Memory\""), "{}", draft.decision.reason);
    assert_eq!(draft.decision.field_problems.keys().collect::<Vec<_>>(), ["Memory"]);
    assert_eq!(edits(&world).keys().collect::<Vec<_>>(), ["OS"]);
}

#[test]
fn p15_a_template_that_fails_is_a_field_problem() {
    let mut world = world("", "\"OS\" = \"{{ os_version / model }}\"", Value::Null);
    world.entry("d1").values.insert("model".into(), json!("Air"));
    world.run();
    assert_eq!((world.state("d1"), world.decide("d1").changes.len()), (DeviceStatus::FieldProblem, 0));
}

#[test]
fn p15_a_refused_value_is_not_tried_again_until_it_changes() {
    let mut world = world("", "\"OS\" = \"os_version\"\n\"Serial Number\" = \"serial_number\"", Value::Null);
    world.run();
    let change = world.decide("d1").changes.remove(0);
    let mut outcome = world.outcome(&change, Ending::Applied);
    set(&mut world, "Serial Number", json!("S1"));
    outcome.asset = Some(world.assets["a1"].clone());
    let refusal = Refusal { value: json!("15.1"), reason: "too new".into(), fingerprint: None };
    outcome.refused.insert("OS".into(), refusal);
    world.tell(Fact::ChangeEnded(Box::new(outcome)));
    let draft = world.decide("d1");
    assert_eq!((draft.changes.len(), draft.decision.state), (0, DeviceStatus::FieldProblem));
    assert!(draft.decision.field_problems["OS"].contains("too new"));
    world.entry("d1").values.insert("os_version".into(), json!("15.2"));
    world.run();
    assert_eq!(edits(&world)["OS"].new, json!("15.2"));
}

#[test]
fn p15_a_value_that_amfj_stores_otherwise_is_no_difference() {
    let mut world = world("", "\"OS\" = \"os_version\"", Value::Null);
    world.run();
    let change = world.decide("d1").changes.remove(0);
    let mut outcome = world.outcome(&change, Ending::Applied);
    set(&mut world, "OS", json!("macOS 15.1"));
    outcome.asset = Some(world.assets["a1"].clone());
    outcome.edits = edits(&world);
    world.tell(Fact::ChangeEnded(Box::new(outcome)));
    assert_eq!(world.decide("d1").changes, []);
    set(&mut world, "OS", json!("by hand"));
    world.run();
    assert_eq!(edits(&world)["OS"].old, json!("by hand"));
}

#[test]
fn p15_a_change_that_failed_for_good_is_not_repeated_until_its_values_differ() {
    let mut world = world("", "\"OS\" = \"os_version\"", Value::Null);
    world.run();
    let change: Change = world.decide("d1").changes.remove(0);
    world.fail(&change, "AMFJ answered 422");
    let draft = world.decide("d1");
    assert_eq!((draft.changes.len(), draft.decision.state), (0, DeviceStatus::Failed));
    assert!(draft.decision.reason.contains("AMFJ answered 422. "), "{}", draft.decision.reason);
    world.entry("d1").values.insert("os_version".into(), json!("15.2"));
    world.run();
    assert_eq!((world.decide("d1").changes.len(), world.state("d1")), (1, DeviceStatus::Pending));
}

#[test]
fn the_gravest_problem_is_the_state_and_the_others_are_kept() {
    let fields = "\"Memory\" = \"details.memory\"\n\"OS\" = \"os_version\"";
    let mut world = world("", fields, json!({"details.memory": "8 GB"}));
    world.run();
    let change = world.decide("d1").changes.remove(0);
    world.fail(&change, "AMFJ answered 404");
    let decision = world.decide("d1").decision;
    assert_eq!(decision.state, DeviceStatus::Failed);
    assert_eq!(decision.field_problems.len(), 1);
    assert!(decision.warnings.iter().any(|warning| warning.contains("Memory")), "{:?}", decision.warnings);
}
