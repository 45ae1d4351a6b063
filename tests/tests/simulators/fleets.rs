//! Fleets: reproducible, and every trap is what it says.

use std::collections::{BTreeMap, HashMap};

use amfj_sync_tests::sim::{
    fleet::{Fleet, FleetSpec, Owner, Person, Trap, Traps},
    kandji::KandjiSim,
};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

use crate::caller::{Caller, plain, quick, realistic};

#[test]
fn the_same_seed_gives_the_same_fleet_and_another_seed_another() {
    let of = |seed| Fleet::generate(FleetSpec { devices: 400, seed, traps: Traps::Realistic });
    assert_eq!(of(1), of(1));
    assert_eq!(of(1).fingerprint(), of(1).fingerprint());
    assert_ne!(of(1).fingerprint(), of(2).fingerprint());
}

#[test]
fn a_fleet_without_traps_has_one_asset_for_each_device() {
    let fleet = plain(700);
    let mut names = BTreeMap::new();
    for asset in &fleet.site.assets {
        *names.entry(asset.name.as_str()).or_insert(0) += 1;
    }
    assert!(fleet.devices.iter().all(|device| names.get(device.device_name.as_str()) == Some(&1)));
    assert!(fleet.devices.iter().all(|device| device.user.person().is_some()));
    assert!(fleet.trap_counts().is_empty());
    let share = fleet.site.users.len() * 100 / fleet.people.len();
    assert!((65..85).contains(&share), "{share} % of the people have a record");
}

#[test]
fn every_trap_is_laid_in_its_proportion() {
    let fleet = realistic(1000);
    let counts = fleet.trap_counts();
    for trap in [Trap::BlankName, Trap::UserEmptyString, Trap::TagsAbsent, Trap::DuplicateName] {
        assert_eq!(counts[&trap], trap.share(), "{trap:?}");
    }
    assert_eq!(counts.len(), 34, "a trap is missing: {counts:?}");
    assert_eq!(realistic(50).trap_counts().len(), 33, "all but the owner of thirty devices");
}

#[test]
fn the_traps_are_what_they_say() {
    let fleet = realistic(1000);
    let devices: HashMap<&str, _> = fleet.devices.iter().map(|d| (d.device_id.as_str(), d)).collect();
    let all = |trap: Trap| fleet.trapped(trap).iter().map(|id| devices[id.as_str()]).collect::<Vec<_>>();
    let assets = |name: &str| fleet.site.assets.iter().filter(|a| a.name == name).collect::<Vec<_>>();
    let fold = |name: &str| {
        let folded: String = name.nfc().collect::<String>().to_lowercase();
        folded.split_whitespace().collect::<Vec<_>>().join(" ")
    };

    assert!(all(Trap::BlankName).iter().all(|d| d.device_name.trim().is_empty()));
    for pair in all(Trap::DuplicateName).chunks(2) {
        assert_eq!(pair[0].device_name, pair[1].device_name);
        assert_eq!(assets(&pair[0].device_name).len(), 1);
    }
    for trap in [Trap::AssetNameCase, Trap::AssetNameSpace, Trap::AssetNameNfd] {
        for device in all(trap) {
            assert!(assets(&device.device_name).is_empty(), "{trap:?} {}", device.device_name);
            let close =
                fleet.site.assets.iter().filter(|a| fold(&a.name) == fold(&device.device_name)).count();
            assert_eq!(close, 1, "{trap:?} {}", device.device_name);
        }
    }
    for device in all(Trap::AssetOtherSerial) {
        let serial = assets(&device.device_name)[0].fields["Serial Number"].clone();
        assert_ne!(serial, json!(device.serial_number));
    }
    for device in all(Trap::TwoAssets) {
        assert_eq!(assets(&device.device_name).len(), 2);
    }
    for device in all(Trap::TwoAssetsOneSerial) {
        let own = json!(device.serial_number);
        let with = assets(&device.device_name)
            .iter()
            .filter(|a| a.fields.get("Serial Number") == Some(&own))
            .count();
        assert_eq!((assets(&device.device_name).len(), with), (2, 1));
    }
    assert!(all(Trap::CheckedOutToOther).iter().all(|d| assets(&d.device_name)[0].holder.is_some()));
    assert!(all(Trap::NoAsset).iter().all(|d| assets(&d.device_name).is_empty()));
    for pair in all(Trap::SharedSerial).chunks(2) {
        assert_eq!(pair[0].serial_number, pair[1].serial_number);
    }
    assert!(all(Trap::BlankSerial).iter().all(|d| d.serial_number.is_empty()));
    for device in all(Trap::AssetNameSigns).into_iter().chain(all(Trap::AssetNameNear)) {
        assert!(assets(&device.device_name).is_empty(), "{}", device.device_name);
    }
    for device in all(Trap::AssetNameNear) {
        assert_eq!(assets(&format!("{}!", device.device_name)).len(), 1);
    }
    assert!(all(Trap::PlaceholderSerial).iter().all(|d| d.serial_number.len() != 10));
    assert!(
        all(Trap::LotSerial).len() > 2
            && all(Trap::LotSerial).iter().all(|d| d.serial_number == "LOT-2026-07")
    );
    assert!(all(Trap::UserEmptyString).iter().all(|d| d.to_json()["user"] == json!("")));
    assert!(all(Trap::UserNull).iter().all(|d| d.user == Owner::Null && d.to_json()["user"] == Value::Null));
    assert!(all(Trap::UserAbsent).iter().all(|d| d.to_json().get("user").is_none()));
    assert!(all(Trap::BlankCheckIn).iter().all(|d| d.last_check_in.as_deref() == Some("")));
    assert!(all(Trap::TagsAbsent).iter().all(|d| d.to_json().get("tags").is_none()));
    assert!(all(Trap::Removed).iter().all(|d| d.is_removed));
}

#[test]
fn the_traps_of_people_are_what_they_say() {
    let fleet = realistic(1000);
    let people: HashMap<String, _> =
        fleet.people.iter().filter_map(|person| Some((person.id_text()?, person))).collect();
    let all = |trap: Trap| fleet.trapped(trap).iter().map(|id| people[id]).collect::<Vec<_>>();
    let email = |email: &Option<String>| email.as_deref().unwrap_or_default().trim().to_lowercase();

    assert!(all(Trap::IntegerUserId).iter().all(|p| p.id.is_u64()));
    assert!(all(Trap::ArchivedUser).iter().all(|p| p.is_archived));
    assert!(all(Trap::BlankUserName).iter().all(|p| p.name.as_deref() == Some("")));
    assert!(all(Trap::BlankEmail).iter().all(|p| email(&p.email).is_empty()));
    for pair in all(Trap::SharedEmail).chunks(2) {
        assert_eq!(email(&pair[0].email), email(&pair[1].email));
        assert_ne!(pair[0].id, pair[1].id);
        let records = fleet.site.users.iter().filter(|u| email(&u.email) == email(&pair[0].email)).count();
        assert!(records <= 1, "two Kandji users of one email are one person");
    }
    for pair in all(Trap::EqualUserNames).chunks(2) {
        assert_eq!(pair[0].name, pair[1].name);
        assert_ne!(pair[0].email, pair[1].email);
    }
    for id in fleet.trapped(Trap::UserWithoutId) {
        assert!(fleet.people.iter().any(|p| p.email.as_ref() == Some(id) && p.id_text().is_none()));
    }
    let records = |p: &&Person| {
        let wanted = email(&p.email);
        fleet.site.users.iter().filter(|u| email(&u.email) == wanted).cloned().collect::<Vec<_>>()
    };
    for person in all(Trap::RecordEmailCase) {
        let found = records(&person);
        assert_eq!(found.len(), 1);
        assert_ne!(found[0].email, person.email);
    }
    assert!(all(Trap::RecordWithoutEmail).iter().all(|p| records(p).is_empty()));
    assert!(all(Trap::TwoRecords).iter().all(|p| records(p).len() == 2));
    let many = &fleet.trapped(Trap::ManyDevices)[0];
    let owned =
        fleet.devices.iter().filter(|d| d.user.person().and_then(Person::id_text).as_ref() == Some(many));
    assert!(owned.count() >= 20, "some of the thirty fall into the traps of owners");
}

#[tokio::test]
async fn the_sample_payloads_are_served_as_they_are() {
    let fleet = Fleet::from_samples().unwrap();
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let served: HashMap<String, Value> = caller
        .walk()
        .await
        .into_iter()
        .map(|device| (device["device_id"].as_str().unwrap().to_owned(), device))
        .collect();
    let mut compared = 0;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/kandji");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let sample: Value = serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
        // The second recording of one Mac is served under another id.
        if name == "devices-recorded-mac-user-empty-string.json" {
            continue;
        }
        if name.starts_with("device") {
            let rows = sample.as_array().cloned().unwrap_or_else(|| vec![sample.clone()]);
            for row in rows {
                assert_eq!(served[row["device_id"].as_str().unwrap()], row, "{name}");
                compared += 1;
            }
        } else if name.starts_with("details-") && name != "details-ipad-lost-mode.json" {
            let id = sample["general"]["device_id"].as_str().unwrap();
            assert_eq!(caller.get(&format!("/devices/{id}/details")).await, (200, sample.clone()), "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
    assert!(served.values().any(|device| device["user"] == json!("")));
}
