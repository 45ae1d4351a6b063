//! The Kandji properties that are documented or were seen, to suggest the nearest one to a misspelt name.
//!
//! Kandji may answer more of them at any time, so a property that is not here is not wrong by itself;
//! one that is neither here nor in any device of the tenant is (P18).

use super::property::PropertyPath;

/// Every documented property, sorted; `N` stands for any position in a list.
pub const PROPERTIES: &[&str] = &[
    "agent_installed",
    "agent_version",
    "api_level",
    "asset_tag",
    "blueprint_id",
    "blueprint_name",
    "details.activation_lock.activation_lock_allowed_while_supervised",
    "details.activation_lock.activation_lock_supported",
    "details.activation_lock.bypass_code_failed",
    "details.activation_lock.device_activation_lock_enabled",
    "details.activation_lock.user_activation_lock_enabled",
    "details.apple_business_manager.color",
    "details.apple_business_manager.description",
    "details.apple_business_manager.device_assigned_by",
    "details.apple_business_manager.device_assigned_date",
    "details.apple_business_manager.device_family",
    "details.apple_business_manager.model",
    "details.apple_business_manager.os",
    "details.apple_business_manager.serial_number",
    "details.automated_device_enrollment.auto_enroll_eligible",
    "details.automated_device_enrollment.auto_enrolled",
    "details.cellular.cellular_technology",
    "details.cellular.data_roaming",
    "details.cellular.imei",
    "details.cellular.meid",
    "details.cellular.subscriptions",
    "details.cellular.voice_roaming",
    "details.filevault.filevault_enabled",
    "details.filevault.filevault_next_rotation",
    "details.filevault.filevault_prk_escrowed",
    "details.filevault.filevault_recoverykey_type",
    "details.filevault.filevault_regen_required",
    "details.general.api_level",
    "details.general.asset_tag",
    "details.general.assigned_user.email",
    "details.general.assigned_user.id",
    "details.general.assigned_user.is_archived",
    "details.general.assigned_user.name",
    "details.general.blueprint_name",
    "details.general.blueprint_uuid",
    "details.general.boot_volume",
    "details.general.device_id",
    "details.general.device_model",
    "details.general.device_name",
    "details.general.device_type",
    "details.general.enterprise_device_id",
    "details.general.enterprise_id",
    "details.general.first_enrollment",
    "details.general.language",
    "details.general.last_enrollment",
    "details.general.last_user",
    "details.general.manufacturer",
    "details.general.model",
    "details.general.model_name",
    "details.general.os_build",
    "details.general.os_edition",
    "details.general.os_name",
    "details.general.os_version",
    "details.general.platform",
    "details.general.security_patch_level",
    "details.general.serial_number",
    "details.general.supplemental_build_version",
    "details.general.supplemental_os_version_extra",
    "details.general.system_version",
    "details.general.time_since_boot",
    "details.general.update_build_revision",
    "details.hardware.available_capacity",
    "details.hardware.total_capacity",
    "details.hardware.total_ram",
    "details.hardware.wifi_mac_address",
    "details.hardware_overview.bios_version",
    "details.hardware_overview.commercialization_operator",
    "details.hardware_overview.free_capacity",
    "details.hardware_overview.memory",
    "details.hardware_overview.model_identifier",
    "details.hardware_overview.model_name",
    "details.hardware_overview.number_of_processors",
    "details.hardware_overview.processor_architecture",
    "details.hardware_overview.processor_name",
    "details.hardware_overview.processor_speed",
    "details.hardware_overview.radio_software_version",
    "details.hardware_overview.serial_number",
    "details.hardware_overview.smbios_serial_number",
    "details.hardware_overview.total_capacity",
    "details.hardware_overview.total_number_of_cores",
    "details.hardware_overview.total_ram",
    "details.hardware_overview.udid",
    "details.hardware_overview.uuid",
    "details.installed_profiles[N].identifier",
    "details.installed_profiles[N].install_date",
    "details.installed_profiles[N].name",
    "details.installed_profiles[N].organization",
    "details.installed_profiles[N].payload_types[N]",
    "details.installed_profiles[N].uuid",
    "details.installed_profiles[N].verified",
    "details.kandji_agent.agent_installed",
    "details.kandji_agent.agent_version",
    "details.kandji_agent.install_date",
    "details.kandji_agent.is_agent_installed",
    "details.kandji_agent.last_check_in",
    "details.kandji_agent.last_check_in_datetime",
    "details.kandji_agent.version",
    "details.lost_mode.disable_status",
    "details.lost_mode.disable_status_at",
    "details.lost_mode.disabled_by",
    "details.lost_mode.enable_status_at",
    "details.lost_mode.enabled_by",
    "details.lost_mode.last_location.latitude",
    "details.lost_mode.last_location.longitude",
    "details.lost_mode.last_location_at",
    "details.lost_mode.last_location_status",
    "details.lost_mode.last_location_status_at",
    "details.lost_mode.lock_screen_footnote",
    "details.lost_mode.lock_screen_message",
    "details.lost_mode.lock_screen_phone_number",
    "details.lost_mode.lost_mode_status",
    "details.lost_mode.sound_status",
    "details.lost_mode.sound_status_at",
    "details.management.management_mode",
    "details.management.ownership",
    "details.mdm.install_date",
    "details.mdm.last_check_in",
    "details.mdm.management_client_revision",
    "details.mdm.mdm_enabled",
    "details.mdm.mdm_enabled_user[N]",
    "details.mdm.supervised",
    "details.mdm.windows_device_id",
    "details.network.dns_computer_name",
    "details.network.iccid",
    "details.network.ip_address",
    "details.network.local_hostname",
    "details.network.mac_address",
    "details.network.public_ip",
    "details.network.volte_service_setting",
    "details.network.wifi_dns_suffix",
    "details.network.wifi_ipv4_address",
    "details.network.wifi_ipv6_address",
    "details.network.wifi_subnet_mask",
    "details.recovery_information.firmware_password_exist",
    "details.recovery_information.firmware_password_pending",
    "details.recovery_information.password_escrowed",
    "details.recovery_information.password_has_been_set",
    "details.recovery_information.password_rotation_scheduled",
    "details.recovery_information.recovery_lock_enabled",
    "details.security.android_debug_bridge_enabled",
    "details.security.developer_mode_enabled",
    "details.security.device_posture",
    "details.security.encryption_status",
    "details.security.has_google_play_protect",
    "details.security.has_passcode",
    "details.security.is_encrypted",
    "details.security.unknown_app_sources_enabled",
    "details.security_information.remote_desktop_enabled",
    "details.tags[N]",
    "details.users.regular_users[N].admin",
    "details.users.regular_users[N].name",
    "details.users.regular_users[N].path",
    "details.users.regular_users[N].uid",
    "details.users.regular_users[N].username",
    "details.users.system_users[N].admin",
    "details.users.system_users[N].path",
    "details.users.system_users[N].uid",
    "details.users.system_users[N].username",
    "details.volumes[N].available",
    "details.volumes[N].capacity",
    "details.volumes[N].encrypted",
    "details.volumes[N].format",
    "details.volumes[N].identifier",
    "details.volumes[N].name",
    "details.volumes[N].percent_used",
    "device_id",
    "device_name",
    "first_enrollment",
    "full_software_version",
    "is_missing",
    "is_removed",
    "last_check_in",
    "last_enrollment",
    "lost_mode_status",
    "mdm_enabled",
    "model",
    "os_version",
    "platform",
    "security_patch_level",
    "serial_number",
    "supplemental_build_version",
    "supplemental_os_version_extra",
    "tags[N]",
    "user.email",
    "user.id",
    "user.is_archived",
    "user.name",
];

/// Whether a property is documented, by itself or as the whole of documented ones (`user`, `tags`).
#[must_use]
pub fn is_documented(path: &PropertyPath) -> bool {
    let wanted = path.pattern();
    PROPERTIES.iter().any(|known| {
        known
            .strip_prefix(wanted.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// The documented property that is most likely meant, written so that it can be copied.
#[must_use]
pub fn nearest(word: &str) -> Option<String> {
    let wanted = PropertyPath::parse(word).map_or_else(|_| word.trim().to_owned(), |path| path.pattern());
    let wanted = wanted.trim_end_matches("[N]").to_lowercase();
    // A list is named as a whole: `tags`, not `tags[N]`.
    let names = || PROPERTIES.iter().map(|known| known.strip_suffix("[N]").unwrap_or(known));
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(name, &wanted);
    let alike = || names().map(|name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    let meant = names()
        .find(|name| *name == wanted)
        // People leave out `details.` and the section; what the device list has comes first then.
        .or_else(|| {
            names().filter(|name| ends_alike(name, &wanted)).min_by_key(|name| name.starts_with("details."))
        })
        .or_else(|| alike().filter(|(likeness, _)| *likeness >= LIKE_ENOUGH).map(|(_, name)| name))?;
    Some(meant.replace("[N]", "[0]"))
}

/// Below this, two names have too little in common to suggest one for the other.
const LIKE_ENOUGH: f64 = 0.6;

/// Whether the known path ends with the wanted one, at a border between names.
fn ends_alike(known: &str, wanted: &str) -> bool {
    known.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('.'))
}
