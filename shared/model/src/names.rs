//! How names, emails and serials are compared (P5, P10): one place, so that all workers agree.

use caseless::Caseless as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use crate::amfj::FieldType;

/// The edition of the comparison: views whose indexes were made by another one make them anew.
pub const COMPARISON: u32 = 3;

/// A name made comparable (P5): Unicode NFC, full case folding, invisible format characters dropped, apostrophes,
/// quotation marks and dashes each taken for one, trimmed, inner white space folded. Never blank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NameKey(String);

impl NameKey {
    /// Returns the key of a name; none for a blank one, which matches nothing (P5).
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        if name.is_ascii() {
            return Self::of_ascii(name);
        }
        let mut key = folded(name);
        // Folding can leave a text that composes anew, and what it composes to folds once more.
        for _ in 0..MOST_FOLDS {
            let again = folded(&key);
            if again == key {
                break;
            }
            key = again;
        }
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

    /// Returns what is left of the name once everything but letters and digits is taken away: names that share it are
    /// *near* (P6), which is shown and never matched. None where nothing is left.
    #[must_use]
    pub fn near(&self) -> Option<String> {
        let near: String = self.0.chars().filter(|character| character.is_alphanumeric()).collect();
        (!near.is_empty()).then_some(near)
    }

    /// What a name shares with all that are the same or near, and with no others: where they are looked up.
    #[must_use]
    pub fn class(&self) -> String {
        self.near().unwrap_or_else(|| self.0.clone())
    }

    /// Whether two names are near, and not the same (P6).
    #[must_use]
    pub fn is_near(&self, other: &Self) -> bool {
        self != other && self.near().is_some_and(|near| other.near() == Some(near))
    }
}

/// More than any text needs until folding it again changes nothing.
const MOST_FOLDS: usize = 4;

fn folded(name: &str) -> String {
    let visible = name.chars().filter(|character| character.general_category() != GeneralCategory::Format);
    let folded: String = visible.nfc().default_case_fold().map(alike).nfc().collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// macOS names machines with U+2019, people type U+0027, and tools put in whatever their font has.
fn alike(character: char) -> char {
    match character {
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{ff07}' => '\'',
        '\u{201c}'..='\u{201f}' | '\u{ff02}' => '"',
        other if other.general_category() == GeneralCategory::DashPunctuation => '-',
        other => other,
    }
}

/// An email made comparable: trimmed and lower case; none for a blank one.
#[must_use]
pub fn email_key(email: &str) -> Option<String> {
    comparable(email)
}

/// A serial number made comparable: trimmed and lower case; none where it says nothing: blank, or what makers and
/// tools write where there is none (P6).
#[must_use]
pub fn serial_key(serial: &str) -> Option<String> {
    comparable(serial).filter(|serial| !is_placeholder(serial))
}

/// The comparable serial in an AMFJ field, as the value itself is: a text, or a number where the field was made as one.
#[must_use]
pub fn serial_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => serial_key(text),
        Value::Number(number) => serial_of_type(FieldType::Number, &number.to_string()),
        _ => None,
    }
}

/// A serial as a field of this type holds it, comparable (P6): a number field holds 777 for "0777". None where it says
/// nothing there.
#[must_use]
pub fn serial_of_type(field_type: FieldType, serial: &str) -> Option<String> {
    if field_type != FieldType::Number {
        return serial_key(serial);
    }
    let serial = comparable(serial)?;
    match number_key(&serial) {
        // What a person typed has nothing to do with how many digits of one kind are left of it.
        Some(number) => (number != "0").then_some(number),
        None => (!is_placeholder(&serial)).then_some(serial),
    }
}

/// What serials share that are one in a field of some type: where they are looked up.
#[must_use]
pub fn serial_class(serial: &str) -> String {
    comparable(serial).map_or_else(String::new, |serial| number_key(&serial).unwrap_or(serial))
}

/// Digits without what makes no difference to a number: a plus, zeros in front, and zeros behind a decimal point. None
/// for what is no whole number.
fn number_key(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_whole = !whole.is_empty()
        && whole.bytes().all(|byte| byte.is_ascii_digit())
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte == b'0');
    let whole = whole.trim_start_matches('0');
    is_whole.then(|| if whole.is_empty() { "0".to_owned() } else { format!("{sign}{whole}") })
}

/// Whether a serial is what makers and tools write where there is none: it is no value to write either (P6, P14).
#[must_use]
pub fn is_placeholder_serial(serial: &str) -> bool {
    comparable(serial).is_some_and(|serial| is_placeholder(&serial))
}

/// What stands where a machine has no serial number, in lower case.
const PLACEHOLDERS: [&str; 9] = [
    "unknown",
    "0",
    "not present",
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
    "n/a",
    "none",
    "not specified",
];

/// Whether a comparable serial is a placeholder: one of the usual ones, or one character three times or more.
fn is_placeholder(serial: &str) -> bool {
    let mut characters = serial.chars();
    let first = characters.next();
    let repeats = serial.chars().count() >= 3 && characters.all(|other| Some(other) == first);
    repeats || PLACEHOLDERS.contains(&serial)
}

fn comparable(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() { None } else { Some(text.to_lowercase()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p6_a_serial_is_a_text_or_a_number_and_no_placeholder() {
        use serde_json::json;
        for placeholder in ["", "0", "0000", "Not Present", "unknown", "N/A", "To be filled by O.E.M."] {
            assert_eq!(serial_in(&json!(placeholder)), None, "{placeholder}");
        }
        assert_eq!(serial_in(&json!(" C02XL0GY ")).as_deref(), Some("c02xl0gy"));
        assert_eq!(serial_in(&json!("PLGYHCDRQK")).as_deref(), Some("plgyhcdrqk"), "some have no digit");
        assert_eq!(serial_in(&json!(4711)).as_deref(), Some("4711"));
        assert_eq!(serial_in(&json!(777.0)), serial_in(&json!(777)));
        assert_eq!(serial_in(&json!(0)), None);
        assert_eq!(serial_in(&json!(null)), None);
    }

    #[test]
    fn p6_a_serial_is_compared_as_the_field_holds_it() {
        let table = [
            (FieldType::Number, "0777", "777.0", true),
            (FieldType::Number, "777", "0777", true),
            (FieldType::Number, " 00120 ", "120", true),
            (FieldType::Number, "12345678901234567890123", "012345678901234567890123", true),
            (FieldType::Number, "120", "12", false),
            (FieldType::Number, "C02X", "c02x", true),
            (FieldType::Number, "1e5", "100000", false),
            (FieldType::Number, "-5", "5", false),
            (FieldType::Text, "0778", "778", false),
            (FieldType::Text, "c02x", "C02X ", true),
            (FieldType::Select, "c02x", "C02X", true),
        ];
        for (field_type, one, other, same) in table {
            let (one, other) = (serial_of_type(field_type, one), serial_of_type(field_type, other));
            assert_eq!(one == other, same, "{one:?} and {other:?} in a {field_type:?}");
        }
        for nothing in ["0", "000", "0.0", "unknown", " "] {
            assert_eq!(serial_of_type(FieldType::Number, nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn p5_names_are_equal_whatever_their_case_white_space_and_composition() {
        let table = [
            ("Sam’s MacBook Air", "  sam’s   macbook\tAIR ", true),
            ("Cafe\u{301}", "Café", true),
            ("Sam's MacBook", "Sam’s MacBook", true),
            ("Sam\u{2018}s MacBook", "Sam\u{2bc}s MacBook", true),
            ("Sam\u{ff07}s", "Sam\u{201b}s", true),
            ("Straße 5", "STRASSE 5", true),
            ("ﬁle server", "FILE SERVER", true),
            ("ΟΔΟΣ", "οδος", true),
            ("ΟΔΟΣ", "οδοσ", true),
            ("“Lab” Mac", "\"lab\" mac", true),
            ("„Lab‟ Mac", "\"lab\" mac", true),
            ("Mac–1", "Mac-1", true),
            ("Mac\u{2011}1", "Mac—1", true),
            ("Lobby\u{200b} i\u{ad}Mac\u{feff}", "Lobby iMac", true),
            ("İstanbul", "i\u{307}stanbul", true),
            ("Mac-1", "Mac 1", false),
            ("Sams MacBook", "Sam’s MacBook", false),
            ("«Lab»", "\"Lab\"", false),
            ("Cafe", "Café", false),
        ];
        for (one, other, equal) in table {
            assert_eq!(NameKey::of(one) == NameKey::of(other), equal, "{one:?} and {other:?}");
        }
    }

    #[test]
    fn p5_a_blank_name_has_no_key() {
        assert_eq!(NameKey::of(" \u{a0}\t\n"), None);
    }

    #[test]
    fn p6_near_names_differ_in_nothing_but_signs() {
        let near = |name: &str| NameKey::of(name).and_then(|key| key.near());
        for other in ["SAM-MACBOOK", "Sam: MacBook", "sam_macbook", "Sam’ MacBook"] {
            assert_eq!(near("Sam MacBook"), near(other), "{other}");
        }
        assert_ne!(near("Sam MacBook"), near("Sams MacBook"));
        assert_eq!(near("’–“"), None);
    }

    #[test]
    fn p6_a_serial_that_says_nothing_has_no_key() {
        for nothing in [
            "",
            " ",
            "unknown",
            "UNKNOWN",
            " 0 ",
            "Not Present",
            "To be filled by O.E.M.",
            "Default string",
            "System Serial Number",
            "N/A",
            "None",
            "000000",
            "xxx",
            "---",
            "........",
        ] {
            assert_eq!(serial_key(nothing), None, "{nothing:?}");
        }
        for (serial, key) in
            [("C02XYZ", "c02xyz"), ("00", "00"), ("aab", "aab"), ("0777", "0777"), (" 1 ", "1")]
        {
            assert_eq!(serial_key(serial).as_deref(), Some(key));
        }
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
        fn p6_serials_that_are_one_in_a_field_are_looked_up_in_one_place(
            one in "[-+0-9.aA ]{0,6}", other in "[-+0-9.aA ]{0,6}",
        ) {
            for field_type in [FieldType::Text, FieldType::Number] {
                let (one_key, other_key) = (serial_of_type(field_type, &one), serial_of_type(field_type, &other));
                if one_key.is_some() && one_key == other_key {
                    proptest::prop_assert_eq!(serial_class(&one), serial_class(&other));
                }
                if let Some(key) = one_key {
                    proptest::prop_assert_eq!(serial_of_type(field_type, &key), Some(key), "it is its own key");
                }
            }
        }

        #[test]
        fn p5_comparing_is_an_equivalence(names in proptest::collection::vec("[-aAäÄßſsS'’\" ]{0,4}", 3)) {
            let keys: Vec<_> = names.iter().map(|name| NameKey::of(name)).collect();
            let [Some(a), Some(b), Some(c)] = &keys[..] else { return Ok(()) };
            proptest::prop_assert!(!a.is_near(a));
            proptest::prop_assert_eq!(a.is_near(b), b.is_near(a));
            proptest::prop_assert_eq!(a.class() == b.class(), a == b || a.is_near(b));
            if (a == b || a.is_near(b)) && (b == c || b.is_near(c)) {
                proptest::prop_assert!(a == c || a.is_near(c));
            }
        }

        #[test]
        fn p5_a_key_is_its_own_key(name in "[\\PC\\p{Cf}\\p{M}ßŉΣςİǰΐﬀﬁ’‘\u{345}]*") {
            if let Some(key) = NameKey::of(&name) {
                proptest::prop_assert_eq!(NameKey::of(key.as_str()), Some(key));
            }
        }
    }
}
