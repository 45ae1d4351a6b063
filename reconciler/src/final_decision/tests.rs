//! Ids and places of changes, what is on its way, and what is withheld.

use std::collections::BTreeMap;

use amfj_sync_config::{Config, parse};
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, Key};
use amfj_sync_model::messages::{AssetWrite, Edit};
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
    parse(std::path::Path::new("test.toml"), &text, &variables, amfj_sync_config::Tokens::Both)
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
        state: DeviceStatus::Pending,
        reason: "The link is broken.".into(),
        asset: None,
        record: None,
        rule: None,
        candidates: Vec::new(),
        field_problems: BTreeMap::new(),
        warnings: Vec::new(),
        failed: Vec::new(),
        awaits: None,
        first_sync: false,
        takes: false,
        waits_for_run: false,
        changes: Vec::new(),
    };
    Draft { decision, changes }
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("a time stamp")
}

fn decide(
    mode: &str,
    changes: Vec<Change>,
    decision: Option<&Decision>,
    answered: &Answered,
) -> FinalDecision {
    decide_at(now(), mode, changes, decision, answered)
}

fn decide_at(
    now: Timestamp,
    mode: &str,
    changes: Vec<Change>,
    decision: Option<&Decision>,
    answered: &Answered,
) -> FinalDecision {
    let before = before(now, Changes::Allowed, decision, answered);
    finalize(&config(mode).integrations[0], &origin(), draft(changes), &before)
}

fn before<'a>(
    now: Timestamp,
    changes: Changes<'a>,
    decision: Option<&'a Decision>,
    answered: &'a Answered,
) -> Before<'a> {
    let change_lost_after = std::time::Duration::from_hours(24);
    let between_runs = false;
    let has_link = true;
    let by_event = None;
    Before { decision, answered, run: RUN, now, has_link, changes, between_runs, by_event, change_lost_after }
}

/// A link that is broken, and beside it a value that is written.
fn update() -> Change {
    let edit = Edit { old: "14".into(), new: "15".into() };
    let write = AssetWrite { fields: BTreeMap::from([("OS".to_owned(), edit)]), ..AssetWrite::default() };
    let asset = AssetId::new("A").expect("not blank");
    Change { action: Action::UpdateAsset { asset, write }, ..change("A") }
}

fn finalized(before: &Before<'_>, changes: Vec<Change>) -> FinalDecision {
    finalize(&config(APPLY).integrations[0], &origin(), draft(changes), before)
}

const APPLY: &str = r#"mode = "apply""#;

fn ids(conclusion: &FinalDecision) -> Vec<Uuid> {
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
    assert_eq!(first.decision.state, DeviceStatus::PlanOnly);
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
fn p23_everything_of_a_run_waits_until_all_partitions_have_spoken() {
    let answered = Answered::default();
    let decide = |decision: Option<&Decision>, changes| {
        finalized(&before(now(), changes, decision, &answered), vec![update(), change("A")])
    };
    let first = decide(None, Changes::Staged);
    assert!(first.publish.is_empty(), "also what takes nothing from anybody");
    assert!(first.decision.changes.iter().all(|decided| decided.staged));
    let counted: Vec<bool> =
        first.decision.changes.iter().map(|decided| counts_towards_limit(decided, true)).collect();
    assert_eq!(counted, [false, true], "only the broken link counts towards the limit");
    let again = decide(Some(&first.decision), Changes::Staged);
    assert!(says_the_same(&first.decision, &again.decision), "staging again is no news");
    let held = decide(Some(&first.decision), Changes::Held("too many"));
    assert!(held.publish.is_empty());
    assert_eq!((held.decision.state, held.decision.changes.len()), (DeviceStatus::Held, 2));
    assert!(held.decision.reason.contains("too many"), "{}", held.decision.reason);
    let allowed = decide(Some(&held.decision), Changes::Allowed);
    assert_eq!(allowed.publish.len(), 2);
    assert!(allowed.decision.changes.iter().all(|decided| !decided.staged));
}

#[test]
fn p23_what_an_earlier_run_published_stays_on_its_way_while_the_next_is_staged() {
    let answered = Answered::default();
    let first = finalized(&before(now(), Changes::Allowed, None, &answered), vec![update()]);
    let held = Changes::Held("too many");
    let second =
        finalized(&before(now(), held, Some(&first.decision), &answered), vec![update(), change("A")]);
    assert!(second.publish.is_empty());
    let staged: Vec<bool> = second.decision.changes.iter().map(|decided| decided.staged).collect();
    assert_eq!(staged, [false, true]);
    assert!(!second.decision.supersedes(first.publish[0].id, first.decision.changes[0].sequence));
}

#[test]
fn p5_a_link_on_its_way_stands_while_the_next_run_is_kept_back() {
    let answered = Answered::default();
    let link = |asset: &str, value: &str| {
        let edit = Edit { old: "14".into(), new: value.into() };
        let write = AssetWrite { fields: BTreeMap::from([("OS".to_owned(), edit)]), ..AssetWrite::default() };
        let asset = AssetId::new(asset).expect("not blank");
        let rule = amfj_sync_model::messages::Rule::Name;
        Change { action: Action::LinkAsset { asset, rule, takes_over: None, write }, ..change("A") }
    };
    let before =
        |changes, decision| Before { has_link: false, ..before(now(), changes, decision, &answered) };
    let first = finalized(&before(Changes::Allowed, None), vec![link("A", "15")]);
    let mut kept = Vec::new();
    for changes in [Changes::Staged, Changes::Held("too many")] {
        let next = finalized(&before(changes, Some(&first.decision)), vec![link("A", "16")]);
        assert!(next.publish.is_empty());
        let standing = PlannedChange { staged: true, ..first.decision.changes[0].clone() };
        assert_eq!(next.decision.changes, [standing], "with its first values, to be decided again");
        let other = finalized(&before(changes, Some(&first.decision)), vec![link("B", "16")]);
        assert!(other.decision.changes[0].staged, "another link is another matter");
        kept.push(next.decision);
    }
    for kept in &kept {
        let allowed = finalized(&before(Changes::Allowed, Some(kept)), vec![link("A", "16")]);
        assert_eq!((allowed.publish.len(), allowed.decision.changes[0].staged), (1, false));
        assert!(allowed.decision.supersedes(first.publish[0].id, first.decision.changes[0].sequence));
        let unchanged = finalized(&before(Changes::Allowed, Some(kept)), vec![link("A", "15")]);
        assert!(unchanged.publish.is_empty() && !unchanged.decision.changes[0].staged);
    }
    let allowed = finalized(&before(Changes::Allowed, Some(&first.decision)), vec![link("A", "16")]);
    assert_eq!(allowed.publish.len(), 1);
}

#[test]
fn p23_what_was_planned_is_staged_once_the_mode_is_apply() {
    let plan = decide(r#"mode = "plan""#, vec![update()], None, &Answered::default());
    let answered = Answered::default();
    let staged = finalized(&before(now(), Changes::Staged, Some(&plan.decision), &answered), vec![update()]);
    assert!(staged.publish.is_empty() && staged.decision.changes[0].staged, "{:?}", staged.decision.changes);
}

#[test]
fn p23_who_waits_for_a_record_that_is_held_is_held() {
    let answered = Answered::default();
    let mut waiting = draft(Vec::new());
    waiting.decision.awaits = Some(amfj_sync_model::ids::UserKey::new("sam@example.com").expect("not blank"));
    let before = before(now(), Changes::Held("too many"), None, &answered);
    let held = finalize(&config(APPLY).integrations[0], &origin(), waiting, &before);
    assert_eq!(held.decision.state, DeviceStatus::Held);
    let nothing = finalize(&config(APPLY).integrations[0], &origin(), draft(Vec::new()), &before);
    assert_eq!(nothing.decision.state, DeviceStatus::Pending, "nothing of it is held");
}

#[test]
fn p8_between_runs_no_link_is_broken_and_nothing_is_made_in_its_place() {
    let answered = Answered::default();
    let asset = |action| Change { action, ..change("A") };
    let write = AssetWrite::default();
    let creation = asset(Action::CreateAsset {
        name: "Mac".into(),
        asset_type: amfj_sync_model::amfj::Named { id: "t".into(), name: "Laptop".into() },
        location: None,
        fields: BTreeMap::new(),
    });
    let other = AssetId::new("B").expect("not blank");
    let linking = asset(Action::LinkAsset {
        asset: other,
        rule: amfj_sync_model::messages::Rule::Name,
        takes_over: None,
        write,
    });
    for ending in [change("A"), creation.clone(), linking.clone()] {
        let mut before = before(now(), Changes::Allowed, None, &answered);
        before.between_runs = true;
        let between = finalized(&before, vec![ending.clone()]);
        assert!(between.publish.is_empty() && between.decision.changes.is_empty(), "{ending:?}");
        assert!(between.decision.reason.contains("the next run decides"), "{}", between.decision.reason);
        before.between_runs = false;
        assert_eq!(finalized(&before, vec![ending]).publish.len(), 1, "a run does");
    }
    let mut unlinked = before(now(), Changes::Allowed, None, &answered);
    (unlinked.between_runs, unlinked.has_link) = (true, false);
    assert_eq!(finalized(&unlinked, vec![creation]).publish.len(), 1, "in place of no link");
    assert_eq!(finalized(&unlinked, vec![update()]).publish.len(), 1);
}

#[test]
fn p34_because_of_an_event_nothing_is_done_that_counts_towards_the_limits_of_a_run() {
    let answered = Answered::default();
    let asset = AssetId::new("A").expect("not blank");
    let holder = |id: &str| amfj_sync_model::amfj::Holder {
        id: amfj_sync_model::ids::RecordId::new(id).expect("not blank"),
        name: id.to_owned(),
    };
    let assign = |expected: Option<&str>, to: Option<&str>| Change {
        action: Action::Assign {
            asset: asset.clone(),
            expected: expected.map(holder),
            to: to.map(holder),
            primary: None,
        },
        ..change("A")
    };
    let mut event = before(now(), Changes::Allowed, None, &answered);
    (event.between_runs, event.by_event) = (true, Some(ByEvent { is_as_run: true }));
    for (what, changes, published) in [
        ("a field is put back", vec![update()], 1),
        ("an asset that nobody has is given back", vec![assign(None, Some("U"))], 1),
        ("one that somebody took is left to the run", vec![assign(Some("V"), Some("U"))], 0),
        ("so is one that nobody is to have", vec![assign(Some("V"), None)], 0),
        ("the field beside it is put back", vec![update(), assign(Some("V"), Some("U"))], 1),
    ] {
        let conclusion = finalized(&event, changes);
        assert_eq!(conclusion.publish.len(), published, "{what}");
        let waits = conclusion.decision.waits_for_run;
        assert_eq!(
            waits,
            what.contains("run") || what.contains("nobody is to") || what.contains("beside"),
            "{what}"
        );
        assert!(!waits || conclusion.decision.reason.contains("The next run decides"), "{what}");
    }
    event.by_event = Some(ByEvent { is_as_run: false });
    assert!(finalized(&event, vec![update()]).publish.is_empty(), "a mapping that no run was judged with");
    event.by_event = None;
    assert_eq!(finalized(&event, vec![assign(Some("V"), Some("U"))]).publish.len(), 1, "what a run led to");
    let mut counted = draft(Vec::new()).decision;
    counted.takes = true;
    let mut after = before(now(), Changes::Allowed, Some(&counted), &answered);
    (after.between_runs, after.by_event) = (true, Some(ByEvent { is_as_run: true }));
    assert_eq!(
        finalized(&after, vec![assign(Some("V"), Some("U"))]).publish.len(),
        1,
        "the run had counted it"
    );
}

#[test]
fn p8_what_a_run_staged_is_made_between_runs_once_the_run_is_allowed() {
    let answered = Answered::default();
    let staged = finalized(&before(now(), Changes::Staged, None, &answered), vec![change("A")]);
    let mut between = before(now(), Changes::Allowed, Some(&staged.decision), &answered);
    between.between_runs = true;
    assert_eq!(finalized(&between, vec![change("A")]).publish.len(), 1);
    between.changes = Changes::Held("too many");
    let held = finalized(&between, vec![change("A")]);
    assert!(held.publish.is_empty() && held.decision.changes[0].staged);
}

#[test]
fn p23_the_limit_is_a_share_and_at_least_five() {
    let limit = config(APPLY).integrations[0].sync.change_limit;
    for (changes, linked, too_many) in [(5, 10, false), (6, 10, true), (10, 100, false), (11, 100, true)] {
        assert_eq!(are_too_many(changes, linked, limit), too_many, "{changes} of {linked}");
    }
}
