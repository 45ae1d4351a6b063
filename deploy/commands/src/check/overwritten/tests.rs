//! Values of people that a first sync would overwrite.

use amfj_sync_model::amfj::{AssetType, Field, FieldType, Named};
use amfj_sync_model::ids::AssetId;
use serde_json::json;

use super::*;
use crate::fixture::config;

fn integration() -> Integration {
    let fields = r#"
[integration.scope]
exclude = { platform = ["iPad"] }
[integration.fields]
"Serial Number" = "serial_number"
"Model" = "model"
"Memory" = "asset_tag"
"Notes" = "{{ model }}, {{ os_version }}"
"#;
    config(fields)
}

fn asset(id: &str, name: &str, fields: &Value) -> Asset {
    let fields = fields.as_object().cloned().unwrap_or_default().into_iter().collect();
    Asset {
        id: AssetId::new(id).unwrap(),
        name: name.into(),
        asset_type: Named { id: "t".into(), name: "Laptop".into() },
        location: None,
        fields,
        checked_out_to: None,
        created_at: None,
    }
}

/// One type, with the serial in a field of this type.
fn catalogue(serial: FieldType) -> Catalogue {
    let field = |name: &str, field_type| Field {
        name: name.into(),
        field_type,
        required: false,
        options: Vec::new(),
    };
    let fields = vec![
        field("Serial Number", serial),
        field("Model", FieldType::Text),
        field("Memory", FieldType::Number),
        field("Notes", FieldType::Text),
    ];
    let laptop = AssetType { id: "t".into(), name: "Laptop".into(), fields };
    Catalogue { asset_types: vec![laptop], ..Catalogue::default() }
}

fn device(name: &str, serial: &str, platform: &str) -> Value {
    json!({"device_name": name, "serial_number": serial, "platform": platform, "model": "Air", "asset_tag": "8",
           "os_version": "15"})
}

#[test]
fn values_that_a_first_sync_would_overwrite_are_counted_by_field() {
    let catalogue = catalogue(FieldType::Text);
    let rows = [
        device("Imani’s Mac", "S1", "Mac"),
        device("Lobby", "S2", "Mac"),
        device("Lobby", "S3", "Mac"),
        device("Kiosk", "S4", "iPad"),
        device("Desk", "S5", "Mac"),
        device("Twin", "S6", "Mac"),
    ];
    let by_hand = json!({"Notes": "keyboard replaced", "Model": "Pro", "Memory": 8.0});
    let assets = [
        asset("a1", "Imani's Mac", &by_hand),
        asset("a2", "Lobby", &by_hand),
        asset("a3", "Kiosk", &by_hand),
        asset("a4", "Desk", &json!({"Serial Number": "OTHER", "Notes": "mine"})),
        asset("a5", "Twin", &json!({"Serial Number": "s6", "Notes": " ", "Model": "Air"})),
        asset("a6", "Twin", &by_hand),
    ];
    let counted = count(&integration(), &catalogue, &rows, &assets);
    // The one of the same name, and the one of several that has the serial; its spelling differs.
    let fields = [("Model", 1), ("Notes", 1), ("Serial Number", 1)];
    let fields = fields.into_iter().map(|(field, count)| (field.to_owned(), count)).collect();
    assert_eq!(counted, Counted { matched: 2, fields });
}

#[test]
fn p6_serials_are_compared_as_the_field_holds_them() {
    let rows = [device("Twin", "0777", "Mac"), device("Desk", "0042", "Mac")];
    let by_hand = |serial: Value| json!({"Serial Number": serial, "Notes": "mine"});
    let assets = [
        asset("a1", "Twin", &by_hand(json!(777.0))),
        asset("a2", "Twin", &json!({"Notes": "mine"})),
        asset("a3", "Desk", &by_hand(json!("42"))),
    ];
    // As numbers, both have an asset of their serial; as texts, one fits only the asset without, the other none.
    let matched = |serial| count(&integration(), &catalogue(serial), &rows, &assets).matched;
    assert_eq!((matched(FieldType::Number), matched(FieldType::Text)), (2, 1));
}

#[test]
fn p6_a_serial_of_more_than_two_devices_says_nothing() {
    let rows = ["Desk", "Lobby", "Shelf"].map(|name| device(name, "LOT-9", "Mac"));
    let assets = [asset("a1", "Desk", &json!({"Serial Number": "OTHER", "Notes": "mine"}))];
    assert_eq!(count(&integration(), &catalogue(FieldType::Text), &rows, &assets).matched, 1);
    assert_eq!(count(&integration(), &catalogue(FieldType::Text), &rows[..2], &assets).matched, 0);
}
