//! What is looked for: a secret as it is, in the encodings that a service may give it, and in pieces.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::{ROUNDS, decoding};

/// Letters of an encoded secret that are told apart from anything else.
const ENCODED_PIECE: usize = 14;
/// The same of a long secret as it is.
const PIECE: usize = 8;
/// From so many letters on a secret is long: nobody chooses such ones by hand.
const LONG: usize = 16;
/// Dashes of a UUID, which programs read as a number and print without them.
const DASHES: usize = 4;
/// Letters of a token of somebody else, where a word announces one.
const SOMEBODY_S: usize = 16;

/// A secret and its encodings.
pub(super) fn whole(secret: &str) -> Vec<String> {
    let mut needles = as_decoded(secret);
    needles.extend(encoded(secret));
    needles
}

/// A secret as it is, and as what it becomes where more is decoded than was escaped: one that has a `%2F` itself loses that
/// together with the escapes of whoever wrote it down.
fn as_decoded(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned()];
    while let Some(next) = all.last().and_then(|last| decoding::decoded(last)) {
        all.push(next);
        if all.len() > ROUNDS {
            break;
        }
    }
    // What is left of one that is nothing but escapes would be found anywhere.
    all.retain(|text| text.len() * 2 > secret.len());
    all
}

/// Pieces of a secret by which a part of it is known, and of its encodings.
pub(super) fn pieces(secret: &str) -> Vec<String> {
    let letters = secret.chars().count();
    let piece = if letters >= LONG { PIECE } else { letters.div_ceil(4).saturating_mul(3).clamp(6, PIECE) };
    let mut needles: Vec<String> = as_decoded(secret).iter().flat_map(|text| cut(text, piece)).collect();
    for encoded in encoded(secret) {
        needles.extend(cut(&encoded, ENCODED_PIECE));
    }
    needles.sort_unstable();
    needles.dedup();
    needles
}

fn cut(text: &str, piece: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= piece {
        return vec![text.to_owned()];
    }
    letters.windows(piece).map(|window| window.iter().collect()).collect()
}

/// Hexadecimal, the numbers of its bytes as a program prints an array, a UUID without its dashes, and base64 wherever the
/// secret begins in what was encoded: `user:token` is one text.
fn encoded(secret: &str) -> Vec<String> {
    use std::fmt::Write as _;
    let mut hexadecimal = String::new();
    for byte in secret.bytes() {
        let _ = write!(hexadecimal, "{byte:02x}");
    }
    let mut all = vec![hexadecimal];
    let numbers: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    all.push(numbers.join(","));
    if secret.matches('-').count() >= DASHES {
        all.push(secret.replace('-', ""));
    }
    for before in 0..3_usize {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        // Six bits a letter; those at the borders depend on what stands beside the secret.
        let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            all.extend(encoded.get(first..last).map(ToOwned::to_owned));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Words that announce a token, and whether anything behind them is one.
const ANNOUNCED: [(&str, bool); 7] = [
    ("bearer", true),
    ("basic", false),
    ("token", false),
    ("authorization", false),
    ("password", false),
    ("secret", false),
    ("api_key", false),
];

/// What follows a word that announces a token.
pub(super) fn named(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let mut ranges = Vec::new();
    for (word, is_surely) in ANNOUNCED {
        // What ends one value ends all that begin before it: looked for once, a text is gone through once.
        let mut last = Value::default();
        for (at, _) in lower.match_indices(word) {
            let behind = at + word.len();
            let rest = &text[behind..];
            let gap = rest.find(|c: char| !(c.is_whitespace() || matches!(c, ':' | '=' | '"' | '\'' | '\\')));
            let Some(gap) = gap.filter(|gap| *gap > 0) else { continue };
            let start = behind + gap;
            if start >= last.end {
                last = Value::at(text, start);
            }
            if is_surely && start < last.end || last.is_somebody_s(start) {
                ranges.push(start..last.end);
            }
        }
    }
    ranges
}

/// Where a value ends, and what it has in it last.
#[derive(Default)]
struct Value {
    end: usize,
    digit: Option<usize>,
    letter: Option<usize>,
}

impl Value {
    fn at(text: &str, start: usize) -> Self {
        let ends = |c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ',' | ';' | ')' | '}' | '“' | '”')
        };
        let rest = &text[start..];
        let value = &rest[..rest.find(ends).unwrap_or(rest.len())];
        let last = |is: fn(&u8) -> bool| value.bytes().rposition(|byte| is(&byte)).map(|at| start + at);
        let (digit, letter) = (last(u8::is_ascii_digit), last(u8::is_ascii_alphabetic));
        Self { end: start + value.len(), digit, letter }
    }

    /// Whether what begins there looks like a token of somebody.
    fn is_somebody_s(&self, start: usize) -> bool {
        let has = |last: Option<usize>| last.is_some_and(|at| at >= start);
        self.end.saturating_sub(start) >= SOMEBODY_S && has(self.digit) && has(self.letter)
    }
}
