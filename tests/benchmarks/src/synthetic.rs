//! An integration of any size, made of facts: every device has a user, a linked asset and five mapped
//! fields.

use std::collections::BTreeMap;
use std::path::Path;

use amfj_sync_config::{Config, Tokens, parse};
use amfj_sync_model::amfj::{Asset, AssetType, Field, FieldType, Holder, Named, Source, UserRecord};
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{
    Action, AssetWrite, Catalogue, Change, DeviceEntry, Ending, Event, Fact, InventoryCounts, LinkOutcome,
    Origin, Outcome, PrimaryUser, Rule, RunStarted, Sequence, Settled, UserEntry, UserLinkOutcome,
};
use anyhow::{Result, anyhow};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// The fields that are mapped, with their properties.
const FIELDS: [(&str, &str); 5] = [
    ("Serial Number", "serial_number"),
    ("Model", "model"),
    ("OS Version", "os_version"),
    ("Blueprint", "blueprint_name"),
    ("Asset Tag", "asset_tag"),
];

/// The one integration.
pub const ID: &str = "bench";

/// Where a broker is, and what its queues are called.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// `broker.url`.
    pub url: &'a str,
    /// `broker.prefix`.
    pub prefix: &'a str,
    /// `broker.partitions`.
    pub partitions: u16,
}

/// The text of a configuration for all three workers.
#[must_use]
pub fn settings(place: Place<'_>, data: &Path) -> String {
    let Place { url, prefix, partitions } = place;
    let data = data.display();
    let lines: Vec<String> =
        FIELDS.iter().map(|(field, property)| format!("\"{field}\" = \"{property}\"")).collect();
    let fields = lines.join("\n");
    format!(
        r#"
        [broker]
        url = "{url}"
        prefix = "{prefix}"
        partitions = {partitions}
        [fetcher]
        listen = "127.0.0.1:0"
        data_dir = "{data}/fetcher"
        [reconciler]
        listen = "127.0.0.1:0"
        data_dir = "{data}/reconciler"
        [writer]
        listen = "127.0.0.1:0"
        data_dir = "{data}/writer"
        concurrency = 256
        [timing]
        ownership_interval = "200ms"
        [[integration]]
        id = "{ID}"
        mode = "apply"
        [integration.kandji]
        api_url = "http://127.0.0.1:1"
        token = {{ env = "BENCH_TOKEN" }}
        [integration.amfj]
        api_url = "http://127.0.0.1:2"
        token = {{ env = "BENCH_TOKEN" }}
        requests_per_second = 10000
        [integration.sync]
        default_asset_type = "Laptop"
        create_devices = "always"
        auto_checkout = true
        change_limit = "100%"
        [integration.fields]
        {fields}
        "#
    )
}

/// The environment that the configuration needs.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([("BENCH_TOKEN".to_owned(), "token".to_owned())])
}

/// The configuration as the workers read it.
///
/// # Errors
/// Never, unless this file and the configuration have grown apart.
pub fn config(place: Place<'_>, data: &Path) -> Result<Config> {
    let loaded = parse(Path::new("bench.toml"), settings(place, data), &environment(), Tokens::Both);
    Ok(loaded.map_err(|errors| anyhow!("{errors}"))?.config)
}

/// The envelope of facts.
///
/// # Errors
/// Never.
pub fn origin() -> Result<Origin> {
    let integration = IntegrationId::new(ID)?;
    Ok(Origin { source: "bench/1".into(), integration, run: None, sequence: None, traceparent: None })
}

/// A fact as it stands in the stream.
///
/// # Errors
/// Never.
pub fn event(fact: Fact) -> Result<Event> {
    Ok(Event::fact(&origin()?, Timestamp::now(), fact))
}

fn asset_type() -> Named {
    Named { id: "T1".into(), name: "Laptop".into() }
}

/// The asset type with the mapped fields.
#[must_use]
pub fn catalogue() -> Catalogue {
    let field = |name: &str| Field {
        name: name.into(),
        field_type: FieldType::Text,
        required: false,
        options: Vec::new(),
    };
    let fields = FIELDS.iter().map(|(name, _)| field(name)).collect();
    let asset_types = vec![AssetType { id: "T1".into(), name: "Laptop".into(), fields }];
    Catalogue { asset_types, locations: Vec::new(), user_fields: Vec::new() }
}

fn value(property: &str, number: usize) -> Value {
    match property {
        "serial_number" => json!(serial(number)),
        "model" => json!("MacBook Air (M3, 2024)"),
        "os_version" => json!("15.1.1"),
        "blueprint_name" => json!("Staff laptops"),
        _ => json!(format!("TAG-{number:06}")),
    }
}

fn serial(number: usize) -> String {
    format!("C02{number:08}")
}

fn name(number: usize) -> String {
    format!("Person {number}'s MacBook Air")
}

/// The id of a device: a UUID, as in Kandji.
///
/// # Errors
/// Never.
pub fn device_id(number: usize) -> Result<DeviceId> {
    Ok(DeviceId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("device {number}").as_bytes()).to_string())?)
}

fn record_id(number: usize) -> Result<RecordId> {
    Ok(RecordId::new(format!("user-{number:08}"))?)
}

fn user_key(number: usize) -> Result<UserKey> {
    Ok(UserKey::new(format!("person.{number}@example.com"))?)
}

/// A device in scope with a primary user.
///
/// # Errors
/// Never.
pub fn device(number: usize) -> Result<DeviceEntry> {
    Ok(DeviceEntry {
        device_id: device_id(number)?,
        name: name(number),
        serial: serial(number),
        platform: "Mac".into(),
        user: PrimaryUser::Person { key: user_key(number)? },
        in_scope: true,
        removed: false,
        values: FIELDS
            .iter()
            .map(|(_, property)| ((*property).to_owned(), value(property, number)))
            .collect(),
        details: None,
    })
}

/// The primary user of a device.
///
/// # Errors
/// Never.
pub fn user(number: usize) -> Result<UserEntry> {
    Ok(UserEntry {
        key: user_key(number)?,
        ids: vec![KandjiUserId::new(format!("kandji-{number:08}"))?],
        email: Some(format!("Person.{number}@example.com")),
        name: format!("Person {number}"),
        archived: false,
        values: BTreeMap::new(),
    })
}

/// The asset of a device; with `filled`, as it is after a sync.
///
/// # Errors
/// Never.
pub fn asset(number: usize, filled: bool) -> Result<Asset> {
    let fields = FIELDS.iter().map(|(field, property)| ((*field).to_owned(), value(property, number)));
    let holder =
        || Ok::<_, anyhow::Error>(Holder { id: record_id(number)?, name: format!("Person {number}") });
    Ok(Asset {
        id: AssetId::new(format!("asset-{number:08}"))?,
        name: name(number),
        asset_type: asset_type(),
        location: None,
        fields: if filled { fields.collect() } else { BTreeMap::new() },
        checked_out_to: if filled { Some(holder()?) } else { None },
        created_at: None,
    })
}

fn record(number: usize) -> Result<UserRecord> {
    Ok(UserRecord {
        id: record_id(number)?,
        name: format!("Person {number}"),
        email: Some(format!("person.{number}@example.com")),
        source: Source::Local,
        fields: BTreeMap::new(),
    })
}

/// The announcement of a run.
#[must_use]
pub fn run_started(number: u64, first_sync: bool) -> Fact {
    Fact::RunStarted(RunStarted {
        number,
        leader: "bench/1".into(),
        at: Timestamp::now(),
        first_sync,
        applies_to_all: true,
        auto_checkout: true,
        list_delay_ms: 0,
        judged: false,
        mapping: BTreeMap::new(),
    })
}

/// The marker that puts the inventory of a run in force.
#[must_use]
pub fn inventory_complete(number: u64) -> Fact {
    Fact::InventoryComplete { number, counts: InventoryCounts::default(), report: Box::default() }
}

/// Everything that a first run lists, staged.
///
/// # Errors
/// Never.
pub fn inventory(run: u64, devices: usize, filled: bool) -> Result<Vec<Fact>> {
    let mut facts = vec![Fact::CatalogueListed { number: run, catalogue: catalogue() }];
    for number in 0..devices {
        facts.push(Fact::AssetListed { number: run, asset: asset(number, filled)? });
        facts.push(Fact::RecordListed { number: run, record: record(number)? });
        facts.push(Fact::DeviceListed { number: run, device: device(number)? });
        facts.push(Fact::UserListed { number: run, user: user(number)? });
    }
    Ok(facts)
}

fn outcome(number: usize, key: Key, action: Action) -> Outcome {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {number}", action.kind()).as_bytes());
    let change = Change { key, label: name(number), serial: serial(number), serials: Vec::new(), action };
    Outcome::of(id, Sequence { run: 1, step: 1 }, &change, Ending::Applied)
}

/// What makes a listed device linked, its user linked, and its assignment settled.
///
/// # Errors
/// Never.
pub fn linked(number: usize) -> Result<[Fact; 2]> {
    let (asset, record) = (asset(number, true)?.id, record_id(number)?);
    let ids = vec![KandjiUserId::new(format!("kandji-{number:08}"))?];
    let write = AssetWrite::default();
    let link = Action::LinkAsset { asset: asset.clone(), rule: Rule::Name, takes_over: None, write };
    let mut device = outcome(number, Key::Device(device_id(number)?), link);
    device.link = Some(LinkOutcome::Linked { asset, rule: Rule::Name, takes_over: None });
    device.settled = Some(Settled { primary: Some(record.clone()) });
    let link = Action::LinkUser { record: record.clone(), rule: Rule::Email, ids: ids.clone() };
    let mut user = outcome(number, Key::User(user_key(number)?), link);
    user.user_link = Some(UserLinkOutcome { record, rule: Rule::Email, ids });
    Ok([Fact::ChangeEnded(Box::new(device)), Fact::ChangeEnded(Box::new(user))])
}
