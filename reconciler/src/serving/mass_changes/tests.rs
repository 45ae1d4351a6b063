use amfj_sync_shared::amfj::Named;
use amfj_sync_shared::ids::AssetId;
use amfj_sync_shared::messages::{AssetWrite, Edit, Rule};
use serde_json::{Value, json};

use super::*;
use crate::rules::test_config;

fn write(field: &str, old: Value) -> AssetWrite {
    let edit = Edit { old, new: json!("new") };
    if field == Outcome::NAME {
        return AssetWrite { name: Some(edit), ..AssetWrite::default() };
    }
    AssetWrite { fields: [(field.to_owned(), edit)].into(), ..AssetWrite::default() }
}

#[test]
fn p23_only_what_a_changed_mapping_takes_from_an_asset_is_overwritten() {
    let asset = || AssetId::new("a1").unwrap();
    let update = |field, old| Action::UpdateAsset { asset: asset(), write: write(field, old) };
    let changed = BTreeSet::from(["Notes", "Name"]);
    let create = Action::CreateAsset {
        name: "Mac".into(),
        asset_type: Named { id: "t".into(), name: "Laptop".into() },
        location: None,
        fields: BTreeMap::new(),
    };
    let link = Action::LinkAsset {
        asset: asset(),
        rule: Rule::Name,
        takes_over: None,
        write: write("Notes", json!("by hand")),
    };
    for (action, expected) in [
        (update("Notes", json!("by hand")), true),
        (update("Name", json!("by hand")), true),
        (update("Notes", json!(" ")), false),
        (update("Notes", Value::Null), false),
        (update("OS", json!("14")), false),
        (link, true),
        (create, false),
    ] {
        assert_eq!(overwrites(&action, &changed), expected, "{action:?}");
    }
}

#[test]
fn p23_each_limit_holds_by_itself_and_says_so() {
    let counted = |first_sync, taken, overwritten, recorded, linked| Counted {
        number: 1,
        first_sync,
        taken,
        counts: MassCounts { overwritten, recorded, linked },
        links: 40,
        people: 40,
    };
    let config = test_config("");
    for (counted, word) in [
        (counted(false, 5, 5, 5, 0), None),
        (counted(false, 6, 0, 0, 0), Some("change_limit")),
        (counted(false, 0, 6, 0, 0), Some("lose a value")),
        (counted(false, 0, 0, 6, 0), Some("new user record")),
        // A first sync gives people records, and takes assets within a limit of its own.
        (counted(true, 0, 0, 40, 0), None),
        (counted(true, 6, 0, 0, 0), Some("first_take_over_limit")),
        (counted(true, 6, 0, 0, 60), None),
        (counted(true, 0, 6, 0, 0), Some("lose a value")),
    ] {
        let reason = counted.reason_to_hold(&config);
        match word {
            None => assert_eq!(reason, None, "{counted:?}"),
            Some(word) => {
                let reason = reason.unwrap();
                assert!(reason.contains(word) && reason.contains("reconciler release acme"), "{reason}");
            }
        }
    }
    let bold = test_config("first_take_over_limit = \"100%\"");
    assert_eq!(counted(true, 40, 0, 0, 0).reason_to_hold(&bold), None);
    let other = test_config("change_limit = \"50%\"");
    assert_eq!(
        counted(true, 10, 0, 0, 0).reason_to_hold(&other),
        None,
        "the one is the default of the other"
    );
}
