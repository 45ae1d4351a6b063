//! What each kind of fact does to the view.

use super::*;

#[test]
fn the_first_announcement_of_a_run_wins_and_numbers_only_grow() {
    let mut stream = Stream::new();
    assert_eq!(stream.start(5), Verdict::Accepted);
    assert!(matches!(stream.start(5), Verdict::Rejected(_)), "another leader, the same number");
    assert!(matches!(stream.start(4), Verdict::Rejected(_)), "a late one");
    assert_eq!(stream.start(6), Verdict::Accepted);
}

#[test]
fn the_inventory_takes_effect_in_one_step_at_its_marker() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.say(Fact::DeviceListed { number: 1, device: device("d", "Mac") });
    let key = NameKey::of("mac").expect("not blank");
    assert_eq!(stream.name(), None);
    assert!(stream.view.devices_named(&key).is_empty());
    assert_eq!(stream.complete(1), Verdict::Accepted);
    assert_eq!(stream.name().as_deref(), Some("Mac"));
    assert_eq!(stream.view.assets_named(&key), [asset_id()]);
    assert_eq!(stream.view.assets_with_serial("c02x")[0].asset.id, asset_id());
    assert_eq!(stream.view.devices_named(&key), [device_id("d")]);
    assert_eq!(stream.view.devices_with_serial("serial-D"), [device_id("d")]);
}

#[test]
fn p2_what_a_run_staged_that_did_not_complete_never_takes_effect() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "half read"));
    stream.start(2);
    assert!(matches!(stream.complete(1), Verdict::Rejected(_)), "the newer run fences the older");
    assert!(matches!(stream.say(listed(1, "late")), Verdict::Rejected(_)));
    stream.complete(2);
    assert_eq!(stream.name(), None);
}

#[test]
fn the_age_rule_keeps_the_later_of_list_and_outcome() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "first"));
    stream.complete(1);
    stream.pass(3600);
    stream.start(2);
    stream.say(wrote(1, "written while the list was read"));
    stream.say(listed(2, "read before it was written"));
    stream.complete(2);
    assert_eq!(stream.name().as_deref(), Some("written while the list was read"));
    stream.pass(30);
    stream.start(3);
    stream.say(listed(3, "still without the write"));
    stream.complete(3);
    assert_eq!(stream.name().as_deref(), Some("written while the list was read"), "within the list delay");
    stream.pass(3600);
    stream.start(4);
    stream.say(listed(4, "changed by hand"));
    stream.complete(4);
    assert_eq!(stream.name().as_deref(), Some("changed by hand"));
}

#[test]
fn the_age_rule_holds_when_a_clock_is_set_back() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.pass(-7200);
    stream.say(wrote(1, "written while the list was read"));
    stream.say(listed(1, "read before it was written"));
    stream.complete(1);
    assert_eq!(stream.name().as_deref(), Some("written while the list was read"));
}

#[test]
fn absence_removes_only_what_is_older_than_the_list() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(wrote(1, "created meanwhile"));
    stream.say(Fact::AssetAbsent { number: 1, asset: asset_id() });
    stream.complete(1);
    assert!(stream.name().is_some());
    stream.pass(3600);
    stream.start(2);
    stream.say(Fact::AssetAbsent { number: 2, asset: asset_id() });
    stream.complete(2);
    assert!(stream.name().is_none());
    assert!(stream.view.assets_named(&NameKey::of("created meanwhile").expect("not blank")).is_empty());
}

#[test]
fn p11_a_user_record_is_deleted_after_two_complete_lists_without_it() {
    let mut stream = Stream::new();
    let id = record().id;
    let absent = |number| Fact::RecordAbsent { number, record: record().id };
    stream.start(1);
    stream.say(Fact::RecordListed { number: 1, record: record() });
    stream.complete(1);
    assert_eq!(stream.view.records_with_email("sam@example.com"), std::slice::from_ref(&id));
    for (number, present) in [(2, true), (3, false)] {
        stream.pass(3600);
        stream.start(number);
        stream.say(absent(number));
        stream.complete(number);
        assert_eq!(stream.view.record(&id).is_some(), present, "after run {number}");
    }
    assert!(stream.view.records_with_email("sam@example.com").is_empty());
}

#[test]
fn p4_the_first_link_of_an_asset_stands() {
    let mut stream = Stream::new();
    stream.say(link("one", 1, &asset_id()));
    stream.say(link("two", 2, &asset_id()));
    assert_eq!(stream.view.linked_device(&asset_id()), Some(device_id("one")));
    assert_eq!(stream.view.link(&device_id("two")), None);
}

#[test]
fn p9_a_re_enrolled_device_takes_the_link_and_the_settled_user() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(link("old", 1, &asset_id()));
    let settled = Settled { primary: Some(record().id) };
    stream.say(Fact::ChangeEnded(Box::new(Outcome { settled: Some(settled), ..outcome("old", 2) })));
    let link =
        LinkOutcome::Linked { asset: asset_id(), rule: Rule::Reenrolled, takes_over: Some(device_id("old")) };
    stream.say(Fact::ChangeEnded(Box::new(Outcome { link: Some(link), ..outcome("new", 3) })));
    assert_eq!(stream.view.linked_device(&asset_id()), Some(device_id("new")));
    assert_eq!(stream.view.link(&device_id("old")), None);
    let memory = stream.view.memory(&Key::Device(device_id("new")));
    assert_eq!(memory.settled.and_then(|settled| settled.primary), Some(record().id));
}

#[test]
fn an_answer_that_comes_twice_or_too_late_changes_nothing() {
    let mut stream = Stream::new();
    stream.say(wrote(2, "second"));
    assert!(matches!(stream.say(wrote(2, "second again")), Verdict::Rejected(_)));
    assert!(matches!(stream.say(wrote(1, "first, late")), Verdict::Rejected(_)));
    assert_eq!(stream.name().as_deref(), Some("second"));
}

#[test]
fn p20_switching_auto_checkout_off_forgets_the_settled_users() {
    let mut stream = Stream::new();
    let key = Key::Device(device_id("d"));
    let settled = Settled { primary: Some(record().id) };
    stream.say(Fact::ChangeEnded(Box::new(Outcome { settled: Some(settled), ..outcome("d", 1) })));
    assert!(stream.view.memory(&key).settled.is_some());
    let off = RunStarted {
        number: 9,
        leader: "fetcher/1".into(),
        at: stream.now,
        first_sync: false,
        applies_to_all: true,
        auto_checkout: false,
        list_delay_ms: 0,
        judged: false,
        mapping: std::collections::BTreeMap::new(),
    };
    stream.say(Fact::RunStarted(off));
    assert!(stream.view.memory(&key).settled.is_none());
}

#[test]
fn p5_the_first_sync_ends_when_every_partition_decided_a_complete_run_that_applies() {
    let mut stream = Stream::new();
    let decided = |number, complete| Fact::PartitionDecided {
        number,
        partition: 0,
        complete,
        staged: 0,
        counts: MassCounts::default(),
    };
    stream.start(1);
    stream.complete(1);
    stream.say(decided(1, false));
    assert!(!stream.view.meta().first_sync_over, "a partition was overtaken");
    stream.say(decided(1, true));
    assert!(stream.view.meta().first_sync_over);
    let order = OperatorDecision { by: "sam".into(), order: OperatorOrder::Rematch };
    stream.say(Fact::OperatorDecided { token: Uuid::nil(), decision: order });
    assert!(!stream.view.meta().first_sync_over, "a person asked for a first sync");
}

#[test]
fn p33_a_pause_holds_until_its_end_or_until_a_person_ends_it() {
    let mut stream = Stream::new();
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut token = 0;
    let mut order = |stream: &mut Stream, order: OperatorOrder| {
        token += 1;
        let decision = OperatorDecision { by: "sam".into(), order };
        stream.say(Fact::OperatorDecided { token: Uuid::from_u128(token), decision });
    };
    let pause = |until| OperatorOrder::Pause { reason: "AMFJ moves".into(), until };
    let holds = |stream: &Stream, second| stream.view.meta().paused(at(second)).is_some();
    assert!(!holds(&stream, 0));
    order(&mut stream, pause(None));
    assert!(holds(&stream, 0) && holds(&stream, i64::from(u32::MAX)), "nobody said until when");
    order(&mut stream, pause(Some(at(100))));
    assert!(holds(&stream, 99) && !holds(&stream, 100), "the later order counts");
    let shown = stream.view.meta().paused(at(0)).cloned().unwrap();
    assert_eq!((shown.by.as_str(), shown.reason.as_str()), ("sam", "AMFJ moves"));
    order(&mut stream, OperatorOrder::Resume);
    assert!(!holds(&stream, 0));
}

/// A worker's claim on the asset.
fn claim(change: Uuid, key: Key, worker: &str) -> Intent {
    Intent {
        change,
        key,
        asset: Some(asset_id()),
        record: None,
        users: Vec::new(),
        subjects: Vec::new(),
        waits: false,
        worker: worker.into(),
        at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn claims_stand_in_the_order_of_the_stream_until_they_are_answered() {
    let mut stream = Stream::new();
    let intent =
        |worker: &str, step: u32| claim(outcome("d", step).change, Key::Device(device_id(worker)), worker);
    stream.say(Fact::ChangeIntended(intent("w1", 1)));
    stream.say(Fact::ChangeIntended(intent("w2", 2)));
    stream.say(Fact::ChangeIntended(intent("w1", 1)));
    let workers = |view: &Projection| -> Vec<String> {
        view.claims("asset/A1").into_iter().map(|row| row.intent.worker).collect()
    };
    assert_eq!(workers(&stream.view), ["w1", "w2"], "a claim said twice keeps its first place");
    stream.say(Fact::ChangeEnded(Box::new(outcome("w1", 1))));
    assert_eq!(workers(&stream.view), ["w2"]);
}

#[test]
fn a_claim_that_is_withdrawn_is_gone_and_those_of_others_stay() {
    let mut stream = Stream::new();
    let change = outcome("d", 1).change;
    let key = Key::Device(device_id("d"));
    let intent = |worker: &str| Fact::ChangeIntended(claim(change, key.clone(), worker));
    let withdrawn = |worker: &str| Fact::IntentWithdrawn {
        change,
        key: key.clone(),
        worker: worker.into(),
        refused: false,
        at: Timestamp::UNIX_EPOCH,
    };
    let workers = |view: &Projection, subject: &str| -> Vec<String> {
        view.claims(subject).into_iter().map(|row| row.intent.worker).collect()
    };
    stream.say(intent("w1"));
    stream.say(intent("w2"));
    assert_eq!(stream.say(withdrawn("w1")), Verdict::Accepted);
    for subject in ["device/d", "asset/A1"] {
        assert_eq!(workers(&stream.view, subject), ["w2"], "{subject}");
    }
    assert!(matches!(stream.say(withdrawn("w1")), Verdict::Rejected(_)), "there is none any more");
    stream.say(intent("w1"));
    assert_eq!(workers(&stream.view, "device/d"), ["w2", "w1"], "whoever comes again comes last");
    stream.say(withdrawn("w2"));
    stream.say(withdrawn("w1"));
    let mut open = 0;
    stream.view.each_intent(&mut |_, _| {
        open += 1;
        true
    });
    assert_eq!(open, 0);
}

/// Whoever takes a change up that others began with knows whether requests of its kind were carried out since.
#[test]
fn what_was_begun_before_others_were_accepted_is_known_to_the_next_worker() {
    let key = Key::Device(device_id("d"));
    let change = outcome("d", 1).change;
    let begun = |stream: &Stream| stream.view.first_announced_by_another(&key, change, "w2");
    for handed_back in [false, true] {
        let mut stream = Stream::new();
        assert_eq!(begun(&stream), None);
        stream.say(Fact::ChangeIntended(claim(change, key.clone(), "w1")));
        let announced = stream.view.meta().offset;
        if handed_back {
            let (key, worker) = (key.clone(), "w1".to_owned());
            let at = Timestamp::UNIX_EPOCH;
            stream.say(Fact::IntentWithdrawn { change, key, worker, refused: true, at });
        }
        stream.say(Fact::ChangeIntended(claim(change, key.clone(), "w2")));
        assert_eq!(begun(&stream), announced);
        let other = outcome("e", 2);
        stream.say(Fact::ChangeEnded(Box::new(other.clone())));
        assert!(stream.view.meta().accepted.is_empty(), "nothing was written");
        let edit = Edit { old: json!("1"), new: json!("2") };
        stream.say(Fact::ChangeEnded(Box::new(Outcome {
            edits: BTreeMap::from([("OS".to_owned(), edit)]),
            ..outcome("f", 3)
        })));
        assert!(stream.view.meta().accepted["update asset"] > announced.unwrap_or_default());
        stream.say(Fact::ChangeEnded(Box::new(outcome("d", 1))));
        assert_eq!(begun(&stream), None, "it has ended");
    }
}

#[test]
fn a_person_links_only_what_is_there_and_free() {
    let mut stream = Stream::new();
    let order = |order| Fact::OperatorDecided {
        token: Uuid::new_v4(),
        decision: OperatorDecision { by: "sam".into(), order },
    };
    let link_by_hand =
        |device: &str| order(OperatorOrder::Link { device: device_id(device), asset: asset_id() });
    assert!(matches!(stream.say(link_by_hand("d")), Verdict::Rejected(_)), "no such asset");
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    assert_eq!(stream.say(link_by_hand("d")), Verdict::Accepted);
    assert_eq!(stream.view.person("device/d").map(|row| row.decision.by), Some("sam".to_owned()));
    assert!(!stream.view.is_unlinked_by_person(&device_id("d")));
    assert!(matches!(stream.say(link_by_hand("e")), Verdict::Rejected(_)), "linked to another");
    stream.say(order(OperatorOrder::Unlink { device: device_id("d") }));
    assert!(stream.view.is_unlinked_by_person(&device_id("d")));
    assert_eq!(stream.view.link(&device_id("d")), None);
    stream.say(link_by_hand("d"));
    assert!(!stream.view.is_unlinked_by_person(&device_id("d")), "linking takes the refusal back");
}

/// Whoever kept the messages of a stream can publish them again, and their signatures are right.
#[test]
fn what_a_person_decided_once_does_not_count_again_when_it_is_said_again() {
    let mut stream = Stream::new();
    let decision = OperatorDecision { by: "sam".into(), order: OperatorOrder::Release };
    let release = || Fact::OperatorDecided { token: Uuid::from_u128(1), decision: decision.clone() };
    let held = |number| Fact::RunHeld { number, reason: "too many".into() };
    stream.start(1);
    stream.say(held(1));
    assert_eq!(stream.say(release()), Verdict::Accepted);
    stream.start(2);
    stream.say(held(2));
    assert!(matches!(stream.say(release()), Verdict::Rejected(_)));
    assert!(stream.view.meta().latest.as_ref().is_some_and(|run| run.held.is_some()));
    let again = Fact::OperatorDecided { token: Uuid::from_u128(2), decision: decision.clone() };
    assert_eq!(stream.say(again), Verdict::Accepted, "a person may want the same again");
    // A copy of the view knows it too.
    assert_eq!(rows(&stream.view).iter().filter(|(key, _)| key.starts_with(b"said/")).count(), 2);
}

#[test]
fn details_of_an_earlier_run_do_not_count_again() {
    let mut stream = Stream::new();
    let listed = |number| Fact::DeviceListed { number, device: device("d", "Mac") };
    stream.start(1);
    stream.say(listed(1));
    stream.complete(1);
    let read = |memory: &str| Fact::DetailsRead {
        device: device_id("d"),
        details: Details { check_in: String::new(), values: [("m".into(), json!(memory))].into() },
    };
    stream.pass(10);
    let old = stream.event(read("8 GB"));
    assert_eq!(stream.say(read("8 GB")), Verdict::Accepted);
    stream.pass(3_600);
    stream.start(2);
    stream.say(listed(2));
    stream.complete(2);
    assert_eq!(stream.say(read("16 GB")), Verdict::Accepted);
    let offset = stream.facts.len() as u64;
    let verdict = stream.view.apply(&[(offset, old)]).expect("memory does not fail").swap_remove(0);
    assert!(matches!(verdict, Verdict::Rejected(_)), "{verdict:?}");
    let details = stream.view.device(&device_id("d")).and_then(|row| row.entry.details);
    assert_eq!(details.map(|details| details.values["m"].clone()), Some(json!("16 GB")));
}

#[test]
fn a_view_reads_on_from_where_it_was_and_passes_over_what_it_has() {
    let mut stream = Stream::new();
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    let before = rows(&stream.view);
    let facts = stream.facts.clone();
    let verdicts = stream.view.apply(&facts).expect("memory does not fail");
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Rejected(_))));
    assert_eq!(rows(&stream.view), before);
}

/// A worker that lost its partition publishes what it had decided before that, after another one has decided a newer
/// snapshot.
#[test]
fn a_late_decision_about_an_older_snapshot_changes_nothing() {
    let mut stream = Stream::new();
    let newer = decision("a", 2, 1);
    assert_eq!(stream.say(Fact::DecisionMade(Box::new(newer.clone()))), Verdict::Accepted);
    let late = stream.say(Fact::DecisionMade(Box::new(decision("a", 1, 6))));
    assert!(matches!(late, Verdict::Rejected(_)), "{late:?}");
    let key = Key::Device(device_id("a"));
    assert_eq!(stream.view.decision(&key), Some(newer));
    // The same snapshot may be decided again, on facts that came since.
    assert_eq!(stream.say(Fact::DecisionMade(Box::new(decision("a", 2, 0)))), Verdict::Accepted);
    assert_eq!(stream.view.decision(&key).map(|decision| decision.awaits), Some(None));
}

#[test]
fn user_links_are_found_from_both_sides() {
    let mut stream = Stream::new();
    let kandji_user = KandjiUserId::new("K1").expect("not blank");
    let user_link =
        UserLinkOutcome { record: record().id, rule: Rule::Created, ids: vec![kandji_user.clone()] };
    let created = Outcome { record: Some(record()), user_link: Some(user_link), ..outcome("d", 1) };
    stream.say(Fact::ChangeEnded(Box::new(created)));
    assert_eq!(stream.view.linked_users(&record().id), std::slice::from_ref(&kandji_user));
    assert_eq!(stream.view.user_link(&kandji_user).map(|link| link.record), Some(record().id));
    assert!(stream.view.record(&record().id).is_some_and(|row| row.ours));
}

#[test]
fn numbers_and_minutes_that_no_clock_shows_are_refused() {
    let mut stream = Stream::new();
    assert!(matches!(stream.start(u64::MAX), Verdict::Rejected(_)), "no run could come after it");
    let minute = |minute| Fact::KandjiRequests { minute, count: u32::MAX, token: Uuid::nil() };
    assert!(matches!(stream.say(minute(u64::MAX)), Verdict::Rejected(_)));
    assert_eq!(stream.say(minute(29_400_000)), Verdict::Accepted);
    assert_eq!(stream.start(1_764_000_000_000), Verdict::Accepted);
}

#[test]
fn p23_what_vanished_is_known_until_an_inventory_takes_effect() {
    let mut stream = Stream::new();
    let listed = |id: &str| DeviceEntry { device_id: device_id(id), ..device("d", "Mac") };
    stream.start(1);
    for id in ["d1", "d2", "d3"] {
        stream.say(Fact::DeviceListed { number: 1, device: listed(id) });
    }
    stream.complete(1);
    let says = |number, vanished: &[&str], back: &[&str]| Fact::DevicesVanished {
        number,
        vanished: vanished.iter().map(|id| device_id(id)).collect(),
        back: back.iter().map(|id| device_id(id)).collect(),
    };
    let held = |number| Fact::RunHeld { number, reason: "too many".into() };
    stream.start(2);
    stream.say(says(2, &["d1", "d2"], &[]));
    stream.say(held(2));
    assert_eq!(stream.view.vanished_devices(), [device_id("d1"), device_id("d2")]);
    assert!(stream.view.has_vanished(&device_id("d1")) && !stream.view.has_vanished(&device_id("d3")));
    assert!(matches!(stream.say(says(1, &["d3"], &[])), Verdict::Rejected(_)), "an earlier run");
    // The next run fails, and the one after it sees one of them again.
    stream.start(3);
    stream.say(Fact::RunFailed { number: 3, reason: "503".into(), configuration: false });
    assert_eq!(stream.view.vanished_devices().len(), 2);
    let release = OperatorDecision { by: "sam".into(), order: OperatorOrder::Release };
    stream.say(Fact::OperatorDecided { token: Uuid::nil(), decision: release });
    assert!(stream.view.meta().released.is_some(), "a person need not wait until it is held again");
    stream.start(4);
    stream.say(says(4, &["d3"], &["d1"]));
    assert_eq!(stream.view.vanished_devices(), [device_id("d2"), device_id("d3")]);
    stream.complete(4);
    assert!(stream.view.vanished_devices().is_empty());
}
