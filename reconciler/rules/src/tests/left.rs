//! What a change left for later: the location beside a link (P4, P13), and the doubt about a creation (P7, P11).

use amfj_sync_model::amfj::Named;
use amfj_sync_model::messages::{
    Action, Change, DeviceStatus, Ending, Fact, LinkOutcome, Outcome, Refusal, Rule,
};
use serde_json::json;

use super::World;

fn answer(world: &mut World, change: &Change, ending: Ending, fill: impl FnOnce(&mut Outcome)) {
    let mut outcome = world.outcome(change, ending);
    fill(&mut outcome);
    world.tell(Fact::ChangeEnded(Box::new(outcome)));
}

fn location() -> Named {
    Named { id: "l1".to_owned(), name: "HQ".to_owned() }
}

fn linked_without_location(refused: bool) -> World {
    let mut world = World::new("default_location = \"HQ\"", "");
    world.device("d1", "Mac 1", "S1");
    world.asset("a1", "Mac 1").location = None;
    world.run();
    let link = world.decide("d1").changes.remove(0);
    let asset = link.action.asset().unwrap().clone();
    answer(&mut world, &link, Ending::Applied, |outcome| {
        outcome.link = Some(LinkOutcome::Linked { asset, rule: Rule::Name, takes_over: None });
        outcome.location_due = true;
        if refused {
            let refusal = json!({ "value": "l1", "reason": "no" });
            let refusal: Refusal = serde_json::from_value(refusal).unwrap();
            outcome.refused.insert(Outcome::LOCATION.to_owned(), refusal);
        }
    });
    world
}

#[test]
fn p4_the_location_that_a_link_left_out_is_set_by_an_update() {
    let mut world = linked_without_location(false);
    let Action::UpdateAsset { write, .. } = world.action("d1") else { panic!("no update") };
    assert_eq!(write.location, Some(location()));
    assert_eq!(world.settle(), 1);
    assert_eq!(world.state("d1"), DeviceStatus::InSync);
    // From then on it is a person's.
    world.assets.get_mut("a1").unwrap().location = None;
    world.run();
    assert!(world.decide("d1").changes.is_empty());
}

#[test]
fn p15_a_location_that_amfj_refused_is_not_tried_again() {
    assert!(linked_without_location(true).decide("d1").changes.is_empty());
}

#[test]
fn p7_nothing_is_created_beside_what_an_interrupted_creation_may_have_made() {
    let mut world = World::new("create_devices = \"always\"", "");
    world.device("d1", "R&D 1", "S1");
    world.run();
    let create = world.decide("d1").changes.remove(0);
    let asset = world.asset("a1", "R&amp;D 1").clone();
    answer(&mut world, &create, Ending::Stale { reason: "doubt".into() }, |outcome| {
        outcome.asset = Some(asset);
        outcome.doubtful = true;
    });
    for _ in 0..2 {
        let draft = world.decide("d1");
        assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::Ambiguous, 0));
        assert!(draft.decision.reason.contains("a1"), "{}", draft.decision.reason);
        world.run();
    }
    // A person deletes it: the creation is wanted again.
    world.assets.clear();
    world.run();
    world.run();
    assert!(matches!(world.action("d1"), Action::CreateAsset { .. }));
}

#[test]
fn p11_no_record_is_created_beside_what_an_interrupted_creation_may_have_made() {
    let mut world = World::new("create_users = \"all\"", "");
    world.device("d1", "Mac 1", "S1");
    world.person("p1", "Q&A", Some("qa@example.com"));
    world.owns("p1", "d1");
    world.run();
    let create = world.decide_user("qa@example.com").changes.remove(0);
    world.record("r1", "Q&amp;A", Some("qa&amp;x@example.com"));
    let record = world.records.values().next().unwrap().clone();
    answer(&mut world, &create, Ending::Stale { reason: "doubt".into() }, |outcome| {
        outcome.record = Some(record);
        outcome.doubtful = true;
    });
    let draft = world.decide_user("qa@example.com");
    assert_eq!((draft.decision.state, draft.changes.len()), (DeviceStatus::Ambiguous, 0));
}
