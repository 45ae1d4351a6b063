//! What cannot be read of a record never becomes nobody, nowhere or blank without a word (P30).

use amfj_sync_model::amfj::Asset;
use serde_json::json;

use super::*;
use crate::profile::parse;

/// The flat profile of the tests, with one of its lines changed.
fn profile(line: &str, by: &str) -> Profile {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/profiles/offset-put.toml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(line), "{line}");
    parse("amfj.toml".as_ref(), &text.replacen(line, by, 1)).unwrap_or_else(|errors| panic!("{errors}"))
}

fn asset(profile: &Profile, value: &Value) -> (Asset, Vec<String>) {
    let (definitions, people) = (Definitions::new(), Directory::new());
    let lens = Lens { profile, definitions: &definitions, people: &people };
    let (asset, odd) = read::<Asset>(&lens, &Row { value, key: None }).unwrap();
    (asset, odd.into_iter().map(|odd| odd.why).collect())
}

fn row(custody: Option<Value>) -> Value {
    let mut row = json!({"assetId": 1, "title": "Mac", "typeId": 3, "place": null, "attributes": []});
    if let Some(custody) = custody {
        row["custody"] = custody;
    }
    row
}

#[test]
fn p30_a_holder_is_nobody_only_where_the_interface_says_so() {
    let strict = profile("format = 1", "format = 1");
    let optional =
        profile("name = \"/custody/personName\" }", "name = \"/custody/personName\", optional = true }");
    for (custody, by_strict, by_optional) in [
        (None, Some(false), None),
        (Some(json!(null)), None, None),
        (Some(json!({})), None, None),
        (Some(json!({"personId": null})), None, None),
        (Some(json!({"personId": 8})), Some(true), Some(true)),
        (Some(json!({"person": 8})), Some(false), Some(false)),
        (Some(json!("Sam")), Some(false), Some(false)),
        (Some(json!({"personId": {"x": 1}})), Some(false), Some(false)),
    ] {
        for (profile, expected) in [(&strict, by_strict), (&optional, by_optional)] {
            let (asset, odd) = asset(profile, &row(custody.clone()));
            let readable = asset.checked_out_to.map(|holder| holder.is_readable());
            assert_eq!(readable, expected, "{custody:?}");
            assert_eq!(readable == Some(false), odd.iter().any(|why| why.contains("who has it")), "{odd:?}");
        }
    }
}

#[test]
fn p30_a_holder_without_email_is_somebody_where_people_are_told_by_email() {
    let by_email = profile(
        "holder = { id = \"/custody/personId\", name = \"/custody/personName\" }",
        "holder = { email = \"/custody/mail\", name = \"/custody/personName\", optional = true }",
    );
    for (custody, readable) in [
        (json!({"mail": null, "personName": "Sam"}), Some(false)),
        (json!({"mail": " ", "personName": "Sam"}), Some(false)),
        (json!({"mail": null, "personName": ""}), None),
        (json!({"mail": null}), None),
        (json!(null), None),
    ] {
        let (asset, odd) = asset(&by_email, &row(Some(custody.clone())));
        assert_eq!(asset.checked_out_to.map(|holder| holder.is_readable()), readable, "{custody}");
        assert_eq!(readable.is_some(), odd.iter().any(|why| why.contains("who has it")), "{odd:?}");
    }
}

#[test]
fn p30_what_may_be_missing_beside_the_name_of_the_asset_is_nowhere() {
    let profile = profile(
        "location = { id = \"/place/placeId\", name = \"/place/label\" }",
        "location = { name = \"/box/site\", optional = true }",
    );
    let mut odd_row = row(Some(json!(null)));
    odd_row["box"] = json!({"title": "Mac"});
    assert_eq!(
        asset(&profile, &odd_row).1.len(),
        1,
        "an object of its own that has no such member says nothing"
    );
    let text = "name = \"/title\"\nasset_type = { id = \"/typeId\" }";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/profiles/offset-put.toml");
    let file = std::fs::read_to_string(path).unwrap();
    let own = file.replacen(text, "name = \"/box/title\"\nasset_type = { id = \"/typeId\" }", 1).replacen(
        "location = { id = \"/place/placeId\", name = \"/place/label\" }",
        "location = { name = \"/box/site\", optional = true }",
        1,
    );
    let own = parse("amfj.toml".as_ref(), &own).unwrap_or_else(|errors| panic!("{errors}"));
    let (found, odd) = asset(&own, &odd_row);
    assert_eq!((found.location, odd.len()), (None, 0), "{odd:?}");
}

#[test]
fn p30_one_member_that_cannot_be_read_costs_that_member_alone() {
    let profile = profile("format = 1", "format = 1");
    let mut odd_row = row(Some(json!(null)));
    odd_row["title"] = json!(["x"]);
    odd_row["place"] = json!({"label": "HQ"});
    odd_row["attributes"] = json!("none");
    odd_row["audit"] = json!({"created": "soon"});
    let (asset, odd) = asset(&profile, &odd_row);
    assert_eq!((asset.id.as_str(), asset.name.as_str(), asset.asset_type.id.as_str()), ("1", "", "3"));
    assert!(asset.location.is_some_and(|location| location.id.is_empty()), "not nowhere, but unknown");
    for why in ["name", "location", "fields", "created"] {
        assert!(odd.iter().any(|odd| odd.contains(why)), "{why}: {odd:?}");
    }
    let missing = json!({"assetId": 1, "title": "Mac", "typeId": 3, "custody": null, "place": null});
    let (_, odd) = self::asset(&profile, &missing);
    assert!(odd.iter().any(|odd| odd.contains("/attributes")), "{odd:?}");
}
