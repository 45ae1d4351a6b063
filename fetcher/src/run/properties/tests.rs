use amfj_sync_config::{self as config, Tokens};
use amfj_sync_model::messages::Details;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

use super::super::walk::Fleet;
use super::*;

/// A configuration that maps these properties to fields of the same place.
fn config(fields: &str, user_fields: &str) -> Integration {
    let text = format!(
        "[broker]\nurl = \"amqp://guest:guest@127.0.0.1:5672/%2f\"\n[[integration]]\nid = \"acme\"\nmode = \"plan\"\n\
         [integration.kandji]\napi_url = \"https://acme.api.kandji.io\"\ntoken = {{ env = \"K\" }}\n\
         [integration.amfj]\napi_url = \"https://amfj.example\"\ntoken = {{ env = \"A\" }}\n\
         [integration.sync]\ndefault_asset_type = \"Laptop\"\n\
         [integration.fields]\n{fields}\n[integration.user_fields]\n{user_fields}\n"
    );
    let variables = BTreeMap::from([("K".to_owned(), "k".to_owned()), ("A".to_owned(), "a".to_owned())]);
    let loaded = config::parse("amfj-sync.toml".as_ref(), text, &variables, Tokens::Both).unwrap();
    loaded.config.integrations.into_iter().next().unwrap()
}

#[test]
fn p18_a_documented_property_needs_no_proof() {
    let config =
        config("\"Serial\" = \"serial_number\"\n\"Memory\" = \"details.hardware_overview.memory\"", "");
    let unproven = Unproven::of(&config);
    assert!(unproven.problems(&config).is_empty());
    assert!(!unproven.needs_details());
}

#[test]
fn p18_an_unknown_property_names_the_line_the_word_and_the_nearest() {
    let config = config("\"Serial\" = \"serial_nubmer\"", "\"Name\" = \"{{ user.nmae }}\"");
    let problems = Unproven::of(&config).problems(&config);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("amfj-sync.toml:15: fields.\"Serial\""), "{}", problems[0]);
    assert!(problems[0].contains("\"serial_nubmer\"; did you mean \"serial_number\"?"), "{}", problems[0]);
    assert!(
        problems[1].contains("user_fields.\"Name\"") && problems[1].contains("\"user.name\"?"),
        "{}",
        problems[1]
    );
}

#[test]
fn p18_a_property_that_some_device_has_is_right_whatever_the_documents_say() {
    let config =
        config("\"A\" = \"brand_new\"\n\"B\" = \"details.brand.new\"\n\"C\" = \"details.brand.old\"", "");
    let mut unproven = Unproven::of(&config);
    unproven.see_row(&json!({ "brand_new": null }));
    assert_eq!(unproven.problems(&config).len(), 2);
    unproven.see_details(&json!({ "brand": { "new": "x" } }));
    assert!(unproven.needs_details());
    let values = BTreeMap::from([("details.brand.old".to_owned(), json!("y"))]);
    unproven.know_details(&Details { check_in: String::new(), values });
    assert_eq!(unproven.problems(&config), Vec::<String>::new());
}

#[test]
fn p18_details_that_could_not_be_read_prove_nothing() {
    let config = config("\"B\" = \"details.brand.new\"\n\"C\" = \"brand_new\"", "");
    let mut unproven = Unproven::of(&config);
    unproven.know_details(&Details {
        check_in: String::new(),
        values: BTreeMap::from([("details.brand.new".to_owned(), Value::Null)]),
    });
    assert!(unproven.needs_details(), "null may mean that it was never there");
    unproven.give_details_up();
    let named: BTreeSet<String> = unproven.problems(&config).into_iter().collect();
    assert_eq!(named.len(), 1);
    assert!(named.iter().all(|problem| problem.contains("brand_new")));
}

#[test]
fn p18_what_was_there_and_is_on_no_device_any_more_is_missing_and_no_mistake() {
    let config =
        config("\"A\" = \"brand_new\"\n\"B\" = \"details.brand.new\"\n\"C\" = \"details.brand.old\"", "");
    let mut seen = Unproven::of(&config);
    seen.see_row(&json!({ "brand_new": "x" }));
    seen.see_details(&json!({ "brand": { "new": null } }));
    let before = seen.proven(&config);
    assert_eq!(
        before,
        BTreeSet::from(["property/brand_new".to_owned(), "property/details.brand.new".to_owned()])
    );
    let mut now = Unproven::of(&config);
    let shown = |paths: Vec<PropertyPath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(now.missing_from_list(&before)), ["brand_new"]);
    assert_eq!(shown(now.missing_from_details(&before)), ["details.brand.new"]);
    let problems = now.problems(&config);
    assert_eq!(problems.len(), 1, "what was never there is a mistake: {problems:?}");
    assert!(problems[0].contains("details.brand.old"));
    let path = PropertyPath::parse("details.brand.new").unwrap();
    assert_eq!(Unproven::settings_with(&config, &path), ["fields.B"]);
}

#[test]
fn p18_absence_is_concluded_only_from_details_that_show_the_property() {
    let config = config("\"B\" = \"details.brand.new\"", "");
    let unproven = Unproven::of(&config);
    let of = |values: &[&str]| Details {
        check_in: String::new(),
        values: values.iter().map(|name| ((*name).to_owned(), Value::Null)).collect(),
    };
    assert!(unproven.are_all_in(&of(&["details.brand.new"])));
    assert!(!unproven.are_all_in(&of(&["details.other"])), "read before it was mapped");
}

#[test]
fn p18_what_is_on_no_device_any_more_is_unknown_and_not_blank() {
    let fleet = Fleet {
        ids: Vec::new(),
        in_scope: 0,
        removed: BTreeSet::new(),
        people: BTreeSet::new(),
        unproven: Unproven::of(&config("\"Colour\" = \"colour\"", "")),
        left_out: BTreeSet::from(["colour".to_owned()]),
        pages: 1,
    };
    let mut values = BTreeMap::from([("colour".to_owned(), json!(null)), ("model".to_owned(), json!(null))]);
    fleet.strip(&mut values);
    // A blank one may clear the field (`on_empty`), one that is not there leaves it alone.
    assert_eq!(values.into_keys().collect::<Vec<_>>(), ["model"]);
}
