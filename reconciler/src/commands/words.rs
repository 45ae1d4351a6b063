//! How devices, assets and rules are named to people.

use amfj_sync_shared::amfj::{Asset, UserRecord};
use amfj_sync_shared::messages::{DeviceEntry, Rule};
use amfj_sync_shared::names::serial_key;
use amfj_sync_shared::screen::legible;
use amfj_sync_shared::state::View;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::rules;

/// `"Ana's MacBook" (C02XK1)`.
pub(super) fn device(device: &DeviceEntry) -> String {
    let (label, handle) = (rules::label(device), rules::handle(device));
    if label == handle { quoted(label) } else { format!("{} ({})", quoted(label), legible(handle)) }
}

/// `"Ana's MacBook" (a-17)`.
pub(super) fn asset(asset: &Asset) -> String {
    format!("{} ({})", quoted(&asset.name), asset.id)
}

/// `"Ana Horvat" <ana@example.com> (u-3)`.
pub(super) fn record(record: &UserRecord) -> String {
    let email = record.email.as_deref().map(|email| format!(" <{}>", legible(email))).unwrap_or_default();
    format!("{}{email} ({})", quoted(&record.name), record.id)
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", legible(text.trim()))
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
    pub(super) fn of(view: &View, device: &DeviceEntry, asset: &Asset) -> Self {
        let held = view.meta().serial_field.as_ref().and_then(|field| asset.fields.get(field));
        let held = held.and_then(|held| match held {
            Value::String(text) => serial_key(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        match (serial_key(&device.serial), held) {
            (Some(own), Some(held)) if own == held => Self::Agree,
            (Some(_), Some(_)) => Self::Differ,
            _ => Self::Unknown,
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

/// To the second, in UTC, as everywhere.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
