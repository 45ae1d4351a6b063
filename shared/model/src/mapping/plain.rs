//! `| plain`: a value from a device as a text that means nothing to whoever shows it.
//!
//! What people and programs write into a device's name comes into AMFJ as it is: as HTML where somebody shows it in a page,
//! as wiki markup of Jira in a comment or description, as a formula in a spreadsheet that was exported. This filter takes
//! the meaning out and leaves the words.

use minijinja::{Error, State, Value};

/// Beginnings that a spreadsheet takes for a formula.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\t', '\r', '\n', '|'];
/// Signs of wiki markup: macros, links, images, tables, and what sets words apart when it stands around them.
const MARKUP: [char; 8] = ['{', '}', '[', ']', '|', '!', '^', '~'];
/// The same of signs that are common within words, and mean something only at their borders.
const AT_BORDERS: [char; 5] = ['*', '_', '?', '-', '+'];

/// The filter. Lists and objects are written as they are otherwise, then made plain; what is blank stays so.
pub(super) fn plain(_: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(value.clone());
    }
    if value.kind() == minijinja::value::ValueKind::Seq {
        let parts: Vec<Value> =
            value.try_iter()?.map(|part| Value::from(made_plain(&part.to_string()))).collect();
        return Ok(Value::from(parts));
    }
    Ok(Value::from(made_plain(&value.to_string())))
}

fn made_plain(text: &str) -> String {
    let text = without_tags(text).replace("\\\\", " ");
    let text: String = text
        .chars()
        .map(|c| if amfj_sync_security::screen::steers(c) || MARKUP.contains(&c) { ' ' } else { c })
        .collect();
    let words = text.split_whitespace().map(word).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    without_beginning(&line).to_owned()
}

/// A word without what would set it apart.
fn word(word: &str) -> &str {
    // A sign that stands for itself says something: `2 - 1`, `a * b`.
    if word.chars().all(|c| AT_BORDERS.contains(&c)) && word.len() == 1 {
        return word;
    }
    let word = word.trim_matches(|c| AT_BORDERS.contains(&c));
    if begins_a_block(word) { "" } else { word }
}

/// `h1.` and `bq.`.
fn begins_a_block(word: &str) -> bool {
    let is_heading = word.len() == 3
        && word.starts_with('h')
        && word.ends_with('.')
        && word.as_bytes()[1].is_ascii_digit();
    is_heading || word == "bq."
}

/// A line without what begins a formula, a list or a block. What was behind one may be another one's beginning.
fn without_beginning(line: &str) -> &str {
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(|c| FORMULA.contains(&c) || AT_BORDERS.contains(&c) || c == ' ');
        let first = rest.split(' ').next().unwrap_or_default();
        if !begins_a_block(first) {
            return rest;
        }
        rest = &rest[first.len()..];
    }
}

/// Without HTML: tags and comments go, entities become what they stand for, until nothing is one any more.
fn without_tags(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..8 {
        let next = entities(&tags(&text));
        if next == text {
            break;
        }
        text = next;
    }
    text.replace(['<', '>'], " ")
}

/// What begins like a tag goes, to its end or that of the text. A sign between numbers is none.
fn tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        out.push_str(before);
        if behind.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            rest = behind.split_once('>').map_or("", |(_, after)| after);
            out.push(' ');
        } else {
            out.push(' ');
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

fn entities(text: &str) -> String {
    if text.contains('&') { amfj_sync_security::secrets::without_entities(text) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_value_means_anything_any_more() {
        for (value, plain) in [
            ("=HYPERLINK(\"http://x\")", "HYPERLINK(\"http://x\")"),
            ("+1 234", "1 234"),
            ("-2+3", "2+3"),
            ("@SUM(A1)", "SUM(A1)"),
            ("\t=1", "1"),
            ("\r\n=cmd|' /C calc'!A0", "cmd ' /C calc' A0"),
            ("<script>alert(1)</script>Sam", "alert(1) Sam"),
            ("&lt;img src=x onerror=alert(1)&gt;Sam", "Sam"),
            ("&amp;lt;b&amp;gt;Sam", "Sam"),
            ("&#60;b&#x3e;Sam<", "Sam"),
            ("<b", ""),
            ("*Sam's* _MacBook_ {color:red}Pro{color}", "Sam's MacBook color:red Pro color"),
            ("[link|http://x] !image.png! h1. Title", "link http://x image.png Title"),
            ("{code}rm{code} ^up^ ~down~ ||head||", "code rm code up down head"),
            ("a\u{202e}b\u{1b}[31mc", "a b 31mc"),
            ("=<b>=1", "1"),
            ("=?Sam", "Sam"),
            ("* Sam", "Sam"),
            ("=h1. =bq. -Sam", "Sam"),
            ("a\\\\*b* \\\\\\c", "a b \\c"),
            ("Sam's MacBook Pro (14-inch, 2027) - IT_42", "Sam's MacBook Pro (14-inch, 2027) - IT_42"),
            ("Müller & Söhne, C:\\x", "Müller & Söhne, C:\\x"),
            ("", ""),
        ] {
            assert_eq!(made_plain(value), plain, "{value:?}");
            assert_eq!(made_plain(&made_plain(value)), plain, "twice: {value:?}");
        }
    }
}
