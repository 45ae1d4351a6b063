//! P10, P11: people who may be somebody else, and what is said of them.

use amfj_sync_model::amfj::Source;
use amfj_sync_model::messages::{Action, DeviceStatus, Rule};

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

#[test]
fn p10_a_name_with_two_emails_is_ambiguous_unless_the_name_beats_them() {
    for (sync, kandji, amfj, linked) in [
        ("", Some("sam@x.com"), Some("sam@y.com"), false),
        ("name_beats_email = true", Some("sam@x.com"), Some("sam@y.com"), true),
        ("", Some("sam@x.com"), None, true),
        ("", Some("sam@x.com"), Some(" "), true),
        ("", None, Some("sam@y.com"), true),
        ("", None, None, true),
    ] {
        let mut world = world(sync, NAMES, &[("k1", "Sam", kandji)]);
        world.record("r1", "SAM", amfj);
        world.run();
        let draft = world.decide_user(kandji.unwrap_or("k1"));
        if linked {
            let action = &draft.changes[0].action;
            assert!(
                matches!(action, Action::LinkUser { rule: Rule::UserName, .. }),
                "{kandji:?} {amfj:?}: {action:?}"
            );
        } else {
            assert_eq!(
                (draft.decision.state, draft.changes.len()),
                (DeviceStatus::Ambiguous, 0),
                "{kandji:?} {amfj:?}"
            );
            assert_eq!(draft.decision.candidates[0].id, "r1", "nobody is recorded beside it");
        }
    }
}

#[test]
fn p10_somebody_without_email_keeps_the_record_under_a_new_id() {
    let mut world = world("create_users = \"all\"", NAMES, &[("k1", "Sam", None)]);
    world.run();
    world.settle();
    assert_eq!(world.records.len(), 1);
    let record = world.records.keys().next().unwrap().clone();
    world.person("k2", "sam", None);
    world.owns("k2", "d0");
    world.first_sync = false;
    world.run();
    match world.user_action("k2") {
        Action::LinkUser { record: linked, rule, .. } => assert_eq!((linked, rule), (record, Rule::UserName)),
        other => panic!("{other:?}"),
    }
    world.settle();
    assert_eq!(world.records.len(), 1);
    // As long as the old one is there, the record is theirs.
    world.device("d9", "Mac 9", "S9");
    world.person("k3", "Sam", None);
    world.owns("k3", "d9");
    world.asset("a9", "Mac 9");
    world.run();
    assert!(!matches!(
        world.decide_user("k3").changes.first().map(|change| &change.action),
        Some(Action::LinkUser { .. })
    ));
}

#[test]
fn p10_a_record_without_email_that_bears_the_name_is_said() {
    for (email, other, said) in [(None, "Sam", true), (Some("sam@y.com"), "Sam", false), (None, "Kim", false)]
    {
        let mut world = world("create_users = \"all\"", "", &[("k1", "sam", Some("sam@x.com"))]);
        world.record("r1", other, email);
        world.run();
        let decision = world.decide_user("sam@x.com").decision;
        let says = decision
            .warnings
            .iter()
            .any(|warning| warning.contains("shows no email") && warning.contains("r1"));
        assert_eq!(says, said, "{email:?} {other}: {decision:?}");
    }
}

#[test]
fn p10_two_records_of_one_email_are_said_where_one_is_ours() {
    let mut world = world("create_users = \"all\"", "", &[("k1", "Sam", Some("sam@x.com"))]);
    world.run();
    world.settle();
    let quiet = world.decide_user("sam@x.com").decision;
    assert_eq!(quiet.warnings, Vec::<String>::new());
    world.record("jira-1", "Sam Smith", Some("SAM@x.com"));
    world.records.get_mut("jira-1").unwrap().source = Source::Jira;
    world.run();
    let decision = world.decide_user("sam@x.com").decision;
    assert_eq!(decision.state, DeviceStatus::InSync);
    assert!(decision.warnings[0].contains("of Jira bear one email"), "{decision:?}");
}

/// Of several people of one record of ours one speaks, whatever the order: else their names would be written in turn.
#[test]
fn p11_of_several_people_of_one_record_the_smallest_id_speaks() {
    use amfj_sync_model::ids::{KandjiUserId, RecordId};
    use amfj_sync_model::messages::OperatorOrder;
    let people = [("k1", "Sam", Some("sam@x.com")), ("k2", "Samuel", Some("samuel@x.com"))];
    let mut world = world("create_users = \"all\"", "", &people);
    world.run();
    world.settle();
    let record: RecordId = world.view.user_link(&KandjiUserId::new("k1").unwrap()).unwrap().record;
    world.order(OperatorOrder::LinkUser {
        ids: vec![KandjiUserId::new("k2").unwrap()],
        record: record.clone(),
    });
    for _ in 0..3 {
        world.run();
        assert_eq!(world.settle(), 0, "nothing flips");
    }
    assert_eq!(world.records[&record].name, "Sam");
}
