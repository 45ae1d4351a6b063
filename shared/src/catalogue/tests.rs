use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::amfj::FieldType;
use crate::config;

fn integration(tables: &str) -> Integration {
    let text = format!(
        r#"[broker]
url = "amqp://guest:guest@127.0.0.1:5672/%2f"
[[integration]]
id = "acme"
mode = "plan"
[integration.kandji]
api_url = "https://acme.api.kandji.io"
token = {{ env = "TOKEN" }}
[integration.amfj]
api_url = "https://amfj.example/v1"
token = {{ env = "TOKEN" }}
[integration.sync]
{tables}"#
    );
    let variables = BTreeMap::from([("TOKEN".to_owned(), "secret".to_owned())]);
    let loaded = config::parse(Path::new("amfj-sync.toml"), text, &variables, config::Tokens::Both);
    loaded.unwrap_or_else(|errors| panic!("{errors}")).config.integrations.remove(0)
}

fn catalogue() -> Catalogue {
    let field = |name: &str, required| Field {
        name: name.to_owned(),
        field_type: FieldType::Text,
        required,
        options: Vec::new(),
    };
    let asset_type =
        |id: &str, name: &str, fields| AssetType { id: id.to_owned(), name: name.to_owned(), fields };
    Catalogue {
        asset_types: vec![
            asset_type("t1", "Laptop", vec![field("Serial Number", true), field("OS", false)]),
            asset_type("t2", "Phone", vec![field("IMEI", false)]),
        ],
        locations: vec![Named { id: "l1".to_owned(), name: "Head Office".to_owned() }],
        user_fields: vec![field("Team", false)],
    }
}

fn check(tables: &str, expected: &[&str]) {
    let problems = problems(&integration(tables), &catalogue());
    assert_eq!(problems, expected, "{tables}");
}

#[test]
fn p18_right_names_are_no_problem() {
    check(
        "default_asset_type = \" Laptop\"\ndefault_location = \"Head Office\"\ncreate_devices = \"always\"\n\
         [integration.asset_types]\niPhone = \"Phone\"\n\
         [integration.fields]\n\"Serial Number\" = \"serial_number\"\nIMEI = \"details.cellular.imei\"\n\
         Name = \"device_name\"\n[integration.user_fields]\nName = \"user.name\"\nTeam = \"user.department\"\n\
         Email = \"user.email\"",
        &[],
    );
}

#[test]
fn p18_an_unknown_name_is_shown_with_its_line_and_the_nearest_right_one() {
    check(
        "default_asset_type = \"Labtop\"\ndefault_location = \"head ofice\"\n\
         [integration.asset_types]\niPhone = \"Handy\"\n\
         [integration.fields]\n\"Serial No\" = \"serial_number\"\nName = \"device_name\"\n\
         [integration.user_fields]\nTaem = \"user.department\"",
        &[
            "amfj-sync.toml:13: AMFJ has no asset type \"Labtop\"; did you mean \"Laptop\"?",
            "amfj-sync.toml:16: AMFJ has no asset type \"Handy\"; it is none of \"Laptop\", \"Phone\"",
            "amfj-sync.toml:14: AMFJ has no location \"head ofice\"; did you mean \"Head Office\"?",
            "amfj-sync.toml:18: AMFJ has no field of any asset type \"Serial No\"; did you mean \"Serial Number\"?",
            "amfj-sync.toml:21: AMFJ has no user field \"Taem\"; did you mean \"Team\"?",
        ],
    );
}

#[test]
fn p18_a_name_in_another_case_is_unknown() {
    check(
        "default_asset_type = \"laptop\"",
        &["amfj-sync.toml:13: AMFJ has no asset type \"laptop\"; did you mean \"Laptop\"?"],
    );
}

#[test]
fn p18_an_empty_site_says_so() {
    let config = integration("default_asset_type = \"Laptop\"");
    let expected =
        "amfj-sync.toml:13: AMFJ has no asset type \"Laptop\"; the site has none, so create it there first";
    assert_eq!(problems(&config, &Catalogue::default()), [expected]);
}

#[test]
fn p18_an_unmapped_required_field_of_a_created_type_is_an_error() {
    let unmapped = "amfj-sync.toml:13: assets of type \"Laptop\" must have the field \"Serial Number\", which \
                    nothing fills; map it in [integration.fields], make it optional in AMFJ, or set \
                    create_devices = \"never\"";
    for (devices, expected) in [("never", &[][..]), ("first-sync", &[unmapped]), ("always", &[unmapped])] {
        check(&format!("default_asset_type = \"Laptop\"\ncreate_devices = \"{devices}\""), expected);
    }
    check(
        "default_asset_type = \"Phone\"\ncreate_devices = \"always\"\n[integration.asset_types]\nMac = \"Laptop\"",
        &[&unmapped.replace(":13:", ":16:")],
    );
}

#[test]
fn names_are_found_without_the_spaces_around_them() {
    let catalogue = catalogue();
    assert_eq!(catalogue.asset_type_named(" Phone ").map(|found| found.id.as_str()), Some("t2"));
    assert_eq!(
        catalogue.asset_type("t1").and_then(|found| found.field("OS")).map(|field| field.required),
        Some(false)
    );
    assert_eq!(catalogue.location_named("Head Office").map(|found| found.id.as_str()), Some("l1"));
    assert_eq!(catalogue.location_named("Nowhere"), None);
}
