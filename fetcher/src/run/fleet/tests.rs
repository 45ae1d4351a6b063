use amfj_sync_config::ScopeRule;
use amfj_sync_model::mapping::SourceLocation;
use amfj_sync_model::mapping::{FieldSource, MappedField};
use serde_json::json;

use super::*;

fn mapping(fields: &[(&str, &str)]) -> Mapping {
    let mut mapping = Mapping::new();
    for (field, source) in fields {
        let source = FieldSource::parse(source).unwrap();
        mapping.insert(*field, MappedField { source, place: SourceLocation::Variable("TEST".into()) });
    }
    mapping
}

fn mapped() -> Mapped {
    let fields = mapping(&[("Serial", "serial_number"), ("Owner", "{{ user.email }}"), ("Tag", "tags[0]")]);
    let details = mapping(&[("Memory", "details.hardware_overview.memory")]);
    let user = mapping(&[("Name", "user.name")]);
    let named =
        |mapping: &Mapping| mapping.properties().into_iter().map(|path| (path.to_string(), path)).collect();
    Mapped { list: named(&fields), details: named(&details), user: named(&user) }
}

fn row(value: Value) -> Row {
    row_in(value, &Scope::default())
}

fn row_in(value: Value, scope: &Scope) -> Row {
    read_row(Device::parse(value).unwrap(), scope, &mapped())
}

fn person(id: &str, device: &str, email: Option<&str>, name: Option<&str>, archived: bool) -> Named {
    let user = json!({ "id": id, "email": email, "name": name, "is_archived": archived });
    row(json!({ "device_id": device, "user": user })).person.unwrap()
}

fn key(text: &str) -> UserKey {
    UserKey::new(text).unwrap()
}

#[test]
fn p16_every_mapped_property_of_the_list_is_kept_and_an_absent_one_is_null() {
    let row = row(json!({
        "device_id": "d1", "device_name": "Mac", "serial_number": "C02", "platform": "Mac",
        "user": { "id": 7, "email": " Ann@Example.com ", "name": "Ann" }, "last_check_in": "2026-01-01T00:00:00Z",
    }));
    let entry = &row.listed.entry;
    assert_eq!(entry.values["serial_number"], json!("C02"));
    assert_eq!(entry.values["user.email"], json!(" Ann@Example.com "));
    assert_eq!(entry.values["tags[0]"], Value::Null);
    assert_eq!(entry.values.len(), 3, "{:?}", entry.values);
    assert_eq!(entry.user, PrimaryUser::Person { key: key("ann@example.com") });
    assert_eq!(entry.details, None);
    assert_eq!(row.listed.check_in, "2026-01-01T00:00:00Z");
    assert_eq!(row.person.unwrap().values["user.name"], json!("Ann"));
}

#[test]
fn p10_the_key_of_a_person_is_the_email_else_the_id() {
    for (user, expected) in [
        (json!({ "id": "u1", "email": "A@B.c", "name": "A" }), PrimaryUser::Person { key: key("a@b.c") }),
        (json!({ "id": 12, "email": " ", "name": "A" }), PrimaryUser::Person { key: key("12") }),
        (json!({ "id": "u1" }), PrimaryUser::Person { key: key("u1") }),
        (json!(""), PrimaryUser::Nobody),
        (json!(null), PrimaryUser::Nobody),
        (json!({}), PrimaryUser::Nobody),
    ] {
        let row = row(json!({ "device_id": "d1", "user": user }));
        assert_eq!(row.listed.entry.user, expected, "{user}");
        assert_eq!(row.person.is_some(), expected != PrimaryUser::Nobody, "{user}");
    }
}

#[test]
fn p10_a_user_without_id_is_ignored_and_reported() {
    let row = row(json!({ "device_id": "d1", "user": { "email": "a@b.c", "name": "Ann" } }));
    let PrimaryUser::Unusable { reason } = row.listed.entry.user else { panic!("usable") };
    assert!(reason.contains("Ann") && reason.contains("without a user id"), "{reason}");
    assert!(row.person.is_none());
}

#[test]
fn p19_only_devices_in_scope_that_are_not_removed_name_people() {
    let scope = Scope {
        include: ScopeRule { platform: vec!["mac".into()], ..ScopeRule::default() },
        ..Scope::default()
    };
    let device = |platform: &str, removed: bool| {
        let user = json!({ "id": "u1", "email": "a@b.c" });
        row_in(json!({ "device_id": "d", "platform": platform, "is_removed": removed, "user": user }), &scope)
    };
    for (platform, removed, in_scope, named) in
        [("Mac", false, true, true), ("iPad", false, false, false), ("Mac", true, true, false)]
    {
        let row = device(platform, removed);
        assert_eq!(row.listed.entry.in_scope, in_scope, "{platform} {removed}");
        assert_eq!(row.listed.entry.removed, removed);
        assert_eq!(row.person.is_some(), named, "{platform} {removed}");
    }
}

#[test]
fn p10_two_kandji_users_of_one_email_are_one_person() {
    let both = [
        person("u2", "d1", Some("ann@b.c"), Some("Ann Other"), true),
        person("u1", "d2", Some("Ann@B.c"), None, false),
    ];
    let expected = UserEntry {
        key: key("ann@b.c"),
        ids: vec![KandjiUserId::new("u1").unwrap(), KandjiUserId::new("u2").unwrap()],
        email: Some("Ann@B.c".into()),
        // The smallest id has no name, so the next one speaks.
        name: "Ann Other".into(),
        archived: false,
        values: BTreeMap::from([("user.name".to_owned(), Value::Null)]),
    };
    for order in [[0, 1], [1, 0]] {
        let mut met = Person::default();
        for which in order {
            met.meet(both[which].clone());
        }
        assert_eq!(met.entry(&expected.key), expected);
    }
}

#[test]
fn p10_a_person_of_many_devices_is_the_same_in_whatever_order_they_come() {
    let mut names = vec![
        person("u1", "d3", Some("a@b.c"), Some("New Name"), false),
        person("u1", "d1", Some("a@b.c"), Some("Old Name"), false),
        person("u1", "d2", Some("A@b.c"), Some("Odd Name"), false),
    ];
    let entry = |names: &[Named]| {
        let mut met = Person::default();
        for named in names {
            met.meet(named.clone());
        }
        met.entry(&key("a@b.c"))
    };
    let first = entry(&names);
    names.reverse();
    assert_eq!(entry(&names), first);
    assert_eq!(first.name, "Old Name");
}

#[test]
fn p11_a_person_is_archived_only_if_all_their_kandji_users_are() {
    for (one, other, archived) in [(true, true, true), (true, false, false), (false, false, false)] {
        let mut met = Person::default();
        met.meet(person("u1", "d1", Some("a@b.c"), None, one));
        met.meet(person("u2", "d2", Some("a@b.c"), None, other));
        assert_eq!(met.entry(&key("a@b.c")).archived, archived);
    }
}

#[test]
fn p17_details_hold_every_mapped_property_of_their_check_in() {
    let details = mapped().details_of(&json!({ "hardware_overview": { "memory": "8 GB" } }), "then");
    assert_eq!(
        details.values,
        BTreeMap::from([("details.hardware_overview.memory".to_owned(), json!("8 GB"))])
    );
    assert_eq!(details.check_in, "then");
    assert!(mapped().is_covered_by(&details, &BTreeSet::new()));
    let empty = mapped().details_of(&json!({}), "then");
    assert_eq!(empty.values["details.hardware_overview.memory"], Value::Null, "read, and absent");
    assert!(mapped().is_covered_by(&empty, &BTreeSet::new()));
    let older = Details { check_in: "then".into(), values: BTreeMap::new() };
    assert!(!mapped().is_covered_by(&older, &BTreeSet::new()), "read before the property was mapped");
    assert!(
        mapped().is_covered_by(&older, &mapped().details.iter().map(|(name, _)| name.clone()).collect()),
        "left out (P18)"
    );
}
