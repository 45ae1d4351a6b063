//! Kandji's timestamps: several forms, all UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// Reads a timestamp in any form that Kandji has been seen to write: with `T` or a space, with
/// `Z`, `+00:00`, ` +0000` or no offset (taken as UTC), with or without fractions. Blank or
/// unreadable is `None`.
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(timestamp) = text.parse() {
        return Some(timestamp);
    }
    // `2022-08-15 13:51:01 +0000`: neither RFC 3339 nor ISO 8601, because of the second space.
    if let Some((date_time, offset)) = text.rsplit_once(' ')
        && offset.starts_with(['+', '-'])
    {
        return format!("{date_time}{offset}").parse().ok();
    }
    let utc: DateTime = text.parse().ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(utc).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_was_seen_is_read() {
        for (text, expected) in [
            ("2024-07-23T14:11:37.150080Z", "2024-07-23T14:11:37.15008Z"),
            ("2026-07-01T19:02:37.320664+00:00", "2026-07-01T19:02:37.320664Z"),
            ("2022-06-24 14:20:19.961496+00:00", "2022-06-24T14:20:19.961496Z"),
            ("2022-09-19 12:14:51+00:00", "2022-09-19T12:14:51Z"),
            ("2022-08-15 13:51:01 +0000", "2022-08-15T13:51:01Z"),
            ("2022-08-15 13:51:01", "2022-08-15T13:51:01Z"),
            (" 2022-08-15T13:51:01Z ", "2022-08-15T13:51:01Z"),
        ] {
            assert_eq!(parse_timestamp(text).map(|t| t.to_string()).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn blank_and_nonsense_are_no_time() {
        for text in ["", "   ", "never", "2022-13-45", "0", "+0000", " +0000"] {
            assert_eq!(parse_timestamp(text), None, "{text:?}");
        }
    }
}
