//! The past as a replay sees it: the latest change of each field of each device and person (P29). Pure.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::Holder;
use amfj_sync_model::ids::{AssetId, Key, RecordId, RunId};
use amfj_sync_model::messages::{
    Action, Change, Edit, Event, Origin, Outcome, Past, Payload, Restored, Sequence, Settled,
};
use amfj_sync_projection::Projection;
use jiff::Timestamp;
use serde_json::Value;

/// The latest change of one field.
#[derive(Debug, Clone)]
pub(super) struct Latest {
    pub(super) time: Timestamp,
    pub(super) run: Option<RunId>,
    pub(super) label: String,
    pub(super) asset: Option<AssetId>,
    pub(super) record: Option<RecordId>,
    pub(super) edit: Edit,
    /// What AMFJ made of the value that was written, where it told.
    stored: Option<Value>,
    /// Who had the asset before and after, and the primary user that this settled.
    hands: Option<(Option<Holder>, Option<Holder>, Option<RecordId>)>,
}

/// The latest change of every field, by device or person.
#[derive(Debug, Default)]
pub(super) struct History {
    latest: BTreeMap<(Key, String), Latest>,
}

impl History {
    /// Takes the next applied change of the history. An import puts older ones behind younger ones.
    pub(super) fn take(&mut self, time: Timestamp, run: Option<&RunId>, outcome: &Outcome) {
        let record = outcome.record.as_ref().map(|record| record.id.clone());
        for (field, edit) in &outcome.edits {
            let hands = (field == Outcome::HOLDER).then(|| {
                let after = outcome.asset.as_ref().and_then(|asset| asset.checked_out_to.clone());
                let primary = outcome.settled.as_ref().and_then(|Settled { primary }| primary.clone());
                (outcome.found_holder.clone(), after, primary)
            });
            let latest = Latest {
                time,
                run: run.cloned(),
                label: outcome.label.clone(),
                asset: outcome.asset.as_ref().map(|asset| asset.id.clone()),
                record: record.clone(),
                edit: edit.clone(),
                stored: stored(outcome, field),
                hands,
            };
            let of = (outcome.key.clone(), field.clone());
            if self.latest.get(&of).is_none_or(|known| known.time <= time) {
                self.latest.insert(of, latest);
            }
        }
    }

    /// Those that are meant: the latest ones, if they were made since then and in that run.
    pub(super) fn meant(
        self,
        since: Option<Timestamp>,
        run: Option<&str>,
    ) -> BTreeMap<Key, BTreeMap<String, Latest>> {
        let mut meant: BTreeMap<Key, BTreeMap<String, Latest>> = BTreeMap::new();
        for ((key, field), latest) in self.latest {
            let of_run =
                |wanted: &str| latest.run.as_ref().is_some_and(|run| run.as_str().starts_with(wanted));
            if since.is_none_or(|since| latest.time >= since) && run.is_none_or(of_run) {
                meant.entry(key).or_default().insert(field, latest);
            }
        }
        meant
    }
}

/// What AMFJ holds after an outcome in a field, where it differs from what was sent.
fn stored(outcome: &Outcome, field: &str) -> Option<Value> {
    let fields = match (&outcome.asset, &outcome.record) {
        (Some(asset), _) => &asset.fields,
        (None, Some(record)) => &record.fields,
        (None, None) => return None,
    };
    fields.get(field).cloned()
}

/// The changes that make these again, in the key's order, behind everything that is known about it.
pub(super) fn again(
    view: &Projection,
    origin: &Origin,
    key: &Key,
    fields: &BTreeMap<String, Latest>,
) -> Vec<Event> {
    let mut place = last_place(view, key);
    let mut events = Vec::new();
    for again in restored(fields) {
        place = place.next();
        let runs: Vec<_> = fields.values().map(|latest| &latest.run).collect();
        let run = runs.first().filter(|first| runs.iter().all(|run| run == *first)).copied();
        let origin = Origin { run: run.cloned().flatten(), sequence: Some(place), ..origin.clone() };
        let label = fields.values().max_by_key(|latest| latest.time).map(|latest| latest.label.clone());
        let (serial, serials) = serials(view, key);
        let label = label.unwrap_or_default();
        let change = Change { key: key.clone(), label, serial, serials, action: Action::Restore { again } };
        events.push(Event::new(&origin, key.to_string(), Timestamp::now(), Payload::Change(change)));
    }
    events
}

fn last_place(view: &Projection, key: &Key) -> Sequence {
    let decision = view.decision(key);
    let decided = decision.iter().flat_map(|decision| [decision.last_place(), decision.snapshot]);
    let run = view.meta().number_in_force().map(Sequence::first);
    decided.chain(run).chain([view.answered(key).sequence]).max().unwrap_or_default()
}

fn serials(view: &Projection, key: &Key) -> (String, Vec<String>) {
    let serial = |id| view.device(id).map(|row| row.entry.serial.trim().to_owned());
    match key {
        Key::Device(id) => (serial(id).unwrap_or_default(), Vec::new()),
        Key::User(user) => (String::new(), view.devices_of(user).iter().filter_map(serial).collect()),
    }
}

/// One action for the fields of each record, one for its holder.
fn restored(fields: &BTreeMap<String, Latest>) -> Vec<Restored> {
    let mut assets: BTreeMap<&AssetId, BTreeMap<String, Past>> = BTreeMap::new();
    let mut records: BTreeMap<&RecordId, BTreeMap<String, Past>> = BTreeMap::new();
    let mut holders = Vec::new();
    for (field, latest) in fields {
        let past = || Past {
            found: latest.edit.old.clone(),
            written: latest.edit.new.clone(),
            stored: latest.stored.clone().filter(|stored| *stored != latest.edit.new),
        };
        match (&latest.asset, &latest.record, &latest.hands) {
            (Some(asset), _, Some((found, holder, primary))) => {
                // An entry of a release that did not keep who it was: it cannot be told whether they have it.
                if found.is_some() || latest.edit.old.is_null() {
                    holders.push(Restored::Holder {
                        asset: asset.clone(),
                        found: found.clone(),
                        holder: holder.clone(),
                        primary: primary.clone(),
                    });
                }
            }
            (Some(asset), ..) => {
                assets.entry(asset).or_default().insert(field.clone(), past());
            }
            (None, Some(record), _) => {
                records.entry(record).or_default().insert(field.clone(), past());
            }
            (None, None, _) => {}
        }
    }
    let assets = assets.into_iter().map(|(asset, fields)| Restored::Asset { asset: asset.clone(), fields });
    let records =
        records.into_iter().map(|(record, fields)| Restored::Record { record: record.clone(), fields });
    assets.chain(holders).chain(records).collect()
}
