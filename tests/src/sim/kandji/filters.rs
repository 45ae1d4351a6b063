//! What the device list can be asked for: every filter that Kandji documents, and its orders.

use std::hash::{DefaultHasher, Hasher as _};

use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use super::tenant::Tenant;
use crate::sim::{
    fleet::{Device, Person, uuid_of},
    wire::Ask,
};

/// What `ordering` may name.
pub(crate) const ORDERINGS: &[&str] = &[
    "asset_tag",
    "blueprint_id",
    "device_id",
    "device_name",
    "last_check_in",
    "model",
    "platform",
    "os_version",
    "serial_number",
    "user",
];

/// What chooses the page and not the devices.
const OF_PAGES: &[&str] = &["limit", "offset", "ordering"];

/// What chooses the devices.
const FILTERS: &[&str] = &[
    "asset_tag",
    "blueprint_id",
    "device_id",
    "device_name",
    "filevault_enabled",
    "mac_address",
    "model",
    "os_version",
    "platform",
    "serial_number",
    "tag_name",
    "tag_name_in",
    "tag_id",
    "tag_id_in",
    "user",
    "user_email",
    "user_email_exact",
    "user_id",
    "user_name",
];

/// Whether Kandji documents a parameter of the device list.
pub(crate) fn is_documented(name: &str) -> bool {
    OF_PAGES.contains(&name) || FILTERS.contains(&name)
}

/// Whether a request asks for less than all devices.
pub(crate) fn is_filtered(ask: &Ask) -> bool {
    ask.query.iter().any(|(name, _)| FILTERS.contains(&name.as_str()))
}

/// The positions of the devices that pass all filters of a request.
pub(crate) fn passing(tenant: &Tenant, ask: &Ask) -> Vec<usize> {
    let asked: Vec<_> = ask.query.iter().filter(|(name, _)| FILTERS.contains(&name.as_str())).collect();
    let passes = |position: &usize| asked.iter().all(|(name, value)| fits(tenant, *position, name, value));
    (0..tenant.devices.len()).filter(passes).collect()
}

/// The id of a tag. The list shows tags by name alone; their ids stand on pages that are not simulated.
#[must_use]
pub fn tag_id(name: &str) -> String {
    made_up_id(&("tag", name))
}

/// An id that is the same for the same thing.
pub(crate) fn made_up_id(of: &impl std::hash::Hash) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    uuid_of(&mut StdRng::seed_from_u64(hasher.finish())).to_string()
}

/// "Containing", as the documentation says; it calls only the tags case-sensitive.
fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// Sorts positions by the keys of `ordering`, each with `-` for the other way round.
pub(crate) fn sort(tenant: &Tenant, positions: &mut [usize], ordering: &str) {
    // The last key first: sorting keeps the order of equals.
    for key in ordering.split(',').rev() {
        let (key, reverse) = key.strip_prefix('-').map_or((key, false), |key| (key, true));
        positions.sort_by_cached_key(|position| tenant.devices[*position].to_json()[key].to_string());
        if reverse {
            positions.reverse();
        }
    }
}

/// The first key of `ordering` that Kandji does not know.
pub(crate) fn unknown_order(ordering: &str) -> Option<&str> {
    ordering.split(',').find(|key| !ORDERINGS.contains(&key.strip_prefix('-').unwrap_or(key)))
}

fn fits(tenant: &Tenant, position: usize, name: &str, value: &str) -> bool {
    let device = &tenant.devices[position];
    let person = device.user.person();
    let user_name = || person.and_then(|person| person.name.as_deref()).unwrap_or_default();
    let email = || person.and_then(|person| person.email.as_deref()).unwrap_or_default();
    match name {
        "asset_tag" => device.asset_tag == value,
        "blueprint_id" => contains(&device.blueprint_id, value),
        "device_id" => device.device_id == value,
        "device_name" => contains(&device.device_name, value),
        "model" => contains(&device.model, value),
        "os_version" => contains(&device.os_version, value),
        "platform" => device.platform == value,
        "serial_number" => contains(&device.serial_number, value),
        "user" | "user_name" => contains(user_name(), value),
        "user_email" => contains(email(), value),
        "user_email_exact" => person.is_some() && email().to_lowercase() == value.to_lowercase(),
        "user_id" => person.and_then(Person::id_text).as_deref() == Some(value),
        "filevault_enabled" => has_filevault(tenant, position, value),
        "mac_address" => has_mac_address(tenant, position, value),
        _ => has_tag(device, name, value),
    }
}

fn has_tag(device: &Device, name: &str, value: &str) -> bool {
    let by_id = name.starts_with("tag_id");
    let wanted: Vec<&str> =
        if name.ends_with("_in") { value.split(',').map(str::trim).collect() } else { vec![value] };
    let is_wanted = |tag: &String| {
        if by_id { wanted.contains(&tag_id(tag).as_str()) } else { wanted.contains(&tag.as_str()) }
    };
    device.tags.iter().flatten().any(is_wanted)
}

/// The filter is about Macs alone.
fn has_filevault(tenant: &Tenant, position: usize, value: &str) -> bool {
    let details = tenant.details(position);
    let is_on = details.pointer("/filevault/filevault_enabled").and_then(Value::as_bool);
    tenant.devices[position].platform == "Mac" && is_on == Some(value.eq_ignore_ascii_case("true"))
}

fn has_mac_address(tenant: &Tenant, position: usize, value: &str) -> bool {
    let details = tenant.details(position);
    let pointers = ["/network/mac_address", "/hardware/wifi_mac_address"];
    let mut own = pointers.iter().filter_map(|pointer| details.pointer(pointer)?.as_str());
    own.any(|address| address.eq_ignore_ascii_case(value))
}
