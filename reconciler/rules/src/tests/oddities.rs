//! A service that is merely odd: what was decided in a first sync lasts until it is done (P5), no answer to a write proves
//! a deletion (P8), and what AMFJ holds is what it lists (P15).

use std::collections::BTreeMap;

use amfj_sync_model::ids::{AssetId, DeviceId};
use amfj_sync_model::messages::{Absence, Action, Change, DeviceStatus, Ending, Fact, OperatorOrder};
use serde_json::{Value, json};

use super::World;

fn asset_id(id: &str) -> AssetId {
    AssetId::new(id).unwrap()
}

/// A later run that is no first sync.
fn later(world: &mut World) {
    world.first_sync = false;
    world.run();
}

/// Decides a device as a reconciler does: the decision is said, the change ends in this way.
fn ends(world: &mut World, device: &str, ending: &Ending) -> Change {
    let change = world.decide(device).changes.remove(0);
    world.decided(device);
    let mut outcome = world.outcome(&change, ending.clone());
    outcome.action = matches!(ending, Ending::Failed { .. }).then(|| change.action.clone());
    world.tell(Fact::ChangeEnded(Box::new(outcome)));
    world.decided(device);
    change
}

fn stale() -> Ending {
    Ending::Stale { reason: "AMFJ was odd".into() }
}

fn failed() -> Ending {
    Ending::Failed { reason: "AMFJ was odd".into() }
}

/// AMFJ says of a device's asset that it is not there.
fn doubt(world: &mut World, change: &Change, asset: &str) {
    let mut outcome = world.outcome(change, stale());
    outcome.asset_deleted = Some(asset_id(asset));
    world.tell(Fact::ChangeEnded(Box::new(outcome)));
}

#[test]
fn p5_a_link_that_was_not_made_in_the_first_sync_is_decided_again_as_in_the_first() {
    for ending in [stale(), failed()] {
        let mut world = World::new("", "");
        world.device("d1", "Mac", "S1");
        world.asset("a1", "Mac");
        world.run();
        let first = ends(&mut world, "d1", &ending);
        later(&mut world);
        let draft = world.decide("d1");
        assert!(draft.decision.first_sync);
        assert_eq!(draft.changes, [first]);
        // Whatever either is called by then.
        world.entry("d1").name = "Mac 2".into();
        world.assets.get_mut("a1").unwrap().name = "mac 2".into();
        later(&mut world);
        world.decided("d1");
        assert!(matches!(world.action("d1"), Action::LinkAsset { .. }));
        world.settle();
        world.decided("d1");
        let done = world.decide("d1").decision;
        assert_eq!((done.state, done.first_sync), (DeviceStatus::InSync, false));
        world.assets.clear();
        world.asset("a2", "Mac 2");
        later(&mut world);
        world.settle();
        world.decided("d1");
        assert_eq!(world.state("d1"), DeviceStatus::Unmatched, "it had a link: that first sync is over (P8)");
    }
}

#[test]
fn p7_a_creation_that_was_refused_or_lost_or_waited_is_made_in_later_runs() {
    let mut world = World::new("create_devices = \"first-sync\"", "");
    world.device("d1", "Mac", "S1");
    world.run();
    ends(&mut world, "d1", &stale());
    later(&mut world);
    assert!(matches!(world.action("d1"), Action::CreateAsset { .. }));
    world.settle();
    world.decided("d1");
    world.device("d2", "Mac 2", "S2");
    later(&mut world);
    assert_eq!(world.state("d2"), DeviceStatus::Unmatched, "the first sync is over for what came later");
}

#[test]
fn p12_details_that_come_late_still_create_under_first_sync() {
    let fields = "[integration.fields]\n\"Serial Number\" = \"details.serial\"";
    let mut world = World::new("create_devices = \"first-sync\"", fields);
    world.device("d1", "Phone", "S1").platform = "iPhone".into();
    world.run();
    let waiting = world.decide("d1");
    assert_eq!((waiting.changes.len(), waiting.decision.state), (0, DeviceStatus::Pending));
    world.decided("d1");
    later(&mut world);
    assert_eq!(world.state("d1"), DeviceStatus::Pending, "as long as it takes");
    world.decided("d1");
    world.details("d1", json!({ "details.serial": null }));
    later(&mut world);
    assert_eq!(world.state("d1"), DeviceStatus::FieldProblem);
    world.decided("d1");
    world.details("d1", json!({ "details.serial": "S1" }));
    later(&mut world);
    assert!(matches!(world.action("d1"), Action::CreateAsset { .. }), "filled in, as the report says");
}

#[test]
fn p5_what_decided_nothing_in_the_first_sync_is_over_with_it() {
    let mut world = World::new("create_devices = \"first-sync\"", "");
    for (id, asset) in [("d1", "a1"), ("d2", "a2")] {
        world.device(id, "Mac", id);
        world.asset(asset, "Mac");
    }
    world.run();
    for device in ["d1", "d2"] {
        world.decided(device);
        assert_eq!(world.state(device), DeviceStatus::Ambiguous);
    }
    world.entry("d2").name = "Other".into();
    world.assets.remove("a2");
    later(&mut world);
    assert_eq!(world.state("d1"), DeviceStatus::Unmatched, "names are matched in the first sync only");
}

#[test]
fn p5_a_device_whose_match_was_decided_stays_in_the_first_sync_while_it_is_ambiguous_or_not_listed() {
    let mut world = World::new("", "");
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac");
    world.run();
    ends(&mut world, "d1", &stale());
    world.device("d2", "Mac", "S2");
    later(&mut world);
    assert_eq!(world.state("d1"), DeviceStatus::Ambiguous);
    world.decided("d1");
    let entry = world.entry("d1").clone();
    world.unenrol("d1");
    world.unenrol("d2");
    world.absences.insert(DeviceId::new("d1").unwrap(), Absence::Unknown);
    later(&mut world);
    world.absences.clear();
    world.devices.push(entry);
    later(&mut world);
    assert!(matches!(world.action("d1"), Action::LinkAsset { .. }), "{:?}", world.decide("d1"));
}

#[test]
fn p8_an_asset_that_amfj_denied_once_keeps_its_link_and_the_next_run_decides() {
    let mut world = World::new("create_devices = \"always\"", "[integration.fields]\nOS = \"os_version\"");
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac");
    world.run();
    world.settle();
    world.entry("d1").values.insert("os_version".into(), json!("16"));
    later(&mut world);
    let change = world.decide("d1").changes.remove(0);
    doubt(&mut world, &change, "a1");
    let draft = world.decide("d1");
    assert_eq!((draft.changes, draft.decision.state), (Vec::new(), DeviceStatus::Pending));
    assert_eq!(draft.decision.asset, Some(asset_id("a1")));
    assert!(draft.decision.reason.contains("the next run looks"), "{}", draft.decision.reason);
    later(&mut world);
    assert_eq!(world.decide("d1").changes, std::slice::from_ref(&change), "listed: there after all");
    doubt(&mut world, &change, "a1");
    world.assets.clear();
    later(&mut world);
    assert!(matches!(world.action("d1"), Action::CreateAsset { .. }), "gone, as a run found");
}

#[test]
fn p8_a_doubtful_asset_is_neither_linked_nor_checked_in() {
    let mut world = World::new("when_gone = \"check-in\"", "");
    world.record("r1", "Sam", None);
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac");
    world.hand_to("a1", Some("r1"));
    world.run();
    let link = world.decide("d1").changes.remove(0);
    doubt(&mut world, &link, "a1");
    let draft = world.decide("d1");
    assert_eq!((draft.changes.len(), draft.decision.first_sync), (0, true));
    world.run();
    assert_eq!(world.decide("d1").changes, [link]);
    world.settle();
    world.unenrol("d1");
    later(&mut world);
    later(&mut world);
    let check_in = world.decide("d1").changes.remove(0);
    doubt(&mut world, &check_in, "a1");
    assert_eq!(world.decide("d1").changes, []);
}

const OS: &str = "[integration.fields]\nOS = \"os_version\"";

/// A device in step with its asset, whose OS was 15.0, in an AMFJ that lists every value that it is sent as this makes it.
fn odd(lists: fn(&Value, &Value) -> Value) -> (World, impl Fn(&mut World) -> usize) {
    let mut world = World::new("", OS);
    world.device("d1", "Mac", "S1");
    world.asset("a1", "Mac").fields.insert("OS".into(), json!("15.0"));
    world.run();
    let turn = move |world: &mut World| {
        let before = world.assets["a1"].fields["OS"].clone();
        let sent = world.settle();
        let now = world.assets["a1"].fields["OS"].clone();
        let listed = if sent > 0 && now != before { lists(&before, &now) } else { now };
        world.assets.get_mut("a1").unwrap().fields.insert("OS".into(), listed);
        world.first_sync = false;
        world.run();
        sent
    };
    (world, turn)
}

#[test]
fn p3_p15_a_value_that_amfj_does_not_keep_is_sent_twice_and_is_a_field_problem() {
    let (mut world, turn) = odd(|before, _| before.clone());
    let sent: Vec<usize> = (0..5).map(|_| turn(&mut world)).collect();
    assert_eq!(sent, [1, 1, 0, 0, 0]);
    let decision = world.decide("d1").decision;
    assert_eq!(decision.state, DeviceStatus::FieldProblem);
    assert!(decision.field_problems["OS"].contains("AMFJ did not take it"), "{:?}", decision.field_problems);
    world.entry("d1").values.insert("os_version".into(), json!("16"));
    world.run();
    assert_eq!(turn(&mut world), 1, "another value");
    assert_eq!(turn(&mut world), 1);
    world.order(OperatorOrder::Rematch);
    assert_eq!(turn(&mut world), 1, "a person says so");
}

#[test]
fn p3_p15_a_value_that_amfj_keeps_in_a_form_of_its_own_is_in_sync_after_a_second_write() {
    let (mut world, turn) =
        odd(|_, sent| json!(format!("{} ", sent.as_str().unwrap_or_default().replace('.', ","))));
    let sent: Vec<usize> = (0..5).map(|_| turn(&mut world)).collect();
    assert_eq!(sent, [1, 1, 0, 0, 0]);
    assert_eq!(world.state("d1"), DeviceStatus::InSync);
    world.assets.get_mut("a1").unwrap().fields.insert("OS".into(), json!("by hand"));
    world.run();
    assert_eq!(turn(&mut world), 1);
    assert_eq!((turn(&mut world), world.state("d1")), (0, DeviceStatus::InSync));
}

#[test]
fn p15_the_name_of_a_record_of_ours_that_amfj_does_not_keep_is_sent_twice() {
    let mut world = World::new("create_users = \"all\"", "");
    world.device("d1", "Mac", "S1");
    world.person("k1", "Sam", Some("sam@x.com"));
    world.owns("k1", "d1");
    world.run();
    world.settle();
    world.people.get_mut("k1").unwrap().name = "Samuel".into();
    later(&mut world);
    let mut sent = Vec::new();
    for _ in 0..4 {
        let drafted = world.decide_user("sam@x.com").changes;
        sent.push(drafted.len());
        for change in drafted {
            world.make(&change);
        }
        world.records.values_mut().for_each(|record| record.name = "Sam".into());
        world.run();
    }
    assert_eq!(sent, [1, 1, 0, 0]);
    assert_eq!(world.decide_user("sam@x.com").decision.state, DeviceStatus::FieldProblem);
}

/// Has the value refused that is to be written.
fn refuse(world: &mut World) {
    let change = world.decide("d1").changes.remove(0);
    let Action::UpdateAsset { write, .. } = &change.action else { panic!("{change:?}") };
    let (rematch, catalogue) = (world.view.meta().rematch, world.view.catalogue().clone());
    let now = amfj_sync_model::mapping::fingerprint::of_asset_field(
        &world.config.fields,
        &catalogue,
        "t1",
        "OS",
        rematch,
    );
    let refusal = amfj_sync_model::messages::Refusal {
        value: write.fields["OS"].new.clone(),
        reason: "no such option".into(),
        fingerprint: now,
    };
    let mut outcome = world.outcome(&change, Ending::Applied);
    outcome.asset = Some(world.assets["a1"].clone());
    outcome.refused = BTreeMap::from([("OS".to_owned(), refusal)]);
    world.tell(Fact::ChangeEnded(Box::new(outcome)));
}

#[test]
fn p15_a_refused_value_is_tried_again_when_the_field_or_its_mapping_changes_or_a_person_says_so() {
    let (mut world, turn) = odd(|_, sent| sent.clone());
    turn(&mut world);
    world.entry("d1").values.insert("os_version".into(), json!("16"));
    world.run();
    refuse(&mut world);
    assert_eq!((world.decide("d1").changes.len(), world.state("d1")), (0, DeviceStatus::FieldProblem));
    world.run();
    assert_eq!(world.decide("d1").changes.len(), 0);
    let field = |world: &mut World| {
        let fields = &mut world.catalogue.asset_types[0].fields;
        fields.iter_mut().position(|field| field.name == "OS").unwrap()
    };
    let at = field(&mut world);
    world.catalogue.asset_types[0].fields[at].options = vec!["16".into()];
    world.run();
    assert_eq!(world.decide("d1").changes.len(), 1, "the field was mended");
    refuse(&mut world);
    assert_eq!(world.decide("d1").changes.len(), 0);
    world.order(OperatorOrder::Rematch);
    assert_eq!(world.decide("d1").changes.len(), 1, "a person says so");
    refuse(&mut world);
    assert_eq!(world.decide("d1").changes.len(), 0);
    let other = World::new("", "[integration.fields]\nOS = \"{{ os_version }}\"");
    world.config = other.config;
    assert_eq!(world.decide("d1").changes.len(), 1, "the mapping changed");
}

#[test]
fn p15_a_rematch_has_a_failed_change_tried_again_once() {
    let (mut world, turn) = odd(|_, sent| sent.clone());
    turn(&mut world);
    world.entry("d1").values.insert("os_version".into(), json!("16"));
    world.run();
    let change = world.decide("d1").changes.remove(0);
    world.fail(&change, "AMFJ answered 403");
    assert_eq!(world.state("d1"), DeviceStatus::Failed);
    world.order(OperatorOrder::Rematch);
    assert_eq!(world.decide("d1").changes, std::slice::from_ref(&change));
    world.fail(&change, "AMFJ answered 403");
    assert_eq!((world.decide("d1").changes.len(), world.state("d1")), (0, DeviceStatus::Failed));
}
