use serde_json::json;

use super::*;

fn device(row: Value) -> Device {
    Device::parse(row).unwrap()
}

fn sample(name: &str) -> Value {
    let path = format!("{}/tests/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_unassigned_device_has_no_user_whatever_form_that_takes() {
    for user in [json!(""), json!(" "), Value::Null, json!({}), json!({"id": "", "email": null, "name": " "})]
    {
        assert_eq!(device(json!({"device_id": "d", "user": user})).user, None, "{user}");
    }
    assert_eq!(device(json!({"device_id": "d"})).user, None);
}

#[test]
fn user_ids_come_as_uuid_or_integer_and_are_compared_as_text() {
    for (id, expected) in
        [(json!(29360), "29360"), (json!("29360"), "29360"), (json!(" 5344c996 "), "5344c996")]
    {
        let user = device(json!({"device_id": "d", "user": {"id": id, "name": "Dana"}})).user.unwrap();
        assert_eq!(user.id.unwrap().as_str(), expected);
    }
}

#[test]
fn p10_a_user_without_id_is_kept_to_be_reported() {
    let user =
        device(json!({"device_id": "d", "user": {"email": " dana@example.com ", "id": null}})).user.unwrap();
    assert_eq!((user.id, user.email.as_deref()), (None, Some("dana@example.com")));
    let odd = device(json!({"device_id": "d", "user": "Dana"})).user.unwrap();
    assert_eq!((odd.id, odd.name.as_deref()), (None, Some("Dana")));
}

#[test]
fn p11_archived_users_are_recognised() {
    for (user, archived) in [
        (json!({"id": 1, "is_archived": true}), true),
        (json!({"id": 1, "is_archived": "True"}), true),
        (json!({"id": 1, "archived": true}), true),
        (json!({"id": 1, "is_archived": false}), false),
        (json!({"id": 1}), false),
    ] {
        assert_eq!(
            device(json!({"device_id": "d", "user": user})).user.unwrap().archived,
            archived,
            "{user}"
        );
    }
}

#[test]
fn blank_is_the_same_as_absent() {
    let blank = device(json!({
        "device_id": " d ", "device_name": "  ", "serial_number": "", "platform": null, "tags": null,
        "last_check_in": "", "is_removed": null
    }));
    let absent = device(json!({"device_id": "d"}));
    assert_eq!(Device { raw: Map::new(), ..blank }, Device { raw: Map::new(), ..absent });
}

#[test]
fn a_device_that_never_checked_in_has_no_check_in() {
    assert_eq!(device(json!({"device_id": "d", "last_check_in": ""})).check_in_key(), None);
    assert_eq!(device(json!({"device_id": "d", "last_check_in": null})).check_in_key(), None);
}

#[test]
fn a_check_in_has_one_key_in_every_form() {
    let key = |text: &str| device(json!({"device_id": "d", "last_check_in": text})).check_in_key();
    let expected = key("2022-08-15T13:51:01Z");
    assert!(expected.is_some());
    for text in ["2022-08-15 13:51:01+00:00", "2022-08-15 13:51:01 +0000", "2022-08-15T13:51:01.000000Z"] {
        assert_eq!(key(text), expected, "{text}");
    }
    assert_ne!(key("2022-08-15T13:51:02Z"), expected);
    assert_eq!(key("yesterday").as_deref(), Some("yesterday"));
}

#[test]
fn rows_that_are_no_devices_say_which() {
    for (row, reason) in [
        (json!("text"), "a row is a text instead of a device"),
        (json!([]), "a row is a list instead of a device"),
        (json!({}), "a device has no device_id, name or serial number"),
        (
            json!({"device_id": " ", "device_name": "Kiosk"}),
            "the device with device_name “Kiosk” has no device_id",
        ),
        (
            json!({"device_id": null, "device_name": "A", "serial_number": "S1"}),
            "the device with device_name “A” and serial_number “S1” has no device_id",
        ),
    ] {
        assert_eq!(Device::parse(row).unwrap_err().to_string(), reason);
    }
}

#[test]
fn names_keep_their_apostrophes_and_tags_their_order() {
    let parsed =
        device(json!({"device_id": "d", "device_name": "Sam\u{2019}s Mac", "tags": ["b", "", "a", null]}));
    assert_eq!(parsed.name.as_deref(), Some("Sam\u{2019}s Mac"));
    assert_eq!(parsed.tags, ["b", "a"]);
}

#[test]
fn every_sample_of_a_device_is_read_without_losing_a_property() {
    let mut read = 0;
    for name in [
        "device-android",
        "device-windows",
        "devices-page-iphone-unassigned",
        "devices-page-two-macs",
        "devices-recorded-mac-integer-user-id",
        "devices-recorded-mac-user-empty-string",
    ] {
        let rows = match sample(name) {
            Value::Array(rows) => rows,
            one => vec![one],
        };
        for row in rows {
            let parsed = device(row.clone());
            let expected = |property: &str| row[property].as_str().filter(|text| !text.is_empty());
            assert_eq!(parsed.device_id.as_str(), row["device_id"].as_str().unwrap(), "{name}");
            assert_eq!(parsed.name.as_deref(), expected("device_name"), "{name}");
            assert_eq!(parsed.serial.as_deref(), expected("serial_number"), "{name}");
            assert_eq!(parsed.platform.as_deref(), expected("platform"), "{name}");
            assert_eq!(parsed.model.as_deref(), expected("model"), "{name}");
            assert_eq!(parsed.os_version.as_deref(), expected("os_version"), "{name}");
            assert_eq!(parsed.blueprint_id.as_deref(), expected("blueprint_id"), "{name}");
            assert_eq!(parsed.blueprint_name.as_deref(), expected("blueprint_name"), "{name}");
            assert_eq!(parsed.user.is_some(), row["user"].is_object(), "{name}");
            assert!(parsed.check_in_key().is_some(), "{name}");
            for property in ["first_enrollment", "last_enrollment", "last_check_in"] {
                let text = row[property].as_str().unwrap_or_default();
                assert!(text.is_empty() || parse_timestamp(text).is_some(), "{name}: {property} {text:?}");
            }
            assert_eq!(Value::from(parsed), row, "{name}");
            read += 1;
        }
    }
    assert_eq!(read, 7);
}

proptest::proptest! {
    /// Whatever a property holds, a row with a device id is a device, and comes back as it was.
    #[test]
    fn no_value_of_any_property_refuses_a_device(property in 0..9_usize, value in 0..12_usize) {
        let names = ["device_name", "serial_number", "user", "tags", "last_check_in", "is_removed", "platform", "model", "unknown"];
        let values = [
            Value::Null, json!(true), json!(0), json!(-1.5), json!(""), json!("x"), json!([]), json!([1, null, {}]),
            json!({}), json!({"id": [], "email": {}, "name": 3}), json!("2022-02-30"), json!(u64::MAX),
        ];
        let row = json!({"device_id": "d", names[property]: values[value]});
        let parsed = device(row.clone());
        let _ = parsed.check_in_key();
        proptest::prop_assert_eq!(Value::from(parsed), row);
    }
}

#[test]
fn p21_a_user_who_cannot_be_read_is_not_nobody() {
    for user in [
        json!({"id": {"uuid": "x"}}),
        json!({"email": ["a@b.c"]}),
        json!([{"id": "u"}]),
        json!(true),
        json!(7),
    ] {
        let read = device(json!({"device_id": "d", "user": user})).user;
        assert!(read.is_some_and(|user| user.id.is_none()), "{user}");
    }
    assert_eq!(device(json!({"device_id": "d", "user": []})).user, None);
}

#[test]
fn p30_what_cannot_be_used_of_a_device_is_left_out_and_said() {
    let odd = device(json!({
        "device_id": 17, "device_name": {"en": "x"}, "serial_number": 12, "platform": ["Mac"],
        "model": "m".repeat(200_000), "last_check_in": true, "is_removed": 1
    }));
    assert_eq!(
        (odd.device_id.as_str(), odd.name, odd.serial.as_deref(), odd.platform),
        ("17", None, Some("12"), None)
    );
    assert_eq!(odd.model.map(|model| model.len()), Some(65_536));
    assert!(odd.is_removed && odd.odd.len() == 4, "{:?}", odd.odd);
    let good = json!({"device_id": "d", "device_name": null, "last_check_in": "", "user": ""});
    assert_eq!(device(good).odd, Vec::<String>::new());
    assert!(Device::parse(json!({"device_id": "x".repeat(600)})).is_err());
}

#[test]
fn p19_no_tag_is_overlooked_whatever_form_it_has() {
    for tags in [json!(["personal"]), json!("personal"), json!([{"id": 1, "name": "personal"}])] {
        assert_eq!(device(json!({"device_id": "d", "tags": tags})).tags, ["personal"], "{tags}");
    }
    assert_eq!(device(json!({"device_id": "d", "tags": [1, null, {}]})).tags, ["1"]);
}
