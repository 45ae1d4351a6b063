//! One sample of every message and fact, with every optional part filled in somewhere.

use std::collections::BTreeSet;

use super::*;

pub(super) fn time() -> Timestamp {
    "2026-11-23T14:42:39.123456Z".parse().expect("a time stamp")
}

fn uuid(last: u8) -> Uuid {
    Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8800 + u128::from(last))
}

fn device_id() -> DeviceId {
    DeviceId::new("03f81208-2b6a-4a77-81f5-cf1633bcfb95").expect("not blank")
}

fn user_key() -> UserKey {
    UserKey::new("sam.okafor@example.com").expect("not blank")
}

fn kandji_user() -> KandjiUserId {
    KandjiUserId::new("5344c996-8823-4b37-8d6e-8515fc7c3a0a").expect("not blank")
}

fn asset_id() -> AssetId {
    AssetId::new("AST-17").expect("not blank")
}

fn record_id() -> RecordId {
    RecordId::new("USR-5").expect("not blank")
}

pub(super) fn origin() -> Origin {
    let integration = IntegrationId::new("acme").expect("not blank");
    Origin {
        source: "fetcher/7f3c".into(),
        run: Some(RunId::of(&integration, 1_764_000_000_000)),
        integration,
        sequence: Some(Sequence { run: 1_764_000_000_000, step: 3 }),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    }
}

fn named(id: &str, name: &str) -> Named {
    Named { id: id.into(), name: name.into() }
}

fn holder() -> Holder {
    Holder { id: record_id(), name: "Sam Okafor".into() }
}

fn asset() -> Asset {
    Asset {
        id: asset_id(),
        name: "Sam’s MacBook Air".into(),
        asset_type: named("T1", "Laptop"),
        location: Some(named("L1", "HQ")),
        fields: BTreeMap::from([("Serial Number".into(), json!("FVHTEST00002")), ("Cores".into(), json!(8))]),
        checked_out_to: Some(holder()),
        created_at: Some(time()),
    }
}

fn record() -> UserRecord {
    UserRecord {
        id: record_id(),
        name: "Sam Okafor".into(),
        email: Some("sam.okafor@example.com".into()),
        source: Source::Local,
        fields: BTreeMap::new(),
    }
}

fn details() -> Details {
    Details {
        check_in: "2024-07-23T14:11:37.150080Z".into(),
        values: BTreeMap::from([("details.hardware_overview.memory".into(), json!("8 GB LPDDR4"))]),
    }
}

fn device() -> DeviceEntry {
    DeviceEntry {
        device_id: device_id(),
        name: "Sam’s MacBook Air".into(),
        serial: "FVHTEST00002".into(),
        platform: "Mac".into(),
        user: PrimaryUser::Person { key: user_key() },
        in_scope: true,
        removed: false,
        values: BTreeMap::from([("os_version".into(), json!("14.4.1")), ("asset_tag".into(), Value::Null)]),
        details: Some(details()),
    }
}

fn user() -> UserEntry {
    UserEntry {
        key: user_key(),
        ids: vec![kandji_user()],
        email: Some("Sam.Okafor@example.com".into()),
        name: "Sam Okafor".into(),
        archived: false,
        values: BTreeMap::from([("user.name".into(), json!("Sam Okafor"))]),
    }
}

fn edit(old: Value, new: Value) -> Edit {
    Edit { old, new }
}

fn change(action: Action) -> Payload {
    let key = match action {
        Action::LinkUser { .. }
        | Action::CreateUser { .. }
        | Action::UpdateUser { .. }
        | Action::Restore { again: Restored::Record { .. } } => Key::User(user_key()),
        _ => Key::Device(device_id()),
    };
    let serials = if matches!(key, Key::User(_)) { vec!["FVHTEST00002".into()] } else { Vec::new() };
    Payload::Change(Change {
        key,
        label: "Sam’s MacBook Air".into(),
        serial: "FVHTEST00002".into(),
        serials,
        action,
    })
}

fn asset_write() -> AssetWrite {
    AssetWrite {
        name: Some(edit(json!("old name"), json!("Sam’s MacBook Air"))),
        location: Some(named("L1", "HQ")),
        fields: BTreeMap::from([("OS Version".into(), edit(json!("14.4"), json!("14.4.1")))]),
    }
}

pub(super) fn every_payload() -> Vec<(&'static str, Payload)> {
    vec![
        ("device-snapshot", Payload::DeviceSnapshot(DeviceSnapshot { device: device() })),
        ("user-snapshot", Payload::UserSnapshot(UserSnapshot { user: user() })),
        ("end-of-run", Payload::EndOfRun(EndOfRun { partition: 3 })),
        (
            "change-link-asset",
            change(Action::LinkAsset {
                asset: asset_id(),
                rule: Rule::Reenrolled,
                takes_over: Some(DeviceId::new("old-device").expect("not blank")),
                write: asset_write(),
            }),
        ),
        (
            "change-create-asset",
            change(Action::CreateAsset {
                name: "Sam’s MacBook Air".into(),
                asset_type: named("T1", "Laptop"),
                location: Some(named("L1", "HQ")),
                fields: BTreeMap::from([("Cores".into(), json!(8))]),
            }),
        ),
        ("change-update-asset", change(Action::UpdateAsset { asset: asset_id(), write: asset_write() })),
        ("change-break-link", change(Action::BreakLink { asset: asset_id() })),
        (
            "change-assign",
            change(Action::Assign {
                asset: asset_id(),
                expected: None,
                to: Some(holder()),
                primary: Some(record_id()),
            }),
        ),
        (
            "change-link-user",
            change(Action::LinkUser { record: record_id(), rule: Rule::Email, ids: vec![kandji_user()] }),
        ),
        (
            "change-create-user",
            change(Action::CreateUser {
                name: "Sam Okafor".into(),
                email: Some("sam.okafor@example.com".into()),
                fields: BTreeMap::new(),
                ids: vec![kandji_user()],
            }),
        ),
        (
            "change-update-user",
            change(Action::UpdateUser {
                record: record_id(),
                write: UserWrite {
                    name: Some(edit(json!("Sam"), json!("Sam Okafor"))),
                    email: Some(edit(Value::Null, json!("sam.okafor@example.com"))),
                    fields: BTreeMap::new(),
                },
            }),
        ),
        (
            "change-restore-asset",
            change(Action::Restore {
                again: Restored::Asset {
                    asset: asset_id(),
                    fields: BTreeMap::from([(
                        "OS Version".into(),
                        Past {
                            found: json!("14.4"),
                            written: json!(" 14.4.1"),
                            stored: Some(json!("14.4.1")),
                        },
                    )]),
                },
            }),
        ),
        (
            "change-restore-holder",
            change(Action::Restore {
                again: Restored::Holder {
                    asset: asset_id(),
                    found: None,
                    holder: Some(holder()),
                    primary: Some(record_id()),
                },
            }),
        ),
        (
            "change-restore-user",
            change(Action::Restore {
                again: Restored::Record {
                    record: record_id(),
                    fields: BTreeMap::from([(
                        "Name".into(),
                        Past { found: json!("Sam"), written: json!("Sam Okafor"), stored: None },
                    )]),
                },
            }),
        ),
        ("run-request", Payload::RunRequest),
    ]
}

fn outcome() -> Outcome {
    Outcome {
        change: uuid(1),
        sequence: Sequence { run: 1_764_000_000_000, step: 1 },
        key: Key::Device(device_id()),
        label: "Sam’s MacBook Air".into(),
        kind: "link-asset".into(),
        ending: Ending::Applied,
        action: None,
        attempts: 2,
        replay: Some(uuid(3)),
        uncertain: true,
        asset: Some(asset()),
        asset_deleted: None,
        record: Some(record()),
        link: Some(LinkOutcome::Linked { asset: asset_id(), rule: Rule::Name, takes_over: None }),
        user_link: Some(UserLinkOutcome { record: record_id(), rule: Rule::Email, ids: vec![kandji_user()] }),
        settled: Some(Settled { primary: Some(record_id()) }),
        edits: BTreeMap::from([("OS Version".into(), edit(json!("14.4"), json!("14.4.1")))]),
        found_holder: Some(holder()),
        location_due: true,
        doubtful: true,
        refused: BTreeMap::from([(
            "Warranty".into(),
            Refusal { value: json!("soon"), reason: "not a date".into(), fingerprint: Some("3f2a".into()) },
        )]),
        fingerprints: BTreeMap::from([("OS Version".into(), "9c41".into())]),
    }
}

fn failed_outcome() -> Outcome {
    Outcome {
        ending: Ending::Failed { reason: "answered 422".into() },
        action: Some(Action::BreakLink { asset: asset_id() }),
        asset: None,
        asset_deleted: Some(asset_id()),
        record: None,
        link: Some(LinkOutcome::Broken { asset: asset_id() }),
        user_link: None,
        settled: None,
        edits: BTreeMap::new(),
        refused: BTreeMap::new(),
        fingerprints: BTreeMap::new(),
        ..outcome()
    }
}

pub(super) fn decision() -> Decision {
    let Payload::Change(change) = change(Action::BreakLink { asset: asset_id() }) else { unreachable!() };
    Decision {
        key: Key::Device(device_id()),
        snapshot: Sequence::first(1_764_000_000_000),
        place: Sequence::first(1_764_000_000_000).next(),
        state: DeviceStatus::Ambiguous,
        reason: "two assets are called so".into(),
        asset: Some(asset_id()),
        record: Some(record_id()),
        rule: Some(Rule::Name),
        candidates: vec![Candidate { id: "AST-17".into(), name: "Sam".into(), note: "no serial".into() }],
        field_problems: BTreeMap::from([("Cores".into(), "not a number".into())]),
        warnings: vec!["the emails differ".into()],
        failed: vec!["update-asset".into()],
        awaits: Some(user_key()),
        first_sync: true,
        takes: true,
        waits_for_run: true,
        changes: vec![PlannedChange {
            id: uuid(2),
            sequence: Sequence { run: 1_764_000_000_000, step: 1 },
            published: Some(time()),
            staged: true,
            change,
        }],
    }
}

fn person(order: OperatorOrder) -> Fact {
    let decision = OperatorDecision { by: "sam@admin-mac".into(), order };
    Fact::OperatorDecided { token: uuid(3), decision }
}

fn report() -> ReadingReport {
    let mut report =
        ReadingReport { in_use: Some(["location/HQ".to_owned()].into()), ..ReadingReport::default() };
    report.unusable.add(Unusable::new(
        "asset",
        Some("A1"),
        Some("Sam’s Mac"),
        "its name is a list instead of a text",
    ));
    report
}

fn intent() -> Intent {
    Intent {
        change: uuid(1),
        key: Key::User(user_key()),
        asset: Some(asset_id()),
        record: Some(record_id()),
        users: vec![kandji_user()],
        subjects: vec!["email/sam@example.com".into()],
        waits: true,
        worker: "writer/1".into(),
        at: time(),
    }
}

pub(super) fn every_fact() -> Vec<(&'static str, Fact)> {
    [facts_of_workers(), facts_of_people()].concat()
}

/// What people decide, and bring from elsewhere.
fn facts_of_people() -> Vec<(&'static str, Fact)> {
    vec![
        ("person-link", person(OperatorOrder::Link { device: device_id(), asset: asset_id() })),
        ("person-unlink", person(OperatorOrder::Unlink { device: device_id() })),
        (
            "person-link-user",
            person(OperatorOrder::LinkUser { ids: vec![kandji_user()], record: record_id() }),
        ),
        ("person-unlink-user", person(OperatorOrder::UnlinkUser { ids: vec![kandji_user()] })),
        ("person-release", person(OperatorOrder::Release)),
        ("person-rematch", person(OperatorOrder::Rematch)),
        ("person-pause", person(OperatorOrder::Pause { reason: "AMFJ moves".into(), until: Some(time()) })),
        ("person-pause-open", person(OperatorOrder::Pause { reason: "AMFJ moves".into(), until: None })),
        ("person-resume", person(OperatorOrder::Resume)),
        ("person-try-stopped", person(OperatorOrder::TryStopped { key: Some(Key::Device(device_id())) })),
        ("person-drop-stopped", person(OperatorOrder::DropStopped { key: None })),
        ("import-begun", Fact::ImportBegun { import: uuid(9), format: FORMAT }),
        (
            "import-rows",
            Fact::ImportRows {
                import: uuid(9),
                part: 0,
                rows: BTreeMap::from([("link/1".into(), json!({"asset": "AST-17"}))]),
            },
        ),
        (
            "import-ended",
            Fact::ImportEnded {
                import: uuid(9),
                parts: 1,
                standing: Standing {
                    runs: 3,
                    first_sync_over: true,
                    applied_mapping: Some(BTreeMap::from([("Serial Number".into(), "0a1b2c3d".into())])),
                },
            },
        ),
    ]
}

fn facts_of_workers() -> Vec<(&'static str, Fact)> {
    let number = 1_764_000_000_000;
    let field =
        |field_type| Field { name: "Cores".into(), field_type, required: true, options: vec!["8".into()] };
    let catalogue = Catalogue {
        asset_types: vec![AssetType {
            id: "T1".into(),
            name: "Laptop".into(),
            fields: vec![field(FieldType::Select)],
        }],
        locations: vec![named("L1", "HQ")],
        user_fields: vec![field(FieldType::Text)],
    };
    let counts = InventoryCounts { devices: 5, in_scope: 4, users: 3, assets: 2, records: 1 };
    let started = RunStarted {
        number,
        leader: "fetcher/7f3c".into(),
        at: time(),
        first_sync: true,
        applies_to_all: true,
        auto_checkout: false,
        list_delay_ms: 60_000,
        judged: false,
        mapping: BTreeMap::new(),
    };
    vec![
        ("stream-opened", Fact::StreamOpened { stream: uuid(4), format: FORMAT, partitions: 4 }),
        ("read-marker", Fact::ReadMarker { token: uuid(5) }),
        ("run-requested", Fact::RunRequested { token: uuid(6) }),
        ("run-started", Fact::RunStarted(started)),
        ("run-failed", Fact::RunFailed { number, reason: "401".into(), configuration: true }),
        ("catalogue-listed", Fact::CatalogueListed { number, catalogue }),
        ("asset-listed", Fact::AssetListed { number, asset: asset() }),
        ("asset-absent", Fact::AssetAbsent { number, asset: asset_id() }),
        ("record-listed", Fact::RecordListed { number, record: record() }),
        ("record-absent", Fact::RecordAbsent { number, record: record_id() }),
        ("device-listed", Fact::DeviceListed { number, device: device() }),
        ("device-missing", Fact::DeviceMissing { number, device: device_id(), absence: Absence::NotFound }),
        ("user-listed", Fact::UserListed { number, user: user() }),
        ("user-missing", Fact::UserMissing { number, user: user_key() }),
        ("inventory-complete", Fact::InventoryComplete { number, counts, report: Box::new(report()) }),
        ("run-published", Fact::RunPublished { number, took_ms: 1_250 }),
        ("details-read", Fact::DetailsRead { device: device_id(), details: details() }),
        ("asset-read", Fact::AssetRead { asset: asset(), as_of: 40, renamed_from: Some("Reception".into()) }),
        ("asset-not-found", Fact::AssetNotFound { asset: asset_id(), as_of: 40 }),
        ("kandji-requests", Fact::KandjiRequests { minute: 29_400_000, count: 7, token: uuid(7) }),
        (
            "partition-decided",
            Fact::PartitionDecided {
                number,
                partition: 2,
                complete: true,
                staged: 1,
                counts: MassCounts::default(),
            },
        ),
        ("mass-changes-allowed", Fact::MassChangesAllowed { number }),
        ("run-held", Fact::RunHeld { number, reason: "half of the devices vanished".into() }),
        (
            "devices-vanished",
            Fact::DevicesVanished { number, vanished: [device_id()].into(), back: BTreeSet::new() },
        ),
        ("decided", Fact::DecisionMade(Box::new(decision()))),
        ("intended", Fact::ChangeIntended(intent())),
        (
            "intent-withdrawn",
            Fact::IntentWithdrawn {
                change: uuid(1),
                key: Key::User(user_key()),
                worker: "writer/1".into(),
                refused: false,
                at: time(),
            },
        ),
        ("ended", Fact::ChangeEnded(Box::new(outcome()))),
        ("ended-failed", Fact::ChangeEnded(Box::new(failed_outcome()))),
        ("checkpoint-begun", Fact::CheckpointBegun { checkpoint: uuid(8), as_of: 41, format: FORMAT }),
        (
            "checkpoint-rows",
            Fact::CheckpointRows {
                checkpoint: uuid(8),
                part: 0,
                rows: BTreeMap::from([("link/1".into(), json!({"asset": "AST-17"}))]),
            },
        ),
        ("checkpoint-ended", Fact::CheckpointEnded { checkpoint: uuid(8), parts: 1 }),
    ]
}
