//! The properties of a message and the texts of a method, as bytes of AMQP 0.9.1 in the form that RabbitMQ gives them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::dead_letter::header;
use super::super::publisher::Outgoing;
use super::super::signing::SIGNATURE;

/// The headers that something reads, those first without which nothing works: where not all fit into a frame, the last ones go.
/// Nothing else of a message's headers is let in.
pub(crate) const READ: [&str; 14] = [
    "x-stream-offset",
    SIGNATURE,
    Outgoing::DECIDED_ON,
    header::REPLAY,
    header::INTEGRATION,
    header::STAGE,
    header::QUEUE,
    header::TIME,
    header::SINCE,
    header::ATTEMPTS,
    "x-first-death-queue",
    header::KEY,
    DEATHS,
    header::REASON,
];

/// Bytes of the largest value that is let in: of a header of ours, twice, and more than RabbitMQ has to say of a death.
const LONGEST: usize = 8 << 10;

/// Levels of a value that is let in. `x-death` has three: a list of tables, with a list of routing keys in each.
const LEVELS: usize = 4;

/// A list of deaths, the latest first. That one alone is read; who publishes may have written any others behind it.
const DEATHS: &str = "x-death";

/// Class, weight and size of the body, which stand before the properties.
const BEFORE: usize = 12;

/// The one class that has messages.
const BASIC: [u8; 2] = [0, 60];

/// What a property is.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Table,
    Octet,
    Time,
}

/// The properties of a message in the order in which they come; the first has the highest of sixteen flags, the others the next.
const PROPERTIES: [Kind; 14] = [
    Kind::Text,
    Kind::Text,
    Kind::Table,
    Kind::Octet,
    Kind::Octet,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Time,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Text,
];

/// The payload of a content header of so many bytes at most, with what is read of it. What cannot be read has no properties.
pub(super) fn harmless(payload: &[u8], room: usize) -> Vec<u8> {
    let (before, properties) = payload.split_at(BEFORE.min(payload.len()));
    let kept = before.starts_with(&BASIC).then(|| kept(properties, room - BEFORE)).flatten();
    [before, &kept.unwrap_or_else(|| vec![0, 0])].concat()
}

fn kept(properties: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut bytes = Bytes(properties);
    let flags = u16::from_be_bytes(bytes.take(2)?.try_into().ok()?);
    let (mut before, mut headers, mut behind) = (Vec::new(), None, Vec::new());
    let there = PROPERTIES.iter().enumerate().filter(|(place, _)| flags & (0x8000 >> place) != 0);
    for (_, kind) in there {
        let to = if headers.is_none() { &mut before } else { &mut behind };
        match kind {
            Kind::Text => put_text(to, bytes.short_text()?),
            Kind::Table => headers = Some(last_of_each(bytes.long_text()?)),
            Kind::Octet => to.extend_from_slice(bytes.take(1)?),
            Kind::Time => to.extend_from_slice(bytes.take(8)?),
        }
    }
    if !bytes.0.is_empty() {
        return None;
    }
    // The two last bits announce further flags, which there are none of.
    let flags = (flags & !3).to_be_bytes();
    let table = headers.map(|headers| table(&headers, room.saturating_sub(6 + before.len() + behind.len())));
    Some([flags.to_vec(), before, table.unwrap_or_default(), behind].concat())
}

/// The headers that are read; where one is there several times, the last counts, as it does for the library.
fn last_of_each(table: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut bytes = Bytes(table);
    let mut last = BTreeMap::new();
    while let Some((name, value)) = bytes.short_text().zip(bytes.value()) {
        if READ.iter().any(|read| read.as_bytes() == name) {
            last.insert(name, value);
        }
    }
    last
}

fn table(headers: &BTreeMap<&[u8], &[u8]>, room: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for name in READ {
        let Some(value) = headers.get(name.as_bytes()) else { continue };
        let value = if name == DEATHS { first_alone(value) } else { Cow::Borrowed(*value) };
        let size = 1 + name.len() + value.len();
        if value.len() <= LONGEST && table.len() + size <= room && is_plain(&value, LEVELS) {
            put_text(&mut table, name.as_bytes());
            table.extend_from_slice(&value);
        }
    }
    [&u32::try_from(table.len()).unwrap_or(0).to_be_bytes(), table.as_slice()].concat()
}

/// A list with its first element alone; any other value, and an empty list, as it is.
fn first_alone(value: &[u8]) -> Cow<'_, [u8]> {
    let mut bytes = Bytes(value);
    let first = match bytes.byte() {
        Some(b'A') => bytes.long_text().and_then(|elements| Bytes(elements).value()),
        _ => None,
    };
    let length = first.and_then(|first| u32::try_from(first.len()).ok());
    match first.zip(length) {
        Some((first, length)) => Cow::Owned([b"A", length.to_be_bytes().as_slice(), first].concat()),
        None => Cow::Borrowed(value),
    }
}

/// Whether the library can read a value, and has no more than so many levels to go down.
fn is_plain(value: &[u8], levels: usize) -> bool {
    let mut bytes = Bytes(value);
    let is_table = match bytes.byte() {
        Some(b'F') => true,
        Some(b'A') => false,
        _ => return true,
    };
    let Some(within) = bytes.long_text().filter(|_| levels > 0) else { return false };
    let mut within = Bytes(within);
    while !within.0.is_empty() {
        if is_table && within.short_text().is_none_or(|name| std::str::from_utf8(name).is_err()) {
            return false;
        }
        if within.value().is_none_or(|value| !is_plain(value, levels - 1)) {
            return false;
        }
    }
    true
}

/// A short text; what is not UTF-8 in it becomes a question mark.
fn put_text(to: &mut Vec<u8>, text: &[u8]) {
    to.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    let begin = to.len();
    to.extend_from_slice(text);
    make_readable(&mut to[begin..]);
}

fn make_readable(text: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(text) {
        text[error.valid_up_to()] = b'?';
    }
}

/// A part of a method's arguments.
#[derive(Clone, Copy)]
enum Part {
    Text,
    Other(usize),
}

/// What a publisher, or somebody who names a queue, can write into a method that the broker sends: routing keys above all. What
/// says why something was closed is cut by the broker after 255 bytes, whatever character that divides.
const METHODS: [([u8; 4], &[Part]); 5] = [
    ([0, 60, 0, 60], &[Part::Text, Part::Other(9), Part::Text, Part::Text]), // basic.deliver
    ([0, 60, 0, 50], &[Part::Other(2), Part::Text, Part::Text, Part::Text]), // basic.return
    ([0, 60, 0, 71], &[Part::Other(9), Part::Text, Part::Text]),             // basic.get-ok
    ([0, 10, 0, 50], &[Part::Other(2), Part::Text]),                         // connection.close
    ([0, 20, 0, 40], &[Part::Other(2), Part::Text]),                         // channel.close
];

/// Replaces what is not UTF-8 in the texts of a method.
pub(super) fn make_texts_readable(payload: &mut [u8]) {
    let Some((method, mut rest)) = payload.split_first_chunk_mut() else { return };
    let Some((_, parts)) = METHODS.iter().find(|(known, _)| known == method) else { return };
    for part in *parts {
        let size = match (part, rest.split_first_mut()) {
            (Part::Other(size), _) => *size,
            (Part::Text, Some((size, text))) => {
                let size = usize::from(*size);
                if let Some(text) = text.get_mut(..size) {
                    make_readable(text);
                }
                size + 1
            }
            (Part::Text, None) => return,
        };
        let Some((_, later)) = std::mem::take(&mut rest).split_at_mut_checked(size) else { return };
        rest = later;
    }
}

/// Bytes that are read from the first to the last.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short_text(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(length.into())
    }

    /// What stands behind its length: a text, a list or a table.
    fn long_text(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        self.take(length.try_into().ok()?)
    }

    /// A value with the letter that says what it is; none of a kind that the library does not know.
    fn value(&mut self) -> Option<&'a [u8]> {
        let all = self.0;
        let size = match self.byte()? {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'x' | b'A' | b'F' => {
                self.long_text()?;
                0
            }
            _ => return None,
        };
        self.take(size)?;
        all.get(..all.len() - self.0.len())
    }
}
