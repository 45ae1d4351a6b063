//! Whose past is asked for: a device, an asset or a person, as they are known now or were when something was applied.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_model::ids::{AssetId, IntegrationId, Key};
use amfj_sync_model::names::{NameKey, email_key};
use amfj_sync_projection::Projection;
use amfj_sync_projection::lookup::{self, Hit};
use amfj_sync_security::screen::sanitize;
use amfj_sync_service::worker::{Exit, Worker};

use super::Applied;

/// What a text stands for, in each integration.
#[derive(Debug, Default)]
pub(super) struct Meant {
    whose: BTreeMap<String, Whose>,
    /// Who has the assets now.
    pub(super) now: Vec<String>,
}

/// What changes may be about, in one integration.
#[derive(Debug, Default)]
struct Whose {
    /// `device/ID` or `user/KEY`.
    keys: BTreeSet<String>,
    assets: BTreeSet<String>,
    /// What was written to the record, and every asset that it got or gave back.
    records: BTreeSet<String>,
}

impl Meant {
    /// What fits several is refused with all of them, what fits nothing with what is near.
    pub(super) fn of(worker: &Worker, past: &[Applied], text: &str) -> Result<Self, Exit> {
        let mut meant = Self::default();
        let mut shown: BTreeMap<Hit, String> = BTreeMap::new();
        let mut owned: BTreeSet<String> = BTreeSet::new();
        for (id, state) in &worker.states {
            state.read(|view| {
                for hit in lookup::find(view, text) {
                    meant.take(id, view, text, &hit);
                    owned.extend(lookup::belongings(view, &hit));
                    shown.entry(hit.clone()).or_insert_with(|| lookup::describe(view, &hit));
                }
            });
        }
        // Integrations of one site know the same assets and records.
        shown.retain(|hit, _| match hit {
            Hit::Asset(id) => !owned.contains(id.as_str()),
            Hit::Record(id) => !owned.contains(id.as_str()),
            Hit::Device(_) | Hit::Person(_) => true,
        });
        match shown.len() {
            0 => Self::of_the_past(worker, past, text),
            1 => Ok(meant),
            _ => Err(several(text, shown.into_values())),
        }
    }

    fn take(&mut self, id: &IntegrationId, view: &Projection, text: &str, hit: &Hit) {
        let whose = self.whose.entry(id.to_string()).or_default();
        let mut assets = BTreeSet::new();
        match hit {
            Hit::Device(device) => {
                whose.keys.insert(Key::Device(device.clone()).to_string());
                // Its asset is meant as well where it bears the name: it may have been another device's.
                let linked = view.link(device).map(|link| link.asset);
                assets.extend(linked.filter(|asset| has_name(view, asset, text)));
            }
            Hit::Asset(asset) => {
                assets.insert(asset.clone());
            }
            Hit::Person(key) => {
                whose.keys.insert(Key::User(key.clone()).to_string());
                whose.records.extend(lookup::record_of(view, key).map(String::from));
            }
            Hit::Record(record) => {
                whose.records.insert(record.to_string());
            }
        }
        for asset in assets {
            self.now.extend(holder_now(view, &asset));
            whose.assets.insert(asset.into());
        }
    }

    /// What is known no more may have been called so when something was applied to it.
    fn of_the_past(worker: &Worker, past: &[Applied], text: &str) -> Result<Self, Exit> {
        let (id, name, email) = (text.trim(), NameKey::of(text), email_key(text));
        let mut meant = Self::default();
        let mut subjects: BTreeMap<String, String> = BTreeMap::new();
        for one in past {
            let (_, key) = one.key.split_once('/').unwrap_or_default();
            let whose = meant.whose.entry(one.integration.clone()).or_default();
            if one.asset.as_deref() == Some(id) {
                whose.assets.insert(id.to_owned());
                subjects.insert(format!("asset/{id}"), format!("asset {id}"));
            } else if one.record.as_deref() == Some(id) {
                whose.records.insert(id.to_owned());
                subjects.insert(format!("record/{id}"), format!("user record {id}"));
            } else if key == id
                || email.as_deref() == Some(key)
                || (name.is_some() && NameKey::of(&one.label) == name)
            {
                whose.keys.insert(one.key.clone());
                let shown = format!("{} \"{}\"", one.key.replacen('/', " ", 1), sanitize(&one.label));
                subjects.insert(one.key.clone(), shown);
            }
        }
        match subjects.len() {
            0 => Err(nothing(worker, text)),
            1 => Ok(meant),
            _ => Err(several(text, subjects.into_values())),
        }
    }

    /// Whether a change is about it.
    pub(super) fn fits(&self, applied: &Applied) -> bool {
        let Some(whose) = self.whose.get(&applied.integration) else { return false };
        whose.keys.contains(&applied.key)
            || applied.asset.as_ref().is_some_and(|asset| whose.assets.contains(asset))
            || applied.record.as_ref().is_some_and(|record| whose.records.contains(record))
            || applied.hands.iter().any(|record| whose.records.contains(record))
    }
}

fn has_name(view: &Projection, asset: &AssetId, text: &str) -> bool {
    let name = view.asset(asset).and_then(|row| NameKey::of(&row.asset.name));
    name.is_some() && name == NameKey::of(text)
}

/// Who has an asset, as of the last list: it may have changed hands without this product.
fn holder_now(view: &Projection, asset: &AssetId) -> Option<String> {
    let asset = view.asset(asset)?.asset;
    let holder = match &asset.checked_out_to {
        Some(holder) => format!("checked out to \"{}\"", sanitize(holder.name.trim())),
        None => "not checked out".to_owned(),
    };
    Some(format!(
        "Asset {} is {holder} now, as of the last run. What people change in AMFJ by hand is not in this history.",
        asset.id
    ))
}

fn several(text: &str, lines: impl Iterator<Item = String>) -> Exit {
    let lines: Vec<String> = lines.map(|line| sanitize(&line)).collect();
    Exit::Failed(format!("several fit \"{}\"; give the id:\n  {}", sanitize(text), lines.join("\n  ")))
}

fn nothing(worker: &Worker, text: &str) -> Exit {
    let states = worker.states.values();
    let near = states.flat_map(|state| state.read(|view| lookup::near_lines(view, text, &|_| true)));
    let near = lookup::near_it(near);
    Exit::Failed(format!(
        "no device, asset or person \"{}\" is known, now or in the history; give a name, serial number, email or id{near}",
        sanitize(text)
    ))
}
