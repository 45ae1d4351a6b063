//! What is left of a change on a small view: an asset, and who has it.

use amfj_sync_model::amfj::{Asset, Named};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{
    Fact, InventoryCounts, Origin, Payload, ReadingReport, RunStarted, Sequence,
};
use jiff::Timestamp;

use super::*;

fn origin() -> Origin {
    Origin {
        source: "writer/1".into(),
        integration: IntegrationId::new("acme").unwrap(),
        run: None,
        sequence: Some(Sequence::first(1)),
        traceparent: None,
    }
}

fn device() -> DeviceId {
    DeviceId::new("d1").unwrap()
}

fn asset() -> AssetId {
    AssetId::new("a1").unwrap()
}

fn holder(id: &str) -> Holder {
    Holder { id: RecordId::new(id).unwrap(), name: id.to_uppercase() }
}

fn change(action: Action) -> Change {
    let key = Key::Device(device());
    Change { key, label: "Mac 1".into(), serial: "S1".into(), serials: Vec::new(), action }
}

fn event(change: &Change) -> Event {
    Event::new(&origin(), change.key.to_string(), Timestamp::UNIX_EPOCH, Payload::Change(change.clone()))
}

fn link_asset() -> Change {
    let write = AssetWrite::default();
    change(Action::LinkAsset { asset: asset(), rule: Rule::Name, takes_over: None, write })
}

/// A view with the asset, which this holder has; linked to the device or not.
fn view(checked_out_to: Option<Holder>, linked: bool) -> Projection {
    let started = RunStarted {
        number: 1,
        leader: "fetcher/1".into(),
        at: Timestamp::UNIX_EPOCH,
        first_sync: true,
        applies_to_all: true,
        auto_checkout: true,
        list_delay_ms: 0,
        judged: false,
        mapping: BTreeMap::new(),
    };
    let asset = Asset {
        id: asset(),
        name: "Mac 1".into(),
        asset_type: Named { id: "t1".into(), name: "Laptop".into() },
        location: None,
        fields: BTreeMap::new(),
        checked_out_to,
        created_at: None,
    };
    let (counts, report) = (InventoryCounts::default(), Box::<ReadingReport>::default());
    let mut facts = vec![
        Fact::RunStarted(started),
        Fact::AssetListed { number: 1, asset },
        Fact::InventoryComplete { number: 1, counts, report },
    ];
    if linked {
        let change = link_asset();
        let link = LinkOutcome::Linked { asset: self::asset(), rule: Rule::Name, takes_over: None };
        facts.push(Fact::ChangeEnded(Box::new(
            ended(&event(&change), &change, Ending::Applied).with_link(link),
        )));
    }
    let mut view = Projection::in_memory(None);
    for (offset, fact) in (1..).zip(facts) {
        view.apply(&[(offset, Event::fact(&origin(), Timestamp::UNIX_EPOCH, fact))]).unwrap();
    }
    view
}

/// How a change ends that needs no request; none where it needs one.
fn ending(view: &Projection, change: &Change, begun: bool, linked_elsewhere: bool) -> Option<Ending> {
    let event = event(change);
    let linked_elsewhere = |_: &AssetId| linked_elsewhere;
    match (Known { event: &event, change, view, begun, linked_elsewhere: &linked_elsewhere }).step() {
        Step::Done(outcome) => Some(outcome.ending),
        Step::Request(_) => None,
    }
}

fn is_stale(ending: Option<&Ending>) -> bool {
    matches!(ending, Some(Ending::Stale { .. }))
}

#[test]
fn p4_an_asset_that_another_integration_of_the_site_has_is_not_linked() {
    let view = view(None, false);
    assert_eq!(ending(&view, &link_asset(), false, false), Some(Ending::Applied));
    assert!(is_stale(ending(&view, &link_asset(), false, true).as_ref()));
}

#[test]
fn p21_an_asset_is_taken_from_nobody_but_whom_the_decision_expected() {
    let (old, new, other) = (holder("u1"), holder("u2"), holder("u3"));
    let assign = change(Action::Assign {
        asset: asset(),
        expected: Some(old.clone()),
        to: Some(new.clone()),
        primary: Some(new.id.clone()),
    });
    assert_eq!(ending(&view(Some(old.clone()), true), &assign, false, false), None, "it is to be done");
    assert!(is_stale(ending(&view(Some(other), true), &assign, false, false).as_ref()));
    assert!(is_stale(ending(&view(Some(old), false), &assign, false, false).as_ref()), "it has no link");
}

#[test]
fn p26_what_an_attempt_has_done_is_history_and_what_nobody_did_is_not() {
    let (old, new) = (holder("u1"), holder("u2"));
    let assign = change(Action::Assign {
        asset: asset(),
        expected: Some(old),
        to: Some(new.clone()),
        primary: Some(new.id.clone()),
    });
    let view = view(Some(new), true);
    assert_eq!(ending(&view, &assign, true, false), Some(Ending::Applied));
    assert_eq!(ending(&view, &assign, false, false), Some(Ending::Unneeded));
}
