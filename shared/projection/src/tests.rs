//! What facts do to a view: the age rule, inventory in one step, first facts win, checkpoints.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::{Asset, Named, Source, UserRecord};
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::*;
use amfj_sync_model::names::NameKey;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::checkpoint::{Copying, Found, Loading, Search, outline};
use super::keys::{row_key, table};
use super::rows::Open;
use super::*;

mod doubts;
mod facts;
mod failing;
mod histories;
mod imports;
mod indexes;
mod numbers;
mod reads;
mod retries;
mod shared_offsets;
mod stores;

/// All indexes, with a mapped serial.
const BY_SERIAL: Indexes<'_> = Indexes::All { serial_field: Some("Serial Number") };

/// As large as a message may be for most brokers.
const LARGEST: usize = 15 << 20;

const LIST_DELAY: SignedDuration = SignedDuration::from_secs(60);

/// Facts with offsets and a clock that the test moves.
struct Stream {
    view: Projection,
    facts: Vec<(u64, Event)>,
    now: Timestamp,
}

impl Stream {
    fn new() -> Self {
        Self::into(Projection::in_memory(Some("Serial Number")))
    }

    fn into(view: Projection) -> Self {
        let now = "2026-11-23T12:00:00Z".parse().expect("a time stamp");
        let mut stream = Self { view, facts: Vec::new(), now };
        let opened = Fact::StreamOpened { stream: Uuid::nil(), format: FORMAT, partitions: 1 };
        assert_eq!(stream.say(opened), Verdict::Accepted);
        stream
    }

    /// What somebody says now.
    fn event(&self, fact: Fact) -> Event {
        let origin = Origin {
            source: "test/1".into(),
            integration: IntegrationId::new("acme").expect("not blank"),
            run: None,
            sequence: None,
            traceparent: None,
        };
        Event::fact(&origin, self.now, fact)
    }

    fn say(&mut self, fact: Fact) -> Verdict {
        let offset = self.facts.len() as u64;
        let event = self.event(fact);
        self.facts.push((offset, event.clone()));
        self.view.apply(&[(offset, event)]).expect("memory does not fail").swap_remove(0)
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn start(&mut self, number: u64) -> Verdict {
        let started = RunStarted {
            number,
            leader: "fetcher/1".into(),
            at: self.now,
            first_sync: !self.view.meta().first_sync_over,
            applies_to_all: true,
            auto_checkout: true,
            list_delay_ms: 60_000,
            judged: false,
            mapping: BTreeMap::new(),
        };
        self.say(Fact::RunStarted(started))
    }

    fn complete(&mut self, number: u64) -> Verdict {
        let (counts, report) = (InventoryCounts::default(), Box::default());
        self.say(Fact::InventoryComplete { number, counts, report })
    }

    /// A run that reads nothing, numbered by the moment at which it starts.
    fn run(&mut self) {
        self.pass(3_600);
        let number = self.now.as_millisecond().unsigned_abs();
        assert_eq!((self.start(number), self.complete(number)), (Verdict::Accepted, Verdict::Accepted));
    }

    fn name(&self) -> Option<String> {
        self.view.asset(&asset_id()).map(|row| row.asset.name)
    }
}

fn asset_id() -> AssetId {
    AssetId::new("A1").expect("not blank")
}

fn device_id(id: &str) -> DeviceId {
    DeviceId::new(id).expect("not blank")
}

fn asset(name: &str) -> Asset {
    Asset {
        id: asset_id(),
        name: name.into(),
        asset_type: Named { id: "T1".into(), name: "Laptop".into() },
        location: None,
        fields: BTreeMap::from([("Serial Number".into(), json!(" C02X "))]),
        checked_out_to: None,
        created_at: None,
    }
}

fn record() -> UserRecord {
    UserRecord {
        id: RecordId::new("U1").expect("not blank"),
        name: "Sam Okafor".into(),
        email: Some("Sam@Example.com ".into()),
        source: Source::Local,
        fields: BTreeMap::new(),
    }
}

fn device(id: &str, name: &str) -> DeviceEntry {
    DeviceEntry {
        device_id: device_id(id),
        name: name.into(),
        serial: format!("SERIAL-{id}"),
        platform: "Mac".into(),
        user: PrimaryUser::Nobody,
        in_scope: true,
        removed: false,
        values: BTreeMap::new(),
        details: None,
    }
}

/// An outcome about a device; `step` gives it its place and its id.
fn outcome(device: &str, step: u32) -> Outcome {
    let key = Key::Device(device_id(device));
    let action = Action::UpdateAsset { asset: asset_id(), write: AssetWrite::default() };
    let change = Change { key, label: device.into(), serial: String::new(), serials: Vec::new(), action };
    let place = Sequence { run: 1, step };
    let outcome = Outcome::of(Uuid::from_u128(u128::from(step) + 1), place, &change, Ending::Applied);
    Outcome { attempts: 1, ..outcome }
}

fn link(device: &str, step: u32, asset: &AssetId) -> Fact {
    let link = LinkOutcome::Linked { asset: asset.clone(), rule: Rule::Name, takes_over: None };
    Fact::ChangeEnded(Box::new(Outcome { link: Some(link), ..outcome(device, step) }))
}

fn wrote(step: u32, name: &str) -> Fact {
    Fact::ChangeEnded(Box::new(Outcome { asset: Some(asset(name)), ..outcome("d", step) }))
}

fn listed(number: u64, name: &str) -> Fact {
    Fact::AssetListed { number, asset: asset(name) }
}

/// All rows; those that are piled one after the other, since which pile they are on depends on what came together.
fn rows(view: &Projection) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    let staged = row_key(table::STAGED, "");
    let mut number = 0_usize;
    view.store
        .scan(b"", &mut |key, value| {
            if key.starts_with(&staged) {
                let piled: Vec<serde_json::Value> = coding::decode(value).expect("a list");
                for one in piled {
                    rows.insert(row_key(table::STAGED, &number.to_string()), coding::encode(&one));
                    number += 1;
                }
            } else {
                rows.insert(key.to_vec(), value.to_vec());
            }
            true
        })
        .expect("memory does not fail");
    rows
}

/// The facts of a checkpoint.
fn copy_of(view: &Projection) -> Vec<Fact> {
    copy_for(view, LARGEST)
}

/// The same for a broker that takes no larger messages than this.
fn copy_for(view: &Projection, largest: usize) -> Vec<Fact> {
    let mut copying = Copying::of(view, largest).expect("something was read");
    let mut facts = copying.begin(view);
    loop {
        let step = copying.step(view).expect("memory does not fail");
        if step.is_empty() {
            break;
        }
        facts.extend(step);
    }
    facts.push(copying.end());
    facts
}

fn find(facts: &[Fact]) -> Option<Found> {
    find_from(1_000_000, facts)
}

/// What is found where the first of the facts is at that offset.
fn find_from(first: u64, facts: &[Fact]) -> Option<Found> {
    let mut search = Search::default();
    for (offset, fact) in (first..).zip(facts) {
        search.look_at(offset, &serde_json::value::to_raw_value(fact).expect("facts are JSON"));
    }
    search.found()
}

/// A view that a checkpoint was loaded into; none while parts are missing.
fn load(found: Found, facts: Vec<Fact>) -> Option<Projection> {
    load_into(Projection::in_memory(Some("Serial Number")), found, facts)
}

fn load_into(mut view: Projection, found: Found, facts: Vec<Fact>) -> Option<Projection> {
    let mut loading = Loading::begin(&mut view, found).expect("memory does not fail");
    for fact in facts {
        if loading.take(&mut view, fact).expect("memory does not fail") {
            loading.end(&mut view).expect("memory does not fail");
            return Some(view);
        }
    }
    None
}

/// A decision that waits for a user, asks for a change, keeps it staged, as the bits of `waits` say.
fn decision(device: &str, run: u64, waits: u8) -> Decision {
    let key = Key::Device(device_id(device));
    let change = Change {
        key: key.clone(),
        label: device.into(),
        serial: String::new(),
        serials: Vec::new(),
        action: Action::BreakLink { asset: asset_id() },
    };
    let decided = PlannedChange {
        id: Uuid::nil(),
        sequence: Sequence::first(run),
        published: None,
        staged: waits & 4 != 0,
        change,
    };
    Decision {
        key,
        snapshot: Sequence::first(run),
        place: Sequence::first(run),
        state: if waits == 0 {
            amfj_sync_model::messages::DeviceStatus::InSync
        } else {
            amfj_sync_model::messages::DeviceStatus::Pending
        },
        reason: "Because.".into(),
        asset: None,
        record: None,
        rule: None,
        candidates: Vec::new(),
        field_problems: BTreeMap::new(),
        warnings: Vec::new(),
        failed: Vec::new(),
        first_sync: false,
        takes: false,
        waits_for_run: false,
        awaits: (waits & 1 != 0).then(|| UserKey::new("sam@example.com").expect("not blank")),
        changes: if waits & 6 == 0 { Vec::new() } else { vec![decided] },
    }
}
