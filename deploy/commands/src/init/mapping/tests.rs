use amfj_sync_model::amfj::AssetType;
use serde_json::json;

use super::*;

fn field(name: &str, field_type: FieldType) -> Field {
    Field { name: name.to_owned(), field_type, required: false, options: Vec::new() }
}

fn fleet() -> Fleet {
    let rows = vec![
        json!({"device_id": "d-1", "serial_number": "C02", "model": "MacBook Air", "os_version": "15.1", "tags": ["b", "a"]}),
        json!({"device_id": "d-2", "serial_number": "", "model": "iPad", "os_version": "18.0", "tags": []}),
    ];
    let details = vec![json!({
        "general": {"device_id": "d-1"},
        "hardware_overview": {"memory": "16 GB"},
        "mdm": {"supervised": "True"},
        "volumes": [{"capacity": "228.27 GB"}],
        "installed_profiles": [{"name": "x"}],
    })];
    Fleet::of(Sample { rows, details, whole: true })
}

fn proposed(name: &str, field_type: FieldType) -> (Option<String>, Option<String>) {
    let mut lines = [Line { field: field(name, field_type), only_of: None, source: None, misfit: None }];
    propose(&mut lines, None, &fleet());
    let [line] = lines;
    (line.source, line.misfit)
}

#[test]
fn a_proposal_goes_by_the_name_and_by_what_fits_the_type() {
    let by = |source: &str| (Some(source.to_owned()), None);
    for (name, field_type, wanted) in [
        ("Serial Number", FieldType::Text, by("serial_number")),
        ("SERIAL-NO.", FieldType::Text, by("serial_number")),
        ("OS Version", FieldType::Number, by("os_version")),
        ("Supervised?", FieldType::Boolean, by("details.mdm.supervised")),
        ("RAM", FieldType::Text, by("details.hardware_overview.memory")),
        ("Tags", FieldType::Text, by("tags")),
        // By the name of a documented property, although no device here has it.
        ("Agent Version", FieldType::Text, by("agent_version")),
        ("Agent Version", FieldType::Number, (None, None)),
        // What is another value at every check-in is nobody's field.
        ("Last check-in", FieldType::Text, (None, None)),
        ("Colour", FieldType::Text, (None, None)),
        ("¯\\_(ツ)_/¯", FieldType::Text, (None, None)),
        ("---", FieldType::Text, (None, None)),
    ] {
        assert_eq!(proposed(name, field_type), wanted, "{name}");
    }
    let (source, misfit) = proposed("Memory", FieldType::Number);
    assert_eq!(source, None);
    assert_eq!(misfit.unwrap(), "details.hardware_overview.memory is \"16 GB\", not a number");
}

#[test]
fn every_property_that_is_proposed_is_documented() {
    for (property, _) in OFTEN {
        let path = PropertyPath::parse(property).unwrap();
        assert!(amfj_sync_model::mapping::known::is_documented(&path), "{property}");
        assert!(!is_restless(&path), "{property}");
    }
}

#[test]
fn what_is_mapped_is_not_proposed_anew() {
    let mut lines = [
        Line { field: field("Serial Number", FieldType::Text), only_of: None, source: None, misfit: None },
        Line { field: field("Model", FieldType::Text), only_of: None, source: None, misfit: None },
    ];
    let mapped = BTreeMap::from([("Serial Number".to_owned(), "asset_tag".to_owned())]);
    propose(&mut lines, Some(&mapped), &fleet());
    assert_eq!(lines.map(|line| line.source), [Some("asset_tag".to_owned()), None]);
}

#[test]
fn fields_are_those_of_the_default_type_and_then_those_of_others() {
    let asset_type = |name: &str, names: &[&str]| AssetType {
        id: name.to_owned(),
        name: name.to_owned(),
        fields: names.iter().map(|name| field(name, FieldType::Text)).collect(),
    };
    let asset_types =
        vec![asset_type("Phone", &["IMEI", "Model"]), asset_type("Laptop", &["Model", "Memory"])];
    let catalogue = Catalogue { asset_types, ..Catalogue::default() };
    let lines: Vec<(String, Option<String>)> =
        fields(&catalogue, "Laptop").into_iter().map(|line| (line.field.name, line.only_of)).collect();
    let wanted = [("Model", None), ("Memory", None), ("IMEI", Some("Phone"))];
    assert_eq!(
        lines,
        wanted.map(|(name, only): (&str, Option<&str>)| (name.to_owned(), only.map(str::to_owned)))
    );
}

#[test]
fn properties_are_listed_with_an_example_and_without_crowds() {
    let listed = |word| properties::listed(&fleet(), word);
    let all = listed("");
    assert!(
        all.iter().any(|(name, example)| name == "details.volumes[0].capacity"
            && example.as_deref() == Some("\"228.27 GB\"")),
        "{all:?}"
    );
    assert!(!all.iter().any(|(name, _)| name.contains("profiles")), "{all:?}");
    assert_eq!(listed("SERIAL"), [("serial_number".to_owned(), Some("\"C02\"".to_owned()))]);
    assert!(
        all.iter().position(|(name, _)| name == "tags")
            < all.iter().position(|(name, _)| name.starts_with("details"))
    );
}
