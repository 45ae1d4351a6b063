//! The secrets of this process, kept out of everything that it says (P27).
//!
//! Whoever takes a token or password in tells it to [`keep_unsaid`], once; from then on no text that passes here holds it,
//! whichever service sent it back and however it wrote it: raw, escaped (JSON, URL, HTML, several times over), encoded
//! (base64, also as a part of `user:token`; hexadecimal), in other letters (upper case, full width), split over lines.
//! Replaced tokens (P35) stay known. [`scrub`] finds whole secrets and is for values that are data, in which a
//! coincidence must change nothing; [`scrub_words`] also finds pieces of them, as a limit leaves them, and the tokens of
//! others, and is for texts that are only read.

mod decoding;
mod needles;
mod words;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};

use decoding::Level;
pub use words::{ServiceWords, outline};

/// What stands in the place of a secret.
pub const HIDDEN: &str = "***";
/// Letters of the shortest secret that is looked for. A shorter one is no secret, and would blot out ordinary words.
const SHORTEST: usize = 6;
/// The same in data and in our own lines.
const SHORTEST_IN_DATA: usize = 8;
/// The most secrets that are remembered: those of a hundred integrations, several times replaced.
const REMEMBERED: usize = 1024;
/// Bytes of a text in which the letters of a secret are looked for one by one: that takes many times as much memory.
const LONGEST_SEARCHED: usize = 4 << 20;
/// How often something may be escaped: JSON in JSON in a query is three.
const ROUNDS: usize = 5;

/// Looks for all secrets at once; none where there are none.
type Finder = Option<Arc<AhoCorasick>>;

#[derive(Default)]
struct Known {
    secrets: Vec<SecretString>,
    whole: Finder,
    pieces: Finder,
}

static KNOWN: RwLock<Option<Known>> = RwLock::new(None);

/// A text in which HTML's ways to write a letter are undone, once.
#[must_use]
pub fn without_entities(text: &str) -> String {
    decoding::without_entities(text)
}

/// Takes note of a secret that nothing may say. Too short ones are none.
pub fn keep_unsaid(secret: &str) {
    let secret = secret.trim();
    if secret.len() < SHORTEST {
        return;
    }
    let mut known = KNOWN.write();
    let known = known.get_or_insert_default();
    if known.secrets.iter().any(|one| one.expose_secret() == secret) {
        return;
    }
    if known.secrets.len() >= REMEMBERED {
        known.secrets.remove(0);
    }
    known.secrets.push(SecretString::from(secret));
    let all = || known.secrets.iter().map(ExposeSecret::expose_secret);
    // Digits alone may be part of any number.
    let in_data =
        |one: &&str| one.len() >= SHORTEST_IN_DATA && !one.bytes().all(|byte| byte.is_ascii_digit());
    let whole = finder(all().filter(in_data).flat_map(needles::whole));
    let pieces = finder(all().flat_map(needles::pieces));
    (known.whole, known.pieces) = (whole, pieces);
}

/// The same for a part of an address, which is written there escaped.
pub fn keep_address_part_unsaid(part: &str) {
    keep_unsaid(part);
    let mut written = part.to_owned();
    while let Some(decoded) = decoding::decoded(&written).filter(|text| text.len() < written.len()) {
        keep_unsaid(&decoded);
        written = decoded;
    }
}

fn finder(needles: impl Iterator<Item = String>) -> Finder {
    let needles: Vec<String> = needles.collect();
    if needles.is_empty() {
        return None;
    }
    // Fails only on more text than any number of secrets has; then nothing could be promised, so nothing is looked for.
    AhoCorasick::builder().ascii_case_insensitive(true).build(needles).ok().map(Arc::new)
}

fn whole() -> Finder {
    KNOWN.read().as_ref()?.whole.clone()
}

fn pieces() -> Finder {
    KNOWN.read().as_ref()?.pieces.clone()
}

/// A text without the secrets of this process, otherwise as it was.
#[must_use]
pub fn scrub(text: &str) -> Cow<'_, str> {
    match whole() {
        Some(finder) if holds(text, &finder) => Cow::Owned(hide(text, found(text, Some(&finder), false))),
        _ => Cow::Borrowed(text),
    }
}

/// The same for bytes that should be a text. What is no text is left as it is where it holds no secret; none where it holds
/// one and is too long for that to be taken out.
#[must_use]
pub fn scrub_bytes(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(finder) = whole() else { return Some(Cow::Borrowed(bytes)) };
    let text = String::from_utf8_lossy(bytes);
    if !holds(&text, &finder) {
        return Some(Cow::Borrowed(bytes));
    }
    let is_short = text.len() <= LONGEST_SEARCHED;
    is_short.then(|| Cow::Owned(hide(&text, found(&text, Some(&finder), false)).into_bytes()))
}

/// A text that is only read: also without pieces of secrets, and without what others call their token.
#[must_use]
pub fn scrub_words(text: &str) -> String {
    hide(text, found(text, pieces().as_deref(), true))
}

/// Whether a text holds a secret, without saying where: that is cheap.
fn holds(text: &str, finder: &AhoCorasick) -> bool {
    if finder.is_match(text) {
        return true;
    }
    let Some(mut decoded) = decoding::decoded(text) else { return false };
    for _ in 1..ROUNDS {
        if finder.is_match(&decoded) {
            return true;
        }
        match decoding::decoded(&decoded) {
            Some(next) => decoded = next,
            None => return false,
        }
    }
    finder.is_match(&decoded)
}

/// Where secrets stand in a text, in whatever form.
fn found(text: &str, finder: Option<&AhoCorasick>, is_words: bool) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut level = Level::of(text);
    for _ in 0..=ROUNDS {
        if let Some(finder) = finder {
            mark(&level, finder, &mut ranges);
            if is_words {
                mark(&level.squeezed(), finder, &mut ranges);
                mark(&level.bare(), finder, &mut ranges);
            }
        }
        if is_words {
            let named = needles::named(&level.text);
            ranges.extend(named.into_iter().filter_map(|range| level.in_original(range)));
        }
        match level.decoded() {
            Some(next) => level = next,
            None => break,
        }
    }
    ranges
}

fn mark(level: &Level, finder: &AhoCorasick, ranges: &mut Vec<Range<usize>>) {
    let matches = finder.find_overlapping_iter(&level.text);
    ranges.extend(matches.filter_map(|found| level.in_original(found.start()..found.end())));
}

fn hide(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        if range.start > end || (shown.is_empty() && end == 0) {
            shown.push_str(text.get(end..range.start).unwrap_or_default());
            shown.push_str(HIDDEN);
        }
        end = end.max(range.end);
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    shown
}

#[cfg(test)]
mod tests;
