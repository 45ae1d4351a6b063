//! What a person means by the DEVICE, ASSET, USER or RECORD they typed. Never a guess: what fits several
//! is refused with their ids.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{AssetId, IntegrationId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{DeviceEntry, UserEntry};
use amfj_sync_model::names::{NameKey, email_key, serial_key};
use amfj_sync_projection::Projection;
use amfj_sync_projection::lookup::{self as find, Hit};
use amfj_sync_projection::rows::DeviceRow;
use amfj_sync_security::screen::sanitize;
use amfj_sync_service::worker::Exit;
use amfj_sync_stream::StateHandle;

use super::{CommandContext, format};

/// What was found, and in which integration.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) integration: IntegrationId,
    pub(super) what: T,
}

/// By what a device is found.
const DEVICE_BY: &str = "its id, serial or name in Kandji, as of the last run";

/// The device of that id; else the one with that serial or name, listed or missing.
pub(super) fn device(context: &CommandContext, text: &str) -> Result<Found<DeviceRow>, Exit> {
    let found = devices(context, &[text]).pop().unwrap_or_default();
    one_device(context, found, text, Hints::Near)
}

/// The one of several devices that fit a text; else why there is none.
pub(super) fn one_device(
    context: &CommandContext,
    found: Vec<Found<DeviceRow>>,
    text: &str,
    hints: Hints,
) -> Result<Found<DeviceRow>, Exit> {
    if found.is_empty() && hints == Hints::None {
        return Err(none(text, "device", DEVICE_BY, &[]));
    }
    let shown = |row: &DeviceRow| {
        let missing = if row.is_listed() { "" } else { ", no longer listed" };
        format!(
            "{} {}, serial {}{missing}",
            row.entry.device_id,
            format::quoted(&row.entry.name),
            serial(&row.entry)
        )
    };
    one(context, found, text, "device", DEVICE_BY, is_device, shown)
}

fn serial(device: &DeviceEntry) -> &str {
    let serial = device.serial.trim();
    if serial.is_empty() { "unknown" } else { serial }
}

/// The devices that each of the texts stands for, in their order. All devices are walked once, however many texts there are.
pub(super) fn devices(context: &CommandContext, texts: &[&str]) -> Vec<Vec<Found<DeviceRow>>> {
    let wanted = Spellings::of(texts);
    let mut found: Vec<Fitting> = texts.iter().map(|_| Fitting::default()).collect();
    for (integration, state) in context.integrations() {
        let of = |row: &DeviceRow| Found { integration: integration.id.clone(), what: row.clone() };
        state.read(|view| {
            view.each_device(&mut |row| {
                let (by_id, others) = wanted.that_fit(&row.entry);
                for at in by_id {
                    found[at].by_id.push(of(&row));
                }
                for at in others {
                    found[at].others.push(of(&row));
                }
                true
            });
        });
    }
    found.into_iter().map(Fitting::best).collect()
}

/// What a text fits: an id says more than a serial or a name.
#[derive(Debug, Default)]
struct Fitting {
    by_id: Vec<Found<DeviceRow>>,
    others: Vec<Found<DeviceRow>>,
}

impl Fitting {
    fn best(self) -> Vec<Found<DeviceRow>> {
        if self.by_id.is_empty() { self.others } else { self.by_id }
    }
}

/// The texts by what they may be, each with its place.
#[derive(Debug, Default)]
struct Spellings {
    ids: BTreeMap<String, Vec<usize>>,
    serials: BTreeMap<String, Vec<usize>>,
    names: BTreeMap<NameKey, Vec<usize>>,
}

impl Spellings {
    fn of(texts: &[&str]) -> Self {
        let mut all = Self::default();
        for (at, text) in texts.iter().enumerate() {
            all.ids.entry(text.trim().to_owned()).or_default().push(at);
            if let Some(serial) = serial_key(text) {
                all.serials.entry(serial).or_default().push(at);
            }
            if let Some(name) = NameKey::of(text) {
                all.names.entry(name).or_default().push(at);
            }
        }
        all
    }

    /// The places of the texts that are the id of a device, and of those that are its serial or name.
    fn that_fit(&self, device: &DeviceEntry) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let places = |found: Option<&Vec<usize>>| found.cloned().unwrap_or_default();
        let by_id = places(self.ids.get(device.device_id.as_str()));
        let by_serial = serial_key(&device.serial).and_then(|serial| self.serials.get(&serial));
        let by_name = NameKey::of(&device.name).and_then(|name| self.names.get(&name));
        let others = places(by_serial).into_iter().chain(places(by_name));
        (by_id.into_iter().collect(), others.collect())
    }
}

/// The asset of that id, else of that name, in one integration.
pub(super) fn asset(state: &StateHandle, text: &str) -> Result<Asset, Exit> {
    asset_with(state, text, Hints::Near)
}

/// Whether an answer that finds nothing says what is near: that takes a walk over everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hints {
    Near,
    None,
}

/// The same, with or without hints.
pub(super) fn asset_with(state: &StateHandle, text: &str, hints: Hints) -> Result<Asset, Exit> {
    let found: Vec<Asset> = state.read(|view| {
        if let Some(row) = AssetId::new(text).ok().and_then(|id| view.asset(&id)) {
            return vec![row.asset];
        }
        let ids = NameKey::of(text).map(|name| view.assets_named(&name)).unwrap_or_default();
        ids.iter().filter_map(|id| view.asset(id)).map(|row| row.asset).collect()
    });
    let how = "its id or exact name in AMFJ, as of the last run";
    let shown =
        |asset: &Asset| format!("{} {}, {}", asset.id, format::quoted(&asset.name), asset.asset_type.name);
    let near = || match hints {
        Hints::Near => state.read(|view| find::near_lines(view, text, &is_asset)),
        Hints::None => Vec::new(),
    };
    alone(found, text, "asset", how, &near, shown)
}

fn is_device(hit: &Hit) -> bool {
    matches!(hit, Hit::Device(_))
}

fn is_asset(hit: &Hit) -> bool {
    matches!(hit, Hit::Asset(_))
}

fn is_person(hit: &Hit) -> bool {
    matches!(hit, Hit::Person(_))
}

fn is_record(hit: &Hit) -> bool {
    matches!(hit, Hit::Record(_))
}

/// What the text may have been meant for, wherever that is.
fn near(context: &CommandContext, text: &str, wanted: fn(&Hit) -> bool) -> Vec<String> {
    let several = context.asked.len() > 1;
    let lines = context.integrations().flat_map(|(integration, state)| {
        let within = if several { format!("{}: ", integration.id) } else { String::new() };
        let lines = state.read(|view| find::near_lines(view, text, &wanted));
        lines.into_iter().map(move |line| format!("{within}{line}"))
    });
    lines.collect()
}

/// The one device, asset, person or record that the text stands for (P5). Integrations of one AMFJ site know the same
/// assets and records: each counts once, for the integration that has to do with it.
pub(super) fn anything(context: &CommandContext, text: &str) -> Result<Found<Hit>, Exit> {
    let mut found: Vec<(Found<Hit>, Vec<String>, String)> = Vec::new();
    for (integration, state) in context.integrations() {
        state.read(|view| {
            for hit in find::find(view, text) {
                let (owned, shown) = (find::belongings(view, &hit), sanitize(&find::describe(view, &hit)));
                let at = if is_linked(view, &hit) { 0 } else { found.len() };
                found.insert(at, (Found { integration: integration.id.clone(), what: hit }, owned, shown));
            }
        });
    }
    let same_site = |one: &IntegrationId, other: &IntegrationId| {
        let config = &context.worker.config;
        let sites = config.integration(one).zip(config.integration(other));
        sites.is_some_and(|(one, other)| one.shares_site_with(other))
    };
    let mut distinct: Vec<(Found<Hit>, String)> = Vec::new();
    for (hit, _, shown) in &found {
        let of_amfj = match &hit.what {
            Hit::Asset(id) => Some(id.as_str()),
            Hit::Record(id) => Some(id.as_str()),
            Hit::Device(_) | Hit::Person(_) => None,
        };
        let is_owned = of_amfj.is_some_and(|id| {
            let mut owners =
                found.iter().filter(|(owner, ..)| same_site(&owner.integration, &hit.integration));
            owners.any(|(_, owned, _)| owned.iter().any(|owned| owned == id))
        });
        let is_known = of_amfj.is_some()
            && distinct
                .iter()
                .any(|(other, _)| other.what == hit.what && same_site(&other.integration, &hit.integration));
        if !is_owned && !is_known {
            let hit = Found { integration: hit.integration.clone(), what: hit.what.clone() };
            distinct.push((hit, shown.clone()));
        }
    }
    let hits = distinct
        .into_iter()
        .map(|(hit, shown)| Found { integration: hit.integration, what: (hit.what, shown) });
    let what = "device, asset or person";
    let how = "a name, serial number, email or id, as of the last run";
    let one = one(context, hits.collect(), text, what, how, |_| true, |(_, shown)| shown.clone())?;
    Ok(Found { integration: one.integration, what: one.what.0 })
}

/// Whether the integration has made something of an asset or record.
fn is_linked(view: &Projection, hit: &Hit) -> bool {
    match hit {
        Hit::Asset(id) => view.linked_device(id).is_some(),
        Hit::Record(id) => !view.linked_users(id).is_empty(),
        Hit::Device(_) | Hit::Person(_) => false,
    }
}

/// The device or person that the text stands for.
pub(super) fn device_or_person(context: &CommandContext, text: &str) -> Result<Found<Key>, Exit> {
    let keys = |view: &Projection| -> Vec<(Key, String)> {
        let hits = find::find(view, text).into_iter();
        let keys = hits.filter_map(|hit| {
            let shown = find::describe(view, &hit);
            match hit {
                Hit::Device(id) => Some((Key::Device(id), shown)),
                Hit::Person(key) => Some((Key::User(key), shown)),
                Hit::Asset(_) | Hit::Record(_) => None,
            }
        });
        keys.collect()
    };
    let how =
        "a device's id, serial or name in Kandji, or a person's email or Kandji user id, as of the last run";
    let is_either = |hit: &Hit| is_device(hit) || is_person(hit);
    let found = search(context, keys);
    let shown = |(_, shown): &(Key, String)| shown.clone();
    let one = one(context, found, text, "device or person", how, is_either, shown)?;
    Ok(Found { integration: one.integration, what: one.what.0 })
}

/// The person of that email or Kandji user id.
pub(super) fn user(context: &CommandContext, text: &str) -> Result<Found<UserEntry>, Exit> {
    let found = search(context, |view| users(view, text));
    let shown = |user: &UserEntry| format!("{} {}", user.key, format::quoted(&user.name));
    one(
        context,
        found,
        text,
        "Kandji user",
        "their email or Kandji user id, as of the last run",
        is_person,
        shown,
    )
}

fn users(view: &Projection, text: &str) -> Vec<UserEntry> {
    let id = KandjiUserId::new(text).ok();
    let by_email = email_key(text).and_then(|email| UserKey::new(email).ok());
    let key = id.as_ref().and_then(|id| view.user_of(id)).or(by_email);
    if let Some(row) = key.and_then(|key| view.user(&key)) {
        return vec![row.entry];
    }
    // No device names them any more, but their link is still there to be undone.
    let linked = id.filter(|id| view.user_link(id).is_some() || view.is_user_unlinked_by_person(id));
    let gone = linked.and_then(|id| {
        let key = UserKey::new(id.as_str()).ok()?;
        let name = String::new();
        Some(UserEntry { key, ids: vec![id], email: None, name, archived: false, values: [].into() })
    });
    gone.into_iter().collect()
}

/// The user record of that id, else of that email, in one integration.
pub(super) fn record(state: &StateHandle, text: &str) -> Result<UserRecord, Exit> {
    let found: Vec<UserRecord> = state.read(|view| {
        if let Some(row) = RecordId::new(text).ok().and_then(|id| view.record(&id)) {
            return vec![row.record];
        }
        let ids = view.records_with_email(text);
        ids.iter().filter_map(|id| view.record(id)).map(|row| row.record).collect()
    });
    let near = || state.read(|view| find::near_lines(view, text, &is_record));
    alone(found, text, "user record", "its id or email in AMFJ, as of the last run", &near, format::record)
}

fn search<T>(context: &CommandContext, look: impl Fn(&Projection) -> Vec<T>) -> Vec<Found<T>> {
    let found = context.integrations().flat_map(|(integration, state)| {
        let found = state.read(|view| look(view));
        found.into_iter().map(|what| Found { integration: integration.id.clone(), what })
    });
    found.collect()
}

fn one<T>(
    context: &CommandContext,
    mut found: Vec<Found<T>>,
    text: &str,
    what: &str,
    how: &str,
    kind: fn(&Hit) -> bool,
    shown: impl Fn(&T) -> String,
) -> Result<Found<T>, Exit> {
    let several = context.asked.len() > 1;
    let line = |found: &Found<T>| {
        let within = if several { format!("{}: ", found.integration) } else { String::new() };
        sanitize(&format!("{within}{}", shown(&found.what)))
    };
    match found.len() {
        0 => Err(none(text, what, how, &near(context, text, kind))),
        1 => Ok(found.remove(0)),
        _ => Err(too_many(text, what, found.iter().map(line), several)),
    }
}

fn alone<T>(
    mut found: Vec<T>,
    text: &str,
    what: &str,
    how: &str,
    near: &dyn Fn() -> Vec<String>,
    shown: impl Fn(&T) -> String,
) -> Result<T, Exit> {
    match found.len() {
        0 => Err(none(text, what, how, &near())),
        1 => Ok(found.remove(0)),
        _ => Err(too_many(text, what, found.iter().map(|one| sanitize(&shown(one))), false)),
    }
}

fn none(text: &str, what: &str, how: &str, near: &[String]) -> Exit {
    let text = sanitize(text);
    let near = find::near_it(near.iter().cloned());
    Exit::Failed(format!(
        "no {what} \"{text}\" is known; give {how} (`amfj-sync trigger` reads both sides anew){near}"
    ))
}

fn too_many(text: &str, what: &str, lines: impl Iterator<Item = String>, several: bool) -> Exit {
    let (text, lines) = (sanitize(text), lines.collect::<Vec<String>>().join("\n  "));
    let more = if several { ", or the integration with `--integration ID`" } else { "" };
    Exit::Failed(format!("several fit {what} \"{text}\"; give the id{more}:\n  {lines}"))
}
