//! What a writer may make, on a view of one device, its owner and two assets.

use std::collections::BTreeMap;
use std::path::Path;

use amfj_sync_config::{self as config, Tokens};
use amfj_sync_model::amfj::{Asset, AssetType, Field, FieldType, Holder, Source, UserRecord};
use amfj_sync_model::ids::{IntegrationId, KandjiUserId, RecordId, UserKey};
use amfj_sync_model::messages::{
    Absence, AssetWrite, Catalogue, DeviceEntry, Edit, Ending, Fact, InventoryCounts, LinkOutcome,
    OperatorDecision, Origin, Payload, PrimaryUser, RunStarted, Sequence, Settled, UserEntry,
    UserLinkOutcome, UserWrite,
};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::*;

const BASE: &str = include_str!("../../../shared/config/src/fixture.toml");

const TABLES: &str = r#"
[integration.asset_types]
iPhone = "Phone"
[integration.fields]
"Serial Number" = "serial_number"
[integration.user_fields]
"Team" = "user.name"
"#;

/// Run numbers are the milliseconds of their start.
const RUN: u64 = 1_764_000_000_000;

struct World {
    config: Integration,
    view: Projection,
    offset: u64,
    run: u64,
}

fn named(id: &str, name: &str) -> Named {
    Named { id: id.into(), name: name.into() }
}

fn device() -> DeviceId {
    DeviceId::new("d1").unwrap()
}

fn asset_id(id: &str) -> AssetId {
    AssetId::new(id).unwrap()
}

fn record_id(id: &str) -> RecordId {
    RecordId::new(id).unwrap()
}

fn user_key() -> UserKey {
    UserKey::new("ann@example.com").unwrap()
}

fn user_id() -> KandjiUserId {
    KandjiUserId::new("k1").unwrap()
}

fn holder(id: &str) -> Holder {
    Holder { id: record_id(id), name: id.into() }
}

impl World {
    /// With these settings in `[integration.sync]`.
    fn new(sync: &str) -> Self {
        let tokens = BTreeMap::from([("T".to_owned(), "secret".to_owned())]);
        let text = format!("{BASE}{sync}\n{TABLES}");
        let loaded = config::parse(Path::new("amfj-sync.toml"), text, &tokens, Tokens::Both)
            .unwrap_or_else(|errors| panic!("{errors}"));
        let config = loaded.config.integrations.into_iter().next().unwrap();
        let mut world = Self { config, view: Projection::in_memory(None), offset: 0, run: RUN };
        world.tell(Fact::StreamOpened { stream: Uuid::nil(), format: 2, partitions: 2 });
        world.run_with(Some("ann@example.com"), true);
        world
    }

    fn origin() -> Origin {
        let integration = IntegrationId::new("acme").unwrap();
        Origin { source: "test".into(), integration, run: None, sequence: None, traceparent: None }
    }

    fn tell(&mut self, fact: Fact) {
        self.offset += 1;
        let time = Timestamp::from_millisecond(i64::try_from(self.run).unwrap()).unwrap();
        let event = Event::fact(&Self::origin(), time, fact);
        self.view.apply(&[(self.offset, event)]).unwrap();
    }

    /// Starts the next run.
    fn start_run(&mut self) -> u64 {
        self.run += 3_600_000;
        let number = self.run;
        let at = Timestamp::from_millisecond(i64::try_from(number).unwrap()).unwrap();
        self.tell(Fact::RunStarted(RunStarted {
            number,
            leader: "test".into(),
            at,
            first_sync: self.view.meta().latest.is_none(),
            applies_to_all: true,
            auto_checkout: true,
            list_delay_ms: 0,
            judged: true,
            mapping: BTreeMap::new(),
        }));
        number
    }

    /// A run in which only this is another than before.
    fn run_saying(&mut self, facts: impl FnOnce(u64) -> Vec<Fact>) {
        let number = self.start_run();
        for fact in facts(number) {
            self.tell(fact);
        }
        let counts = InventoryCounts::default();
        self.tell(Fact::InventoryComplete { number, counts, report: Box::default() });
    }

    /// A run that lists the device with this owner; missing, if it is not to be listed.
    fn run_with(&mut self, owner: Option<&str>, listed: bool) {
        let number = self.start_run();
        let serial = Field {
            name: "Serial Number".into(),
            field_type: FieldType::Text,
            required: false,
            options: Vec::new(),
        };
        let kind = |id: &str, name: &str| AssetType {
            id: id.into(),
            name: name.into(),
            fields: vec![serial.clone()],
        };
        let catalogue = Catalogue {
            asset_types: vec![kind("t1", "Laptop"), kind("t2", "Phone")],
            locations: vec![named("l1", "HQ"), named("l2", "Elsewhere")],
            user_fields: Vec::new(),
        };
        self.tell(Fact::CatalogueListed { number, catalogue });
        for id in ["a1", "a2"] {
            let asset = Asset {
                id: asset_id(id),
                name: id.into(),
                asset_type: named("t1", "Laptop"),
                location: None,
                fields: BTreeMap::new(),
                checked_out_to: None,
                created_at: None,
            };
            self.tell(Fact::AssetListed { number, asset });
        }
        for (id, email) in [("u1", "ann@example.com"), ("u2", "bob@example.com")] {
            let (fields, email) = (BTreeMap::new(), Some(email.to_owned()));
            let record =
                UserRecord { id: record_id(id), name: id.into(), email, source: Source::Local, fields };
            self.tell(Fact::RecordListed { number, record });
        }
        let user = owner.map_or(PrimaryUser::Nobody, |_| PrimaryUser::Person { key: user_key() });
        let entry = DeviceEntry {
            device_id: device(),
            name: "Mac".into(),
            serial: " C02X ".into(),
            platform: "Mac".into(),
            user,
            in_scope: true,
            removed: false,
            values: BTreeMap::new(),
            details: None,
        };
        if listed {
            self.tell(Fact::DeviceListed { number, device: entry });
        } else {
            self.tell(Fact::DeviceMissing { number, device: device(), absence: Absence::NotFound });
        }
        let user = UserEntry {
            key: user_key(),
            ids: vec![user_id()],
            email: Some("ann@example.com".into()),
            name: "Ann".into(),
            archived: false,
            values: BTreeMap::new(),
        };
        self.tell(Fact::UserListed { number, user });
        let counts = InventoryCounts::default();
        self.tell(Fact::InventoryComplete { number, counts, report: Box::default() });
    }

    fn change(action: Action) -> Change {
        Change {
            key: Key::Device(device()),
            label: "Mac".into(),
            serial: "C02X".into(),
            serials: Vec::new(),
            action,
        }
    }

    fn of_user(action: Action) -> Change {
        Change { key: Key::User(user_key()), serial: String::new(), ..Self::change(action) }
    }

    /// Links the device with an asset and its owner with a record, and settles that one.
    fn linked(mut self, ours: bool, settled: Option<&str>) -> Self {
        let place = Sequence { run: self.run, step: 1 };
        let change = Self::change(Action::BreakLink { asset: asset_id("a1") });
        let mut outcome = Outcome::of(Uuid::from_u128(1), place, &change, Ending::Applied);
        outcome.link =
            Some(LinkOutcome::Linked { asset: asset_id("a1"), rule: Rule::Name, takes_over: None });
        outcome.settled = settled.map(|id| Settled { primary: Some(record_id(id)) });
        self.tell(Fact::ChangeEnded(Box::new(outcome)));
        let change = Self::of_user(Action::BreakLink { asset: asset_id("a1") });
        let mut outcome = Outcome::of(Uuid::from_u128(2), place, &change, Ending::Applied);
        let rule = if ours { Rule::Created } else { Rule::Email };
        outcome.record = self.view.record(&record_id("u1")).map(|row| row.record);
        outcome.user_link = Some(UserLinkOutcome { record: record_id("u1"), rule, ids: vec![user_id()] });
        self.tell(Fact::ChangeEnded(Box::new(outcome)));
        self
    }

    fn judge_at(&self, place: Sequence, change: &Change, elsewhere: bool) -> Judged {
        let origin = Origin { sequence: Some(place), ..Self::origin() };
        let event = Event::new(
            &origin,
            change.key.to_string(),
            Timestamp::UNIX_EPOCH,
            Payload::Change(change.clone()),
        );
        let partition = Some((change.key.partition(2), 2));
        let (config, view) = (&self.config, &self.view);
        check(&Asked { event: &event, change, partition, config, view, linked_elsewhere: &|_| elsewhere })
    }

    fn judge(&self, change: &Change) -> Judged {
        self.judge_at(Sequence { run: self.run, step: 2 }, change, false)
    }

    fn judge_action(&self, action: Action) -> Judged {
        self.judge(&Self::change(action))
    }
}

fn edit(new: Value) -> Edit {
    Edit { old: Value::Null, new }
}

fn update(field: &str, new: Value) -> Action {
    let fields = BTreeMap::from([(field.to_owned(), edit(new))]);
    Action::UpdateAsset { asset: asset_id("a1"), write: AssetWrite { fields, ..AssetWrite::default() } }
}

fn create(asset_type: Named) -> Action {
    Action::CreateAsset { name: "Mac".into(), asset_type, location: None, fields: BTreeMap::new() }
}

fn assign(from: Option<&str>, to: Option<&str>) -> Action {
    let (expected, primary) = (from.map(holder), to.map(record_id));
    Action::Assign { asset: asset_id("a1"), expected, to: to.map(holder), primary }
}

#[test]
fn values_are_of_mapped_fields() {
    let world = World::new("");
    assert_eq!(world.judge_action(update("Serial Number", json!("C02X"))), Ok(()));
    let not_mapped = |field: &str| Err(NotAllowed::NotMapped(field.to_owned()));
    assert_eq!(world.judge_action(update("Notes", json!("x"))), not_mapped("Notes"));
    assert_eq!(world.judge_action(update("Name", json!("x"))), not_mapped("Name"));
    let clears = Err(NotAllowed::Clears("Serial Number".to_owned()));
    assert_eq!(world.judge_action(update("Serial Number", Value::Null)), clears);
    let world = World::new("on_empty = \"clear\"");
    assert_eq!(world.judge_action(update("Serial Number", Value::Null)), Ok(()));
}

#[test]
fn p11_p19_nothing_is_done_out_of_scope_or_for_who_is_archived() {
    let mut world = World::new("create_users = \"all\"");
    let mut entry = world.view.device(&device()).unwrap().entry;
    entry.in_scope = false;
    let mut user = world.view.user(&user_key()).unwrap().entry;
    user.archived = true;
    world.run_saying(|number| {
        vec![Fact::DeviceListed { number, device: entry }, Fact::UserListed { number, user }]
    });
    assert_eq!(world.judge_action(update("Serial Number", json!("C02X"))), Err(NotAllowed::OutOfScope));
    let create = World::of_user(Action::CreateUser {
        name: "Ann".to_owned(),
        email: None,
        fields: BTreeMap::new(),
        ids: vec![user_id()],
    });
    assert_eq!(world.judge(&create), Err(NotAllowed::Archived));
}

#[test]
fn a_value_is_no_larger_than_all_values_of_a_record() {
    let world = World::new("");
    let large = json!([["x".repeat(LONGEST_RECORD)]]);
    let too_large = Err(NotAllowed::TooLarge("Serial Number".to_owned()));
    assert_eq!(world.judge_action(update("Serial Number", large)), too_large);
}

/// Before the first inventory, and after the stream was declared anew.
#[test]
fn nothing_is_created_for_whom_nobody_knows() {
    let settings = "create_devices = \"always\"\ncreate_users = \"all\"";
    let mut world = World::new(settings);
    world.view = Projection::in_memory(None);
    let made = create(named("t2", "Phone"));
    assert_eq!(
        world.judge_at(Sequence::default(), &World::change(made), false),
        Err(NotAllowed::NoSuchDevice)
    );
    let person = World::of_user(Action::CreateUser {
        name: "Mallory".to_owned(),
        email: None,
        fields: BTreeMap::new(),
        ids: vec![user_id()],
    });
    assert_eq!(world.judge_at(Sequence::default(), &person, false), Err(NotAllowed::NoSuchPerson));
}

#[test]
fn a_location_is_the_default_one() {
    let located = |id: &str, name: &str| {
        let write = AssetWrite { location: Some(named(id, name)), ..AssetWrite::default() };
        Action::UpdateAsset { asset: asset_id("a1"), write }
    };
    let world = World::new("default_location = \"HQ\"");
    assert_eq!(world.judge_action(located("l1", "HQ")), Ok(()));
    for action in [located("l2", "Elsewhere"), located("l2", "HQ"), located("l1", "Elsewhere")] {
        assert_eq!(world.judge_action(action), Err(NotAllowed::OtherLocation));
    }
    assert_eq!(World::new("").judge_action(located("l1", "HQ")), Err(NotAllowed::OtherLocation));
}

#[test]
fn p7_an_asset_is_created_as_configured_and_as_long_as_that_is_so() {
    let laptop = || create(named("t1", "Laptop"));
    assert_eq!(World::new("").judge_action(laptop()), Err(NotAllowed::NoDevicesCreated));
    let mut world = World::new("create_devices = \"first-sync\"");
    assert_eq!(world.judge_action(laptop()), Ok(()));
    assert_eq!(world.judge_action(create(named("t2", "Phone"))), Err(NotAllowed::OtherAssetType));
    assert_eq!(world.judge_action(create(named("t2", "Laptop"))), Err(NotAllowed::OtherAssetType));
    world.run_with(Some("ann@example.com"), true);
    assert_eq!(world.judge_action(laptop()), Err(NotAllowed::FirstSyncIsOver));
    let mut world = World::new("create_devices = \"always\"");
    world.run_with(Some("ann@example.com"), true);
    assert_eq!(world.judge_action(laptop()), Ok(()));
}

#[test]
fn a_link_is_of_a_rule_or_of_a_person_who_said_so() {
    let link = |rule| Action::LinkAsset {
        asset: asset_id("a2"),
        rule,
        takes_over: None,
        write: AssetWrite::default(),
    };
    let mut world = World::new("");
    for rule in [Rule::Name, Rule::Serial, Rule::Reenrolled] {
        assert_eq!(world.judge_action(link(rule)), Ok(()), "{rule:?}");
    }
    for rule in [Rule::Created, Rule::Email, Rule::UserName, Rule::SamePerson] {
        assert_eq!(world.judge_action(link(rule)), Err(NotAllowed::NoSuchRule), "{rule:?}");
    }
    assert_eq!(world.judge_action(link(Rule::Person)), Err(NotAllowed::NoPersonDecided));
    let elsewhere =
        world.judge_at(Sequence { run: world.run, step: 2 }, &World::change(link(Rule::Name)), true);
    assert_eq!(elsewhere, Err(NotAllowed::LinkedElsewhere));
    let order = OperatorOrder::Link { device: device(), asset: asset_id("a2") };
    world.tell(Fact::OperatorDecided {
        token: Uuid::nil(),
        decision: OperatorDecision { by: "ann".into(), order },
    });
    assert_eq!(world.judge_action(link(Rule::Person)), Ok(()));
}

#[test]
fn p20_p21_an_asset_goes_to_the_primary_user_alone() {
    let world = World::new("auto_checkout = true").linked(false, None);
    assert_eq!(world.judge_action(assign(None, Some("u1"))), Ok(()));
    assert_eq!(world.judge_action(assign(Some("u2"), Some("u1"))), Ok(()));
    assert_eq!(world.judge_action(assign(None, Some("u2"))), Err(NotAllowed::NotThePrimaryUser));
    assert_eq!(world.judge_action(assign(Some("u2"), Some("u2"))), Ok(()), "nothing is written");
    assert_eq!(world.judge_action(assign(Some("u1"), None)), Err(NotAllowed::NoCheckIn));
    let keeps = World::new("auto_checkout = true\nfirst_assignment = \"keep\"").linked(false, None);
    assert_eq!(keeps.judge_action(assign(Some("u2"), Some("u1"))), Err(NotAllowed::KeepsTheHolder));
    assert_eq!(keeps.judge_action(assign(None, Some("u1"))), Ok(()));
    let same = World::new("auto_checkout = true").linked(false, Some("u1"));
    assert_eq!(same.judge_action(assign(None, Some("u1"))), Err(NotAllowed::SamePrimaryUser));
    let enforced = World::new("auto_checkout = true\nassignment = \"enforce\"").linked(false, Some("u1"));
    assert_eq!(enforced.judge_action(assign(None, Some("u1"))), Ok(()));
    let barred = "auto_checkout = true\nno_checkout_users = [\"Ann@Example.com\"]";
    let barred = World::new(barred).linked(false, Some("u2"));
    assert_eq!(barred.judge_action(assign(None, Some("u1"))), Err(NotAllowed::BarredUser));
    assert_eq!(barred.judge_action(assign(Some("u2"), None)), Ok(()), "whoever was settled before loses it");
    let off = World::new("").linked(false, None);
    assert_eq!(off.judge_action(assign(None, Some("u1"))), Err(NotAllowed::NoAutoCheckout));
}

#[test]
fn p21_p22_an_asset_is_taken_back_where_a_setting_says_so() {
    let mut left = World::new("auto_checkout = true").linked(false, Some("u1"));
    left.run_with(None, true);
    assert_eq!(left.judge_action(assign(Some("u1"), None)), Ok(()));
    assert_eq!(left.judge_action(assign(Some("u2"), None)), Err(NotAllowed::NoCheckIn));
    let mut enforced = World::new("auto_checkout = true\nassignment = \"enforce\"").linked(false, Some("u1"));
    enforced.run_with(None, true);
    assert_eq!(enforced.judge_action(assign(Some("u2"), None)), Ok(()));
    for (sync, allowed) in [("when_gone = \"check-in\"", Ok(())), ("", Err(NotAllowed::NoAutoCheckout))] {
        let mut gone = World::new(sync).linked(false, None);
        gone.run_with(None, false);
        assert_eq!(gone.judge_action(assign(Some("u2"), None)), allowed, "{sync:?}");
    }
}

#[test]
fn p11_only_records_of_ours_and_of_this_person_are_changed() {
    let rename = || {
        let write = UserWrite { name: Some(edit(json!("Ann B."))), ..UserWrite::default() };
        World::of_user(Action::UpdateUser { record: record_id("u1"), write })
    };
    assert_eq!(World::new("").linked(true, None).judge(&rename()), Ok(()));
    assert_eq!(World::new("").linked(false, None).judge(&rename()), Err(NotAllowed::OthersRecord));
    assert_eq!(World::new("").judge(&rename()), Err(NotAllowed::OthersRecord));
    let ids = |id: &str| vec![KandjiUserId::new(id).unwrap()];
    let create = |id: &str| {
        let (name, fields) = ("Ann".to_owned(), BTreeMap::new());
        World::of_user(Action::CreateUser { name, email: None, fields, ids: ids(id) })
    };
    assert_eq!(World::new("").judge(&create("k1")), Ok(()));
    assert_eq!(World::new("").judge(&create("k2")), Err(NotAllowed::OtherUsers));
    assert_eq!(World::new("create_users = \"never\"").judge(&create("k1")), Err(NotAllowed::NoUsersCreated));
}

#[test]
fn a_message_is_where_it_belongs_and_of_a_run_that_goes_on() {
    let mut world = World::new("");
    let change = World::change(update("Serial Number", json!("C02X")));
    let other = Change { serial: "C02Y".into(), ..change.clone() };
    assert_eq!(world.judge(&other), Err(NotAllowed::OtherSerial));
    let later = Sequence { run: world.run + 1, step: 0 };
    assert_eq!(world.judge_at(later, &change, false), Err(NotAllowed::NoSuchRun(world.run + 1)));
    let unfit = World::of_user(change.action.clone());
    assert_eq!(world.judge(&unfit), Err(NotAllowed::OtherKind("update-asset")));
    world.tell(Fact::RunHeld { number: world.run, reason: "too much".into() });
    assert_eq!(world.judge(&change), Err(NotAllowed::Held));
    let order = OperatorOrder::Release;
    world.tell(Fact::OperatorDecided {
        token: Uuid::nil(),
        decision: OperatorDecision { by: "ann".into(), order },
    });
    assert_eq!(world.judge(&change), Ok(()));
}

#[test]
fn p25_a_device_of_somebody_else_opens_no_apply_only() {
    let mut world = World::new("").linked(true, None);
    world.config.apply_only = ["C02X".to_owned(), "C02Y".to_owned()].into();
    let write = UserWrite { name: Some(edit(json!("Ann B."))), ..UserWrite::default() };
    let rename = World::of_user(Action::UpdateUser { record: record_id("u1"), write });
    let with = |serial: &str| Change { serials: vec![serial.to_owned()], ..rename.clone() };
    assert_eq!(world.judge(&with("C02X")), Ok(()));
    assert_eq!(world.judge(&with("C02Y")), Err(NotAllowed::OtherDevices));
}
