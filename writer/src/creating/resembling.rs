//! Whether AMFJ may have made one text of another: escaped, cut short, with other blanks or in another case.
//! Pure.

use amfj_sync_model::names::NameKey;
use serde_json::Value;

use crate::answers::unescaped;

/// Shorter beginnings of a name say nothing about it.
const SHORTEST_CUT: usize = 8;

fn folded(text: &str) -> String {
    NameKey::of(&unescaped(text)).map(|key| key.as_str().to_owned()).unwrap_or_default()
}

/// Whether AMFJ may have made `held` of the name `sent`.
pub(super) fn name_resembles(sent: &str, held: &str) -> bool {
    let (whole, cut) = (folded(sent), folded(held));
    if whole == cut {
        return !whole.is_empty();
    }
    // Cut before or after it was escaped, perhaps in the middle of an escape.
    let raw = NameKey::of(held).map(|key| key.as_str().to_owned()).unwrap_or_default();
    let raw = raw.rfind('&').filter(|at| !raw[*at..].contains(';')).map_or(raw.as_str(), |at| &raw[..at]);
    let is_beginning =
        |cut: &str| cut.trim_end().chars().count() >= SHORTEST_CUT && whole.starts_with(cut.trim_end());
    is_beginning(&cut) || is_beginning(&folded(raw))
}

/// Whether AMFJ may have cut both the name and the serial that were sent to these. Together they say enough, however
/// short each is.
pub(super) fn both_are_cut((name, serial): (&str, &str), (held_name, held_serial): (&str, &str)) -> bool {
    let is_beginning = |sent: &str, held: &str| {
        let (whole, cut) = (folded(sent), folded(held));
        !cut.trim_end().is_empty() && whole.starts_with(cut.trim_end())
    };
    is_beginning(serial, held_serial) && (is_beginning(name, held_name) || name_resembles(name, held_name))
}

/// A value as a text in which spelling does not matter.
fn comparable(value: &Value) -> String {
    match value {
        Value::String(text) => NameKey::of(text).map(|key| key.as_str().to_owned()).unwrap_or_default(),
        Value::Number(number) => number.as_f64().map(|number| number.to_string()).unwrap_or_default(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Whether AMFJ's value is the one that was sent, however it spells it.
pub(super) fn same_value(sent: &Value, held: Option<&Value>) -> bool {
    comparable(sent) == held.map(comparable).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_resembles_what_amfj_may_make_of_it() {
        let table = [
            ("Ana & Bo's Mac", "Ana &amp; Bo&#39;s Mac", true),
            ("Sam’s MacBook Pro 16", "Sam’s MacBook", true),
            ("Ana & Bo's MacBook", "Ana &amp; Bo&#3", true),
            ("Lobby iMac  2", "lobby imac 2", true),
            ("Lobby iMac 2", "Lobby iMac 3", false),
            // A longer name is that of something else, and a short beginning of anything.
            ("Lobby iMac", "Lobby iMac 2", false),
            ("Mac 12", "Mac", false),
            ("", "", false),
            ("Mac", "", false),
        ];
        for (sent, held, resembles) in table {
            assert_eq!(name_resembles(sent, held), resembles, "{sent:?} as {held:?}");
        }
    }

    #[test]
    fn a_cut_serial_beside_a_cut_name_resembles_what_was_sent() {
        let sent = ("James's MacBook Pro", "C02XL0GYJGH5");
        assert!(both_are_cut(sent, ("James's ", "C02XL0GY")));
        assert!(!both_are_cut(sent, ("James's ", "C02XL0GZ")), "another serial");
        assert!(!both_are_cut(sent, ("Jane's M", "C02XL0GY")), "another name");
        assert!(!both_are_cut(sent, ("", "C02XL0GY")) && !both_are_cut(sent, ("James's ", "")));
    }
}
