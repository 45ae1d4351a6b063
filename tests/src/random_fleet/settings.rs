//! Random settings.

use crate::model::{CreateDevices, CreateUsers, Settings};
use crate::sim::fleet::Fleet;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

/// AMFJ fields and what they may be mapped from.
const FIELDS: &[(&str, &[&str])] = &[
    ("Model", &["model"]),
    ("OS Version", &["os_version", "{{ platform }} {{ os_version }}"]),
    ("Asset Tag", &["asset_tag"]),
    ("Notes", &["{{ model }}, OS {{ os_version }}", "tags", "blueprint_name"]),
    ("Memory", &["details.hardware_overview.memory"]),
    ("Storage", &["details.volumes[0].capacity"]),
    ("Cores", &["details.hardware_overview.total_number_of_cores"]),
    ("Managed", &["mdm_enabled", "details.mdm.supervised"]),
    ("Enrolled On", &["first_enrollment", "last_enrollment", "last_check_in"]),
    ("Platform", &["platform"]),
    ("Owner Email", &["user.email"]),
    ("Name", &["device_name"]),
];

pub(super) fn random(rng: &mut StdRng, fleet: &Fleet) -> Settings {
    let mut settings = Settings {
        create_devices: pick(rng, &[CreateDevices::Never, CreateDevices::FirstSync, CreateDevices::Always]),
        until_linked: rng.random_bool(0.5),
        create_users: pick(rng, &[CreateUsers::Linked, CreateUsers::All, CreateUsers::Never]),
        auto_checkout: rng.random_bool(0.8),
        keep_first_holder: rng.random_bool(0.3),
        enforce: rng.random_bool(0.25),
        clear_on_empty: rng.random_bool(0.4),
        check_in_gone: rng.random_bool(0.5),
        name_beats_email: rng.random_bool(0.3),
        ..Settings::default()
    };
    if rng.random_bool(0.5) {
        settings.default_location = Some(pick(rng, &["HQ", "Büro Berlin"]).to_owned());
    }
    if rng.random_bool(0.6) {
        for (platform, kind) in [("iPhone", "Phone"), ("iPad", "Tablet"), ("AppleTV", "Media Player")] {
            settings.asset_types.insert(platform.to_owned(), kind.to_owned());
        }
    }
    if rng.random_bool(0.3) {
        settings.excluded_platforms = vec![pick(rng, &["iPad", "AppleTV", "Windows"]).to_owned()];
    }
    if rng.random_bool(0.4) {
        let emails: Vec<&String> = fleet.people.iter().filter_map(|person| person.email.as_ref()).collect();
        let email = emails.choose(rng).map(|email| email.to_lowercase());
        settings.no_checkout_users = email.into_iter().filter(|email| !email.is_empty()).collect();
    }
    // Assets that are created can only be told apart by their serials.
    if settings.create_devices != CreateDevices::Never || rng.random_bool(0.6) {
        settings = settings.field("Serial Number", "serial_number");
    }
    for (field, sources) in FIELDS {
        if rng.random_bool(0.35) {
            settings = settings.field(field, pick(rng, sources));
        }
    }
    if rng.random_bool(0.5) {
        settings = settings.user_field("Name", pick(rng, &["user.name", "{{ user.name }}"]));
    }
    if rng.random_bool(0.3) {
        settings = settings.user_field("Kandji User", "user.name");
    }
    settings
}

fn pick<T: Copy>(rng: &mut StdRng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}
