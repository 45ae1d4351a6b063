//! What the answer to a write shows of the values that were sent: taken, kept in a form of AMFJ's own, or
//! not kept (P15). Pure.

use std::borrow::Cow;

use amfj_sync_model::mapping::is_blank;
use amfj_sync_model::messages::Edit;
use serde_json::Value;

/// Whether AMFJ took a value, as it is or in a form of its own. It did not where it shows what was there
/// before, or nothing.
pub(crate) fn is_kept(edit: &Edit, shown: &Value) -> bool {
    is_equal(&edit.new, shown) || !(is_equal(&edit.old, shown) || is_blank(shown))
}

/// The same value, however JSON or HTML spells it.
pub(crate) fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        _ if is_blank(one) || is_blank(other) => is_blank(one) && is_blank(other),
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::String(one), Value::String(other)) => unescaped(one.trim()) == unescaped(other.trim()),
        _ => one == other,
    }
}

/// A text without the escapes that HTML needs, should AMFJ have stored them with it.
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut plain = text.to_owned();
    for (escape, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&apos;", "'"),
        ("&nbsp;", " "),
        // The last one: what was escaped twice is unescaped once.
        ("&amp;", "&"),
    ] {
        plain = plain.replace(escape, character);
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn p15_what_an_answer_shows_is_taken_in_a_form_of_its_own_or_not_kept() {
        let table = [
            // sent, before, shown, kept
            (json!("new"), json!("old"), json!("new"), true),
            (json!("new"), json!("old"), json!("old"), false),
            (json!("new"), json!("old"), json!("NEW"), true),
            (json!("New"), json!("new"), json!("new"), false),
            (json!(" new "), json!("old"), json!("new"), true),
            (json!("new"), json!(null), json!(null), false),
            (json!("new"), json!("old"), json!(null), false),
            (json!(null), json!("old"), json!(""), true),
            (json!(null), json!("old"), json!("old"), false),
            (json!(8), json!(4), json!(8.0), true),
            (json!(8.26), json!(4), json!(8.3), true),
            (json!(8.26), json!(8), json!(8), false),
            (json!("R&D"), json!("old"), json!("R&amp;D"), true),
            // What is there already in AMFJ's own spelling is no sign that it was not taken.
            (json!("R&D"), json!("R&amp;D"), json!("R&amp;D"), true),
            (json!(true), json!(false), json!(false), false),
            (json!("2026-07-01"), json!(null), json!("2026-07-01T00:00:00Z"), true),
        ];
        for (new, old, shown, kept) in table {
            let edit = Edit { old, new };
            assert_eq!(is_kept(&edit, &shown), kept, "{edit:?} shown as {shown}");
        }
    }

    #[test]
    fn a_text_is_unescaped_once() {
        assert_eq!(unescaped("R&amp;amp;D &lt;1&gt; &#39;x&#39;"), "R&amp;D <1> 'x'");
    }
}
