//! P15: values in the type of the field.

use amfj_sync_model::amfj::{Field, FieldType};
use serde_json::{Value, json};

use crate::values::{convert, is_same};

fn field(field_type: FieldType) -> Field {
    let options = vec!["Space Grey".to_owned(), "Silver".to_owned(), " iPad ".to_owned()];
    Field { name: "F".to_owned(), field_type, required: false, options }
}

fn check(field_type: FieldType, table: &[(Value, Option<Value>)]) {
    for (value, expected) in table {
        let converted = convert(&field(field_type), value);
        assert_eq!(converted.clone().ok(), *expected, "{field_type:?} from {value}: {converted:?}");
        if let Ok(converted) = converted {
            assert!(
                is_same(&field(field_type), &converted, value),
                "{field_type:?}: {value} differs from itself"
            );
        }
    }
}

#[test]
fn p15_text() {
    check(
        FieldType::Text,
        &[
            (json!("  MacBook Air "), Some(json!("MacBook Air"))),
            (json!(8), Some(json!("8"))),
            (json!(8.0), Some(json!("8"))),
            (json!(8.5), Some(json!("8.5"))),
            (json!(true), Some(json!("true"))),
            (json!(["b", " a", null, "", 3, "B"]), Some(json!("3, B, a, b"))),
            (json!([{"name": "a"}]), None),
            (json!({"name": "a"}), None),
        ],
    );
}

#[test]
fn p15_numbers() {
    check(
        FieldType::Number,
        &[
            (json!("8"), Some(json!(8))),
            (json!(8), Some(json!(8))),
            (json!(8.0), Some(json!(8))),
            (json!(" -8.25 "), Some(json!(-8.25))),
            (json!("+8.0"), Some(json!(8))),
            (json!("007"), Some(json!(7))),
            (json!(["8"]), Some(json!(8))),
            (json!("9223372036854775807"), Some(json!(9_223_372_036_854_775_807_i64))),
            (json!("18446744073709551615"), Some(json!(18_446_744_073_709_551_615_u64))),
            (json!("18446744073709551616"), None),
            (json!(9_007_199_254_740_993_i64), Some(json!(9_007_199_254_740_993_i64))),
            (json!("9007199254740993.0"), Some(json!(9_007_199_254_740_993_i64))),
            (json!(1e22), None),
            (json!("0.1"), Some(json!(0.1))),
            (json!("-0.50"), Some(json!(-0.5))),
            (json!("00.25"), Some(json!(0.25))),
            (json!("0.1000000000000000055"), None),
            (json!("9007199254740993.5"), None),
            (json!("-0"), Some(json!(0))),
            (json!("228.27 GB"), None),
            (json!("19%"), None),
            (json!("1,024"), None),
            (json!("1e5"), None),
            (json!("inf"), None),
            (json!("NaN"), None),
            (json!("."), None),
            (json!("8."), None),
            (json!("Not Present"), None),
            (json!(true), None),
            (json!(["8", "16"]), None),
        ],
    );
}

#[test]
fn p15_booleans() {
    let (yes, no) = (Some(json!(true)), Some(json!(false)));
    check(
        FieldType::Boolean,
        &[
            (json!(true), yes.clone()),
            (json!("True"), yes.clone()),
            (json!("Yes"), yes.clone()),
            (json!("ON"), yes.clone()),
            (json!("1"), yes.clone()),
            (json!(1), yes),
            (json!(false), no.clone()),
            (json!("False"), no.clone()),
            (json!("no"), no.clone()),
            (json!("off"), no.clone()),
            (json!(0), no),
            (json!(2), None),
            (json!("maybe"), None),
            (json!("Not Present"), None),
        ],
    );
}

#[test]
fn p15_dates_of_every_form_of_kandji() {
    let day = |day: &str| Some(json!(day));
    check(
        FieldType::Date,
        &[
            (json!("2024-07-23T14:11:37.150080Z"), day("2024-07-23")),
            (json!("2026-07-01T19:02:37.320664+00:00"), day("2026-07-01")),
            (json!("2022-06-24 14:20:19.961496+00:00"), day("2022-06-24")),
            (json!("2022-09-19 12:14:51+00:00"), day("2022-09-19")),
            (json!("2022-08-15 13:51:01 +0000"), day("2022-08-15")),
            (json!("2022-08-15 13:51:01"), day("2022-08-15")),
            (json!("2022-08-15"), day("2022-08-15")),
            (json!("2022-08-15 23:30:00 -0200"), day("2022-08-16")),
            (json!("2022-02-30"), None),
            (json!("20220815"), None),
            (json!(20_220_815), None),
            (json!("2022-08-15 and more"), None),
            (json!("yesterday"), None),
            (json!("5 days, 3 hours"), None),
        ],
    );
}

#[test]
fn p15_options_are_written_as_the_field_spells_them() {
    check(
        FieldType::Select,
        &[
            (json!("space grey "), Some(json!("Space Grey"))),
            (json!("SILVER"), Some(json!("Silver"))),
            (json!("ipad"), Some(json!(" iPad "))),
            (json!("Gold"), None),
        ],
    );
    let error = convert(&field(FieldType::Select), &json!("Gold")).unwrap_err();
    assert!(error.contains("\"Space Grey\""), "{error}");
}

#[test]
fn p15_an_option_is_there_letter_for_letter_or_is_the_only_one_in_another_case() {
    let options = ["LAB", "Lab", "lab", "Office "].map(str::to_owned).to_vec();
    let field = Field { options, ..field(FieldType::Select) };
    for option in ["LAB", "Lab", "lab", "Office "] {
        assert_eq!(convert(&field, &json!(option)), Ok(json!(option)));
        assert!(is_same(&field, &json!(option), &json!(option)));
    }
    assert_eq!(convert(&field, &json!("OFFICE")), Ok(json!("Office ")));
    assert!(convert(&field, &json!("lAB")).unwrap_err().contains("may be any of"));
    assert!(!is_same(&field, &json!("Lab"), &json!("LAB")));
}

#[test]
fn p15_web_addresses_and_emails_are_checked() {
    check(
        FieldType::Url,
        &[
            (json!(" https://example.com/a?b "), Some(json!("https://example.com/a?b"))),
            (json!("example.com"), None),
            (json!("mailto:sam@example.com"), None),
            (json!("https://"), None),
        ],
    );
    check(
        FieldType::Email,
        &[
            (json!(" Sam@Example.com"), Some(json!("Sam@Example.com"))),
            (json!("sam"), None),
            (json!("@example.com"), None),
            (json!("sam@example"), None),
            (json!("sam@a@example.com"), None),
            (json!("sam smith@example.com"), None),
        ],
    );
}

#[test]
fn p15_values_are_compared_after_conversion() {
    for (field_type, wanted, current, same) in [
        (FieldType::Number, json!(8), json!("8"), true),
        (FieldType::Number, json!(8), json!(8.0), true),
        (FieldType::Number, json!(8), json!("8.0"), true),
        (FieldType::Number, json!(8), json!(9), false),
        (FieldType::Number, json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64), false),
        (FieldType::Number, json!(9_007_199_254_740_993_i64), json!("9007199254740993"), true),
        (FieldType::Number, json!(0.1), json!("0.10"), true),
        (FieldType::Number, json!(0.1), json!(0.2), false),
        (FieldType::Number, json!(8), json!("eight"), false),
        (FieldType::Number, json!(8), Value::Null, false),
        (FieldType::Text, json!("a"), json!(" a "), true),
        (FieldType::Text, json!("a"), json!("A"), false),
        (FieldType::Text, json!("8"), json!(8), true),
        (FieldType::Boolean, json!(true), json!("Yes"), true),
        (FieldType::Date, json!("2024-07-23"), json!("2024-07-23T00:00:00Z"), true),
        (FieldType::Date, json!("2024-07-23"), json!("2024-07-24"), false),
        (FieldType::Select, json!("Silver"), json!("silver"), true),
        (FieldType::Email, json!("Sam@x.com"), json!("sam@x.com"), true),
        (FieldType::Text, Value::Null, json!(""), true),
        (FieldType::Text, Value::Null, Value::Null, true),
        (FieldType::Text, Value::Null, json!("a"), false),
    ] {
        assert_eq!(is_same(&field(field_type), &wanted, &current), same, "{field_type:?} {wanted} {current}");
    }
}

proptest::proptest! {
    #[test]
    fn p15_a_converted_value_converts_to_itself(text in ".{0,20}", number: f64, kind in 0..7_usize) {
        let kind = [FieldType::Text, FieldType::Number, FieldType::Boolean, FieldType::Date,
            FieldType::Select, FieldType::Url, FieldType::Email][kind];
        for value in [json!(text), json!(number), json!([text, number])] {
            if let Ok(converted) = convert(&field(kind), &value) {
                let again = convert(&field(kind), &converted);
                proptest::prop_assert_eq!(again, Ok(converted));
            }
        }
    }
}
