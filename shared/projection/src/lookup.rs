//! What a person means by the text they typed: a device, an asset, a person of Kandji or a user record, by name, serial,
//! email or id. Never a guess: what fits several is told with all of them, what fits nothing with what is near (P5, P6).

use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{DeviceEntry, UserEntry};
use amfj_sync_model::names::{NameKey, email_key, serial_key};
use amfj_sync_security::screen::sanitize;

use crate::Projection;
use crate::rows::DeviceRow;
use crate::serials::HeldSerial;

#[cfg(test)]
mod tests;

/// Something that a text may stand for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hit {
    /// A device of Kandji, listed or not.
    Device(DeviceId),
    /// An asset of AMFJ.
    Asset(AssetId),
    /// A person as Kandji's devices name them.
    Person(UserKey),
    /// A user record of AMFJ.
    Record(RecordId),
}

/// One thing that is searched, with every text that people call it by.
struct Entry {
    hit: Hit,
    ids: Vec<String>,
    name: String,
    serial: Option<String>,
    email: Option<String>,
    /// What an asset holds in the field that is mapped from `serial_number`.
    held: Option<HeldSerial>,
}

impl Entry {
    fn new(hit: Hit, id: &str, name: String) -> Self {
        Self { hit, ids: vec![id.to_owned()], name, serial: None, email: None, held: None }
    }
}

/// What a text stands for: what has it as its id; else everything that has it as its name, serial or email; else the
/// assets in whose mapped field that serial is, as the field's type holds it. What one of the hits has, or may get, is no
/// other hit: an asset goes with its device, a record with its person.
#[must_use]
pub fn find(view: &Projection, text: &str) -> Vec<Hit> {
    let (id, name) = (text.trim(), NameKey::of(text));
    let (serial, email) = (serial_key(text), email_key(text));
    let (mut by_id, mut others, mut by_field) = (Vec::new(), Vec::new(), Vec::new());
    each(view, &mut |entry| {
        let fits =
            |wanted: Option<&String>, held: Option<String>| wanted.is_some() && wanted == held.as_ref();
        if entry.ids.iter().any(|own| own == id) {
            by_id.push(entry.hit);
        } else if (name.is_some() && NameKey::of(&entry.name) == name)
            || fits(serial.as_ref(), entry.serial.as_deref().and_then(serial_key))
            || fits(email.as_ref(), entry.email.as_deref().and_then(email_key))
        {
            others.push(entry.hit);
        } else if entry.held.is_some_and(|held| held.is(text)) {
            by_field.push(entry.hit);
        }
    });
    let found = [by_id, others, by_field].into_iter().find(|hits| !hits.is_empty()).unwrap_or_default();
    without_what_belongs(view, without_predecessors(view, found))
}

/// A device that was enrolled again has left one of the same name and serial behind, which is nothing any more (P9).
fn without_predecessors(view: &Projection, hits: Vec<Hit>) -> Vec<Hit> {
    let is_past = |hit: &Hit| match hit {
        Hit::Device(id) => view.link(id).is_none() && view.device(id).is_some_and(|row| !row.is_listed()),
        _ => false,
    };
    let present = |hit: &&Hit| matches!(hit, Hit::Device(_)) && !is_past(hit);
    if hits.iter().filter(present).count() != 1 {
        return hits;
    }
    hits.into_iter().filter(|hit| !is_past(hit)).collect()
}

fn without_what_belongs(view: &Projection, hits: Vec<Hit>) -> Vec<Hit> {
    let owned: Vec<String> = hits.iter().flat_map(|hit| belongings(view, hit)).collect();
    let is_owned = |hit: &Hit| match hit {
        Hit::Asset(id) => owned.iter().any(|owned| owned == id.as_str()),
        Hit::Record(id) => owned.iter().any(|owned| owned == id.as_str()),
        Hit::Device(_) | Hit::Person(_) => false,
    };
    hits.into_iter().filter(|hit| !is_owned(hit)).collect()
}

/// Ids of assets or records that a device or person has, is to have, or was not given because several fit.
#[must_use]
pub fn belongings(view: &Projection, hit: &Hit) -> Vec<String> {
    let key = match hit {
        Hit::Device(id) => Key::Device(id.clone()),
        Hit::Person(key) => Key::User(key.clone()),
        Hit::Asset(_) | Hit::Record(_) => return Vec::new(),
    };
    let mut ids: Vec<String> = match hit {
        Hit::Device(id) => view.link(id).map(|link| link.asset.to_string()).into_iter().collect(),
        Hit::Person(key) => record_of(view, key).map(|id| id.to_string()).into_iter().collect(),
        Hit::Asset(_) | Hit::Record(_) => Vec::new(),
    };
    if let Some(decision) = view.decision(&key) {
        let own = match hit {
            Hit::Device(_) => decision.asset.map(String::from),
            _ => decision.record.map(String::from),
        };
        ids.extend(own);
        ids.extend(decision.candidates.into_iter().map(|candidate| candidate.id));
    }
    ids
}

/// The user record that a person is linked to.
#[must_use]
pub fn record_of(view: &Projection, key: &UserKey) -> Option<RecordId> {
    let ids = view.user(key).map(|row| row.entry.ids).unwrap_or_default();
    ids.iter().find_map(|id| view.user_link(id)).map(|link| link.record)
}

/// Hits that are shown as near, at most.
const NEAR: usize = 5;
/// How like a text must be, from 0 to 1.
const LIKE: f64 = 0.75;
/// Shorter texts are in too many names.
const SHORTEST_PART: usize = 3;

/// What a text that stands for nothing may have been meant for, the nearest first: names that differ in signs alone (P6),
/// then mistyped ones, then those that the text is a part of.
#[must_use]
pub fn near(view: &Projection, text: &str, wanted: &dyn Fn(&Hit) -> bool) -> Vec<Hit> {
    let Some(typed) = bare(text) else { return Vec::new() };
    let mut found: Vec<(f64, Hit)> = Vec::new();
    each(view, &mut |entry| {
        if !wanted(&entry.hit) {
            return;
        }
        let texts = [Some(entry.name), entry.serial, entry.email].into_iter().flatten().chain(entry.ids);
        let likeness = texts.filter_map(|text| likeness(&typed, &bare(&text)?)).fold(0.0, f64::max);
        if likeness > 0.0 {
            found.push((likeness, entry.hit));
        }
    });
    found.sort_by(|(one, first), (other, second)| other.total_cmp(one).then_with(|| first.cmp(second)));
    found.into_iter().take(NEAR).map(|(_, hit)| hit).collect()
}

fn bare(text: &str) -> Option<String> {
    NameKey::of(text).and_then(|key| key.near())
}

/// None where they have little to do with each other.
fn likeness(typed: &str, other: &str) -> Option<f64> {
    if typed == other {
        return Some(2.0);
    }
    let like = strsim::normalized_damerau_levenshtein(typed, other);
    let is_part = typed.chars().count() >= SHORTEST_PART && other.contains(typed);
    (like >= LIKE || is_part).then_some(like.max(0.1))
}

/// What a text may have been meant for in one integration, each in one line.
#[must_use]
pub fn near_lines(view: &Projection, text: &str, wanted: &dyn Fn(&Hit) -> bool) -> Vec<String> {
    near(view, text, wanted).iter().map(|hit| sanitize(&describe(view, hit))).collect()
}

/// The end of a message that something is not known: what it may have been meant for, if there is anything.
#[must_use]
pub fn near_it(lines: impl IntoIterator<Item = String>) -> String {
    let lines: Vec<String> = lines.into_iter().take(NEAR).collect();
    if lines.is_empty() { String::new() } else { format!("\nnear it:\n  {}", lines.join("\n  ")) }
}

/// What it is, in one line: its kind, its id, and what people call it.
#[must_use]
pub fn describe(view: &Projection, hit: &Hit) -> String {
    let text = match hit {
        Hit::Device(id) => view.device(id).as_ref().map(device),
        Hit::Asset(id) => view.asset(id).map(|row| asset(&row.asset)),
        Hit::Person(key) => view.user(key).map(|row| person(&row.entry)),
        Hit::Record(id) => view.record(id).map(|row| record(&row.record)),
    };
    text.unwrap_or_else(|| match hit {
        Hit::Device(id) => format!("device {id}"),
        Hit::Asset(id) => format!("asset {id}"),
        Hit::Person(key) => format!("person {key}"),
        Hit::Record(id) => format!("user record {id}"),
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", sanitize(text.trim()))
}

fn device(row: &DeviceRow) -> String {
    let (device, serial) = (&row.entry, row.entry.serial.trim());
    let serial = if serial.is_empty() { "unknown".to_owned() } else { sanitize(serial) };
    let missing = if row.is_listed() { "" } else { ", no longer listed" };
    format!("device {} {}, serial {serial}{missing}", device.device_id, quoted(&device.name))
}

fn asset(asset: &Asset) -> String {
    format!("asset {} {}, {}", asset.id, quoted(&asset.name), sanitize(&asset.asset_type.name))
}

fn person(user: &UserEntry) -> String {
    format!("person {} {}", sanitize(user.key.as_str()), quoted(&user.name))
}

fn record(record: &UserRecord) -> String {
    let email = record.email.as_deref().map(|email| format!(" <{}>", sanitize(email))).unwrap_or_default();
    format!("user record {} {}{email}", record.id, quoted(&record.name))
}

/// Everything that can be meant.
fn each(view: &Projection, visit: &mut dyn FnMut(Entry)) {
    view.each_device(&mut |row| {
        let DeviceEntry { device_id: id, name, serial, .. } = row.entry;
        visit(Entry { serial: Some(serial), ..Entry::new(Hit::Device(id.clone()), id.as_str(), name) });
        true
    });
    let field = view.meta().serial_field.as_deref();
    view.each_asset(&mut |row| {
        let held = field.and_then(|field| HeldSerial::of(view.catalogue(), &row.asset, field));
        let Asset { id, name, .. } = row.asset;
        visit(Entry { held, ..Entry::new(Hit::Asset(id.clone()), id.as_str(), name) });
        true
    });
    view.each_user(&mut |row| {
        let UserEntry { key, ids, email, name, .. } = row.entry;
        let mut entry = Entry { email, ..Entry::new(Hit::Person(key.clone()), key.as_str(), name) };
        entry.ids.extend(ids.iter().map(KandjiUserId::to_string));
        visit(entry);
        true
    });
    view.each_record(&mut |row| {
        let UserRecord { id, name, email, .. } = row.record;
        visit(Entry { email, ..Entry::new(Hit::Record(id.clone()), id.as_str(), name) });
        true
    });
}
