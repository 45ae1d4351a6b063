//! How devices, assets and rules are named to people.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::messages::{DeviceEntry, Edit, Rule};
use amfj_sync_projection::Projection;
use amfj_sync_projection::serials;
use amfj_sync_rules as rules;
use amfj_sync_security::screen::{Screen, sanitize, value};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// `"Ana's MacBook" (C02XK1)`.
pub(super) fn device(device: &DeviceEntry) -> String {
    let (label, handle) = (rules::label(device), rules::handle(device));
    if label == handle { quoted(label) } else { format!("{} ({})", quoted(label), sanitize(handle)) }
}

/// `"Ana's MacBook" (a-17)`.
pub(super) fn asset(asset: &Asset) -> String {
    format!("{} ({})", quoted(&asset.name), sanitize(asset.id.as_str()))
}

/// `"Ana Horvat" <ana@example.com> (u-3)`.
pub(super) fn record(record: &UserRecord) -> String {
    let email = record.email.as_deref().map(|email| format!(" <{}>", sanitize(email))).unwrap_or_default();
    format!("{}{email} ({})", quoted(&record.name), sanitize(record.id.as_str()))
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", sanitize(text.trim()))
}

/// The rule with its number, as a clause.
pub(super) fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::Name => "same name (P5)",
        Rule::Serial => "same name, and the device's serial (P6)",
        Rule::Created => "created by this product (P7, P11)",
        Rule::Reenrolled => "enrolled again under a new id (P9)",
        Rule::Email => "same email (P10)",
        Rule::UserName => "same name (P10)",
        Rule::SamePerson => "another Kandji user of the same person (P10)",
        Rule::Person => "a person said so",
    }
}

/// Whether the serial of a device is in the asset's mapped field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Serials {
    /// The same serial is on both sides.
    Agree,
    /// There is another serial in the asset.
    Differ,
    /// One side has none, or no field is mapped from `serial_number`.
    Unknown,
}

impl Serials {
    pub(super) fn of(view: &Projection, device: &DeviceEntry, asset: &Asset) -> Self {
        match view.serials(device, asset) {
            serials::Serials::Same => Self::Agree,
            serials::Serials::Other => Self::Differ,
            serials::Serials::Silent => Self::Unknown,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Agree => "serials agree",
            Self::Differ => "SERIALS DIFFER",
            Self::Unknown => "serials unknown",
        }
    }
}

/// What was written, field by field, with old and new values.
pub(super) fn edits(screen: &Screen, indent: usize, edits: &BTreeMap<String, Edit>) -> String {
    let row = |(field, edit): (&String, &Edit)| {
        vec![field.clone(), value(&edit.old), format!("→ {}", value(&edit.new))]
    };
    let rows: Vec<Vec<String>> = edits.iter().map(row).collect();
    screen.columns(indent, &rows)
}

/// To the second, in UTC, as everywhere.
#[must_use]
pub fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Why something stands still, as a sentence, with the command that is about it unless it says so itself.
pub(super) fn with_command(reason: &str, command: &str, what: &str) -> String {
    let reason = reason.trim_end();
    let stop = if reason.ends_with(['.', '!', '?']) { "" } else { "." };
    if reason.contains(command) {
        return format!("{reason}{stop}");
    }
    format!("{reason}{stop} `{command}` {what}.")
}

/// A duration in its two largest units.
pub(super) fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {small_unit}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => two(minutes, "min", seconds % 60, "s"),
        (0, hours, minutes) => two(hours, "h", minutes, "min"),
        (days, hours, _) => two(days, "d", hours, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_once() {
        let text = |reason| with_command(reason, "amfj-sync release acme", "lets it go on");
        assert_eq!(text("too many (9)"), "too many (9). `amfj-sync release acme` lets it go on.");
        assert_eq!(text("if right, run `amfj-sync release acme`"), "if right, run `amfj-sync release acme`.");
    }

    #[test]
    fn an_id_has_no_line_of_its_own() {
        let record: UserRecord = serde_json::from_value(serde_json::json!({
            "id": "u-3\n\u{1b}[31merror: gone", "name": "Ann", "email": null, "source": "local", "fields": {},
        }))
        .unwrap();
        assert_eq!(super::record(&record), "\"Ann\" (u-3··[31merror: gone)");
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (3_661, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ];
        for (seconds, text) in table {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }
}
