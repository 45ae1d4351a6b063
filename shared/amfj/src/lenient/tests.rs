use amfj_sync_model::amfj::{AssetType, Field, FieldType};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn good() -> Value {
    json!({
        "id": "a1", "name": "Sam’s Mac", "asset_type": {"id": "t1", "name": "Laptop"},
        "location": {"id": "l1", "name": "HQ"}, "fields": {"Memory": "8 GB"},
        "checked_out_to": {"id": "u1", "name": "Sam"}, "created_at": "2026-01-01T00:00:00Z"
    })
}

fn with(member: &str, value: Value) -> Value {
    let mut asset = good();
    asset[member] = value;
    asset
}

fn read(row: &Value) -> (Asset, Vec<Unusable>) {
    one::<Asset>(row.to_string().as_bytes()).unwrap()
}

#[test]
fn p30_a_member_that_is_odd_costs_at_most_itself() {
    let expected = read(&good()).0;
    let named = |id: &str, name: &str| Named { id: id.to_owned(), name: name.to_owned() };
    let fields = |value: Value| serde_json::from_value(value).unwrap();
    let table = [
        ("name", Value::Null, Asset { name: String::new(), ..expected.clone() }, false),
        ("name", json!(4711), Asset { name: "4711".to_owned(), ..expected.clone() }, false),
        ("name", json!({"de": "x"}), Asset { name: String::new(), ..expected.clone() }, true),
        ("id", json!(17), Asset { id: AssetId::new("17").unwrap(), ..expected.clone() }, false),
        ("fields", Value::Null, Asset { fields: fields(json!({})), ..expected.clone() }, false),
        ("fields", json!([]), Asset { fields: fields(json!({})), ..expected.clone() }, false),
        ("fields", json!("x"), Asset { fields: fields(json!({})), ..expected.clone() }, true),
        (
            "fields",
            json!({"Memory": [1, {}]}),
            Asset { fields: fields(json!({"Memory": [1, {}]})), ..expected.clone() },
            false,
        ),
        ("created_at", json!("2026-01-01T00:00:00"), Asset { created_at: None, ..expected.clone() }, true),
        ("created_at", json!(1_767_225_600), Asset { created_at: None, ..expected.clone() }, true),
        ("created_at", Value::Null, Asset { created_at: None, ..expected.clone() }, false),
        ("location", json!("HQ"), Asset { location: Some(named("", "HQ")), ..expected.clone() }, true),
        ("location", json!(""), Asset { location: None, ..expected.clone() }, false),
        (
            "location",
            json!({"id": 5, "name": null}),
            Asset { location: Some(named("5", "")), ..expected.clone() },
            false,
        ),
        (
            "asset_type",
            json!({"id": 3, "name": "Laptop"}),
            Asset { asset_type: named("3", "Laptop"), ..expected.clone() },
            false,
        ),
        ("asset_type", Value::Null, Asset { asset_type: named("", ""), ..expected.clone() }, true),
        ("checked_out_to", Value::Null, Asset { checked_out_to: None, ..expected.clone() }, false),
    ];
    for (member, value, expected, said) in table {
        let (asset, odd) = read(&with(member, value.clone()));
        assert_eq!(asset, expected, "{member}: {value}");
        assert_eq!(!odd.is_empty(), said, "{member}: {value}: {odd:?}");
        assert!(odd.iter().all(|one| one.id.as_deref() == Some("a1")), "{odd:?}");
    }
}

#[test]
fn p20_a_holder_who_cannot_be_read_is_not_nobody_and_nobody_in_particular() {
    for holder in [
        json!({}),
        json!({"id": null, "name": "Sam"}),
        json!({"id": " "}),
        json!({"name": "Sam"}),
        json!("Sam"),
        json!(17),
        json!([]),
        json!(false),
        json!({"id": {"value": "u1"}}),
    ] {
        let (asset, odd) = read(&with("checked_out_to", holder.clone()));
        let read = asset.checked_out_to.unwrap_or_else(|| panic!("{holder} is nobody"));
        assert!(!read.is_readable() && odd.len() == 1, "{holder}: {read:?} {odd:?}");
    }
    let (asset, odd) = read(&with("checked_out_to", json!({"id": 17, "name": null})));
    let holder = asset.checked_out_to.unwrap();
    assert!(holder.is_readable() && holder.id.as_str() == "17" && odd.is_empty());
}

#[test]
fn p30_a_user_record_is_read_as_far_as_it_goes() {
    for (row, email, source) in [
        (json!({"id": "u1", "name": "Sam", "email": null, "source": "jira"}), None, Source::Jira),
        (json!({"id": 1, "name": null, "email": " "}), None, Source::Local),
        (json!({"id": "u1", "email": 5, "source": 3, "fields": null}), Some("5"), Source::Local),
        (json!({"id": "u1", "email": ["a@b"], "source": "ldap"}), None, Source::Local),
    ] {
        let (record, _) = one::<UserRecord>(row.to_string().as_bytes()).unwrap();
        assert_eq!((record.email.as_deref(), record.source), (email, source), "{row}");
    }
}

#[test]
fn p30_types_and_fields_are_read_as_far_as_they_go() {
    let row = json!({"id": 1, "name": "Laptop", "fields": [
        {"name": "Cores", "type": "select", "options": [8, null, "16", {"value": "32", "label": "x"}, {"label": "64"}, true], "required": "true"},
        {"name": null, "type": "text"}, "Model", {"name": "Age", "type": 7, "options": null}, 5, {"name": "Odd", "options": {"a": "b"}}
    ]});
    let (read, odd) = one::<AssetType>(row.to_string().as_bytes()).unwrap();
    let names: Vec<&str> = read.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!((read.id.as_str(), names), ("1", vec!["Cores", "Model", "Age", "5", "Odd"]));
    assert_eq!(read.fields[0].options, ["8", "16", "32", "64", "true"]);
    assert!(read.fields[0].required && read.fields[2].field_type == FieldType::Text);
    assert_eq!(odd.len(), 2, "{odd:?}");
    for fields in [Value::Null, json!([]), json!({})] {
        let row = json!({"id": "t", "name": "Phone", "fields": fields});
        assert!(one::<AssetType>(row.to_string().as_bytes()).unwrap().0.fields.is_empty());
    }
}

#[test]
fn p30_a_row_that_is_no_record_is_reported_by_whatever_name_it_has() {
    let rows = [
        json!("a text"),
        Value::Null,
        json!([]),
        json!({}),
        json!({"id": null, "name": "Reception iMac"}),
        json!({"id": "", "name": null}),
        json!({"id": {"a": 1}, "email": "sam@example.com"}),
        json!({"id": "x".repeat(600), "name": "Long"}),
        good(),
    ];
    let body = json!({"results": rows, "next_cursor": "c"});
    let page = page::<Asset>(body.to_string().as_bytes()).unwrap();
    assert_eq!((page.rows, page.results.len(), page.lost.len()), (9, 1, 8));
    assert_eq!(page.next.as_deref(), Some("c"));
    let said: Vec<String> = page.lost.iter().map(ToString::to_string).collect();
    assert!(said[0].contains("a text") && said[1].contains("row 2"), "{said:?}");
    assert!(said[4].contains("\"Reception iMac\"") && said[6].contains("sam@example.com"), "{said:?}");
}

#[test]
fn p30_one_broken_text_costs_no_page_and_is_said() {
    let good = good().to_string();
    for broken in [&b"x\\ud800"[..], b"x\xff", b"x\\u0000", b"x\nbare", b"x\\q"] {
        let mut row = br#"{"id":"a2","name":""#.to_vec();
        row.extend_from_slice(broken);
        row.extend_from_slice(br#"","asset_type":{"id":"t1"}}"#);
        let body = [br#"{"results":["#.as_slice(), good.as_bytes(), b",", &row, b",", good.as_bytes(), b"]}"]
            .concat();
        let page = page::<Asset>(&body).unwrap();
        assert_eq!((page.results.len(), page.lost.len()), (3, 0));
        assert_eq!(page.results[0], read(&serde_json::from_str(&good).unwrap()).0);
        assert!(page.results[1].name.starts_with('x'));
        if !broken.ends_with(b"bare") {
            assert!(page.results[1].name.contains('\u{fffd}'), "{}", page.results[1].name);
            assert_eq!(page.odd.len(), 1, "{:?}", page.odd);
            assert_eq!(page.odd[0].id.as_deref(), Some("a2"));
        }
    }
}

#[test]
fn p30_huge_values_and_values_that_nothing_holds_are_read_as_far_as_they_go() {
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    let body = format!(
        r#"{{"id":"a1","name":"{}","asset_type":{{"id":"t"}},"fields":{{"Huge":"{}"}},"deep":{deep},"large":1e999,"name2":1}}"#,
        "n".repeat(200_000),
        "h".repeat(200_000)
    );
    let (asset, odd) = one::<Asset>(body.as_bytes()).unwrap();
    assert_eq!(asset.name.len(), json::LONGEST_TEXT);
    assert_eq!(asset.fields["Huge"].as_str().unwrap().len(), json::LONGEST_TEXT);
    assert_eq!(odd.len(), 2, "{odd:?}");
}

#[test]
fn a_page_that_is_no_list_is_no_page() {
    for body in [&b""[..], b"<html>", b"[]", b"{}", br#"{"results":null}"#, br#"{"results":["#, b"null"] {
        assert!(page::<Asset>(body).is_err(), "{}", String::from_utf8_lossy(body));
    }
    let twice =
        br#"{"results":[{"id":"a","id":"b","asset_type":{"id":"t"},"name":"x","name":"y"}],"next_cursor":7}"#;
    let page = page::<Asset>(twice).unwrap();
    assert_eq!((page.results[0].id.as_str(), page.results[0].name.as_str()), ("b", "y"));
    assert_eq!(page.next.as_deref(), Some("7"));
}

/// Any JSON, with the members that matter often among them.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let name = prop_oneof![
            Just("id".to_owned()),
            Just("name".to_owned()),
            Just("fields".to_owned()),
            Just("asset_type".to_owned()),
            Just("checked_out_to".to_owned()),
            Just("options".to_owned()),
            ".{0,6}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn neighbours_are_kept<T: Record + PartialEq + std::fmt::Debug>(good: &Value, odd: &Value) {
    let body = json!({"results": [good, odd, good], "next_cursor": null}).to_string();
    let page = page::<T>(body.as_bytes()).unwrap();
    let expected = one::<T>(good.to_string().as_bytes()).unwrap().0;
    assert!(page.results.len() >= 2 && page.rows == 3 && page.results.len() + page.lost.len() == 3);
    assert_eq!((page.results.first(), page.results.last()), (Some(&expected), Some(&expected)));
    // What was read can be written and read again as our own.
    for record in page.results {
        let _ = record.is_short();
    }
}

proptest! {
    /// P30: whatever one row is, it neither ends the reading nor costs its neighbours.
    #[test]
    fn p30_no_row_costs_its_neighbours(odd in any_json()) {
        neighbours_are_kept::<Asset>(&good(), &odd);
        neighbours_are_kept::<UserRecord>(&json!({"id": "u", "name": "Sam", "email": null, "source": "jira"}), &odd);
        neighbours_are_kept::<AssetType>(&json!({"id": "t", "name": "Laptop", "fields": []}), &odd);
        neighbours_are_kept::<Named>(&json!({"id": "l", "name": "HQ"}), &odd);
        neighbours_are_kept::<Field>(&json!({"name": "Team", "type": "text"}), &odd);
    }
}

#[test]
fn p30_a_record_that_no_message_could_carry_is_left_out_and_named() {
    let fields: serde_json::Map<String, Value> =
        (0..30).map(|number| (format!("Field {number}"), json!(vec!["x".repeat(60_000); 4]))).collect();
    let large =
        json!({"id": "A1", "name": "Mac 1", "asset_type": {"id": "t", "name": "Laptop"}, "fields": fields});
    let small =
        json!({"id": "A2", "name": "Mac 2", "asset_type": {"id": "t", "name": "Laptop"}, "fields": {}});
    let body = json!({"results": [large, small], "next_cursor": null}).to_string();
    let page: Page<Asset> = page(body.as_bytes()).unwrap();
    assert_eq!((page.rows, page.results.len(), page.lost.len()), (2, 1, 1));
    let lost = page.lost[0].to_string();
    assert!(lost.contains("Mac 1") && lost.contains("bytes large"), "{lost}");
}
