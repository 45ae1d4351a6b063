//! Serials of devices and assets side by side (P6): compared as the asset's field holds them, and silent where they say
//! nothing. One piece, so that matching, taking over and commands agree.

use amfj_sync_model::amfj::{Asset, FieldType};
use amfj_sync_model::ids::DeviceId;
use amfj_sync_model::messages::{Catalogue, DeviceEntry};
use amfj_sync_model::names::{serial_key, serial_of_type};
use serde_json::Value;

use super::rows::{AssetRow, DeviceRow};
use super::view::Projection;

/// A serial of more listed devices than this says nothing (P6).
pub const TELLING_AT_MOST: usize = 2;

/// How the serials of a device and an asset stand to each other (P6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serials {
    /// One side says nothing.
    Silent,
    /// They are the same.
    Same,
    /// They differ.
    Other,
}

/// A serial that an asset holds in the mapped field, comparable as that field holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSerial {
    key: String,
    field_type: FieldType,
}

impl HeldSerial {
    /// What an asset holds in this field, by the field's type where its asset type is known, else by the value; none where
    /// that is blank or a placeholder.
    #[must_use]
    pub fn of(catalogue: &Catalogue, asset: &Asset, field: &str) -> Option<Self> {
        let written = written(asset, field)?;
        let known = catalogue.asset_type(&asset.asset_type.id).and_then(|known| known.field(field));
        let as_it_is = || if asset.fields[field].is_number() { FieldType::Number } else { FieldType::Text };
        let field_type = known.map_or_else(as_it_is, |field| field.field_type);
        Some(Self { key: serial_of_type(field_type, &written)?, field_type })
    }

    /// Whether it is this serial of a device.
    #[must_use]
    pub fn is(&self, serial: &str) -> bool {
        serial_of_type(self.field_type, serial).as_ref() == Some(&self.key)
    }
}

/// What a person reads in the mapped field of an asset, if that is anything.
#[must_use]
pub fn written(asset: &Asset, field: &str) -> Option<String> {
    match asset.fields.get(field)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Projection {
    /// The serial of a device, comparable with those of other devices; none where it says nothing: blank, a placeholder, or
    /// that of more than two devices that the inventory in force lists.
    #[must_use]
    pub fn telling_serial(&self, device: &DeviceEntry) -> Option<String> {
        let key = serial_key(&device.serial)?;
        self.is_telling(&device.serial, &|row| serial_key(&row.entry.serial).as_ref() == Some(&key))
            .then_some(key)
    }

    fn is_telling(&self, serial: &str, is_same: &dyn Fn(&DeviceRow) -> bool) -> bool {
        let mut listed = 0;
        self.each_device_of_class(serial, &mut |row| {
            listed += usize::from(row.is_listed() && is_same(&row));
            listed <= TELLING_AT_MOST
        });
        listed <= TELLING_AT_MOST
    }

    /// The serial in the mapped field of an asset; none where it says nothing, or no field is mapped from the serial.
    #[must_use]
    pub fn held_serial(&self, asset: &Asset) -> Option<HeldSerial> {
        let field = self.meta().serial_field.as_deref()?;
        let held = HeldSerial::of(self.catalogue(), asset, field)?;
        self.is_telling(&held.key, &|row| held.is(&row.entry.serial)).then_some(held)
    }

    /// How the serials of a device and an asset stand to each other.
    #[must_use]
    pub fn serials(&self, device: &DeviceEntry, asset: &Asset) -> Serials {
        match (self.held_serial(asset), self.telling_serial(device)) {
            (Some(held), Some(own)) if held.is(&own) => Serials::Same,
            (Some(_), Some(_)) => Serials::Other,
            _ => Serials::Silent,
        }
    }

    /// The assets that hold the serial of a device in the mapped field, as far as it says something.
    #[must_use]
    pub fn assets_with_serial_of(&self, device: &DeviceEntry) -> Vec<AssetRow> {
        self.telling_serial(device).map(|own| self.assets_with_serial(&own)).unwrap_or_default()
    }

    /// The assets that hold this serial in the mapped field. Empty without a mapped serial.
    #[must_use]
    pub fn assets_with_serial(&self, serial: &str) -> Vec<AssetRow> {
        let mut rows = self.assets_of_class(serial);
        rows.retain(|row| self.held_serial(&row.asset).is_some_and(|held| held.is(serial)));
        rows
    }

    /// All devices with this serial, listed or missing; none where it is blank or a placeholder.
    #[must_use]
    pub fn devices_with_serial(&self, serial: &str) -> Vec<DeviceId> {
        let Some(key) = serial_key(serial) else { return Vec::new() };
        let mut found = Vec::new();
        self.each_device_of_class(serial, &mut |row| {
            if serial_key(&row.entry.serial).as_ref() == Some(&key) {
                found.push(row.entry.device_id);
            }
            true
        });
        found
    }

    /// All devices whose serial is the one that an asset holds, listed or missing.
    #[must_use]
    pub fn devices_with_held(&self, held: &HeldSerial) -> Vec<DeviceRow> {
        let mut found = Vec::new();
        self.each_device_of_class(&held.key, &mut |row| {
            if held.is(&row.entry.serial) {
                found.push(row);
            }
            true
        });
        found
    }
}
