//! How long a change is refused before it is given up, and what raises the question whether AMFJ is well.

use amfj_sync_model::ids::DeviceId;

use super::*;

const GIVE_UP: Duration = Duration::from_secs(10);

fn blame() -> Blame {
    let limits = Limits {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(4),
        give_up_after: GIVE_UP,
        longest: Duration::from_mins(1),
    };
    Blame::new(IntegrationId::new("acme").expect("not blank"), limits)
}

fn about(number: u32) -> About {
    let key = Key::Device(DeviceId::new(number.to_string()).expect("not blank"));
    About { key, label: format!("Mac {number}"), serials: Vec::new(), change: "update-asset" }
}

fn refusal(status: u16, openings: u64) -> Refusal {
    Refusal {
        request: Some(RequestKind::UpdateAsset),
        cause: kinds::Cause::Refused(status),
        reason: status.to_string(),
        took: Duration::ZERO,
        openings,
        before_others: false,
    }
}

fn refuse(blame: &Blame, number: u32) -> Verdict {
    let change = Uuid::from_u128(u128::from(number));
    blame.refused(change, &about(number), &refusal(409, 0), false).expect("good limits")
}

/// Refused, then paused for as long as it is to pause.
fn refuse_and_wait(blame: &Blame, number: u32, openings: u64) -> Verdict {
    let change = Uuid::from_u128(u128::from(number));
    let verdict = blame.refused(change, &about(number), &refusal(409, openings), false).expect("good limits");
    blame.pauses(change, verdict.pause, verdict.pause);
    blame.has_waited(change, verdict.pause, true);
    verdict
}

#[test]
fn a_change_that_is_always_refused_is_exhausted_after_its_time_and_not_before() {
    let blame = blame();
    let mut paused = Duration::ZERO;
    for attempt in 1..100 {
        let verdict = refuse_and_wait(&blame, 1, 0);
        blame.shows_life(Instant::now());
        assert_eq!(verdict.exhausted, paused >= GIVE_UP, "attempt {attempt} after {paused:?}");
        if verdict.exhausted {
            assert!(attempt > 3);
            return;
        }
        paused += verdict.pause;
        assert!(paused <= GIVE_UP, "the last pause is cut short");
    }
    panic!("it is never given up");
}

/// Whoever is refused for ever costs AMFJ ever less, and nobody else's pauses grow with it.
#[test]
fn the_pauses_of_a_record_grow_and_are_its_own() {
    let limits = Limits {
        initial: Duration::from_secs(1),
        max: Duration::from_mins(1),
        give_up_after: Duration::from_hours(1),
        longest: Duration::from_mins(8),
    };
    let blame = Blame::new(IntegrationId::new("acme").expect("not blank"), limits);
    let pauses: Vec<Duration> = (0..12).map(|_| refuse(&blame, 1).pause).collect();
    // Each is spread at random by a half.
    assert!(pauses[0] < Duration::from_secs(2) && pauses[11] >= Duration::from_secs(30), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_mins(1)), "{pauses:?}");
    assert!(refuse(&blame, 2).pause < Duration::from_secs(2));
}

#[test]
fn what_was_refused_before_an_outage_was_noticed_does_not_count() {
    let blame = blame();
    for round in 0..20 {
        let verdict = refuse_and_wait(&blame, 1, round);
        assert!(!verdict.exhausted, "the circuit opened in round {round}");
    }
}

/// Few changes of a kind are no reason to blame them, where nothing of any kind is taken.
#[test]
fn a_kind_with_few_changes_waits_where_nothing_of_any_kind_is_taken() {
    let of_kind = |request| Refusal { request: Some(request), ..refusal(403, 0) };
    let refused = |blame: &Blame, number: u32, kind| {
        let change = Uuid::from_u128(u128::from(number));
        blame.refused(change, &about(number), &of_kind(kind), false).expect("good limits");
    };
    for taken_between in [false, true] {
        let blame = blame();
        refused(&blame, 1, RequestKind::CreateUser);
        refused(&blame, 2, RequestKind::UpdateAsset);
        if taken_between {
            blame.succeeded(Uuid::from_u128(9), &about(9).key, Some(RequestKind::CheckOut), true);
        }
        refused(&blame, 3, RequestKind::UpdateAsset);
        blame.convict();
        assert_eq!(blame.waits(RequestKind::CreateUser), !taken_between);
    }
}

#[test]
fn a_pause_that_was_asked_for_is_no_time_of_failing() {
    let blame = blame();
    let change = Uuid::from_u128(1);
    let verdict = refuse(&blame, 1);
    blame.pauses(change, Duration::from_hours(1), verdict.pause);
    blame.has_waited(change, Duration::from_hours(1), true);
    assert!(!refuse(&blame, 1).exhausted);
    assert!(blame.refused_for(change).0 <= verdict.pause);
}

#[test]
fn a_pause_is_kept_while_the_change_is_in_nobodys_hand() {
    let blame = blame();
    let change = Uuid::from_u128(1);
    let verdict = refuse(&blame, 1);
    blame.pauses(change, Duration::from_mins(1), verdict.pause);
    blame.has_waited(change, Duration::from_millis(1), false);
    blame.let_go(change);
    assert!(blame.trouble().is_none(), "it is not reported while nobody has it");
    blame.taken_up(change);
    let (left, reason) = blame.pause_left(change).expect("it was in a pause");
    assert!(left > Duration::from_secs(55) && reason == "409", "{left:?} {reason}");
    blame.ended(change);
    assert!(blame.pause_left(change).is_none() && !blame.has_failed(change));
}

#[test]
fn three_records_raise_the_question_and_a_sign_of_life_answers_it() {
    let blame = blame();
    // Each in a way of its own: that is about no kind.
    let is_suspicious = |number: u32| {
        let refusal = refusal(400 + u16::try_from(number).unwrap_or(0), 0);
        let change = Uuid::from_u128(u128::from(number));
        blame.refused(change, &about(number), &refusal, false).expect("good limits").suspicious
    };
    assert!(!is_suspicious(1) && !is_suspicious(2) && is_suspicious(3));
    blame.shows_life(Instant::now());
    assert!(!is_suspicious(1) && !is_suspicious(2) && !is_suspicious(3), "they are known to be bad");
}

#[test]
fn records_that_are_known_to_be_bad_raise_no_question() {
    let blame = blame();
    for number in 0..20 {
        refuse(&blame, number);
        blame.succeeded(Uuid::from_u128(1000), &about(1000).key, Some(RequestKind::UpdateAsset), true);
    }
    assert!((0..20).all(|number| !refuse(&blame, number).suspicious));
    blame.convict();
    assert!(!blame.waits(RequestKind::UpdateAsset));
}

#[test]
fn the_time_with_a_waiting_kind_does_not_count() {
    let blame = blame();
    for number in 0..3 {
        refuse(&blame, number);
    }
    blame.shows_life(Instant::now());
    blame.convict();
    assert!(blame.waits(RequestKind::UpdateAsset) && !blame.waits(RequestKind::CreateUser));
    for _ in 0..50 {
        assert!(!refuse_and_wait(&blame, 1, 0).exhausted);
        blame.shows_life(Instant::now());
    }
    let trouble = blame.trouble().expect("a kind waits");
    assert_eq!((trouble.kinds[0].kind.as_str(), trouble.stopped), ("update asset", 3));
    blame.succeeded(Uuid::from_u128(9), &about(9).key, Some(RequestKind::UpdateAsset), true);
    assert!(!blame.waits(RequestKind::UpdateAsset));
}

#[tokio::test]
async fn one_of_a_waiting_kind_is_tried_at_a_time_and_a_success_lets_all_through() {
    let blame = blame();
    for number in 0..3 {
        refuse(&blame, number);
    }
    blame.convict();
    let kind = RequestKind::UpdateAsset;
    let trial = blame.pass(kind, Uuid::from_u128(50)).await.expect("a trial, at once");
    let other = blame.pass(kind, Uuid::from_u128(51));
    tokio::pin!(other);
    let soon = Duration::from_millis(20);
    assert!(tokio::time::timeout(soon, &mut other).await.is_err(), "there is one already");
    blame.succeeded(Uuid::from_u128(50), &about(50).key, Some(kind), true);
    drop(trial);
    assert!(other.await.is_none(), "no trial is needed any more");
}

#[test]
fn whoever_is_asked_to_wait_while_others_are_served_waits_alone() {
    let blame = blame();
    let change = Uuid::from_u128(1);
    let asked = |out_of_order| blame.asked(change, &about(1), out_of_order);
    let serve_another =
        || blame.succeeded(Uuid::from_u128(2), &about(2).key, Some(RequestKind::UpdateAsset), true);
    assert!(!asked(true) && !asked(true), "nobody was served since");
    serve_another();
    assert!(asked(true));
    assert!(!asked(true), "again nobody was");
    for times in 2..=5 {
        serve_another();
        assert_eq!(asked(false), times == 5, "a 429 may be chance: {times} times");
    }
}

#[tokio::test]
async fn a_person_may_try_it_now_or_give_it_up() {
    let blame = blame();
    let aside = blame.aside(Uuid::from_u128(1), &about(1).key, "queue");
    let other = blame.aside(Uuid::from_u128(2), &about(2).key, "queue");
    assert_eq!(blame.aside_in("queue"), 2);
    blame.order(Some(&about(1).key), &Ordered::GiveUp { by: "ann".into() });
    assert_eq!(aside.ordered().await, Ordered::GiveUp { by: "ann".into() });
    let soon = Duration::from_millis(20);
    assert!(tokio::time::timeout(soon, other.ordered()).await.is_err(), "it was not meant");
    blame.order(None, &Ordered::TryNow);
    assert_eq!(other.ordered().await, Ordered::TryNow);
    drop((aside, other));
    assert_eq!(blame.aside_in("queue"), 0);
}
