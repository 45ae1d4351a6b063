//! Changes that failed for good and were replayed: answered a second time, and only then.

use super::*;

fn failed(step: u32, replay: Option<Uuid>, uncertain: bool) -> Outcome {
    let action = Action::BreakLink { asset: asset_id() };
    Outcome {
        ending: Ending::Failed { reason: "AMFJ answered 500".into() },
        action: Some(action),
        replay,
        uncertain,
        ..outcome("d", step)
    }
}

fn ended(outcome: Outcome) -> Fact {
    Fact::ChangeEnded(Box::new(outcome))
}

fn intended(step: u32, stream: &Stream) -> Fact {
    let of = outcome("d", step);
    Fact::ChangeIntended(Intent {
        change: of.change,
        key: of.key,
        asset: None,
        record: None,
        users: Vec::new(),
        subjects: Vec::new(),
        waits: false,
        worker: format!("writer/{}", stream.facts.len()),
        at: stream.now,
    })
}

fn key() -> Key {
    Key::Device(device_id("d"))
}

#[test]
fn a_failed_change_is_answered_again_only_by_a_replay_of_it() {
    let mut stream = Stream::new();
    let (one, two) = (Uuid::from_u128(100), Uuid::from_u128(200));
    stream.say(ended(failed(1, None, false)));
    let again = Outcome { attempts: 2, ..outcome("d", 1) };
    assert!(matches!(stream.say(ended(again.clone())), Verdict::Rejected(_)), "a redelivery");
    stream.say(ended(Outcome { kind: "assign".into(), ..outcome("d", 5) }));

    // Older than what was answered since, and tried again all the same.
    assert_eq!(stream.say(ended(failed(1, Some(one), false))), Verdict::Accepted);
    assert!(
        matches!(stream.say(ended(failed(1, Some(one), false))), Verdict::Rejected(_)),
        "the same replay"
    );
    assert_eq!(stream.view.answered(&key()).sequence, Sequence { run: 1, step: 5 }, "the order stays");
    assert_eq!(stream.say(ended(Outcome { replay: Some(two), ..again.clone() })), Verdict::Accepted);
    assert!(stream.view.memory(&key()).failed.is_empty());
    let late = Outcome { replay: Some(Uuid::from_u128(300)), ..again };
    assert!(matches!(stream.say(ended(late)), Verdict::Rejected(_)), "it succeeded");
}

#[test]
fn what_came_later_closes_the_way_for_a_replay() {
    let mut stream = Stream::new();
    stream.say(ended(failed(1, None, false)));
    stream.say(ended(outcome("d", 2)));
    let replayed = Outcome { replay: Some(Uuid::from_u128(100)), ..outcome("d", 1) };
    assert!(matches!(stream.say(ended(replayed)), Verdict::Rejected(_)));
}

#[test]
fn the_first_attempt_is_remembered_where_it_may_have_succeeded() {
    let mut stream = Stream::new();
    let first = intended(1, &stream);
    stream.say(first.clone());
    let second = intended(1, &stream);
    stream.say(second);
    stream.say(ended(failed(1, None, true)));
    let remembered = |stream: &Stream| {
        let failed = stream.view.memory(&key()).failed.remove("update-asset");
        failed.and_then(|failed| failed.first_attempt).map(|row| Fact::ChangeIntended(row.intent))
    };
    assert_eq!(remembered(&stream), Some(first.clone()));
    assert!(stream.view.claims("device/d").is_empty(), "the claims are closed");

    stream.say(intended(1, &stream));
    stream.say(ended(failed(1, Some(Uuid::from_u128(100)), true)));
    assert_eq!(remembered(&stream), Some(first), "it stays the first over all replays");
    stream.say(ended(failed(1, Some(Uuid::from_u128(200)), false)));
    assert_eq!(remembered(&stream), None, "refused: nothing can have happened");
}

/// What would have made a link is asked for again in later runs, unless it may have been carried out; nothing else is.
#[test]
fn a_link_that_failed_is_due_again_in_the_next_run_and_then_ever_later() {
    let link = |rule| Action::LinkUser { record: record().id, rule, ids: Vec::new() };
    let stands = |stream: &Stream| {
        let failed = stream.view.memory(&key()).failed.into_values().next().unwrap();
        failed.stands(stream.view.meta())
    };
    let fail = |stream: &mut Stream, step: u32, action, uncertain| {
        let outcome = Outcome { action: Some(action), ..failed(step, None, uncertain) };
        assert_eq!(stream.say(ended(outcome)), Verdict::Accepted);
        assert!(stands(stream), "in the run in which it failed");
    };
    let mut stream = Stream::new();
    stream.run();
    for (step, runs) in (1..).zip([1, 2, 4, 8, 16, 24, 24]) {
        fail(&mut stream, step, link(Rule::Email), false);
        for run in 1..=runs {
            stream.run();
            assert_eq!(stands(&stream), run < runs, "after {run} of {runs} runs");
        }
    }
    fail(&mut stream, 10, link(Rule::Person), false);
    stream.run();
    assert!(!stands(&stream), "another link");
    fail(&mut stream, 11, Action::BreakLink { asset: asset_id() }, false);
    (0..30).for_each(|_| stream.run());
    assert!(stands(&stream), "it would make no link");

    let mut stream = Stream::new();
    stream.run();
    stream.say(intended(1, &stream));
    fail(&mut stream, 1, link(Rule::Email), true);
    (0..30).for_each(|_| stream.run());
    assert!(stands(&stream), "it may have been carried out");
}

/// The dead letter of the first failure stands for those that repeat it, and can be replayed; one that may have been
/// carried out has its own.
#[test]
fn a_failure_that_is_repeated_keeps_the_letter_of_the_first() {
    let mut stream = Stream::new();
    let of_run = |run: u32, replay, uncertain| Outcome {
        sequence: Sequence::first(run.into()),
        ..failed(run, replay, uncertain)
    };
    let letter = |stream: &Stream| stream.view.memory(&key()).failed.into_values().next().unwrap().change;
    let first = of_run(1, None, false).change;
    for run in [1, 2, 4] {
        stream.run();
        let again = of_run(run, None, false);
        let repeats = stream.view.memory(&key()).failure_repeated_by(&again, None).is_some();
        assert_eq!(repeats, run > 1);
        stream.say(ended(again));
        assert_eq!(letter(&stream), Some(first));
    }
    let doubtful = of_run(8, None, true);
    assert!(stream.view.memory(&key()).failure_repeated_by(&doubtful, None).is_none());
    assert!(
        stream.view.memory(&key()).failure_repeated_by(&of_run(8, None, false), Some(3)).is_none(),
        "a rematch"
    );
    stream.say(ended(doubtful));
    assert_ne!(letter(&stream), Some(first));
}
