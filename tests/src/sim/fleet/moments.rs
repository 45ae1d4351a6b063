//! How Kandji writes moments: each endpoint has a form of its own, and always with six digits.

use jiff::Timestamp;

/// The forms that were seen on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// `2024-07-23T14:11:37.150080Z`: the last check-in, in lists and details.
    Zulu,
    /// `2026-07-01T19:02:37.320664+00:00`: Prism.
    Offset,
    /// `2022-06-24 14:20:19.961496+00:00`: enrolments, and the last check-in with MDM.
    Spaced,
}

/// A moment as Kandji writes it.
pub(crate) fn written(second: i64, micros: u32, form: Form) -> String {
    let Ok(moment) = Timestamp::from_second(second) else { return String::new() };
    let (day, time) = (moment.strftime("%Y-%m-%d").to_string(), moment.strftime("%H:%M:%S").to_string());
    match form {
        Form::Zulu => format!("{day}T{time}.{micros:06}Z"),
        Form::Offset => format!("{day}T{time}.{micros:06}+00:00"),
        Form::Spaced => format!("{day} {time}.{micros:06}+00:00"),
    }
}

/// This moment, or whichever `moment` is.
pub(crate) fn written_at(moment: Timestamp, form: Form) -> String {
    let micros = u32::try_from(moment.subsec_nanosecond() / 1_000).unwrap_or(0);
    written(moment.as_second(), micros, form)
}
