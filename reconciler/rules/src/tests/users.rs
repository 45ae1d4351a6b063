//! P10, P11: which user record a person is.

use amfj_sync_model::amfj::Source;
use amfj_sync_model::ids::{KandjiUserId, RecordId};
use amfj_sync_model::messages::{Action, DeviceStatus, Edit, OperatorOrder, Rule, Sequence};
use serde_json::json;

use super::World;

const NAMES: &str = "[integration.user_fields]\nName = \"user.name\"";

/// A world where each person has a device with an asset.
fn world(sync: &str, tables: &str, people: &[(&str, &str, Option<&str>)]) -> World {
    let mut world = World::new(sync, tables);
    for (at, (id, name, email)) in people.iter().enumerate() {
        world.device(&format!("d{at}"), &format!("Mac {at}"), &format!("S{at}"));
        world.asset(&format!("a{at}"), &format!("Mac {at}"));
        world.person(id, name, *email);
        world.owns(id, &format!("d{at}"));
    }
    world
}

fn linked_to(world: &World, key: &str) -> (String, Rule) {
    match world.user_action(key) {
        Action::LinkUser { record, rule, .. } => (record.to_string(), rule),
        other => panic!("{other:?}"),
    }
}

fn left(world: &World, key: &str) -> DeviceStatus {
    let draft = world.decide_user(key);
    assert_eq!(draft.changes, [], "{key}");
    assert!(draft.decision.reason.ends_with('.'), "{}", draft.decision.reason);
    draft.decision.state
}

fn creates(world: &World, key: &str) -> (String, Option<String>) {
    match world.user_action(key) {
        Action::CreateUser { name, email, .. } => (name, email),
        other => panic!("{other:?}"),
    }
}

const SAM: (&str, &str, Option<&str>) = ("k1", "Sam", Some("Sam@X.com"));

#[test]
fn p10_the_linked_record_comes_first_whatever_the_email_is() {
    let mut world = world("", "", &[SAM]);
    world.record("r1", "Sam", Some("sam@x.com"));
    world.run();
    world.settle();
    world.records.get_mut("r1").unwrap().email = Some("other@x.com".into());
    world.record("r2", "Sam", Some("sam@x.com"));
    world.run();
    let draft = world.decide_user("sam@x.com");
    assert_eq!((draft.decision.state, draft.decision.record.unwrap().as_str()), (DeviceStatus::InSync, "r1"));
    assert_eq!(draft.changes, []);
}

#[test]
fn p10_emails_are_matched_without_case_and_space() {
    let mut world = world("", "", &[SAM]);
    world.record("r1", "Somebody", Some(" sAM@x.com "));
    world.run();
    assert_eq!(linked_to(&world, "sam@x.com"), ("r1".into(), Rule::Email));
}

#[test]
fn p10_two_records_of_one_email_are_ambiguous_even_where_a_name_fits() {
    let mut world = world("", NAMES, &[SAM]);
    world.record("r1", "A", Some("sam@x.com"));
    world.record("r2", "B", Some("SAM@x.com"));
    world.record("r3", "Sam", None);
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::Ambiguous);
    assert_eq!(world.decide_user("sam@x.com").decision.candidates.len(), 2);
}

#[test]
fn p10_a_record_that_another_person_is_linked_to_is_not_guessed() {
    let mut world = world("", "", &[("k2", "Kim", Some("kim@x.com"))]);
    world.record("r1", "Kim", Some("kim@x.com"));
    world.run();
    world.settle();
    world.records.get_mut("r1").unwrap().email = Some("sam@x.com".into());
    world.device("d9", "Mac 9", "S9");
    world.person("k1", "Sam", Some("sam@x.com"));
    world.owns("k1", "d9");
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::Ambiguous);
    // Once nobody names the other person any more, the record is free.
    world.unenrol("d0");
    world.run();
    assert_eq!(linked_to(&world, "sam@x.com"), ("r1".into(), Rule::Email));
}

#[test]
fn p10_names_are_matched_only_where_the_name_is_mapped() {
    for (tables, expected) in [
        ("", false),
        (NAMES, true),
        ("[integration.user_fields]\nName = \"user.email\"", false),
        ("[integration.user_fields]\nTeam = \"user.name\"", false),
        ("[integration.user_fields]\nName = \"{{ user.name }}\"", true),
        ("[integration.user_fields]\nName = \"{{- user.name|trim -}}\"", true),
        ("[integration.user_fields]\nName = \"{{ user.name|upper }}\"", false),
        ("[integration.user_fields]\nName = \"{{ user.name }} (Kandji)\"", false),
    ] {
        let mut world = world("create_users = \"never\"", tables, &[("k1", " sam  SMITH", None)]);
        world.record("r1", "Sam Smith", None);
        world.run();
        assert_eq!(world.decide_user("k1").changes.len(), usize::from(expected), "{tables}");
        if expected {
            assert_eq!(linked_to(&world, "k1"), ("r1".into(), Rule::UserName));
        }
    }
}

#[test]
fn p10_the_email_comes_before_the_name() {
    let mut world = world("", NAMES, &[SAM]);
    world.record("r1", "Sam", None);
    world.record("r2", "Other", Some("sam@x.com"));
    world.run();
    assert_eq!(linked_to(&world, "sam@x.com"), ("r2".into(), Rule::Email));
}

#[test]
fn p10_two_records_of_one_name_are_ambiguous_and_none_is_created() {
    let mut world = world("create_users = \"all\"", NAMES, &[SAM]);
    world.record("r1", "Sam", None);
    world.record("r2", "sam", None);
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::Ambiguous);
}

#[test]
fn p10_two_people_of_one_name_are_ambiguous_and_none_is_created() {
    let two = [SAM, ("k2", "SAM", Some("sam@y.com"))];
    let mut world = world("create_users = \"all\"", NAMES, &two);
    world.record("r1", "Sam", None);
    world.run();
    assert_eq!(
        (left(&world, "sam@x.com"), left(&world, "sam@y.com")),
        (DeviceStatus::Ambiguous, DeviceStatus::Ambiguous)
    );
    // One of them has a record of their own email: only the other one is left for the name.
    world.record("r2", "Sam at Y", Some("sam@y.com"));
    world.run();
    assert_eq!(linked_to(&world, "sam@x.com"), ("r1".into(), Rule::UserName));
    assert_eq!(linked_to(&world, "sam@y.com"), ("r2".into(), Rule::Email));
}

#[test]
fn p10_a_record_with_the_email_of_another_person_is_not_matched_by_name() {
    let two = [("k1", "Sam", None), ("k2", "Kim", Some("kim@x.com"))];
    let mut world = world("create_users = \"never\"", NAMES, &two);
    world.record("r1", "Sam", Some("kim@x.com"));
    world.run();
    assert_eq!(left(&world, "k1"), DeviceStatus::Unmatched);
    assert_eq!(linked_to(&world, "kim@x.com"), ("r1".into(), Rule::Email));
    world.settle();
    assert_eq!(left(&world, "k1"), DeviceStatus::Unmatched, "the same after the other was linked");
}

#[test]
fn p10_a_name_match_whose_emails_differ_is_a_warning_where_the_name_beats_them() {
    let mut world = world("name_beats_email = true", NAMES, &[SAM]);
    world.record("r1", "Sam", Some("samuel@x.com"));
    world.run();
    assert_eq!(linked_to(&world, "sam@x.com"), ("r1".into(), Rule::UserName));
    let warned = |world: &World| world.decide_user("sam@x.com").decision.warnings.len();
    assert_eq!(warned(&world), 1);
    world.settle();
    assert_eq!(warned(&world), 1, "still, once linked");
}

#[test]
fn p10_kandji_users_of_one_email_are_one_person() {
    let two = [SAM, ("k2", "Samuel", Some("sam@x.com"))];
    let mut world = world("", "", &two);
    world.record("r1", "Sam", Some("sam@x.com"));
    world.run();
    let Action::LinkUser { ids, .. } = world.user_action("sam@x.com") else { panic!() };
    assert_eq!(ids, [KandjiUserId::new("k1").unwrap(), KandjiUserId::new("k2").unwrap()]);
    world.settle();
    world.person("k3", "Sam III", Some("sam@x.com"));
    world.owns("k3", "d1");
    world.run();
    assert_eq!(linked_to(&world, "sam@x.com"), ("r1".into(), Rule::SamePerson));
    let Action::LinkUser { ids, .. } = world.user_action("sam@x.com") else { panic!() };
    assert_eq!(ids, [KandjiUserId::new("k3").unwrap()]);
}

#[test]
fn p10_kandji_users_of_one_person_with_different_records_are_ambiguous() {
    let two = [("k1", "Sam", Some("a@x.com")), ("k2", "Sam", Some("b@x.com"))];
    let mut world = world("", "", &two);
    world.record("r1", "Sam", Some("a@x.com"));
    world.record("r2", "Sam", Some("b@x.com"));
    world.run();
    world.settle();
    world.people.get_mut("k2").unwrap().email = Some("a@x.com".into());
    world.run();
    assert_eq!(left(&world, "a@x.com"), DeviceStatus::Ambiguous);
}

#[test]
fn p10_a_person_stands_above_the_rules() {
    let mut world = world("create_users = \"all\"", "", &[SAM]);
    world.record("r1", "Sam", Some("sam@x.com"));
    world.record("r2", "Other", None);
    world.run();
    let ids = vec![KandjiUserId::new("k1").unwrap()];
    world.order(OperatorOrder::UnlinkUser { ids: ids.clone() });
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::Unmatched);
    world.order(OperatorOrder::LinkUser { ids, record: RecordId::new("r2").unwrap() });
    let decision = world.decide_user("sam@x.com").decision;
    assert_eq!((decision.rule, decision.record.unwrap().as_str()), (Some(Rule::Person), "r2"));
}

#[test]
fn p11_a_local_record_is_created_with_name_email_and_fields() {
    let mut world = world("", "[integration.user_fields]\nTeam = \"user.department\"", &[SAM]);
    world.run();
    assert_eq!(creates(&world, "sam@x.com"), ("Sam".into(), Some("Sam@X.com".into())));
    let user = world.users().into_values().next().unwrap();
    let user = amfj_sync_model::messages::UserEntry {
        values: [("user.department".to_owned(), json!("IT"))].into(),
        ..user
    };
    let draft = crate::decide_user(&world.site(), &user, Sequence::default());
    let Action::CreateUser { fields, .. } = &draft.changes[0].action else { panic!() };
    assert_eq!(fields, &[("Team".to_owned(), json!("IT"))].into());
}

#[test]
fn p11_a_blank_name_gives_way_to_the_email() {
    let mut world = world("", "", &[("k1", " ", Some("sam@x.com")), ("k2", "", None)]);
    world.run();
    assert_eq!(creates(&world, "sam@x.com"), ("sam@x.com".into(), Some("sam@x.com".into())));
    assert_eq!(left(&world, "k2"), DeviceStatus::UserProblem);
}

type Given<'a> = &'a dyn Fn(&mut World);

#[test]
fn p11_users_are_created_for_devices_that_have_an_asset_or_get_one() {
    let asset = |world: &mut World| {
        world.asset("a0", "Mac 0");
    };
    let linked = |world: &mut World| {
        world.asset("a0", "Mac 0");
        world.run();
        let change = world.decide("d0").changes.remove(0);
        world.make(&change);
    };
    let none = |_: &mut World| {};
    let cases: [(&str, &str, Given<'_>, bool); 9] = [
        ("never", "create_devices = \"never\"", &linked, false),
        ("linked", "create_devices = \"never\"", &none, false),
        ("linked", "create_devices = \"never\"", &asset, true),
        ("linked", "create_devices = \"never\"", &linked, true),
        ("linked", "create_devices = \"always\"", &none, true),
        ("all", "create_devices = \"never\"", &none, true),
        ("all", "create_devices = \"never\"", &linked, true),
        ("linked", "create_devices = \"always\"\ndefault_location = \"HQ\"", &none, true),
        ("never", "create_devices = \"always\"", &none, false),
    ];
    for (setting, devices, given, expected) in cases {
        let mut world = World::new(&format!("create_users = \"{setting}\"\n{devices}"), "");
        world.device("d0", "Mac 0", "S0");
        world.person("k1", "Sam", Some("sam@x.com"));
        world.owns("k1", "d0");
        given(&mut world);
        world.run();
        assert_eq!(
            world.decide_user("sam@x.com").changes.len(),
            usize::from(expected),
            "{setting} {devices}"
        );
    }
}

#[test]
fn p11_no_user_is_created_for_a_device_that_cannot_be_created() {
    let mut world = World::new("create_devices = \"always\"", "");
    world.device("d0", "Phone", "S0").platform = "iPhone".into();
    world.person("k1", "Sam", Some("sam@x.com"));
    world.owns("k1", "d0");
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::Unmatched);
}

#[test]
fn p11_users_of_devices_out_of_scope_are_not_created() {
    let mut world = world("create_users = \"all\"", "", &[SAM]);
    world.entry("d0").in_scope = false;
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::Unmatched);
}

#[test]
fn p11_archived_users_are_matched_and_never_created() {
    let mut world = world("create_users = \"all\"", "", &[SAM]);
    world.people.get_mut("k1").unwrap().archived = true;
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::Unmatched);
    world.record("r1", "Sam", Some("sam@x.com"));
    world.run();
    assert_eq!(linked_to(&world, "sam@x.com"), ("r1".into(), Rule::Email));
}

#[test]
fn p11_a_deleted_record_is_matched_again_and_never_created_again() {
    let mut world = world("create_users = \"all\"", "", &[SAM]);
    world.record("r1", "Sam", Some("sam@x.com"));
    world.run();
    world.settle();
    world.records.clear();
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::InSync, "one list is no proof");
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::UserProblem);
    let reason = world.decide_user("sam@x.com").decision.reason;
    assert!(reason.contains("`amfj-sync link-user sam@x.com RECORD`"), "{reason}");
    world.record("r2", "Sam", Some("sam@x.com"));
    world.run();
    assert_eq!(linked_to(&world, "sam@x.com"), ("r2".into(), Rule::Email));
}

#[test]
fn p11_records_of_ours_follow_kandji() {
    let mut world = world("", "", &[SAM]);
    world.run();
    world.settle();
    world.people.get_mut("k1").unwrap().name = "Samuel".into();
    world.people.get_mut("k1").unwrap().email = Some("samuel@x.com".into());
    world.run();
    let Action::UpdateUser { write, .. } = world.user_action("samuel@x.com") else { panic!() };
    assert_eq!(write.name, Some(Edit { old: json!("Sam"), new: json!("Samuel") }));
    assert_eq!(write.email, Some(Edit { old: json!("Sam@X.com"), new: json!("samuel@x.com") }));
    assert_eq!(world.settle(), 1);
    world.people.get_mut("k1").unwrap().name = " ".into();
    world.people.get_mut("k1").unwrap().email = Some("SAMUEL@x.com".into());
    world.run();
    assert_eq!(left(&world, "samuel@x.com"), DeviceStatus::InSync, "blank keeps, and case is no difference");
}

#[test]
fn p11_other_records_are_never_changed() {
    let mut world = world("", NAMES, &[SAM]);
    world.record("r1", "Somebody else", Some("sam@x.com"));
    world.run();
    world.settle();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::InSync);
    assert_eq!(world.records["r1"].name, "Somebody else");
}

#[test]
fn p11_a_record_of_ours_that_jira_took_over_is_not_changed() {
    let mut world = world("", "", &[SAM]);
    world.run();
    world.settle();
    world.records.values_mut().for_each(|record| record.source = Source::Jira);
    world.people.get_mut("k1").unwrap().name = "Samuel".into();
    world.run();
    assert_eq!(left(&world, "sam@x.com"), DeviceStatus::InSync);
}

#[test]
fn p11_thirty_devices_of_one_owner_are_one_record() {
    let mut world = World::new("auto_checkout = true\ncreate_devices = \"always\"", "");
    world.person("k1", "Sam", Some("sam@x.com"));
    world.person("k2", "Sam", Some("SAM@x.com "));
    for at in 0..30 {
        world.device(&format!("d{at}"), &format!("Mac {at}"), &format!("S{at}"));
        world.owns(if at % 2 == 0 { "k1" } else { "k2" }, &format!("d{at}"));
    }
    world.run();
    assert_eq!(world.settle(), 61, "30 assets, 30 assignments, one record");
    assert_eq!(world.records.len(), 1);
}
