//! Details payloads, made up from a device when they are asked for: keeping 100,000 of them would
//! take a gigabyte.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    Device, Owner,
    catalog::{self, Model},
    people::uuid_of,
};

/// What `GET /devices/{id}/details` says of a device. The same device always has the same details.
pub(crate) fn details_of(device: &Device) -> Value {
    let mut hasher = DefaultHasher::new();
    device.device_id.hash(&mut hasher);
    let mut rng = StdRng::seed_from_u64(hasher.finish());
    let model = catalog::MODELS
        .iter()
        .find(|model| model.name == device.model)
        .or_else(|| catalog::MODELS.iter().find(|model| model.platform == device.platform))
        .unwrap_or(&catalog::MODELS[0]);
    match device.platform.as_str() {
        "Windows" => windows(device, model, &mut rng),
        "Android" => android(device, model, &mut rng),
        _ => apple(device, model, &mut rng),
    }
}

fn owner(device: &Device) -> Value {
    match &device.user {
        Owner::Absent | Owner::Null => Value::Null,
        Owner::Empty => json!(""),
        Owner::Person(person) => json!(person),
    }
}

/// The login that somebody called this would have on a Mac.
fn login(device: &Device) -> String {
    let email = device.user.person().and_then(|person| person.email.clone()).unwrap_or_default();
    let name = email.split('@').next().unwrap_or_default().replace('.', "");
    if name.is_empty() { "admin".to_owned() } else { name }
}

/// The form that enrolments have.
fn spaced(zulu: &str) -> String {
    zulu.replace('T', " ").replace('Z', "+00:00")
}

fn mac_address(rng: &mut StdRng) -> String {
    let bytes: [u8; 4] = rng.random();
    format!("02:00:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3])
}

fn apple(device: &Device, model: &Model, rng: &mut StdRng) -> Value {
    let is_mac = device.platform == "Mac";
    let is_tv = device.platform == "AppleTV";
    let yes = |flag: bool| if flag { "True" } else { "False" };
    let mut details = json!({
        "general": apple_general(device, is_mac),
        "mdm": {
            "mdm_enabled": yes(device.mdm_enabled),
            "supervised": "True",
            "install_date": device.last_enrollment,
            "last_check_in": spaced(device.last_check_in.as_deref().unwrap_or_default()),
            "mdm_enabled_user": if is_mac { vec![login(device)] } else { vec![] },
        },
        "activation_lock": {
            "bypass_code_failed": false,
            "user_activation_lock_enabled": if is_tv { Value::Null } else { json!(rng.random_bool(0.1)) },
            "device_activation_lock_enabled": false,
            "activation_lock_allowed_while_supervised": if is_tv { Value::Null } else { json!(false) },
            "activation_lock_supported": !is_tv,
        },
        "filevault": {
            "filevault_enabled": if is_mac { json!(rng.random_bool(0.8)) } else { Value::Null },
            "filevault_recoverykey_type": if is_mac { "Personal" } else { "" },
            "filevault_prk_escrowed": is_mac,
            "filevault_next_rotation": "",
            "filevault_regen_required": false,
        },
        "lost_mode": {},
        "automated_device_enrollment": if rng.random_bool(0.7) {
            json!({ "auto_enroll_eligible": true, "auto_enrolled": true })
        } else {
            json!({})
        },
        "kandji_agent": {
            "agent_installed": yes(device.agent_installed),
            "install_date": if is_mac { device.first_enrollment.as_str() } else { "" },
            "last_check_in": device.last_check_in,
            "agent_version": device.agent_version,
        },
        "hardware_overview": apple_hardware(device, model, is_mac, rng),
        "volumes": if is_tv { json!([]) } else { volumes(model, is_mac, rng) },
        "network": if is_tv { json!({}) } else { apple_network(device, is_mac, rng) },
        "recovery_information": {
            "recovery_lock_enabled": is_mac,
            "firmware_password_exist": false,
            "firmware_password_pending": false,
            "password_rotation_scheduled": null,
            "password_has_been_set": is_mac,
        },
        "users": if is_mac { mac_users(device) } else { json!({ "regular_users": [], "system_users": [] }) },
        "installed_profiles": if is_mac { profiles(device, rng) } else { json!([]) },
        "apple_business_manager": business_manager(device, rng),
        "security_information": { "remote_desktop_enabled": if is_mac { json!(false) } else { Value::Null } },
        "cellular": if device.platform == "iPhone" {
            json!({ "voice_roaming": false, "data_roaming": false, "cellular_technology": 1, "subscriptions": null })
        } else {
            json!({})
        },
        "tags": device.tags.clone().unwrap_or_default(),
    });
    if is_tv && let Some(sections) = details.as_object_mut() {
        // Apple TVs answer without these, and their other members stay in order.
        sections.retain(|name, _| name != "lost_mode" && name != "cellular");
    }
    details
}

fn apple_general(device: &Device, is_mac: bool) -> Value {
    let build = device.supplemental_build_version.as_deref().unwrap_or_default();
    json!({
        "device_id": device.device_id,
        "device_name": device.device_name,
        "last_enrollment": device.last_enrollment,
        "first_enrollment": device.first_enrollment,
        "model": device.model,
        "platform": device.platform,
        "os_version": device.os_version,
        "supplemental_build_version": build,
        "supplemental_os_version_extra": "",
        "system_version": if is_mac { format!("{} ({build})", device.os_version) } else { String::new() },
        "boot_volume": if is_mac { "Macintosh HD" } else { "" },
        "time_since_boot": if is_mac { "18 minutes ago" } else { "" },
        "last_user": if is_mac { login(device) } else { String::new() },
        "asset_tag": device.asset_tag,
        "assigned_user": owner(device),
        "blueprint_name": device.blueprint_name,
        "blueprint_uuid": device.blueprint_id,
    })
}

fn apple_hardware(device: &Device, model: &Model, is_mac: bool, rng: &mut StdRng) -> Value {
    if !is_mac {
        let bytes: [u8; 8] = rng.random();
        return json!({
            "uuid": format!("00008020-{:016x}", u64::from_be_bytes(bytes)),
            "serial_number": device.serial_number,
            "model_identifier": model.identifier,
        });
    }
    json!({
        "model_name": model.short,
        "model_identifier": model.identifier,
        "processor_name": model.chip,
        "processor_speed": "",
        "number_of_processors": "8",
        "total_number_of_cores": "8",
        "memory": model.memory,
        "udid": uuid_of(rng).to_string(),
        "serial_number": device.serial_number,
    })
}

fn volumes(model: &Model, is_mac: bool, rng: &mut StdRng) -> Value {
    let percent = rng.random_range(5..96_u32);
    let available = model.capacity_gb * (100 - percent) / 100;
    let volume = |name: &str, format: &str, identifier: &str, encrypted: &str| {
        json!({
            "name": name,
            "format": format,
            "percent_used": format!("{percent}%"),
            "identifier": identifier,
            "capacity": format!("{}.38 GB", model.capacity_gb),
            "available": format!("{available}.26 GB"),
            "encrypted": encrypted,
        })
    };
    if !is_mac {
        return json!([volume("", "", "", "")]);
    }
    json!([
        volume("Macintosh HD", "APFS", "disk3s3s1", "No"),
        volume("Macintosh HD - Data", "APFS", "disk3s1", "Yes")
    ])
}

fn apple_network(device: &Device, is_mac: bool, rng: &mut StdRng) -> Value {
    let host: String =
        device.device_name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    json!({
        "local_hostname": if is_mac { host } else { String::new() },
        "mac_address": mac_address(rng),
        "ip_address": if is_mac { format!("192.0.2.{}", rng.random_range(1..255)) } else { String::new() },
        "public_ip": "",
    })
}

fn mac_users(device: &Device) -> Value {
    let login = login(device);
    let system: Vec<Value> = catalog::SYSTEM_USERS
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let admin = if *name == "root" { "Yes" } else { "No" };
            json!({ "username": name, "uid": (n + 26).to_string(), "path": "/var/empty", "admin": admin })
        })
        .collect();
    json!({
        "regular_users": [
            { "username": login, "uid": "501", "path": format!("/Users/{login}"), "admin": "Yes", "name": "" }
        ],
        "system_users": system,
    })
}

fn profiles(device: &Device, rng: &mut StdRng) -> Value {
    let day = device.last_enrollment.get(..10).unwrap_or("2026-01-01");
    let profile = |(name, identifier, payloads): &(&str, &str, &[&str])| {
        json!({
            "name": name,
            "uuid": uuid_of(rng).to_string(),
            "verified": "verified",
            "identifier": identifier,
            "organization": "Kandji, Inc.",
            "payload_types": payloads,
            "install_date": format!("{day} 13:51:01 +0000"),
        })
    };
    Value::Array(catalog::PROFILES.iter().map(profile).collect())
}

fn business_manager(device: &Device, rng: &mut StdRng) -> Value {
    if rng.random_bool(0.3) {
        return json!({});
    }
    json!({
        "model": device.model,
        "color": "SILVER",
        "description": format!("{} SILVER-USA", device.model.to_uppercase()),
        "serial_number": device.serial_number,
        "device_family": device.platform,
        "os": if device.platform == "Mac" { "OSX" } else { "iOS" },
        "device_assigned_date": "2024-02-13 15:23:10+00:00",
        "device_assigned_by": "purchasing@example.com",
    })
}

fn windows(device: &Device, model: &Model, rng: &mut StdRng) -> Value {
    json!({
        "general": {
            "device_id": device.device_id,
            "device_name": device.device_name,
            "platform": "Windows",
            "first_enrollment": device.first_enrollment,
            "last_enrollment": device.last_enrollment,
            "assigned_user": owner(device),
            "blueprint_name": device.blueprint_name,
            "blueprint_uuid": device.blueprint_id,
            "asset_tag": device.asset_tag,
            "manufacturer": "Microsoft Corporation",
            "device_model": device.model,
            "device_type": device.model,
            "os_name": "Windows 11",
            "os_version": "10.0.26100.6584",
            "os_build": "26100.6584",
            "os_edition": "Professional",
            "update_build_revision": "6584",
            "language": "en-US",
        },
        "mdm": {
            "management_client_revision": "1.3",
            "windows_device_id": uuid_of(rng).simple().to_string().to_uppercase(),
        },
        "hardware_overview": {
            "bios_version": "19.104.143",
            "commercialization_operator": "Not Present",
            "free_capacity": "403272",
            "processor_architecture": model.chip,
            "radio_software_version": "Not Present",
            "smbios_serial_number": device.serial_number,
            "total_ram": model.memory,
            "total_capacity": (model.capacity_gb * 1024).to_string(),
        },
        "network": {
            "dns_computer_name": device.device_name,
            "iccid": "",
            "volte_service_setting": "False",
            "wifi_dns_suffix": "example.com",
            "wifi_ipv4_address": format!("192.0.2.{}", rng.random_range(1..255)),
            "wifi_ipv6_address": "",
            "wifi_subnet_mask": "255.255.255.0",
        },
        "kandji_agent": {
            "is_agent_installed": device.agent_installed,
            "install_date": device.first_enrollment,
            "last_check_in_datetime": device.last_check_in,
            "version": device.agent_version,
        },
        "tags": device.tags.clone().unwrap_or_default(),
    })
}

fn android(device: &Device, model: &Model, rng: &mut StdRng) -> Value {
    json!({
        "general": {
            "device_id": device.device_id,
            "device_name": device.device_name,
            "platform": "Android",
            "first_enrollment": device.first_enrollment,
            "last_enrollment": device.last_enrollment,
            "assigned_user": owner(device),
            "blueprint_name": device.blueprint_name,
            "blueprint_uuid": device.blueprint_id,
            "asset_tag": device.asset_tag,
            "manufacturer": "Google",
            "model_name": device.model,
            "serial_number": device.serial_number,
            "os_version": device.os_version,
            "os_build": "AP4A.241205.013",
            "api_level": "35",
            "security_patch_level": "2026-05-05",
            "enterprise_id": "LC0187hrje",
            "enterprise_device_id": format!("{:016x}", rng.random::<u64>()),
        },
        "hardware": {
            "available_capacity": "105.93",
            "total_capacity": format!("{}.28", model.capacity_gb),
            "total_ram": model.memory,
            "wifi_mac_address": mac_address(rng),
        },
        "management": { "management_mode": "PROFILE_OWNER", "ownership": "COMPANY_OWNED" },
        "cellular": { "imei": "000000000000000", "meid": "" },
        "security": {
            "android_debug_bridge_enabled": null,
            "device_posture": "SECURE",
            "developer_mode_enabled": null,
            "encryption_status": "ACTIVE_PER_USER",
            "has_google_play_protect": true,
            "has_passcode": true,
            "is_encrypted": true,
            "unknown_app_sources_enabled": null,
        },
        "tags": device.tags.clone().unwrap_or_default(),
    })
}
