use amfj_sync_model::amfj::Named;
use amfj_sync_model::ids::{AssetId, DeviceId, UserKey};
use amfj_sync_model::messages::{AssetWrite, Decision, DeviceStatus, Edit, Rule, Sequence};
use serde_json::{Value, json};

use super::*;
use crate::fixture::{Stream, config};

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
    let settings = config("");
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
        let reason = counted.reason_to_hold(&settings);
        match word {
            None => assert_eq!(reason, None, "{counted:?}"),
            Some(word) => {
                let reason = reason.unwrap();
                assert!(reason.contains(word) && reason.contains("amfj-sync release acme"), "{reason}");
            }
        }
    }
    let bold = config("first_take_over_limit = \"100%\"");
    assert_eq!(counted(true, 40, 0, 0, 0).reason_to_hold(&bold), None);
    let other = config("change_limit = \"50%\"");
    assert_eq!(
        counted(true, 10, 0, 0, 0).reason_to_hold(&other),
        None,
        "the one is the default of the other"
    );
}

#[test]
fn p23_a_run_is_judged_once_and_only_when_every_partition_has_counted() {
    let mut stream = Stream::new();
    assert_eq!(Counted::of(&stream.view, 2), None, "there is no run");
    stream.read(1, &BTreeMap::new());
    stream.decide(1, 1);
    assert_eq!(Counted::of(&stream.view, 2), None, "half of it is no sum");
    stream.decide(1, 0);
    let counted = Counted::of(&stream.view, 2).unwrap();
    assert_eq!((counted.number, counted.taken), (1, 8));
    assert_eq!(counted.counts, MassCounts { overwritten: 2, recorded: 4, linked: 6 });
    stream.say(Fact::MassChangesAllowed { number: 1 });
    assert_eq!(Counted::of(&stream.view, 2), None, "it is judged");
    stream.read(2, &BTreeMap::new());
    stream.decide(2, 0);
    stream.decide(2, 1);
    stream.say(Fact::RunHeld { number: 2, reason: "too many".into() });
    assert_eq!(Counted::of(&stream.view, 2), None, "it is held");
}

#[test]
fn p23_a_mapping_is_another_one_than_that_of_the_last_run_that_was_applied() {
    let mapping = |fields: &[(&str, &str)]| {
        fields.iter().map(|(field, hash)| ((*field).to_owned(), (*hash).to_owned())).collect()
    };
    let (old, new) =
        (mapping(&[("OS", "1"), ("Notes", "2")]), mapping(&[("OS", "1"), ("Notes", "3"), ("Model", "4")]));
    let mut stream = Stream::new();
    stream.read(1, &old);
    stream.decide(1, 0);
    stream.decide(1, 1);
    assert!(changed_fields(&new, &stream.view).is_empty(), "nothing was applied before");
    stream.say(Fact::MassChangesAllowed { number: 1 });
    assert_eq!(changed_fields(&new, &stream.view), BTreeSet::from(["Model", "Notes"]));
    // A run that is held is not applied, so the change of the mapping is not forgotten with it.
    stream.read(2, &new);
    stream.decide(2, 0);
    stream.decide(2, 1);
    stream.say(Fact::RunHeld { number: 2, reason: "too many".into() });
    assert_eq!(changed_fields(&new, &stream.view), BTreeSet::from(["Model", "Notes"]));
    assert!(changed_fields(&old, &stream.view).is_empty());
}

/// An asset whose new holder has no record yet leaves its old one as soon as there is one: nothing of that is staged.
#[test]
fn p23_an_asset_that_is_taken_once_its_new_holder_has_a_record_counts() {
    let mut stream = Stream::new();
    let device = |id: &str| Key::Device(DeviceId::new(id).unwrap());
    for (id, takes, awaits) in [("d1", true, true), ("d2", false, true), ("d3", true, false)] {
        let decision = Decision {
            key: device(id),
            snapshot: Sequence::first(1),
            place: Sequence::first(1),
            state: DeviceStatus::Pending,
            reason: "It waits for a user record.".into(),
            asset: None,
            record: None,
            rule: None,
            candidates: Vec::new(),
            field_problems: BTreeMap::new(),
            warnings: Vec::new(),
            failed: Vec::new(),
            awaits: awaits.then(|| UserKey::new("ann@example.com").unwrap()),
            first_sync: false,
            takes,
            waits_for_run: false,
            changes: Vec::new(),
        };
        stream.say(Fact::DecisionMade(Box::new(decision)));
    }
    let counted =
        |auto_checkout, ours: &dyn Fn(&Key) -> bool| counted_keys(&stream.view, auto_checkout, ours);
    assert_eq!(counted(true, &|_| true), BTreeSet::from([device("d1")]));
    assert!(counted(true, &|key| *key != device("d1")).is_empty(), "of another partition");
    assert!(counted(false, &|_| true).is_empty(), "nobody gets anything");
}
