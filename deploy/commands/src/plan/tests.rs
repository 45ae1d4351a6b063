//! What a plan says beside its changes.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_model::amfj::{Asset, Named};
use amfj_sync_model::ids::{AssetId, DeviceId};
use amfj_sync_model::messages::{DeviceEntry, Fact, OperatorDecision, OperatorOrder, PrimaryUser, Sequence};
use amfj_sync_rules::{Site, decide_device};
use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::fixture::{Stream, config};

fn asset(id: &str, name: &str, location: Option<Named>) -> Asset {
    Asset {
        id: AssetId::new(id).unwrap(),
        name: name.into(),
        asset_type: Named { id: "t1".into(), name: "Laptop".into() },
        location,
        fields: BTreeMap::new(),
        checked_out_to: None,
        created_at: None,
    }
}

fn device(id: &str, name: &str) -> DeviceEntry {
    DeviceEntry {
        device_id: DeviceId::new(id).unwrap(),
        name: name.into(),
        serial: format!("S-{id}"),
        platform: "Mac".into(),
        user: PrimaryUser::Nobody,
        in_scope: true,
        removed: false,
        values: BTreeMap::new(),
        details: None,
    }
}

/// Two devices with their assets, one of which is nowhere.
fn linked() -> Stream {
    let number = 1;
    let somewhere = Some(Named { id: "l1".into(), name: "HQ".into() });
    let listed = vec![
        Fact::AssetListed { number, asset: asset("a1", "Mac 1", None) },
        Fact::AssetListed { number, asset: asset("a2", "Mac 2", somewhere) },
        Fact::DeviceListed { number, device: device("d1", "Mac 1") },
        Fact::DeviceListed { number, device: device("d2", "Mac 2") },
    ];
    let mut stream = Stream::new();
    stream.read_with(number, &BTreeMap::new(), listed);
    for (token, device, asset) in [(1, "d1", "a1"), (2, "d2", "a2")] {
        let order = OperatorOrder::Link {
            device: DeviceId::new(device).unwrap(),
            asset: AssetId::new(asset).unwrap(),
        };
        let decision = OperatorDecision { by: "sam@host".into(), order };
        stream.say(Fact::OperatorDecided { token: Uuid::from_u128(token), decision });
    }
    stream
}

fn decision(view: &Projection, id: &str) -> Decision {
    let config = config("");
    let site = Site { view, siblings: &[], config: &config, now: Timestamp::UNIX_EPOCH };
    let row = view.device(&DeviceId::new(id).unwrap()).unwrap();
    decide_device(&site, &row.entry, Sequence::first(1)).decision
}

#[test]
fn p13_a_default_location_that_is_set_later_is_said_to_change_nothing() {
    let stream = linked();
    assert_eq!(without_location(&config(""), &stream.view), None, "there is no default");
    let later = config("default_location = \"HQ\"");
    let note = without_location(&later, &stream.view).unwrap();
    assert!(note.starts_with("1 linked assets have no location") && note.contains("\"HQ\""), "{note}");
}

#[test]
fn p23_a_device_that_vanished_is_held_whatever_was_decided_of_it() {
    let mut stream = linked();
    let decided = decision(&stream.view, "d1");
    assert_eq!(state_of(&stream.view, &decided), DeviceStatus::InSync);
    let vanished = BTreeSet::from([DeviceId::new("d1").unwrap()]);
    stream.say(Fact::DevicesVanished { number: 1, vanished, back: BTreeSet::new() });
    assert_eq!(state_of(&stream.view, &decided), DeviceStatus::Held);
    let other = decision(&stream.view, "d2");
    assert_eq!(state_of(&stream.view, &other), DeviceStatus::InSync);
}
