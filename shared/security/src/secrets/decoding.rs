//! Undoes escapes, one round at a time, and remembers where each letter came from. What cannot be decoded is left as it
//! is: a text that is only searched need not be right.

use std::ops::Range;

/// A text after some rounds of decoding.
pub(super) struct Level {
    pub(super) text: String,
    /// For each byte of it, the bytes of the original that it stands for.
    origins: Vec<(u32, u32)>,
}

impl Level {
    /// The text as it is. More than 4 GiB are cut off; nothing is read that is so long.
    pub(super) fn of(text: &str) -> Self {
        let mut level =
            Self { text: String::with_capacity(text.len()), origins: Vec::with_capacity(text.len()) };
        for (at, letter) in text.char_indices() {
            let (Ok(start), Ok(end)) = (u32::try_from(at), u32::try_from(at + letter.len_utf8())) else {
                break;
            };
            level.push(letter, (start, end));
        }
        level
    }

    fn push(&mut self, letter: char, origin: (u32, u32)) {
        self.text.push(letter);
        self.origins.resize(self.text.len(), origin);
    }

    fn origin(&self, range: Range<usize>) -> Option<(u32, u32)> {
        let (first, last) = (self.origins.get(range.start)?, self.origins.get(range.end.checked_sub(1)?)?);
        Some((first.0, last.1))
    }

    /// The bytes of the original that a part of this stands for.
    pub(super) fn in_original(&self, range: Range<usize>) -> Option<Range<usize>> {
        self.origin(range).map(|(start, end)| start as usize..end as usize)
    }

    /// The next round; none if there is nothing left to decode.
    pub(super) fn decoded(&self) -> Option<Self> {
        let mut next = Self { text: String::new(), origins: Vec::new() };
        let is_changed = decode(&self.text, |letter, range| {
            if let Some(origin) = self.origin(range) {
                next.push(letter, origin);
            }
        });
        is_changed.then_some(next)
    }

    /// Without blanks, line breaks, and whatever else cannot be seen.
    pub(super) fn squeezed(&self) -> Self {
        self.without(|letter, _| {
            letter.is_whitespace() || letter.is_control() || letter == char::REPLACEMENT_CHARACTER
        })
    }

    /// Letters and digits alone: `5a:6b`, `5a-6b`, `0x5a, 0x6b` and `5A 6B` as `5a6b`.
    pub(super) fn bare(&self) -> Self {
        let begins_a_number = |behind: &str| {
            let mut behind = behind.chars();
            behind.next().is_some_and(|c| matches!(c, 'x' | 'X'))
                && behind.next().is_some_and(|c| c.is_ascii_hexdigit())
        };
        let mut is_prefix = false;
        self.without(|letter, behind| {
            let ends_a_prefix = std::mem::take(&mut is_prefix);
            is_prefix = letter == '0' && begins_a_number(behind);
            ends_a_prefix || is_prefix || !letter.is_ascii_alphanumeric()
        })
    }

    /// Without the letters that are nothing, each asked for with what stands behind it.
    fn without(&self, mut is_nothing: impl FnMut(char, &str) -> bool) -> Self {
        let mut next = Self { text: String::new(), origins: Vec::new() };
        for (at, letter) in self.text.char_indices() {
            let end = at + letter.len_utf8();
            if let Some(origin) = self.origin(at..end).filter(|_| !is_nothing(letter, &self.text[end..])) {
                next.push(letter, origin);
            }
        }
        next
    }
}

/// One round without remembering anything; none if there is nothing to decode.
pub(super) fn decoded(text: &str) -> Option<String> {
    if text.bytes().all(|byte| byte.is_ascii() && !matches!(byte, b'\0' | b'\\' | b'%' | b'&' | b'=')) {
        return None;
    }
    let mut next = String::with_capacity(text.len());
    decode(text, |letter, _| next.push(letter)).then_some(next)
}

/// A text in which HTML's ways to write a letter are undone, once.
pub(super) fn without_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, _)) = rest.split_once('&') {
        out.push_str(before);
        rest = &rest[before.len()..];
        let (letter, length) = entity(rest).unwrap_or((Some('&'), 1));
        out.extend(letter);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// Letters that stand for another one, and how many bytes of the text do.
type Decoded = Option<(Option<char>, usize)>;

fn decode(text: &str, mut put: impl FnMut(char, Range<usize>)) -> bool {
    let mut is_changed = false;
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let decoded = match letter {
            '\\' => backslash(rest),
            '%' => percent(rest),
            '&' => entity(rest),
            '=' => quoted_printable(rest),
            // Full width.
            '\u{ff01}'..='\u{ff5e}' => Some((char::from_u32(u32::from(letter) - 0xfee0), letter.len_utf8())),
            // NUL, what stands for a character that could not be read, joiners, soft hyphens, marks of direction: not to be
            // seen, or nothing, and between any letters.
            '\0' | '\u{fffd}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => {
                Some((None, letter.len_utf8()))
            }
            _ => None,
        };
        is_changed |= decoded.is_some();
        let (letter, length) = decoded.unwrap_or((Some(letter), letter.len_utf8()));
        if let Some(letter) = letter {
            put(letter, at..at + length);
        }
        at += length;
    }
    is_changed
}

/// `\/`, `\n`, `\u002f`, `\u{2f}`, `\x2f`, `\U0000002f`, `\057`; and many of them in a row, which each round would only halve,
/// as one.
fn backslash(rest: &str) -> Decoded {
    let in_a_row = rest.bytes().take_while(|byte| *byte == b'\\').count();
    if in_a_row >= 4 {
        // The last of an odd number belongs to what stands behind it.
        return Some((Some('\\'), in_a_row & !1));
    }
    let kind = rest[1..].chars().next()?;
    let behind = &rest[1 + kind.len_utf8()..];
    let of = |length: usize| Some((Some(coded(behind.get(..length)?, 16)?), 2 + length));
    let decoded = match kind {
        'u' if behind.starts_with('{') => {
            let end = behind.find('}').filter(|end| *end <= 8)?;
            coded(&behind[1..end], 16).map(|letter| (Some(letter), 3 + end))
        }
        'u' => of(4),
        'x' => of(2),
        'U' => of(8),
        '0'..='3' => rest.get(1..4).and_then(|digits| coded(digits, 8)).map(|letter| (Some(letter), 4)),
        _ => None,
    };
    decoded.or_else(|| {
        let letter = match kind {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            other => other,
        };
        Some((Some(letter), 1 + kind.len_utf8()))
    })
}

/// `%2f`, `%u002f`, and letters of several bytes.
fn percent(rest: &str) -> Decoded {
    if let Some(digits) = rest.strip_prefix("%u").or_else(|| rest.strip_prefix("%U")) {
        return Some((Some(coded(digits.get(..4)?, 16)?), 6));
    }
    let byte = |at: usize| {
        let digits = rest.get(at..)?.strip_prefix('%')?.get(..2)?;
        is_digits(digits, 16).then(|| u8::from_str_radix(digits, 16).ok())?
    };
    let first = byte(0)?;
    if first.is_ascii() {
        return Some((Some(char::from(first)), 3));
    }
    let mut bytes = vec![first];
    while bytes.len() < 4 {
        bytes.push(byte(bytes.len() * 3)?);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            return Some((text.chars().next(), bytes.len() * 3));
        }
    }
    None
}

/// `=2F` and the soft line break.
fn quoted_printable(rest: &str) -> Decoded {
    let behind = &rest[1..];
    if behind.starts_with("\r\n") {
        return Some((None, 3));
    }
    if behind.starts_with('\n') {
        return Some((None, 2));
    }
    let digits = behind.get(..2)?;
    // In capitals only, as the standard has it: `=ab` is more often the end of something else.
    let is_one = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    let letter = is_one.then(|| coded(digits, 16)).flatten().filter(char::is_ascii)?;
    Some((Some(letter), 3))
}

/// Names of the letters that tokens and passwords are made of.
const ENTITIES: [(&str, char); 36] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("sol", '/'),
    ("bsol", '\\'),
    ("plus", '+'),
    ("equals", '='),
    ("colon", ':'),
    ("semi", ';'),
    ("comma", ','),
    ("period", '.'),
    ("num", '#'),
    ("excl", '!'),
    ("quest", '?'),
    ("commat", '@'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lowbar", '_'),
    ("hyphen", '-'),
    ("dash", '-'),
    ("ast", '*'),
    ("midast", '*'),
    ("lpar", '('),
    ("rpar", ')'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("lcub", '{'),
    ("rcub", '}'),
    ("verbar", '|'),
    ("Hat", '^'),
    ("grave", '`'),
    ("nbsp", ' '),
];

/// `&amp;`, `&#47;`, `&#x2f;`, also without the semicolon where browsers take that.
fn entity(rest: &str) -> Decoded {
    let behind = &rest[1..];
    let semicolon = |length: usize| usize::from(rest[length..].starts_with(';'));
    if let Some(number) = behind.strip_prefix('#') {
        let (digits, radix) = match number.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16),
            None => (number, 10),
        };
        let length = digits.bytes().take(8).take_while(|byte| char::from(*byte).is_digit(radix)).count();
        let letter = coded(&digits[..length], radix)?;
        let length = rest.len() - digits.len() + length;
        return Some((Some(letter), length + semicolon(length)));
    }
    let (name, letter) = ENTITIES.iter().find(|(name, _)| {
        behind.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) && {
            let is_short = matches!(*name, "amp" | "lt" | "gt" | "quot");
            is_short || behind[name.len()..].starts_with(';')
        }
    })?;
    let length = 1 + name.len();
    Some((Some(*letter), length + semicolon(length)))
}

fn is_digits(text: &str, radix: u32) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_digit(radix))
}

/// The letter with this number.
fn coded(digits: &str, radix: u32) -> Option<char> {
    if !is_digits(digits, radix) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}
