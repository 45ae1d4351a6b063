//! The small values of the file: percentages and durations.

use std::fmt;
use std::time::Duration;

/// A whole percentage from 0 to 100, written `"10%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// Takes 0 to 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Self> {
        if percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// Reads `"10%"`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_suffix('%')?.trim_end();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Self::new(digits.parse().ok()?)
    }

    /// Whether `part` is more than this share of `whole`, without rounding (P23).
    #[must_use]
    pub fn is_exceeded(self, part: usize, whole: usize) -> bool {
        part as u128 * 100 > whole as u128 * u128::from(self.0)
    }

    /// The number before the sign.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// The units of a duration, longest name first so that `ms` is not read as `m`.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];

/// Reads a whole number with a unit: `500ms`, `60s`, `15m`, `1h`, `400d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (digits, millis) =
        UNITS.iter().find_map(|(unit, millis)| text.strip_suffix(unit).map(|digits| (digits, *millis)))?;
    let digits = digits.trim_end();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis)
}

/// Writes a duration the way [`parse_duration`] reads it, in the largest unit that is exact.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let total = duration.as_millis();
    let (unit, millis) = UNITS
        .iter()
        .rev()
        .find(|(_, millis)| total > 0 && total.is_multiple_of(u128::from(*millis)))
        .unwrap_or(&UNITS[0]);
    format!("{}{unit}", total / u128::from(*millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("60s", 60_000),
            (" 15m ", 900_000),
            ("1h", 3_600_000),
            ("400d", 34_560_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "h", "1.5h", "-1s", "+1s", "1 week", "99999999999999999999d", "１s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_read() {
        for text in ["500ms", "61s", "15m", "1h", "400d", "0ms"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(show_duration(Duration::from_mins(1)), "1m");
    }

    #[test]
    fn percentages_are_whole_and_need_the_sign() {
        assert_eq!(Percent::parse("10%").map(Percent::get), Some(10));
        assert_eq!(Percent::parse(" 100 %").map(Percent::get), Some(100));
        for text in ["10", "101%", "-1%", "2.5%", "%", "+5%", "ten%"] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_is_exceeded_by_more_than_it_not_by_it() {
        let tenth = Percent::parse("10%").unwrap();
        assert!(!tenth.is_exceeded(10, 100));
        assert!(tenth.is_exceeded(11, 100));
        assert!(tenth.is_exceeded(1, 9));
        assert!(!tenth.is_exceeded(0, 0));
        assert!(!Percent::parse("100%").unwrap().is_exceeded(7, 7));
    }
}
