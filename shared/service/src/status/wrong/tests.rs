use amfj_sync_model::messages::Unusables;

use super::*;
use crate::backlog::Waiting;
use crate::status::{Circuit, RunStatus, StoppedRecord, Trouble, WaitingKind};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn run() -> RunStatus {
    RunStatus {
        id: "acme-1".into(),
        started: at(0),
        first_sync: false,
        took_ms: Some(900),
        counts: None,
        partitions_decided: 2,
        partitions: 2,
        failed: None,
        held: None,
    }
}

fn site() -> SiteStatus {
    SiteStatus {
        integration: "acme".into(),
        mode: "apply",
        interval_seconds: 3600,
        last_run: Some(run()),
        last_success: Some(at(0)),
        next_run: at(3600),
        run_requested: false,
        first_sync_over: true,
        paused: None,
        devices: BTreeMap::new(),
        queues: BTreeMap::new(),
        unusable: Unusables::default(),
        kandji_requests: 0,
        kandji_requests_per_hour: 6000,
        kandji_requests_left: 6000,
        events: None,
    }
}

fn failing(reason: &str) -> Failing {
    Failing { reason: reason.into(), since: at(5), times: 3, next: Some(at(70)) }
}

fn circuit(position: &str) -> Circuit {
    let reason = (position != "closed").then(|| "401".to_owned());
    Circuit { position: position.into(), reason, since: Some(at(6)), next: Some(at(80)) }
}

fn worker(role: &str, duty: Duty) -> WorkerReport {
    WorkerReport {
        role: role.into(),
        worker: format!("{role}/1"),
        host: "mac-mini".into(),
        version: String::new(),
        configuration: Vec::new(),
        reloaded: None,
        since: at(0),
        not_ready: Vec::new(),
        refused_messages: 0,
        integrations: BTreeMap::from([("acme".to_owned(), duty)]),
    }
}

fn trouble(kind: bool, record: bool) -> Trouble {
    let kinds = kind.then(|| WaitingKind {
        kind: "create user".into(),
        reason: "403".into(),
        since: at(7),
        attempts: 3,
        changes: 4,
        next: Some(at(90)),
    });
    let records = record.then(|| StoppedRecord {
        key: "device/1".into(),
        label: "Mac".into(),
        serials: Vec::new(),
        change: "update-asset".into(),
        request: None,
        reason: "500".into(),
        since: at(8),
        attempts: 2,
        next: None,
        waits_with_kind: false,
    });
    Trouble {
        stopped: u32::from(record),
        kinds: kinds.into_iter().collect(),
        records: records.into_iter().collect(),
        taken: None,
    }
}

/// Everything that is wrong, and only that.
#[test]
fn what_counts_as_wrong() {
    let well = Duty { circuit: Some(circuit("closed")), amfj_answered: Some(at(9)), ..Duty::default() };
    let with = |duty: Duty| (site(), vec![worker("writer", duty)], Some(0));
    let run_with = |run: RunStatus| (SiteStatus { last_run: Some(run), ..site() }, Vec::new(), Some(0));
    let waits = Waiting { messages: 3, served: 0, oldest: Some(at(9)) };
    let table = [
        ("all is well", with(well.clone()), vec![]),
        (
            "nothing is known yet",
            (SiteStatus { last_run: None, last_success: None, ..site() }, Vec::new(), None),
            vec![],
        ),
        ("the first failure", with(Duty { amfj: Some(failing("503")), ..well.clone() }), vec!["amfj"]),
        (
            "a pause",
            with(Duty { circuit: Some(circuit("open")), amfj: Some(failing("401")), ..Duty::default() }),
            vec!["amfj"],
        ),
        ("it answers again", with(Duty { circuit: Some(circuit("half-open")), ..Duty::default() }), vec![]),
        ("Kandji", with(Duty { kandji: Some(failing("401")), ..well.clone() }), vec!["kandji"]),
        (
            "runs fail, and one goes on",
            with(Duty { runs: Some(failing("x")), running: true, ..well.clone() }),
            vec!["run"],
        ),
        ("the last run failed", run_with(RunStatus { failed: Some("x".into()), ..run() }), vec!["run"]),
        ("held", run_with(RunStatus { held: Some("10 %".into()), ..run() }), vec!["held"]),
        (
            "no runs",
            (SiteStatus { last_success: Some(at(-7200)), ..site() }, Vec::new(), None),
            vec!["overdue"],
        ),
        ("a kind", with(Duty { trouble: Some(trouble(true, false)), ..well.clone() }), vec!["kind"]),
        ("a record", with(Duty { trouble: Some(trouble(false, true)), ..well.clone() }), vec!["records"]),
        ("dead letters", (site(), Vec::new(), Some(2)), vec!["dead-letters"]),
        (
            "nobody takes it",
            (SiteStatus { queues: BTreeMap::from([("apply", waits)]), ..site() }, Vec::new(), None),
            vec!["queue"],
        ),
        (
            "what waits during a pause is not for want of a writer",
            (
                SiteStatus { queues: BTreeMap::from([("apply", waits)]), ..site() },
                vec![worker("writer", Duty { circuit: Some(circuit("open")), ..Duty::default() })],
                None,
            ),
            vec!["amfj"],
        ),
    ];
    for (case, (site, reports, dead), expected) in table {
        let wrong = wrong_of_site(&site, &reports, dead, at(10));
        let what: Vec<&str> = wrong.iter().map(|one| one.what).collect();
        assert_eq!(what, expected, "{case}: {wrong:?}");
        assert!(wrong.iter().all(|one| one.integration.as_deref() == Some("acme")), "{case}");
        assert!(wrong.iter().all(|one| !one.line().contains('\n') && !one.in_short().is_empty()), "{case}");
    }
}

#[test]
fn a_line_says_what_fails_since_when_and_when_it_is_tried_again() {
    let duty = Duty { kandji: Some(failing("Kandji, list devices: answered 503")), ..Duty::default() };
    let wrong = wrong_of_site(&site(), &[worker("fetcher", duty)], None, at(10));
    let line = wrong[0].line();
    for words in ["acme: Kandji fails: ", "503", "; since 2027-", "; tried again at 2027-"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert_eq!(wrong[0].in_short(), "acme: Kandji fails");
}

/// Where one of them has the signing key and the others do not, it sees nothing of what they do.
#[test]
fn a_worker_that_refuses_what_others_say_is_wrong() {
    let refuses = WorkerReport { refused_messages: 7, ..worker("fetcher", Duty::default()) };
    let live = BTreeMap::from([("fetcher", 1), ("reconciler", 1), ("writer", 1)]);
    let others = ["reconciler", "writer"].map(|role| worker(role, Duty::default()));
    let wrong = wrong_of_workers(&live, &[vec![refuses], others.to_vec()].concat());
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let says = &wrong[0].says;
    assert!(says.contains("refused 7 messages") && says.contains("broker.signing_key"), "{says}");
}

#[test]
fn workers_that_are_missing_silent_or_not_ready_are_wrong() {
    let not_ready =
        WorkerReport { not_ready: vec!["acme: reading".into()], ..worker("writer", Duty::default()) };
    let live = BTreeMap::from([("fetcher", 0), ("reconciler", 2), ("writer", 1)]);
    let wrong = wrong_of_workers(&live, &[worker("reconciler", Duty::default()), not_ready]);
    let says: Vec<&str> = wrong.iter().map(|one| one.says.as_str()).collect();
    assert_eq!(
        says,
        [
            "no fetcher runs",
            "1 reconciler does not answer",
            "a writer on mac-mini is not ready: acme: reading"
        ]
    );
}
