//! Which properties a template provides for when they are blank (P14).
//!
//! A template in which a property is blank is blank as a whole, unless it says itself what then: with `default`, or with
//! a condition that looks at the property.

use std::collections::BTreeSet;

use super::property::PropertyPath;

/// Words that make the whole tag a condition about the properties in it.
const CONDITIONS: [&str; 4] = ["if", "elif", "or", "is"];

/// Filters that stand in for the property right before them.
const FALLBACKS: [&str; 2] = ["default", "d"];

/// Returns the properties of a template for whose being blank it provides.
pub(super) fn guarded(text: &str, properties: &BTreeSet<PropertyPath>) -> BTreeSet<PropertyPath> {
    let mut guarded = BTreeSet::new();
    for tag in tags(text) {
        let words = words(tag);
        let is_condition = words.iter().any(|word| CONDITIONS.contains(word));
        for (at, word) in words.iter().enumerate() {
            let has_fallback = words.get(at + 1) == Some(&"|")
                && words.get(at + 2).is_some_and(|filter| FALLBACKS.contains(filter));
            if !is_condition && !has_fallback {
                continue;
            }
            guarded.extend(read(word, properties).cloned());
        }
    }
    guarded
}

/// Whether a template multiplies by anything but one small number. A list can be repeated so, too, and its length is no size.
pub(super) fn multiplies(text: &str) -> bool {
    let is_small = |word: Option<&&str>| {
        word.is_some_and(|word| word.len() <= 4 && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (mut times, mut names) = (0, 0);
    for tag in tags(text) {
        let words = words(tag);
        // A list that is added to itself again and again is doubled each time.
        names += words.iter().filter(|word| matches!(**word, "set" | "with")).count();
        for (at, _) in words.iter().enumerate().filter(|(_, word)| **word == "*") {
            let before = at.checked_sub(1).and_then(|before| words.get(before));
            times += if is_small(before) || is_small(words.get(at + 1)) { 1 } else { 2 };
        }
    }
    times > 1 || names > 8
}

/// The property that this word reads: itself, or the list or object that it looks into.
fn read<'p>(word: &str, properties: &'p BTreeSet<PropertyPath>) -> Option<&'p PropertyPath> {
    let path = PropertyPath::parse(&without_quotes(word)).ok()?;
    properties.get(&path).or_else(|| properties.iter().rev().find(|property| property.contains(&path)))
}

/// What stands between `{{` and `}}`, and between `{%` and `%}`.
fn tags(text: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let (opening, after) = rest[at..].split_at(2);
        let closing = if opening == "{{" { "}}" } else { "%}" };
        let (tag, behind) = after.split_once(closing).unwrap_or((after, ""));
        tags.push(tag);
        rest = behind;
    }
    tags
}

/// Names with what is looked up in them (`a.b[0]['c']`), and single signs; texts in quotes are passed over.
fn words(tag: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = tag.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => quoted(rest),
            letter if letter.is_alphanumeric() || letter == '_' => name(rest),
            sign => sign.len_utf8(),
        };
        let (word, behind) = rest.split_at(length);
        if !matches!(first, '"' | '\'') {
            words.push(word);
        }
        rest = behind.trim_start();
    }
    words
}

fn quoted(text: &str) -> usize {
    let mut characters = text.char_indices();
    let quote = characters.next().map(|(_, quote)| quote);
    let mut escaped = false;
    for (at, character) in characters {
        match character {
            '\\' if !escaped => escaped = true,
            _ if Some(character) == quote && !escaped => return at + character.len_utf8(),
            _ => escaped = false,
        }
    }
    text.len()
}

fn name(text: &str) -> usize {
    let mut in_brackets = false;
    let ends = |(_, character): &(usize, char)| {
        match character {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '\'' | '"' if in_brackets => {}
            other => return !(other.is_alphanumeric() || matches!(other, '_' | '.')),
        }
        false
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

/// `details['x'].y` as `details.x.y`.
fn without_quotes(word: &str) -> String {
    word.replace(['\'', '"'], "").replace('[', ".").replace(']', "")
}
