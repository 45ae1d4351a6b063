//! Ids and places of changes, what is on its way, and what is withheld.

use std::collections::BTreeMap;

use amfj_sync_shared::config::{Config, parse};
use amfj_sync_shared::ids::{AssetId, DeviceId, IntegrationId, Key};
use jiff::SignedDuration;
use uuid::Uuid;

use super::*;

const RUN: u64 = 1_764_000_000_000;

fn config(mode: &str) -> Config {
    let text = format!(
        r#"
        [broker]
        url = "amqp://guest:guest@127.0.0.1:5672/%2f"
        [[integration]]
        id = "acme"
        {mode}
        [integration.kandji]
        api_url = "http://127.0.0.1:1"
        token = {{ env = "T" }}
        [integration.amfj]
        api_url = "http://127.0.0.1:2"
        token = {{ env = "T" }}
        [integration.sync]
        default_asset_type = "Laptop"
        "#
    );
    let variables = BTreeMap::from([("T".to_owned(), "token".to_owned())]);
    parse(std::path::Path::new("test.toml"), &text, &variables, amfj_sync_shared::config::Tokens::Both)
        .expect("a valid configuration")
        .config
}

fn origin() -> Origin {
    Origin {
        source: "reconciler/1".into(),
        integration: IntegrationId::new("acme").expect("not blank"),
        run: None,
        sequence: None,
        traceparent: None,
    }
}

fn change(asset: &str) -> Change {
    Change {
        key: Key::Device(DeviceId::new("d").expect("not blank")),
        label: "Mac".into(),
        serial: "C02".into(),
        serials: Vec::new(),
        action: Action::BreakLink { asset: AssetId::new(asset).expect("not blank") },
    }
}

fn draft(changes: Vec<Change>) -> Draft {
    let decision = Decision {
        key: Key::Device(DeviceId::new("d").expect("not blank")),
        snapshot: Sequence::first(RUN),
        place: Sequence::first(RUN),
        state: State::Pending,
        reason: "The link is broken.".into(),
        asset: None,
        record: None,
        rule: None,
        candidates: Vec::new(),
        field_problems: BTreeMap::new(),
        warnings: Vec::new(),
        failed: Vec::new(),
        awaits: None,
        changes: Vec::new(),
    };
    Draft { decision, changes }
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("a time stamp")
}

fn decide(mode: &str, changes: Vec<Change>, decision: Option<&Decision>, answered: &Answered) -> Conclusion {
    decide_at(now(), mode, changes, decision, answered)
}

fn decide_at(
    now: Timestamp,
    mode: &str,
    changes: Vec<Change>,
    decision: Option<&Decision>,
    answered: &Answered,
) -> Conclusion {
    decide_mass_changes(now, MassChanges::Allowed, mode, changes, decision, answered)
}

fn decide_mass_changes(
    now: Timestamp,
    mass_changes: MassChanges<'_>,
    mode: &str,
    changes: Vec<Change>,
    decision: Option<&Decision>,
    answered: &Answered,
) -> Conclusion {
    let change_lost_after = std::time::Duration::from_hours(24);
    let run = RUN;
    let before = Before { decision, answered, run, now, has_link: true, mass_changes, change_lost_after };
    conclude(&config(mode).integrations[0], &origin(), draft(changes), &before)
}

const APPLY: &str = r#"mode = "apply""#;

fn ids(conclusion: &Conclusion) -> Vec<Uuid> {
    conclusion.publish.iter().map(|event| event.id).collect()
}

#[test]
fn changes_get_places_in_order_and_are_published() {
    let conclusion = decide(APPLY, vec![change("A"), change("B")], None, &Answered::default());
    let places: Vec<Sequence> = conclusion.publish.iter().filter_map(|event| event.sequence).collect();
    assert_eq!(places, [Sequence { run: RUN, step: 1 }, Sequence { run: RUN, step: 2 }]);
    assert!(conclusion.decision.changes.iter().all(|decided| decided.published == Some(now())));
    assert_eq!(
        conclusion.decision.changes.iter().map(|decided| decided.id).collect::<Vec<_>>(),
        ids(&conclusion)
    );
}

#[test]
fn deciding_again_before_the_decision_was_kept_gives_the_same_ids() {
    let once = decide(APPLY, vec![change("A")], None, &Answered::default());
    let later = now() + SignedDuration::from_secs(9);
    let again = decide_at(later, APPLY, vec![change("A")], None, &Answered::default());
    assert_eq!(ids(&once), ids(&again));
}

#[test]
fn what_is_on_its_way_is_not_published_again() {
    let first = decide(APPLY, vec![change("A")], None, &Answered::default());
    let second = decide(APPLY, vec![change("A")], Some(&first.decision), &Answered::default());
    assert!(second.publish.is_empty());
    assert!(says_the_same(&first.decision, &second.decision));
}

#[test]
fn a_different_change_takes_the_place_behind_it() {
    let first = decide(APPLY, vec![change("A")], None, &Answered::default());
    let second = decide(APPLY, vec![change("B")], Some(&first.decision), &Answered::default());
    assert_eq!(second.publish[0].sequence, Some(Sequence { run: RUN, step: 2 }));
    assert_eq!(second.decision.changes.len(), 1, "the first one is superseded");
}

#[test]
fn what_is_not_wanted_any_more_is_superseded_and_its_place_is_not_given_again() {
    let first = decide(APPLY, vec![change("A")], None, &Answered::default());
    let published = &first.decision.changes[0];
    assert!(!first.decision.supersedes(published.id, published.sequence));
    let second = decide(APPLY, Vec::new(), Some(&first.decision), &Answered::default());
    assert!(second.decision.supersedes(published.id, published.sequence));
    let third = decide(APPLY, vec![change("B")], Some(&second.decision), &Answered::default());
    let place = third.publish[0].sequence.expect("changes have a place");
    assert_eq!(place, Sequence { run: RUN, step: 2 });
    assert!(!second.decision.supersedes(third.publish[0].id, place), "it was decided before");
}

#[test]
fn an_answered_change_that_is_needed_again_is_a_new_one() {
    let first = decide(APPLY, vec![change("A")], None, &Answered::default());
    let decided = &first.decision.changes[0];
    let answered = Answered { sequence: decided.sequence, changes: vec![decided.id], at: None };
    let second = decide(APPLY, vec![change("A")], Some(&first.decision), &answered);
    assert_eq!(second.publish[0].sequence, Some(Sequence { run: RUN, step: 2 }));
    assert_ne!(ids(&first), ids(&second));
}

#[test]
fn a_change_without_an_answer_for_a_day_is_published_anew() {
    let first = decide(APPLY, vec![change("A")], None, &Answered::default());
    let tomorrow = now() + SignedDuration::from_hours(25);
    let second = decide_at(tomorrow, APPLY, vec![change("A")], Some(&first.decision), &Answered::default());
    assert_eq!(second.publish.len(), 1);
    assert_ne!(ids(&first), ids(&second));
}

#[test]
fn p25_plan_publishes_nothing_and_says_the_same_in_every_run() {
    let plan = r#"mode = "plan""#;
    let first = decide(plan, vec![change("A")], None, &Answered::default());
    assert!(first.publish.is_empty());
    assert_eq!(first.decision.state, State::PlanOnly);
    assert_eq!(first.decision.changes[0].published, None);
    let answered = Answered { sequence: Sequence { run: RUN, step: 7 }, ..Answered::default() };
    let second = decide(plan, vec![change("A")], Some(&first.decision), &answered);
    assert!(says_the_same(&first.decision, &second.decision));
}

#[test]
fn p25_what_was_planned_is_published_once_the_mode_is_apply() {
    let plan = decide(r#"mode = "plan""#, vec![change("A")], None, &Answered::default());
    let apply = decide(APPLY, vec![change("A")], Some(&plan.decision), &Answered::default());
    assert_eq!(apply.publish.len(), 1);
}

#[test]
fn p25_apply_only_applies_to_the_named_serials() {
    let only = |serials: &str| format!("{APPLY}\napply_only = [{serials}]");
    let named = decide(&only(r#""C02""#), vec![change("A")], None, &Answered::default());
    assert_eq!(named.publish.len(), 1);
    let other = decide(&only(r#""C03""#), vec![change("A")], None, &Answered::default());
    assert!(other.publish.is_empty());
    assert!(other.decision.reason.contains("apply_only"), "{}", other.decision.reason);
}

#[test]
fn p23_mass_changes_wait_until_all_partitions_have_counted_them() {
    let counted = |decision: Option<&Decision>, mass_changes| {
        decide_mass_changes(now(), mass_changes, APPLY, vec![change("A")], decision, &Answered::default())
    };
    let first = counted(None, MassChanges::Counted);
    assert!(first.publish.is_empty() && first.decision.changes[0].staged);
    let again = counted(Some(&first.decision), MassChanges::Counted);
    assert!(says_the_same(&first.decision, &again.decision), "counting again is no news");
    let held = counted(Some(&first.decision), MassChanges::Held("too many"));
    assert!(held.publish.is_empty());
    assert_eq!(held.decision.state, State::Held);
    let allowed = counted(Some(&held.decision), MassChanges::Allowed);
    assert_eq!(allowed.publish.len(), 1);
    assert!(!allowed.decision.changes[0].staged);
}

#[test]
fn p23_the_limit_is_a_share_and_at_least_five() {
    let limit = config(APPLY).integrations[0].sync.change_limit;
    for (changes, linked, too_many) in [(5, 10, false), (6, 10, true), (10, 100, false), (11, 100, true)] {
        assert_eq!(are_too_many(changes, linked, limit), too_many, "{changes} of {linked}");
    }
}
