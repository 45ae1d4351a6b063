//! A small Kandji and a small AMFJ, the facts that a fetcher would publish about them, and a writer
//! that always succeeds. Built for reading: `world.device("d1", "Mac 1", "S1")`.

mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use amfj_sync_config::{self as config, Integration};
use amfj_sync_model::amfj::{Asset, AssetType, Field, FieldType, Holder, Named, Source, UserRecord};
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{
    Absence, Action, Catalogue, Change, Details, DeviceEntry, DeviceStatus, Event, Fact, InventoryCounts,
    OperatorDecision, OperatorOrder, Origin, PrimaryUser, RunStarted, Sequence, UserEntry,
};
use amfj_sync_model::names::email_key;
use amfj_sync_projection::Projection;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::{Draft, Site, decide_device, decide_missing, decide_user};

/// One Kandji user.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) archived: bool,
}

/// Both services, and what the workers know of them.
pub(crate) struct World {
    pub(crate) config: Integration,
    pub(crate) catalogue: Catalogue,
    pub(crate) assets: BTreeMap<AssetId, Asset>,
    pub(crate) records: BTreeMap<RecordId, UserRecord>,
    /// In the order in which they are listed.
    pub(crate) devices: Vec<DeviceEntry>,
    pub(crate) people: BTreeMap<String, Person>,
    pub(crate) owners: BTreeMap<DeviceId, String>,
    /// What the details of a missing device answer; 404 unless said otherwise.
    pub(crate) absences: BTreeMap<DeviceId, Absence>,
    pub(crate) first_sync: bool,
    pub(crate) view: Projection,
    run: u64,
    step: u32,
    offset: u64,
    created: BTreeMap<Key, u32>,
}

/// From one run to the next: a run is numbered by the milliseconds since 1970.
const RUN_MS: u64 = 3_600_000;

const BASE: &str = include_str!("../../../../shared/config/src/fixture.toml");

/// Beside the default.
const ASSET_TYPES: &str = "[integration.asset_types]\niPhone = \"Phone\"";

fn field(name: &str, field_type: FieldType, required: bool, options: &[&str]) -> Field {
    let options = options.iter().map(ToString::to_string).collect();
    Field { name: name.to_owned(), field_type, required, options }
}

fn catalogue() -> Catalogue {
    let laptop = vec![
        field("Serial Number", FieldType::Text, false, &[]),
        field("OS", FieldType::Text, false, &[]),
        field("Memory", FieldType::Number, false, &[]),
        field("Supervised", FieldType::Boolean, false, &[]),
        field("Enrolled", FieldType::Date, false, &[]),
        field("Colour", FieldType::Select, false, &["Space Grey", "Silver"]),
    ];
    let phone = vec![field("Serial Number", FieldType::Text, true, &[])];
    let kind = |id: &str, name: &str, fields| AssetType { id: id.to_owned(), name: name.to_owned(), fields };
    Catalogue {
        asset_types: vec![kind("t1", "Laptop", laptop), kind("t2", "Phone", phone)],
        locations: vec![Named { id: "l1".to_owned(), name: "HQ".to_owned() }],
        user_fields: vec![field("Team", FieldType::Text, false, &[])],
    }
}

impl World {
    /// A world whose integration has these settings in `[integration.sync]`, and these tables after it.
    pub(crate) fn new(sync: &str, tables: &str) -> Self {
        let text = format!("{BASE}{sync}\n{ASSET_TYPES}\n{tables}\n");
        let tokens = [("T".to_owned(), "secret".to_owned())];
        let loaded =
            config::parse(Path::new("amfj-sync.toml"), text, &BTreeMap::from(tokens), config::Tokens::Both)
                .unwrap_or_else(|errors| panic!("{errors}"));
        let config = loaded.config.integrations.into_iter().next().unwrap();
        let view = Projection::in_memory(config.fields.field_of("serial_number"));
        Self {
            config,
            catalogue: catalogue(),
            assets: BTreeMap::new(),
            records: BTreeMap::new(),
            devices: Vec::new(),
            people: BTreeMap::new(),
            owners: BTreeMap::new(),
            absences: BTreeMap::new(),
            first_sync: true,
            view,
            run: 0,
            step: 0,
            offset: 0,
            created: BTreeMap::new(),
        }
    }

    pub(crate) fn site(&self) -> Site<'_> {
        Site { view: &self.view, siblings: &[], config: &self.config, now: Timestamp::UNIX_EPOCH }
    }

    // What there is.

    pub(crate) fn asset(&mut self, id: &str, name: &str) -> &mut Asset {
        let asset = Asset {
            id: AssetId::new(id).unwrap(),
            name: name.to_owned(),
            asset_type: Named { id: "t1".to_owned(), name: "Laptop".to_owned() },
            location: None,
            fields: BTreeMap::new(),
            checked_out_to: None,
            created_at: None,
        };
        self.assets.entry(asset.id.clone()).insert_entry(asset).into_mut()
    }

    pub(crate) fn asset_with_serial(&mut self, id: &str, name: &str, serial: &str) {
        self.asset(id, name).fields.insert("Serial Number".to_owned(), serial.into());
    }

    pub(crate) fn record(&mut self, id: &str, name: &str, email: Option<&str>) {
        let record = UserRecord {
            id: RecordId::new(id).unwrap(),
            name: name.to_owned(),
            email: email.map(str::to_owned),
            source: Source::Local,
            fields: BTreeMap::new(),
        };
        self.records.insert(record.id.clone(), record);
    }

    pub(crate) fn device(&mut self, id: &str, name: &str, serial: &str) -> &mut DeviceEntry {
        let values = [("serial_number", serial), ("device_name", name), ("os_version", "15.1")];
        let values = values.map(|(path, value)| (path.to_owned(), Value::from(value)));
        self.devices.push(DeviceEntry {
            device_id: DeviceId::new(id).unwrap(),
            name: name.to_owned(),
            serial: serial.to_owned(),
            platform: "Mac".to_owned(),
            user: PrimaryUser::Nobody,
            in_scope: true,
            removed: false,
            values: BTreeMap::from(values),
            details: None,
        });
        self.devices.last_mut().unwrap()
    }

    pub(crate) fn entry(&mut self, id: &str) -> &mut DeviceEntry {
        self.devices.iter_mut().find(|device| device.device_id.as_str() == id).unwrap()
    }

    pub(crate) fn details(&mut self, id: &str, values: Value) {
        let Value::Object(values) = values else { panic!("details are an object") };
        let details = Details { check_in: "now".to_owned(), values: values.into_iter().collect() };
        self.entry(id).details = Some(details);
    }

    pub(crate) fn person(&mut self, id: &str, name: &str, email: Option<&str>) -> &mut Person {
        let person = Person {
            id: id.to_owned(),
            name: name.to_owned(),
            email: email.map(str::to_owned),
            archived: false,
        };
        self.people.entry(id.to_owned()).insert_entry(person).into_mut()
    }

    /// Gives a device a primary user.
    pub(crate) fn owns(&mut self, person: &str, device: &str) {
        self.owners.insert(DeviceId::new(device).unwrap(), person.to_owned());
    }

    pub(crate) fn nobody_owns(&mut self, device: &str) {
        self.owners.remove(device);
    }

    pub(crate) fn hand_to(&mut self, asset: &str, record: Option<&str>) {
        let holder = record.map(|id| {
            let record = &self.records[id];
            Holder { id: record.id.clone(), name: record.name.clone() }
        });
        self.assets.get_mut(asset).unwrap().checked_out_to = holder;
    }

    /// Unenrols a device.
    pub(crate) fn unenrol(&mut self, device: &str) {
        self.devices.retain(|entry| entry.device_id.as_str() != device);
    }

    // What a fetcher says.

    fn person_key(person: &Person) -> UserKey {
        UserKey::new(person.email.as_deref().and_then(email_key).unwrap_or_else(|| person.id.clone()))
            .unwrap()
    }

    /// The people whom listed devices name, by key, as a fetcher gathers them.
    pub(crate) fn users(&self) -> BTreeMap<UserKey, UserEntry> {
        let named: BTreeSet<&String> =
            self.devices.iter().filter_map(|device| self.owners.get(&device.device_id)).collect();
        let mut users: BTreeMap<UserKey, UserEntry> = BTreeMap::new();
        for person in named.into_iter().map(|id| &self.people[id]) {
            let key = Self::person_key(person);
            let entry = users.entry(key.clone()).or_insert_with(|| UserEntry {
                key,
                ids: Vec::new(),
                email: person.email.clone(),
                name: person.name.clone(),
                archived: true,
                values: BTreeMap::from([("user.name".to_owned(), person.name.clone().into())]),
            });
            entry.ids.push(KandjiUserId::new(&person.id).unwrap());
            entry.archived &= person.archived;
        }
        users
    }

    /// A complete run: everything is read, and in force.
    pub(crate) fn run(&mut self) {
        self.run += RUN_MS;
        self.step = 0;
        for device in &mut self.devices {
            if let Some(owner) = self.owners.get(&device.device_id) {
                device.user = PrimaryUser::Person { key: Self::person_key(&self.people[owner]) };
            } else if matches!(device.user, PrimaryUser::Person { .. }) {
                device.user = PrimaryUser::Nobody;
            }
        }
        let mut facts = vec![Fact::RunStarted(self.started())];
        facts.extend(self.amfj_facts());
        facts.extend(self.kandji_facts());
        let counts = InventoryCounts::default();
        facts.push(Fact::InventoryComplete { number: self.run, counts, report: Box::default() });
        for fact in facts {
            self.tell(fact);
        }
    }

    fn started(&self) -> RunStarted {
        RunStarted {
            number: self.run,
            leader: "test".to_owned(),
            at: self.time(),
            first_sync: self.first_sync,
            applies_to_all: true,
            auto_checkout: self.config.sync.auto_checkout,
            list_delay_ms: 0,
            judged: false,
            mapping: BTreeMap::new(),
        }
    }

    fn amfj_facts(&self) -> Vec<Fact> {
        let number = self.run;
        let mut facts = vec![Fact::CatalogueListed { number, catalogue: self.catalogue.clone() }];
        facts.extend(self.assets.values().map(|asset| Fact::AssetListed { number, asset: asset.clone() }));
        self.view.each_asset(&mut |row| {
            if !self.assets.contains_key(&row.asset.id) {
                facts.push(Fact::AssetAbsent { number, asset: row.asset.id });
            }
            true
        });
        facts.extend(
            self.records.values().map(|record| Fact::RecordListed { number, record: record.clone() }),
        );
        self.view.each_record(&mut |row| {
            if !self.records.contains_key(&row.record.id) {
                facts.push(Fact::RecordAbsent { number, record: row.record.id });
            }
            true
        });
        facts
    }

    fn kandji_facts(&self) -> Vec<Fact> {
        let number = self.run;
        let listed = self.devices.iter();
        let mut facts: Vec<Fact> =
            listed.map(|device| Fact::DeviceListed { number, device: device.clone() }).collect();
        self.view.each_device(&mut |row| {
            let id = row.entry.device_id;
            let device = self.devices.iter().find(|device| device.device_id == id);
            if device.is_none() || self.absences.contains_key(&id) {
                let absence = self.absences.get(&id).copied().unwrap_or(Absence::NotFound);
                facts.push(Fact::DeviceMissing { number, device: id, absence });
            }
            true
        });
        let users = self.users();
        self.view.each_user(&mut |row| {
            if !users.contains_key(&row.entry.key) {
                facts.push(Fact::UserMissing { number, user: row.entry.key });
            }
            true
        });
        facts.extend(users.into_values().map(|user| Fact::UserListed { number, user }));
        facts
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_second(1_760_000_000 + i64::try_from(self.offset).unwrap() * 60).unwrap()
    }

    pub(crate) fn tell(&mut self, fact: Fact) {
        let origin = Origin {
            source: "test".to_owned(),
            integration: IntegrationId::new("acme").unwrap(),
            run: None,
            sequence: None,
            traceparent: None,
        };
        self.offset += 1;
        let event = Event::fact(&origin, self.time(), fact);
        self.view.apply(&[(self.offset, event)]).unwrap();
    }

    pub(crate) fn order(&mut self, order: OperatorOrder) {
        let decision = OperatorDecision { by: "sam@host".to_owned(), order };
        self.tell(Fact::OperatorDecided { token: Uuid::from_u128(u128::from(self.offset)), decision });
    }

    // What a reconciler says.

    pub(crate) fn decide(&self, device: &str) -> Draft {
        let row = self.view.device(&DeviceId::new(device).unwrap()).unwrap();
        if row.is_listed() {
            decide_device(&self.site(), &row.entry, Sequence::first(self.run))
        } else {
            decide_missing(&self.site(), &row)
        }
    }

    /// Says what is decided about a device, as a reconciler does.
    pub(crate) fn decided(&mut self, device: &str) {
        let decision = self.decide(device).decision;
        self.tell(Fact::DecisionMade(Box::new(decision)));
    }

    pub(crate) fn decide_user(&self, key: &str) -> Draft {
        let row = self.view.user(&UserKey::new(key).unwrap()).unwrap();
        decide_user(&self.site(), &row.entry, Sequence::first(self.run))
    }

    pub(crate) fn state(&self, device: &str) -> DeviceStatus {
        self.decide(device).decision.state
    }

    /// The only action about a device.
    pub(crate) fn action(&self, device: &str) -> Action {
        only(self.decide(device))
    }

    /// The only action about a person.
    pub(crate) fn user_action(&self, key: &str) -> Action {
        only(self.decide_user(key))
    }

    /// Every key that has to be decided: people, then devices, missing ones included.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        self.view.each_user(&mut |row| {
            if !row.missing {
                keys.push(Key::User(row.entry.key));
            }
            true
        });
        self.view.each_device(&mut |row| {
            keys.push(Key::Device(row.entry.device_id));
            true
        });
        keys
    }

    pub(crate) fn draft(&self, key: &Key) -> Draft {
        match key {
            Key::Device(id) => self.decide(id.as_str()),
            Key::User(key) => self.decide_user(key.as_str()),
        }
    }

    /// Decides every key once in this order, and has each change made at once.
    pub(crate) fn decide_all(&mut self, keys: &[Key]) -> Vec<Change> {
        let mut made = Vec::new();
        for key in keys {
            for change in self.draft(key).changes {
                self.make(&change);
                made.push(change);
            }
        }
        made
    }

    /// Decides everything until nothing is left to do; panics where that never ends.
    pub(crate) fn settle(&mut self) -> usize {
        let mut changes = 0;
        for _ in 0..5 {
            let keys = self.keys();
            match self.decide_all(&keys).len() {
                0 => return changes,
                made => changes += made,
            }
        }
        panic!("deciding again after applying goes on and on");
    }
}

fn only(draft: Draft) -> Action {
    let mut changes = draft.changes.into_iter();
    match (changes.next(), changes.next()) {
        (Some(change), None) => change.action,
        (first, second) => panic!("one change expected: {first:?}, {second:?}; {:?}", draft.decision),
    }
}
