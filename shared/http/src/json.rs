//! JSON as services send it, which is not always JSON: one broken text, one number that no machine holds, one
//! `NaN` must not cost all that stands beside it (P30).
//!
//! Whoever reads an answer tries it as it is first; only what cannot be read comes here.

use std::fmt::Write as _;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// Bytes of a text, an id or a name that are used; what is longer is cut, and said.
pub const LONGEST_TEXT: usize = 65_536;

/// Bytes of JSON of one value, whatever it is: a list of very many texts is cut as well, and said.
pub const LONGEST_VALUE: usize = 256 << 10;

/// Bytes of JSON of all values that are used of one device, person or record. A change and its decision carry them
/// several times, and all of it has to fit into a message.
pub const LONGEST_RECORD: usize = 1 << 20;

/// Values, lists and objects that are read of one answer. Each takes thirty bytes of memory and more, and two of text: an
/// answer of many small ones would be a multiple of itself in memory.
pub const MOST_VALUES: usize = 1_000_000;

/// Rows of one page, usable or not.
pub const MOST_ROWS: usize = 100_000;

/// What stands for a character that cannot be read.
const UNREADABLE: char = '\u{fffd}';

/// What means something inside a text, or may not stand there.
const SIGNS: [char; 34] = signs();

const fn signs() -> [char; 34] {
    let mut signs = ['\0'; 34];
    let mut at = 0_u8;
    while at < 32 {
        signs[at as usize] = at as char;
        at += 1;
    }
    signs[32] = '"';
    signs[33] = '\\';
    signs
}

/// The text of a body with everything replaced that keeps JSON from being read, character by character: bytes that
/// are no UTF-8, halves of surrogates, NUL, unknown escapes and bare control characters in texts; `NaN` and
/// `Infinity`, which some languages write, become null. The second value says whether anything was.
#[must_use]
pub fn mend(body: &[u8]) -> (String, bool) {
    let text = String::from_utf8_lossy(body);
    let whole = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut mending = Mending { rest: whole, mended: String::with_capacity(text.len()), changed: false };
    mending.all();
    let is_utf8 = matches!(text, std::borrow::Cow::Borrowed(_));
    let changed = mending.changed || !is_utf8 || whole.len() != text.len();
    (mending.mended, changed)
}

struct Mending<'a> {
    rest: &'a str,
    mended: String,
    changed: bool,
}

impl Mending<'_> {
    fn all(&mut self) {
        while !self.rest.is_empty() {
            self.between_texts();
            self.text();
        }
    }

    /// Copies up to and including the quotation mark that begins a text.
    fn between_texts(&mut self) {
        while let Some(at) = self.rest.find(['"', 'N', 'I']) {
            self.copy(at);
            if let Some(rest) = self.rest.strip_prefix("NaN").or_else(|| self.rest.strip_prefix("Infinity")) {
                if self.mended.ends_with('-') {
                    self.mended.pop();
                }
                self.mended.push_str("null");
                self.rest = rest;
                self.changed = true;
                continue;
            }
            let is_text = self.rest.starts_with('"');
            self.copy(1);
            if is_text {
                return;
            }
        }
        self.copy(self.rest.len());
    }

    /// Copies the rest of a text, up to and including its quotation mark.
    fn text(&mut self) {
        while let Some(at) = self.rest.find(SIGNS) {
            self.copy(at);
            if self.rest.starts_with('"') {
                self.copy(1);
                return;
            }
            if self.rest.starts_with('\\') {
                self.escape();
            } else {
                self.control();
            }
        }
        self.copy(self.rest.len());
    }

    fn escape(&mut self) {
        let bytes = self.rest.as_bytes();
        match bytes.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.copy(2),
            Some(b'u') => match (code_at(bytes, 0), code_at(bytes, 6)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => self.copy(12),
                (Some(0 | 0xd800..=0xdfff), _) => self.replace(6),
                (Some(_), _) => self.copy(6),
                (None, _) => self.replace(2),
            },
            _ => self.replace(1),
        }
    }

    fn control(&mut self) {
        let Some(control) = self.rest.bytes().next() else { return };
        if control == 0 {
            return self.replace(1);
        }
        // Writing to a text cannot fail.
        let _ = write!(self.mended, "\\u{control:04x}");
        self.rest = &self.rest[1..];
        self.changed = true;
    }

    fn replace(&mut self, bytes: usize) {
        self.mended.push(UNREADABLE);
        self.rest = &self.rest[bytes..];
        self.changed = true;
    }

    fn copy(&mut self, bytes: usize) {
        let (copied, rest) = self.rest.split_at(bytes);
        self.mended.push_str(copied);
        self.rest = rest;
    }
}

/// The code of `\uXXXX` at this place.
fn code_at(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The value of a body, as it is or mended.
pub fn value(body: &[u8]) -> serde_json::Result<Value> {
    let is_unusual = has_nul(body) || has_too_many_values(body);
    let as_it_is = if is_unusual { None } else { serde_json::from_slice(body).ok() };
    as_it_is.map_or_else(|| read(&mend(body).0), Ok)
}

/// A value, and where it is an object with something in it that no value can hold (too deep, too large a number), with that
/// as the text that it was, and all that stands beside it as it is.
pub fn read(text: &str) -> serde_json::Result<Value> {
    if has_too_many_values(text.as_bytes()) {
        return Err(serde::de::Error::custom(format!("it has more than {MOST_VALUES} values")));
    }
    serde_json::from_str(text).or_else(|error| {
        let _: Members<'_> = serde_json::from_str(text).map_err(|_| error)?;
        Ok(part(text, 0))
    })
}

/// Whether a text of JSON has more values than are read.
#[must_use]
pub fn has_too_many_values(text: &[u8]) -> bool {
    // Each has a byte that is counted.
    text.len() > MOST_VALUES && values_in(text) > MOST_VALUES
}

/// Lists, objects, and what stands behind a comma in one.
fn values_in(text: &[u8]) -> usize {
    let (mut count, mut in_text, mut is_escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

/// The rows of a page, each unread.
#[derive(Debug)]
pub struct Rows<'a> {
    rows: Vec<&'a RawValue>,
}

impl<'a> Rows<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Each row, or why it is not read: with those before it, the page would have more values than are read. One row of
    /// very many takes that from no other.
    pub fn each(&self) -> impl Iterator<Item = Result<&'a str, String>> + use<'a, '_> {
        let mut left = MOST_VALUES;
        self.rows.iter().map(move |row| {
            let values = values_in(row.get().as_bytes());
            match left.checked_sub(values) {
                Some(rest) => left = rest,
                None => return Err(format!("it has {values} values, more than are read of one page")),
            }
            Ok(row.get())
        })
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Rows<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of rows")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = list.next_element()? {
                    if rows.len() >= MOST_ROWS {
                        return Err(serde::de::Error::custom(format!(
                            "more than {MOST_ROWS} rows in one page"
                        )));
                    }
                    rows.push(row);
                }
                Ok(rows)
            }
        }
        Ok(Self { rows: deserializer.deserialize_seq(Visitor)? })
    }
}

type Members<'a> = std::collections::BTreeMap<String, &'a RawValue>;

/// So many objects and lists in each other are gone into: no service nests what is of use any deeper.
const DEEPEST: usize = 16;

fn part(text: &str, depth: usize) -> Value {
    let error = match serde_json::from_str(text) {
        Ok(value) => return value,
        Err(error) => error,
    };
    if depth < DEEPEST {
        if let Ok(members) = serde_json::from_str::<Members<'_>>(text) {
            let read = members.into_iter().map(|(name, raw)| (name, part(raw.get(), depth + 1)));
            return Value::Object(read.collect());
        }
        // A list that is nothing but lists in each other stays one text.
        let is_too_deep = error.to_string().contains("recursion");
        if !is_too_deep && let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(text) {
            return Value::Array(values.iter().map(|raw| part(raw.get(), depth + 1)).collect());
        }
    }
    Value::String(text.to_owned())
}

/// Whether a body says something that reads well and means trouble: a NUL ends texts in half of the world's programs
/// and separates the keys of our own indexes.
#[must_use]
pub fn has_nul(body: &[u8]) -> bool {
    body.windows(6).any(|bytes| bytes == b"\\u0000")
}

/// Cuts a text that is too long to be used; answers whether it was.
pub fn cut(text: &mut String) -> bool {
    if text.len() <= LONGEST_TEXT {
        return false;
    }
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    true
}

/// Cuts every text in a value that is too long to be used, and the value where it is; answers whether there was one.
pub fn cut_value(value: &mut Value) -> bool {
    let texts = cut_texts(value);
    cut_to(value, LONGEST_VALUE) || texts
}

/// Cuts every text in a value that is too long to be used, and nothing else: of an object whose members are values of
/// their own. Answers whether there was one.
pub fn cut_texts(value: &mut Value) -> bool {
    match value {
        Value::String(text) => cut(text),
        Value::Array(values) => values.iter_mut().map(cut_texts).filter(|cut| *cut).count() > 0,
        Value::Object(members) => members.values_mut().map(cut_texts).filter(|cut| *cut).count() > 0,
        _ => false,
    }
}

/// Whether a value, or a text in it, is too long to be used.
#[must_use]
pub fn is_too_long(value: &Value) -> bool {
    has_long_text(value) || length(value) > LONGEST_VALUE
}

fn has_long_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() > LONGEST_TEXT,
        Value::Array(values) => values.iter().any(has_long_text),
        Value::Object(members) => members.values().any(has_long_text),
        _ => false,
    }
}

/// Cuts values that are used together to [`LONGEST_RECORD`], the same ones to the same whenever they come; answers which.
pub fn cut_record<'a>(values: impl Iterator<Item = (&'a String, &'a mut Value)>) -> Vec<String> {
    let values: Vec<_> = values.collect();
    if values.iter().map(|(_, value)| length(value)).sum::<usize>() <= LONGEST_RECORD {
        return Vec::new();
    }
    let share = LONGEST_RECORD / values.len();
    values.into_iter().filter_map(|(name, value)| cut_to(value, share).then(|| name.clone())).collect()
}

/// Cuts a value to so many bytes of JSON, from its end; answers whether it was longer.
pub fn cut_to(value: &mut Value, most: usize) -> bool {
    if length(value) <= most {
        return false;
    }
    match value {
        // However many of its characters are escaped, with six bytes each.
        Value::String(text) => text.truncate(text.floor_char_boundary(most / 6)),
        Value::Array(values) => {
            let mut left = most.saturating_sub(2);
            let fits = values.iter().take_while(|value| fit(&mut left, length(value))).count();
            values.truncate(fits);
        }
        Value::Object(members) => {
            let mut left = most.saturating_sub(2);
            members.retain(|name, value| fit(&mut left, name.len() * 6 + 3 + length(value)));
        }
        _ => {}
    }
    true
}

/// Takes so many bytes and a comma from what is left; nothing fits behind what did not.
fn fit(left: &mut usize, bytes: usize) -> bool {
    let fits = left.checked_sub(bytes + 1);
    *left = fits.unwrap_or(0);
    fits.is_some()
}

/// Bytes of JSON of a value.
#[must_use]
pub fn length(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither counting nor serialising a value can fail.
    drop(serde_json::to_writer(&mut count, value));
    count.0
}

/// Whether a text among these members has a character that stands for one that cannot be read.
#[must_use]
pub fn has_unreadable(members: &Map<String, Value>) -> bool {
    fn has(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains(UNREADABLE),
            Value::Array(values) => values.iter().any(has),
            Value::Object(members) => has_unreadable(members),
            _ => false,
        }
    }
    members.iter().any(|(name, value)| name.contains(UNREADABLE) || has(value))
}

/// What a JSON value is, in words.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
