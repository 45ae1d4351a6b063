//! The committed sample payloads as a fleet.

use std::collections::BTreeMap;

use anyhow::Context;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{Device, Fleet, Owner, Site};

/// Pages of devices, as the list answers them.
const PAGES: &[(&str, &str)] = &[
    ("devices-page-two-macs", include_str!("../../../fixtures/kandji/devices-page-two-macs.json")),
    (
        "devices-page-iphone-unassigned",
        include_str!("../../../fixtures/kandji/devices-page-iphone-unassigned.json"),
    ),
    (
        "devices-recorded-mac-integer-user-id",
        include_str!("../../../fixtures/kandji/devices-recorded-mac-integer-user-id.json"),
    ),
    (
        "devices-recorded-mac-user-empty-string",
        include_str!("../../../fixtures/kandji/devices-recorded-mac-user-empty-string.json"),
    ),
];

/// Single devices.
const DEVICES: &[(&str, &str)] = &[
    ("device-android", include_str!("../../../fixtures/kandji/device-android.json")),
    ("device-windows", include_str!("../../../fixtures/kandji/device-windows.json")),
];

/// Details; where the list has no device of that id, one is made from the general section.
const DETAILS: &[(&str, &str)] = &[
    ("details-mac", include_str!("../../../fixtures/kandji/details-mac.json")),
    ("details-recorded-mac", include_str!("../../../fixtures/kandji/details-recorded-mac.json")),
    ("details-ipad", include_str!("../../../fixtures/kandji/details-ipad.json")),
    ("details-ipad-lost-mode", include_str!("../../../fixtures/kandji/details-ipad-lost-mode.json")),
    ("details-appletv", include_str!("../../../fixtures/kandji/details-appletv.json")),
    ("details-android", include_str!("../../../fixtures/kandji/details-android.json")),
    ("details-windows", include_str!("../../../fixtures/kandji/details-windows.json")),
];

/// All samples as one tenant, and a site that has an asset and a user record for each.
pub(crate) fn fleet() -> anyhow::Result<Fleet> {
    let mut devices: BTreeMap<String, Device> = BTreeMap::new();
    for (name, text) in PAGES {
        let page: Vec<Device> = serde_json::from_str(text).with_context(|| format!("sample {name}"))?;
        for device in page {
            add(&mut devices, device);
        }
    }
    for (name, text) in DEVICES {
        add(&mut devices, serde_json::from_str(text).with_context(|| format!("sample {name}"))?);
    }
    let mut details = BTreeMap::new();
    for (name, text) in DETAILS {
        let mut payload: Value = serde_json::from_str(text).with_context(|| format!("sample {name}"))?;
        let id = payload["general"]["device_id"].as_str().unwrap_or_default().to_owned();
        let mut key = id.clone();
        if details.contains_key(&id) {
            key = another(&id);
            payload["general"]["device_id"] = json!(key);
        }
        if !devices.contains_key(&key) {
            let device = from_details(&payload).with_context(|| format!("sample {name}"))?;
            devices.insert(key.clone(), device);
        }
        details.insert(key, payload);
    }
    let devices: Vec<Device> = devices.into_values().collect();
    let people = people_of(&devices);
    let mut site = Site::empty();
    let mut rng = StdRng::seed_from_u64(1);
    for device in &devices {
        site.add_asset_of(device, &mut rng);
    }
    for person in &people {
        site.add_user(person.name.as_deref().unwrap_or_default(), person.email.as_deref(), true);
    }
    Ok(Fleet { devices, people, details, site, trapped: BTreeMap::new() })
}

/// Two samples show one device at two times; the second is served as a device of its own.
fn add(devices: &mut BTreeMap<String, Device>, mut device: Device) {
    if devices.contains_key(&device.device_id) {
        device.device_id = another(&device.device_id);
        device.device_name.push_str(" again");
        device.serial_number.push('X');
    }
    devices.insert(device.device_id.clone(), device);
}

/// An id that belongs to no other sample.
fn another(id: &str) -> String {
    let tail = id.get(1..).unwrap_or_default();
    format!("{}{tail}", if id.starts_with('f') { 'e' } else { 'f' })
}

/// The row of the list that goes with a details payload.
fn from_details(details: &Value) -> anyhow::Result<Device> {
    let general = &details["general"];
    let text = |key: &str| general[key].as_str().unwrap_or_default().to_owned();
    let device = json!({
        "device_id": text("device_id"),
        "device_name": text("device_name"),
        "model": text("model"),
        "serial_number": details["hardware_overview"]["serial_number"].as_str().unwrap_or_default(),
        "platform": text("platform"),
        "os_version": text("os_version"),
        "supplemental_build_version": text("supplemental_build_version"),
        "supplemental_os_version_extra": text("supplemental_os_version_extra"),
        "last_check_in": details["kandji_agent"]["last_check_in"],
        "user": general["assigned_user"],
        "asset_tag": text("asset_tag"),
        "blueprint_id": text("blueprint_uuid"),
        "mdm_enabled": true,
        "agent_installed": false,
        "is_missing": false,
        "is_removed": false,
        "agent_version": "",
        "first_enrollment": text("first_enrollment"),
        "last_enrollment": text("last_enrollment"),
        "blueprint_name": text("blueprint_name"),
        "lost_mode_status": details["lost_mode"]["lost_mode_status"].as_str().unwrap_or_default(),
        "tags": details["tags"],
    });
    Ok(serde_json::from_value(device)?)
}

fn people_of(devices: &[Device]) -> Vec<super::Person> {
    let mut people = BTreeMap::new();
    for device in devices {
        if let Owner::Person(person) = &device.user {
            people.insert(person.id_text(), person.clone());
        }
    }
    people.into_values().collect()
}
