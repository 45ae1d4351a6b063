//! How names, emails and serials are compared (P5, P10): one place, so that all workers agree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// A name made comparable: Unicode NFC, trimmed, inner white space folded, lower case. Never blank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NameKey(String);

impl NameKey {
    /// The key of a name; none for a blank one, which matches nothing (P5).
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        if name.is_ascii() {
            return Self::of_ascii(name);
        }
        let folded = name.nfc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
        // Lower-casing can leave a text that is no longer composed (U+0130), so NFC comes once more.
        let key: String = folded.to_lowercase().nfc().collect();
        if key.is_empty() { None } else { Some(Self(key)) }
    }

    /// The same for most names, which have nothing to compose and only one way to be in lower case.
    fn of_ascii(name: &str) -> Option<Self> {
        let mut key = String::with_capacity(name.len());
        for word in name.split_whitespace() {
            if !key.is_empty() {
                key.push(' ');
            }
            key.push_str(word);
        }
        key.make_ascii_lowercase();
        if key.is_empty() { None } else { Some(Self(key)) }
    }

    /// The comparable text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An email made comparable: trimmed and lower case; none for a blank one.
#[must_use]
pub fn email_key(email: &str) -> Option<String> {
    comparable(email)
}

/// A serial number made comparable: trimmed and lower case; none for a blank one.
#[must_use]
pub fn serial_key(serial: &str) -> Option<String> {
    comparable(serial)
}

fn comparable(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() { None } else { Some(text.to_lowercase()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_names_are_equal_whatever_their_case_white_space_and_composition() {
        let table = [
            ("Sam’s MacBook Air", "  sam’s   macbook\tAIR ", true),
            ("Cafe\u{301}", "Café", true),
            ("Sam's MacBook", "Sam’s MacBook", false),
            ("Mac-1", "Mac 1", false),
        ];
        for (one, other, equal) in table {
            assert_eq!(NameKey::of(one) == NameKey::of(other), equal, "{one:?} and {other:?}");
        }
    }

    #[test]
    fn p5_a_blank_name_has_no_key() {
        assert_eq!(NameKey::of(" \u{a0}\t\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn p5_the_short_way_for_ascii_says_the_same(name in "[\\x00-\\x7f]*") {
            // A composed letter in front of it, which is a word of its own, takes the long way.
            let long = NameKey::of(&format!("é {name}")).map(|key| key.as_str().replacen('é', "", 1));
            let short = NameKey::of(&name).map(|key| format!(" {}", key.as_str()));
            proptest::prop_assert_eq!(long.filter(|rest| !rest.is_empty()), short);
        }

        #[test]
        fn p5_a_key_is_its_own_key(name in ".*") {
            if let Some(key) = NameKey::of(&name) {
                proptest::prop_assert_eq!(NameKey::of(key.as_str()), Some(key));
            }
        }
    }
}
