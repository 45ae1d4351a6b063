//! What a person means by the DEVICE, ASSET, USER or RECORD they typed. Never a guess: what fits several
//! is refused with their ids.

use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{AssetId, IntegrationId, KandjiUserId, RecordId, UserKey};
use amfj_sync_model::messages::{DeviceEntry, UserEntry};
use amfj_sync_model::names::{NameKey, email_key, serial_key};
use amfj_sync_projection::View;
use amfj_sync_projection::finding::{self as find, Hit};
use amfj_sync_projection::rows::DeviceRow;
use amfj_sync_security::screen::legible;
use amfj_sync_service::worker::Exit;
use amfj_sync_stream::State;

use super::{Known, words};

/// What was found, and in which integration.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) integration: IntegrationId,
    pub(super) what: T,
}

/// By what a device is found.
const DEVICE_BY: &str = "its id, serial or name in Kandji, as of the last run";

/// The device of that id; else the one with that serial or name, listed or missing.
pub(super) fn device(known: &Known, text: &str) -> Result<Found<DeviceRow>, Exit> {
    let fits = Fits::of(text);
    let found = search(known, |view| devices(view, &fits));
    let shown = |row: &DeviceRow| {
        let missing = if row.is_listed() { "" } else { ", no longer listed" };
        format!(
            "{} {}, serial {}{missing}",
            row.entry.device_id,
            words::quoted(&row.entry.name),
            serial(&row.entry)
        )
    };
    one(known, found, text, "device", DEVICE_BY, is_device, shown)
}

fn serial(device: &DeviceEntry) -> &str {
    let serial = device.serial.trim();
    if serial.is_empty() { "unknown" } else { serial }
}

/// One way to spell a device.
struct Fits {
    id: String,
    serial: Option<String>,
    name: Option<NameKey>,
}

impl Fits {
    fn of(text: &str) -> Self {
        Self { id: text.trim().to_owned(), serial: serial_key(text), name: NameKey::of(text) }
    }
}

fn devices(view: &View, fits: &Fits) -> Vec<DeviceRow> {
    let (mut by_id, mut others) = (Vec::new(), Vec::new());
    view.each_device(&mut |row| {
        let device = &row.entry;
        if device.device_id.as_str() == fits.id {
            by_id.push(row);
        } else if (fits.serial.is_some() && serial_key(&device.serial) == fits.serial)
            || (fits.name.is_some() && NameKey::of(&device.name) == fits.name)
        {
            others.push(row);
        }
        true
    });
    if by_id.is_empty() { others } else { by_id }
}

/// The asset of that id, else of that name, in one integration.
pub(super) fn asset(state: &State, text: &str) -> Result<Asset, Exit> {
    let found: Vec<Asset> = state.read(|view| {
        if let Some(row) = AssetId::new(text).ok().and_then(|id| view.asset(&id)) {
            return vec![row.asset];
        }
        let ids = NameKey::of(text).map(|name| view.assets_named(&name)).unwrap_or_default();
        ids.iter().filter_map(|id| view.asset(id)).map(|row| row.asset).collect()
    });
    let how = "its id or exact name in AMFJ, as of the last run";
    let shown =
        |asset: &Asset| format!("{} {}, {}", asset.id, words::quoted(&asset.name), asset.asset_type.name);
    let near = state.read(|view| find::near_lines(view, text, &is_asset));
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
fn near(known: &Known, text: &str, wanted: fn(&Hit) -> bool) -> Vec<String> {
    let several = known.asked.len() > 1;
    let lines = known.integrations().flat_map(|(integration, state)| {
        let within = if several { format!("{}: ", integration.id) } else { String::new() };
        let lines = state.read(|view| find::near_lines(view, text, &wanted));
        lines.into_iter().map(move |line| format!("{within}{line}"))
    });
    lines.collect()
}

/// The one device, asset, person or record that the text stands for (P5). Integrations of one AMFJ site know the same
/// assets and records: each counts once, for the integration that has to do with it.
pub(super) fn anything(known: &Known, text: &str) -> Result<Found<Hit>, Exit> {
    let mut found: Vec<(Found<Hit>, Vec<String>, String)> = Vec::new();
    for (integration, state) in known.integrations() {
        state.read(|view| {
            for hit in find::find(view, text) {
                let (owned, shown) = (find::belongings(view, &hit), legible(&find::describe(view, &hit)));
                let at = if is_linked(view, &hit) { 0 } else { found.len() };
                found.insert(at, (Found { integration: integration.id.clone(), what: hit }, owned, shown));
            }
        });
    }
    let same_site = |one: &IntegrationId, other: &IntegrationId| {
        let config = &known.worker.config;
        let sites = config.integration(one).zip(config.integration(other));
        sites.is_some_and(|(one, other)| super::is_same_site(one, other))
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
    let one = one(known, hits.collect(), text, what, how, |_| true, |(_, shown)| shown.clone())?;
    Ok(Found { integration: one.integration, what: one.what.0 })
}

/// Whether the integration has made something of an asset or record.
fn is_linked(view: &View, hit: &Hit) -> bool {
    match hit {
        Hit::Asset(id) => view.linked_device(id).is_some(),
        Hit::Record(id) => !view.linked_users(id).is_empty(),
        Hit::Device(_) | Hit::Person(_) => false,
    }
}

/// Every device that the text stands for: a filter may leave several.
pub(super) fn all_devices(known: &Known, text: &str) -> Result<Vec<Found<DeviceRow>>, Exit> {
    let fits = Fits::of(text);
    let found = search(known, |view| devices(view, &fits));
    if found.is_empty() {
        return Err(none(text, "device", DEVICE_BY, &near(known, text, is_device)));
    }
    Ok(found)
}

/// The person of that email or Kandji user id.
pub(super) fn user(known: &Known, text: &str) -> Result<Found<UserEntry>, Exit> {
    let found = search(known, |view| users(view, text));
    let shown = |user: &UserEntry| format!("{} {}", user.key, words::quoted(&user.name));
    one(
        known,
        found,
        text,
        "Kandji user",
        "their email or Kandji user id, as of the last run",
        is_person,
        shown,
    )
}

fn users(view: &View, text: &str) -> Vec<UserEntry> {
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
pub(super) fn record(state: &State, text: &str) -> Result<UserRecord, Exit> {
    let found: Vec<UserRecord> = state.read(|view| {
        if let Some(row) = RecordId::new(text).ok().and_then(|id| view.record(&id)) {
            return vec![row.record];
        }
        let ids = view.records_with_email(text);
        ids.iter().filter_map(|id| view.record(id)).map(|row| row.record).collect()
    });
    let near = state.read(|view| find::near_lines(view, text, &is_record));
    alone(found, text, "user record", "its id or email in AMFJ, as of the last run", &near, words::record)
}

fn search<T>(known: &Known, look: impl Fn(&View) -> Vec<T>) -> Vec<Found<T>> {
    let found = known.integrations().flat_map(|(integration, state)| {
        let found = state.read(|view| look(view));
        found.into_iter().map(|what| Found { integration: integration.id.clone(), what })
    });
    found.collect()
}

fn one<T>(
    known: &Known,
    mut found: Vec<Found<T>>,
    text: &str,
    what: &str,
    how: &str,
    kind: fn(&Hit) -> bool,
    shown: impl Fn(&T) -> String,
) -> Result<Found<T>, Exit> {
    let several = known.asked.len() > 1;
    let line = |found: &Found<T>| {
        let within = if several { format!("{}: ", found.integration) } else { String::new() };
        legible(&format!("{within}{}", shown(&found.what)))
    };
    match found.len() {
        0 => Err(none(text, what, how, &near(known, text, kind))),
        1 => Ok(found.remove(0)),
        _ => Err(too_many(text, what, found.iter().map(line), several)),
    }
}

fn alone<T>(
    mut found: Vec<T>,
    text: &str,
    what: &str,
    how: &str,
    near: &[String],
    shown: impl Fn(&T) -> String,
) -> Result<T, Exit> {
    match found.len() {
        0 => Err(none(text, what, how, near)),
        1 => Ok(found.remove(0)),
        _ => Err(too_many(text, what, found.iter().map(|one| legible(&shown(one))), false)),
    }
}

fn none(text: &str, what: &str, how: &str, near: &[String]) -> Exit {
    let text = legible(text);
    let near = find::near_it(near.iter().cloned());
    Exit::Failed(format!(
        "no {what} \"{text}\" is known; give {how} (`fetcher trigger` reads both sides anew){near}"
    ))
}

fn too_many(text: &str, what: &str, lines: impl Iterator<Item = String>, several: bool) -> Exit {
    let (text, lines) = (legible(text), lines.collect::<Vec<String>>().join("\n  "));
    let more = if several { ", or the integration with `--integration ID`" } else { "" };
    Exit::Failed(format!("several fit {what} \"{text}\"; give the id{more}:\n  {lines}"))
}
