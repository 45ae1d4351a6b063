//! The model itself: a few worlds small enough to see what is right, and that differences are seen.

use serde_json::{Value, json};

use super::*;
use crate::sim::amfj::KeptOtherwise;
use crate::sim::fleet::Site;

fn device(id: &str, name: &str, user: &Value) -> Value {
    json!({ "device_id": id, "device_name": name, "serial_number": format!("S{id}"), "platform": "Mac",
            "model": "M", "is_removed": false, "user": user })
}

fn ana() -> Value {
    json!({ "id": "u1", "name": "Ana", "email": "Ana@example.com", "is_archived": false })
}

fn content(devices: Vec<Value>) -> KandjiContent {
    KandjiContent { devices, ..KandjiContent::default() }
}

#[test]
fn p5_links_by_name_and_p13_writes_only_what_differs() {
    let mut site = Site::empty();
    site.add_asset(" front  DESK", "Laptop");
    let mut model = Model::default();
    let settings = Settings::default().field("Model", "model");
    let prediction = model.run(&settings, &content(vec![device("1", "Front desk", &json!(""))]), &site);
    assert_eq!(prediction.classes["1"], Class::Linked);
    assert_eq!(prediction.site.assets[0].fields["Model"], "M");
    assert_eq!(prediction.site.assets[0].name, " front  DESK");
    // The same again changes nothing, and the wrong end state is told.
    let after = prediction.site.clone();
    let again = model.run(&settings, &content(vec![device("1", "Front desk", &json!(""))]), &after);
    assert_eq!(again.site, after);
    assert_eq!(model.agree(&again, &after), Ok(()));
    let difference = model.agree(&again, &site).unwrap_err();
    assert!(difference.contains("should be: asset asset-0000001"), "{difference}");
}

#[test]
fn p6_two_devices_of_a_name_are_ambiguous_unless_a_serial_decides() {
    let mut site = Site::empty();
    site.add_asset("Twin", "Laptop");
    let devices = content(vec![device("1", "Twin", &json!("")), device("2", "Twin", &json!(""))]);
    let prediction = Model::default().run(&Settings::default(), &devices, &site);
    assert_eq!((prediction.classes["1"], prediction.classes["2"]), (Class::Ambiguous, Class::Ambiguous));
    site.assets[0].fields.insert("Serial Number".to_owned(), json!("S2"));
    let settings = Settings::default().field("Serial Number", "serial_number");
    let prediction = Model::default().run(&settings, &devices, &site);
    assert_eq!((prediction.classes["1"], prediction.classes["2"]), (Class::Unmatched, Class::Linked));
}

#[test]
fn p11_p20_a_record_is_created_and_has_the_asset() {
    let mut site = Site::empty();
    site.add_asset("Mac", "Laptop");
    let settings = Settings { auto_checkout: true, ..Settings::default() };
    let devices = content(vec![device("1", "Mac", &ana())]);
    let mut model = Model::default();
    let prediction = model.run(&settings, &devices, &site);
    // The simulator will have given the record an id of its own.
    let mut actual = prediction.site.clone();
    actual.users[0].id = "user-77".to_owned();
    actual.users[0].email = Some("ana@example.com".to_owned());
    actual.assets[0].holder = Some("user-77".to_owned());
    assert_eq!(model.agree(&prediction, &actual), Ok(()));
    assert_eq!(model.user_links["u1"], "user-77");
    // Handed to somebody else by hand: left alone, or taken back under enforce.
    let other = actual.add_user("Other", None, false);
    actual.assets[0].holder = Some(actual.users[other].id.clone());
    let left = model.clone().run(&settings, &devices, &actual);
    assert_eq!(left.site.assets[0].holder, actual.assets[0].holder);
    let enforced = Settings { enforce: true, ..settings };
    let taken = model.run(&enforced, &devices, &actual);
    assert_eq!(taken.site.assets[0].holder.as_deref(), Some("user-77"));
}

#[test]
fn p22_gone_after_two_runs() {
    let mut site = Site::empty();
    site.add_asset("Mac", "Laptop");
    let mut model = Model::default();
    let settings = Settings { check_in_gone: true, ..Settings::default() };
    model.run(&settings, &content(vec![device("1", "Mac", &json!(""))]), &site);
    site.add_user("Holder", None, false);
    site.assets[0].holder = Some(site.users[0].id.clone());
    let first = model.run(&settings, &content(Vec::new()), &site);
    assert_eq!((first.classes["1"], first.site.assets[0].holder.is_some()), (Class::Away, true));
    let second = model.run(&settings, &content(Vec::new()), &site);
    assert_eq!((second.classes["1"], second.site.assets[0].holder.is_some()), (Class::Gone, false));
}

#[test]
fn agreement_sees_what_was_created_twice_or_not_at_all() {
    let settings = Settings { create_devices: CreateDevices::Always, ..Settings::default() };
    let mut model = Model::default();
    let devices = content(vec![device("1", "New", &json!(""))]);
    let prediction = model.run(&settings, &devices, &Site::empty());
    let missing = model.clone().agree(&prediction, &Site::empty()).unwrap_err();
    assert!(missing.starts_with("should be there: asset new asset of 1"), "{missing}");
    let mut twice = Site::empty();
    twice.add_asset("New", "Laptop");
    twice.add_asset("New", "Laptop");
    let doubled = model.agree(&prediction, &twice).unwrap_err();
    assert!(doubled.starts_with("should not be there: asset asset-0000002"), "{doubled}");
}

#[test]
fn p15_a_value_that_amfj_keeps_in_its_own_form_may_be_there_in_that_form() {
    let mut site = Site::empty();
    site.add_asset("Mac", "Laptop");
    let settings = Settings::default().field("Model", "model");
    let devices = content(vec![device("1", "Mac", &json!(""))]);
    let mut model = Model::default();
    let prediction = model.run(&settings, &devices, &site);
    let mut kept = prediction.site.clone();
    kept.assets[0].fields.insert("Model".to_owned(), json!("m"));
    assert!(model.agree(&prediction, &kept).is_err(), "nobody said so");
    let (record, field) = (kept.assets[0].id.clone(), "Model".to_owned());
    model.keeps_otherwise([KeptOtherwise { record, field, sent: json!("M"), kept: Some(json!("m")) }]);
    assert_eq!(model.agree(&prediction, &kept), Ok(()));
    assert_eq!(model.agree(&prediction, &prediction.site), Ok(()), "or as it was sent");
    kept.assets[0].fields.insert("Model".to_owned(), json!("another"));
    assert!(model.agree(&prediction, &kept).is_err());
}

#[test]
fn p23_nothing_comes_of_a_held_run() {
    let mut site = Site::empty();
    site.add_asset("Mac", "Laptop");
    let settings = Settings::default().field("Model", "model");
    let devices = content(vec![device("1", "Mac", &json!(""))]);
    let mut model = Model::default();
    assert_eq!(model.held_run(&settings, &devices, &site).site, site);
    assert!(model.links.is_empty());
    let after = model.run(&settings, &devices, &site);
    assert_eq!(after.classes["1"], Class::Linked, "its first sync is still to come (P5)");
}

#[test]
fn p5_a_first_sync_lasts_for_each_device_until_it_is_carried_out() {
    let mut site = Site::empty();
    site.add_asset("Mac", "Laptop");
    site.add_asset("Mini", "Laptop");
    let settings = Settings { until_linked: false, ..Settings::default() };
    let all = content(vec![device("1", "Mac", &json!("")), device("2", "Other", &json!(""))]);
    let mut model = Model::default();
    model.run(&settings, &all, &site);
    model.was_not_carried_out("1");
    let renamed = content(vec![device("1", "Mac", &json!("")), device("2", "Mini", &json!(""))]);
    let again = model.run(&settings, &renamed, &site);
    assert_eq!(again.classes["1"], Class::Linked, "it was decided, and not done");
    assert_eq!(again.classes["2"], Class::Unmatched, "its first sync is over");
}
