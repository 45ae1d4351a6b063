//! The types a setting can have. Every error continues the sentence that begins with the key.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::enums::Word;
use super::problem::nearest;
use super::reader::shown;
use super::tree::{Kind, Node, NodeValue};
use super::values::{Percent, parse_duration, show_duration};

fn instead(must: &str, found: &NodeValue) -> String {
    format!("must be {must}, not {}", shown(&found.described()))
}

/// A text as it is written.
pub fn text(node: &Node) -> Result<String, String> {
    match node.as_kind(Kind::Text) {
        NodeValue::Text(text) => Ok(text),
        other => Err(instead("a text in quotes", &other)),
    }
}

/// A text that says something, trimmed.
pub fn name(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    let text = text.trim();
    if text.is_empty() {
        Err("is blank; write a name or remove the line".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// `true` or `false`.
pub fn boolean(node: &Node) -> Result<bool, String> {
    match node.as_kind(Kind::Boolean) {
        NodeValue::Boolean(value) => Ok(value),
        other => Err(instead("true or false, without quotes", &other)),
    }
}

/// A whole number within bounds.
pub fn integer<T>(node: &Node, bounds: RangeInclusive<T>) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let found = node.as_kind(Kind::Integer);
    let number = match &found {
        NodeValue::Integer(Some(number)) => {
            T::try_from(*number).ok().filter(|number| bounds.contains(number))
        }
        _ => None,
    };
    number.ok_or_else(|| {
        instead(
            &format!("a whole number from {} to {}, without quotes", bounds.start(), bounds.end()),
            &found,
        )
    })
}

/// A duration within bounds.
pub fn duration(node: &Node, bounds: RangeInclusive<Duration>) -> Result<Duration, String> {
    let found = node.as_kind(Kind::Text);
    let duration = match &found {
        NodeValue::Text(text) => parse_duration(text),
        _ => None,
    };
    let Some(duration) = duration else {
        return Err(instead("a duration such as \"500ms\", \"60s\", \"15m\", \"1h\" or \"400d\"", &found));
    };
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (show_duration(*bounds.start()), show_duration(*bounds.end()));
    Err(instead(&format!("from {least} to {most}"), &found))
}

/// A share such as `"10%"`.
pub(super) fn percent(node: &Node) -> Result<Percent, String> {
    let found = node.as_kind(Kind::Text);
    match &found {
        NodeValue::Text(text) => Percent::parse(text),
        _ => None,
    }
    .ok_or_else(|| instead("a whole percentage from \"0%\" to \"100%\"", &found))
}

/// One of a few words.
pub(super) fn word<W: Word>(node: &Node) -> Result<W, String> {
    let found = node.as_kind(Kind::Text);
    if let NodeValue::Text(text) = &found {
        if let Some((_, value)) = W::WORDS.iter().find(|(word, _)| word == text) {
            return Ok(*value);
        }
        if let Some(meant) = nearest(text, W::WORDS.iter().map(|(word, _)| *word)) {
            return Err(format!("has no value \"{}\"; did you mean \"{meant}\"?", shown(text)));
        }
    }
    let words: Vec<String> = W::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    Err(instead(&words.join(" or "), &found))
}

/// A list of texts that say something, trimmed.
pub fn names(node: &Node) -> Result<Vec<String>, String> {
    let found = node.as_kind(Kind::List);
    let NodeValue::List(list) = &found else {
        return Err(instead("a list of texts such as [\"one\", \"two\"]", &found));
    };
    list.iter().map(|element| name(element).map_err(|error| format!("has an element that {error}"))).collect()
}
