//! Which value AMFJ blames, by whatever name it calls the field.

use serde_json::json;

use super::*;

#[test]
fn p15_the_field_at_fault_is_left_out_by_whatever_name_amfj_calls_it() {
    for (blamed, left_out) in [
        ("Memory", Some("Memory")),
        ("fields.Memory", Some("Memory")),
        ("fields.Dotted", Some("fields.Dotted")),
        ("name", Some(Outcome::NAME)),
        ("location_id", Some(Outcome::LOCATION)),
        ("location", Some(Outcome::LOCATION)),
        ("fields.Colour", None),
        ("Cost Centre", None),
    ] {
        let mut patch = AssetPatch {
            name: Some("Mac 1".to_owned()),
            location_id: Some("l1".to_owned()),
            fields: ["Memory", "fields.Dotted"].map(|field| (field.to_owned(), json!("8 GB"))).into(),
        };
        let mut refused = Refused::default();
        assert_eq!(refused.leave_out(&mut patch, blamed, "no"), left_out.is_some(), "{blamed}");
        assert_eq!(refused.fields.keys().next().map(String::as_str), left_out, "{blamed}");
        assert!(!refused.leave_out(&mut patch, blamed, "no"), "{blamed} is not in there any more");
    }
}
