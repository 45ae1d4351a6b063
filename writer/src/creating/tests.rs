//! What a search for an interrupted creation makes of what it finds.

use std::collections::BTreeMap;

use amfj_sync_amfj::client::NewAsset;
use amfj_sync_model::amfj::{Asset, Named};
use amfj_sync_model::ids::AssetId;

use super::*;

fn asset(id: &str) -> Asset {
    Asset {
        id: AssetId::new(id).unwrap(),
        name: "Mac 1".to_owned(),
        asset_type: Named { id: "t1".to_owned(), name: "Laptop".to_owned() },
        location: None,
        fields: BTreeMap::new(),
        checked_out_to: None,
        created_at: None,
    }
}

#[test]
fn p7_several_records_that_look_like_an_interrupted_creation_are_left_to_a_person() {
    let found = |ids: &[&str]| {
        let rows = ids.iter().map(|id| asset(id)).collect();
        one_of::<NewAsset>(each_once::<NewAsset>(rows))
    };
    assert!(found(&[]).unwrap().is_none());
    assert_eq!(found(&["a1"]).unwrap().unwrap().id.as_str(), "a1");
    let error = found(&["a1", "a2"]).unwrap_err();
    assert!(
        matches!(&error, Trouble::Fail { reason, field: None } if reason.contains("2 new assets look like it")),
        "{error:?}"
    );
}

/// A row that moved while the list was read, or a walk that was begun anew.
#[test]
fn p7_one_record_that_is_shown_twice_is_one() {
    let rows = ["a1", "a1"].iter().map(|id| asset(id)).collect();
    assert!(one_of::<NewAsset>(each_once::<NewAsset>(rows)).unwrap().is_some());
}
