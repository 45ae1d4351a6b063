use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn what_is_json_stays_as_it_is() {
    for text in [
        r#"{"a":"NaN \"Infinity\" \\","b":[1,-2.5e3,null,true],"c":"\ud83d\ude00\n","d":{}}"#,
        "[]",
        "\"\"",
        " { } ",
    ] {
        assert_eq!(mend(text.as_bytes()), (text.to_owned(), false));
    }
}

#[test]
fn p30_what_is_broken_in_a_text_is_replaced_and_said() {
    for (body, expected) in [
        (&b"{\"a\":\"x\xffy\"}"[..], json!({"a": "x\u{fffd}y"})),
        (br#"{"a":"x\ud800y"}"#, json!({"a": "x\u{fffd}y"})),
        (br#"{"a":"\udc00\ud800\u0041"}"#, json!({"a": "\u{fffd}\u{fffd}A"})),
        (br#"{"a":"x\u0000y"}"#, json!({"a": "x\u{fffd}y"})),
        (br#"{"a":"\x41 \u12 z"}"#, json!({"a": "\u{fffd}x41 \u{fffd}12 z"})),
        (b"{\"a\":\"one\ntwo\ttab\"}", json!({"a": "one\ntwo\ttab"})),
        (b"\xef\xbb\xbf{\"a\":1}", json!({"a": 1})),
        (br#"{"a":NaN,"b":-Infinity,"c":[Infinity]}"#, json!({"a": null, "b": null, "c": [null]})),
    ] {
        let (mended, changed) = mend(body);
        assert!(changed, "{mended}");
        assert_eq!(serde_json::from_str::<Value>(&mended).unwrap(), expected, "{mended}");
        assert_eq!(value(body).unwrap(), expected);
    }
}

#[test]
fn p30_a_member_that_no_value_holds_is_the_text_that_it_was() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let nested =
        format!(r#"{{"user":{{"id":"u","odd":1e999,"more":[1,-1e999,{{"a":{deep}}}]}},"name":"x"}}"#);
    assert_eq!(
        value(nested.as_bytes()).unwrap(),
        json!({"user": {"id": "u", "odd": "1e999", "more": [1, "-1e999", {"a": deep}]}, "name": "x"})
    );
    let body = format!(r#"{{"id":"a","large":1e999,"deep":{deep}}}"#);
    assert_eq!(value(body.as_bytes()).unwrap(), json!({"id": "a", "large": "1e999", "deep": deep}));
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let mut long = json!({"a": ["ä".repeat(LONGEST_TEXT)], "b": "short"});
    assert!(is_too_long(&long) && cut_value(&mut long) && !is_too_long(&long));
    assert_eq!(long["a"][0].as_str().unwrap().len(), LONGEST_TEXT);
    assert!(!cut_value(&mut long));
}

proptest! {
    /// Whatever bytes come, mending ends, and what was JSON before is so after it.
    #[test]
    fn mending_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (mended, _) = mend(&body);
        if serde_json::from_slice::<Value>(&body).is_ok() && !has_nul(&body) {
            prop_assert!(serde_json::from_str::<Value>(&mended).is_ok());
        }
    }

    #[test]
    fn mending_what_looks_like_json_never_panics(body in r#"[\\"u0-9a-fNIx{}\[\]:, \n-]{0,60}"#) {
        let _ = mend(body.as_bytes());
    }
}

#[test]
fn a_value_of_many_parts_is_cut_as_well_and_the_same_each_time() {
    let row = |value: Value| {
        let (mut one, mut other) = (value.clone(), value);
        assert!(is_too_long(&one) && cut_value(&mut one), "it is cut");
        assert!(!is_too_long(&one) && !cut_value(&mut one), "once");
        cut_value(&mut other);
        assert_eq!(one, other);
        one
    };
    let list = row(json!(vec!["a text of some length"; 1_000_000]));
    assert!(list.as_array().is_some_and(|list| list.len() > 1_000 && list[0] == "a text of some length"));
    let members: Map<String, Value> =
        (0..500_000).map(|number| (format!("m{number:06}"), json!(number))).collect();
    let object = row(Value::Object(members));
    assert_eq!(object["m000000"], 0);
    // Each character takes six bytes.
    let text = row(json!("\u{1}".repeat(60_000)));
    assert!(
        text.as_str().is_some_and(|text| text.len() > 40_000),
        "{}",
        text.as_str().unwrap_or_default().len()
    );
}

#[test]
fn values_that_are_used_together_are_cut_only_where_they_are_too_much_together() {
    let text = |bytes: usize| json!("x".repeat(bytes));
    let few: std::collections::BTreeMap<String, Value> =
        (0..15).map(|number| (number.to_string(), text(60_000))).collect();
    let mut kept = few.clone();
    assert_eq!((cut_record(kept.iter_mut()), &kept), (vec![], &few));
    let mut many = few;
    many.extend((15..30).map(|number| (number.to_string(), text(60_000))));
    many.insert("short".into(), json!("as it was"));
    let cut = cut_record(many.iter_mut());
    assert_eq!(cut.len(), 30, "{cut:?}");
    assert_eq!(many["short"], "as it was");
    assert!(many.values().map(length).sum::<usize>() <= LONGEST_RECORD);
}
