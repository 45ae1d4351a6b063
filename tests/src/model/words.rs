//! Comparison of names, emails and serials.

use std::cell::RefCell;
use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

/// Whether a text says nothing.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A name as it is compared (P5): NFC, trimmed, inner white space folded, without case, without what nobody sees, one
/// apostrophe, one quotation mark and one dash for all there are.
pub(super) fn name(text: &str) -> String {
    thread_local! {
        static KNOWN: RefCell<HashMap<String, String>> = RefCell::default();
    }
    // Every device is compared with every asset.
    let known = KNOWN.with_borrow(|known| known.get(text).cloned());
    known.unwrap_or_else(|| {
        let name = comparable(text);
        KNOWN.with_borrow_mut(|known| known.insert(text.to_owned(), name.clone()));
        name
    })
}

fn comparable(text: &str) -> String {
    let composed: String = text.nfc().filter(|letter| !INVISIBLE.contains(letter)).collect();
    // Upper case spells ligatures and sharp s out; letter by letter, so that no sigma is a final one.
    let spelt = composed.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    let alike: String = spelt
        .map(|letter| match letter {
            letter if APOSTROPHES.contains(&letter) => '\'',
            letter if QUOTATION_MARKS.contains(&letter) => '"',
            letter if DASHES.contains(&letter) => '-',
            letter => letter,
        })
        .nfc()
        .collect();
    alike.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is left of a name without signs: names that share it are near (P6).
pub(super) fn near(text: &str) -> String {
    name(text).chars().filter(|letter| letter.is_alphanumeric()).collect()
}

/// A serial as a field that is a number, or is not, holds it (P6); blank where it says nothing there.
pub(super) fn serial_held(text: &str, is_number: bool) -> String {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.chars().all(|letter| letter.is_ascii_digit());
    if !is_number || whole.is_empty() || !digits(whole) || !fraction.chars().all(|letter| letter == '0') {
        return serial(text);
    }
    whole.trim_start_matches('0').to_owned()
}

const INVISIBLE: [char; 9] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{202a}', '\u{feff}',
];
const APOSTROPHES: [char; 5] = ['\u{2018}', '\u{2019}', '\u{201b}', '\u{2bc}', '\u{ff07}'];
const QUOTATION_MARKS: [char; 5] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{ff02}'];
const DASHES: [char; 7] =
    ['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{ff0d}'];

/// An email as it is compared (P10).
pub(super) fn email(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A serial as it is compared (P6, P9); blank where it says nothing.
pub(super) fn serial(text: &str) -> String {
    let serial = text.trim().to_uppercase();
    let says_nothing = [
        "UNKNOWN",
        "0",
        "NOT PRESENT",
        "TO BE FILLED BY O.E.M.",
        "DEFAULT STRING",
        "SYSTEM SERIAL NUMBER",
        "N/A",
        "NONE",
        "NOT SPECIFIED",
    ];
    let letters: std::collections::BTreeSet<char> = serial.chars().collect();
    let is_one_letter = letters.len() == 1 && serial.chars().count() >= 3;
    if is_one_letter || says_nothing.contains(&serial.as_str()) { String::new() } else { serial }
}
