use std::collections::BTreeMap;
use std::path::Path;

use amfj_sync_model::amfj::{FieldType, Named};

use super::*;
use crate as config;

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

/// What is said of settings that were right before: of the first catalogue under the first settings.
fn examined(before: &Catalogue, tables: &str, catalogue: &Catalogue) -> Examined {
    let config = integration(tables);
    let first = examine(&config, before, &Before { catalogue: &Catalogue::default(), in_use: None });
    let second = examine(&config, catalogue, &Before { catalogue: before, in_use: Some(&first.in_use) });
    // A third run finds it as the second did, although the second took the new catalogue over.
    let third = examine(&config, catalogue, &Before { catalogue, in_use: Some(&second.in_use) });
    assert_eq!(second, third);
    second
}

const EVERYTHING: &str = "default_asset_type = \"Laptop\"\ndefault_location = \"Head Office\"\ncreate_devices = \"always\"\n\
     [integration.asset_types]\niPhone = \"Phone\"\n\
     [integration.fields]\n\"Serial Number\" = \"serial_number\"\nIMEI = \"details.cellular.imei\"\n\
     [integration.user_fields]\nTeam = \"user.department\"";

#[test]
fn p18_what_was_right_and_is_missing_now_stops_only_what_needs_it() {
    let (before, mut after) = (catalogue(), catalogue());
    assert!(examined(&before, EVERYTHING, &after).missing.is_empty());
    after.locations.clear();
    after.user_fields.clear();
    after.asset_types.remove(1);
    let examined = examined(&before, EVERYTHING, &after);
    assert_eq!(examined.problems, Vec::<String>::new());
    let said: Vec<String> = examined.missing.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 4, "{said:#?}");
    for (said, words) in said.iter().zip([
        ["asset_types.iPhone", "no asset of that type is created"],
        ["sync.default_location", "assets get no location"],
        ["fields.IMEI", "that field is left out"],
        ["user_fields.Team", "that field is left out"],
    ]) {
        assert!(words.iter().all(|word| said.contains(word)) && said.contains("any more"), "{said}");
    }
}

#[test]
fn p18_a_field_that_became_required_stops_creations_and_nothing_else() {
    let (before, mut after) = (catalogue(), catalogue());
    after.asset_types[1].fields[0].required = true;
    let mapped = "default_asset_type = \"Phone\"\ncreate_devices = \"always\"\n[integration.fields]\nName = \"device_name\"";
    let examined = examined(&before, mapped, &after);
    assert!(examined.problems.is_empty() && examined.missing.len() == 1, "{examined:?}");
    assert!(examined.missing[0].why.contains("no asset of that type is created"), "{examined:?}");
}

#[test]
fn p18_what_was_never_right_is_a_mistake_also_after_a_run() {
    let before = catalogue();
    let first = examine(&integration(EVERYTHING), &before, &Before { catalogue: &before, in_use: None });
    let config = integration(&EVERYTHING.replace("Head Office", "Annex"));
    let examined = examine(&config, &before, &Before { catalogue: &before, in_use: Some(&first.in_use) });
    assert_eq!(examined.problems.len(), 1, "{examined:?}");
    assert!(!examined.in_use.iter().any(|name| name.contains("Annex")));
}

#[test]
fn p18_what_a_run_of_an_earlier_release_applied_is_known_by_what_the_site_had() {
    let (before, mut after) = (catalogue(), catalogue());
    after.locations.clear();
    let examined = examine(&integration(EVERYTHING), &after, &Before { catalogue: &before, in_use: None });
    assert_eq!((examined.problems.len(), examined.missing.len()), (0, 1), "{examined:?}");
    // In a first run nothing was right before.
    let none = Catalogue::default();
    let examined = examine(&integration(EVERYTHING), &after, &Before { catalogue: &none, in_use: None });
    assert_eq!((examined.problems.len(), examined.missing.len()), (1, 0), "{examined:?}");
}

#[test]
fn what_an_integration_uses_of_a_site_is_what_it_maps_and_what_is_required() {
    let whole = catalogue();
    let config = integration("default_asset_type = \"Laptop\"\n[integration.fields]\nOS = \"os_version\"");
    let narrow = narrowed_to(&whole, &config);
    let names = |catalogue: &Catalogue| -> Vec<String> {
        let fields = catalogue.asset_types.iter().flat_map(|one| &one.fields).chain(&catalogue.user_fields);
        fields.map(|field| field.name.clone()).collect()
    };
    assert!(names(&narrow).len() < names(&whole).len() && narrow.locations.is_empty(), "{narrow:?}");
    assert!(
        names(&narrow).contains(&"OS".to_owned()) && names(&narrow).contains(&"Serial Number".to_owned())
    );
    assert_eq!(narrow.asset_types.len(), whole.asset_types.len(), "assets of each type are listed");
    assert_eq!(narrowed_to(&narrow, &config), narrow);
    let before = Before { catalogue: &Catalogue::default(), in_use: None };
    assert_eq!(
        examine(&config, &narrow, &before).problems,
        examine(&config, &whole, &before).problems,
        "what it says of the settings is the same"
    );
}
