//! Moments and spans as people type them.

use amfj_sync_service::worker::Exit;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A moment: `2026-11-30T12:00:00Z`, `2026-11-30 12:00` or `2026-11-30` in UTC, or `2h` and `3d` ago.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, Exit> {
    moment(text).or_else(|| before(text, now)).ok_or_else(|| {
        Exit::Configuration(format!(
            "`{text}` is no moment; write one such as 2026-11-30, 2026-11-30T12:00:00Z, or 2h (ago)"
        ))
    })
}

/// A moment that is still to come: as for [`since`], but `2h` and `3d` are from now on.
pub fn until(text: &str, now: Timestamp) -> Result<Timestamp, Exit> {
    let ahead = || {
        let span: Span = text.trim().parse().ok()?;
        // Calendar units need a calendar.
        Some(now.to_zoned_datetime(TimeZone::UTC).checked_add(span).ok()?.timestamp())
    };
    let moment = moment(text).or_else(ahead).ok_or_else(|| {
        Exit::Configuration(format!(
            "`{text}` is no moment; write one such as 2026-12-24, 2026-12-24T18:00:00Z, or 2h (from now on)"
        ))
    })?;
    if moment <= now {
        let now = crate::time(now);
        return Err(Exit::Configuration(format!("`{text}` is over: it is {now}; name a moment to come")));
    }
    Ok(moment)
}

/// A moment that somebody wrote out.
fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    // A date alone is its midnight.
    let local: DateTime = text.parse().ok()?;
    Some(local.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp())
}

/// A span before now, such as `90s`, `15m`, `2h` or `3d`.
pub fn ago(text: &str, now: Timestamp) -> Result<Timestamp, Exit> {
    before(text, now).ok_or_else(|| {
        Exit::Configuration(format!("`{text}` is no span of time; write one such as 90s, 15m, 2h or 3d"))
    })
}

fn before(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span: Span = text.trim().parse().ok()?;
    // Calendar units need a calendar; negative spans would lie ahead.
    let moment = now.to_zoned_datetime(TimeZone::UTC).checked_sub(span).ok()?.timestamp();
    (moment <= now).then_some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let table = [
            ("2026-11-29T10:00:00Z", "2026-11-29T10:00:00Z"),
            ("2026-11-29T10:00:00+02:00", "2026-11-29T08:00:00Z"),
            ("2026-11-29 10:30", "2026-11-29T10:30:00Z"),
            ("2026-11-29", "2026-11-29T00:00:00Z"),
            ("2h", "2026-11-30T10:00:00Z"),
            (" 90m ", "2026-11-30T10:30:00Z"),
            ("3d", "2026-11-27T12:00:00Z"),
        ];
        for (text, moment) in table {
            assert_eq!(since(text, now).unwrap().to_string(), moment, "{text}");
        }
    }

    #[test]
    fn a_moment_to_come_lies_ahead() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let table = [
            ("2026-12-01", "2026-12-01T00:00:00Z"),
            ("2026-11-30 12:30", "2026-11-30T12:30:00Z"),
            ("2026-11-30T15:00:00+02:00", "2026-11-30T13:00:00Z"),
            ("2h", "2026-11-30T14:00:00Z"),
            (" 3d ", "2026-12-03T12:00:00Z"),
        ];
        for (text, moment) in table {
            assert_eq!(until(text, now).unwrap().to_string(), moment, "{text}");
        }
        for text in ["2026-11-30", "2026-11-30T12:00:00Z", "-2h", "0s", "tomorrow", "", "12"] {
            assert_eq!(until(text, now).unwrap_err().code(), 2, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        let now = Timestamp::now();
        for text in ["yesterday", "", "-2h", "12"] {
            assert_eq!(since(text, now).unwrap_err().code(), 2, "{text:?}");
        }
    }
}
