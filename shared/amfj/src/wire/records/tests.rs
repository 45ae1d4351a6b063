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
