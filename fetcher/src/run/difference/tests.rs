use std::collections::BTreeMap;

use amfj_sync_model::ids::{DeviceId, UserKey};
use amfj_sync_model::messages::{Absence, Details, PrimaryUser};
use amfj_sync_projection::rows::{Age, Doubt, Missing};
use jiff::Timestamp;
use serde_json::json;

use super::*;

fn asset() -> Asset {
    serde_json::from_value(
        json!({ "id": "a1", "name": "Mac", "asset_type": { "id": "t", "name": "Laptop" } }),
    )
    .unwrap()
}

fn age() -> Age {
    Age { offset: 1, written: None }
}

fn device() -> DeviceEntry {
    DeviceEntry {
        device_id: DeviceId::new("d1").unwrap(),
        name: "Mac".into(),
        serial: "C02".into(),
        platform: "Mac".into(),
        user: PrimaryUser::Nobody,
        in_scope: true,
        removed: false,
        values: BTreeMap::new(),
        details: None,
    }
}

fn details(memory: &str) -> Details {
    Details { check_in: "1".into(), values: BTreeMap::from([("details.memory".into(), json!(memory))]) }
}

fn known(entry: DeviceEntry, missing: bool) -> DeviceRow {
    let missing = missing.then_some(Missing { runs: 1, latest: 1, absence: Absence::Unknown });
    DeviceRow { entry, missing }
}

#[test]
fn p3_only_what_differs_is_said() {
    let row = AssetRow::new(asset(), age());
    assert!(asset_differs(&asset(), None));
    assert!(!asset_differs(&asset(), Some(&row)));
    assert!(asset_differs(&Asset { name: "Other".into(), ..asset() }, Some(&row)));
    let doubt = Some(Doubt { since: Timestamp::UNIX_EPOCH, offset: 7 });
    assert!(asset_differs(&asset(), Some(&AssetRow { doubt, ..row })), "it is there after all");
}

#[test]
fn p11_a_record_that_is_listed_again_is_said() {
    let record: UserRecord =
        serde_json::from_value(json!({ "id": "r1", "name": "Ann", "email": "a@b.c", "source": "local" }))
            .unwrap();
    let row = |absent_since| RecordRow { absent_since, ..RecordRow::new(record.clone(), age()) };
    assert!(record_differs(&record, None));
    assert!(!record_differs(&record, Some(&row(None))));
    assert!(record_differs(&record, Some(&row(Some(1)))));
}

#[test]
fn a_device_is_said_when_anything_but_unread_details_differs() {
    let with = |details| DeviceEntry { details: Some(details), ..device() };
    let table = [
        ("never seen", device(), None, true),
        ("the same", device(), Some(known(device(), false)), false),
        ("renamed", DeviceEntry { name: "New".into(), ..device() }, Some(known(device(), false)), true),
        ("serial", DeviceEntry { serial: "X".into(), ..device() }, Some(known(device(), false)), true),
        ("left the scope", DeviceEntry { in_scope: false, ..device() }, Some(known(device(), false)), true),
        (
            "another value",
            DeviceEntry { values: BTreeMap::from([("model".into(), json!("M"))]), ..device() },
            Some(known(device(), false)),
            true,
        ),
        ("details not read now", device(), Some(known(with(details("8")), false)), false),
        ("details read, the same", with(details("8")), Some(known(with(details("8")), false)), false),
        ("details read, others", with(details("16")), Some(known(with(details("8")), false)), true),
        ("back again", device(), Some(known(device(), true)), true),
    ];
    for (what, listed, row, differs) in table {
        assert_eq!(device_differs(&listed, row.as_ref()), differs, "{what}");
    }
}

#[test]
fn p22_being_listed_as_removed_is_no_coming_back() {
    let removed = DeviceEntry { removed: true, ..device() };
    assert!(!device_differs(&removed, Some(&known(removed.clone(), true))));
    assert!(device_differs(&removed, Some(&known(device(), true))), "removed since");
}

#[test]
fn a_person_is_said_when_named_anew_or_otherwise() {
    let user = UserEntry {
        key: UserKey::new("a@b.c").unwrap(),
        ids: vec![],
        email: None,
        name: "Ann".into(),
        archived: false,
        values: BTreeMap::new(),
    };
    let row = |missing| UserRow { entry: user.clone(), missing };
    assert!(user_differs(&user, None));
    assert!(!user_differs(&user, Some(&row(false))));
    assert!(user_differs(&user, Some(&row(true))));
    assert!(user_differs(&UserEntry { archived: true, ..user.clone() }, Some(&row(false))));
}
