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
