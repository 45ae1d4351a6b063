//! `Retry-After`: seconds or an HTTP date.

use std::time::{Duration, SystemTime};

/// The longest pause that is believed: Kandji's window is an hour, and nobody waits a day because a
/// proxy has a wrong clock.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The pause that a `Retry-After` asks for at the time `now`, between nothing and an hour.
/// `None` when the value is neither a number of seconds nor an HTTP date.
#[must_use]
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        if seconds.is_nan() {
            return None;
        }
        // In whole seconds, upwards: asking a moment too early costs another refusal.
        let seconds = seconds.ceil().clamp(0.0, LONGEST_RETRY_AFTER.as_secs_f64());
        return Some(Duration::from_secs_f64(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(now).unwrap_or(Duration::ZERO).min(LONGEST_RETRY_AFTER))
}
