//! Matching by name, and by serial among equal names (P5, P6).

use amfj_sync_shared::amfj::Asset;
use amfj_sync_shared::ids::DeviceId;
use amfj_sync_shared::messages::{Candidate, DeviceEntry, Rule};
use amfj_sync_shared::names::{self, NameKey, serial_key};
use amfj_sync_shared::state::View;
use amfj_sync_shared::state::rows::DeviceRow;
use serde_json::Value;

use super::super::{Site, handle, label};
use super::{Resolution, is_open, is_taken, serials};

/// Candidates that a report lists, at most.
pub(super) const SHOWN: usize = 10;

/// The assets of one name that no device has.
pub(super) struct FreeAssets(Vec<FreeAsset>);

struct FreeAsset {
    asset: Asset,
    /// What the mapped field holds, comparable; none without mapping, or where it is blank.
    serial: Option<String>,
    /// The same as people wrote it.
    written: Option<String>,
}

impl FreeAssets {
    pub(super) fn of(site: &Site<'_>, name: &NameKey) -> Self {
        let field = site.view.meta().serial_field.as_deref();
        let free = site.view.assets_named(name).into_iter().filter(|id| !is_taken(site, id));
        Self(
            free.filter_map(|id| site.view.asset(&id))
                .map(|row| FreeAsset {
                    serial: serial_in(&row.asset, field),
                    written: field.and_then(|field| written(row.asset.fields.get(field)?)),
                    asset: row.asset,
                })
                .collect(),
        )
    }

    /// Those that may be this device: an asset with another serial is no candidate (P6).
    fn candidates(&self, serial: Option<&str>) -> impl Iterator<Item = &FreeAsset> {
        self.0.iter().filter(move |free| free.serial.is_none() || free.serial.as_deref() == serial)
    }

    /// The one that has the device's own serial, if exactly one has.
    fn own(&self, serial: Option<&str>) -> Option<&FreeAsset> {
        let serial = serial?;
        let mut own = self.0.iter().filter(|free| free.serial.as_deref() == Some(serial));
        own.next().filter(|_| own.next().is_none())
    }

    pub(super) fn has_candidate(&self, device: &DeviceEntry) -> bool {
        self.candidates(serial_key(&device.serial).as_deref()).next().is_some()
    }

    pub(super) fn candidates_shown(&self, device: &DeviceEntry) -> Vec<Candidate> {
        let serial = serial_key(&device.serial);
        self.candidates(serial.as_deref()).take(SHOWN).map(FreeAsset::shown).collect()
    }

    /// Those that another serial speaks against (P6).
    pub(super) fn refused_shown(&self, device: &DeviceEntry) -> Vec<Candidate> {
        let own = serial_key(&device.serial);
        let others = self.0.iter().filter(|free| free.serial.is_some() && free.serial != own);
        others.take(SHOWN).map(FreeAsset::shown).collect()
    }
}

impl FreeAsset {
    fn shown(&self) -> Candidate {
        let serial =
            self.written.as_ref().map_or("no serial".to_owned(), |serial| format!("serial {serial}"));
        let note = format!("a free asset of that name, {}, {serial}", self.asset.asset_type.name);
        Candidate { id: self.asset.id.to_string(), name: self.asset.name.clone(), note }
    }
}

/// The comparable serial that an asset holds in the mapped field.
fn serial_in(asset: &Asset, field: Option<&str>) -> Option<String> {
    names::serial_in(asset.fields.get(field?)?)
}

/// Whether nothing in the asset's mapped serial speaks against its being this device (P6).
pub(super) fn may_be(site: &Site<'_>, device: &DeviceEntry, asset: &Asset) -> bool {
    let held = serial_in(asset, site.view.meta().serial_field.as_deref());
    held.is_none() || held == serial_key(&device.serial)
}

fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Chooses among the free assets of the device's name; at least one of them is a candidate.
///
/// A device whose serial is in exactly one of them has that one and competes for no other, and no
/// other device competes for it. So it does not matter which of them is linked first.
pub(super) fn choose(site: &Site<'_>, device: &DeviceEntry, name: &NameKey, free: &FreeAssets) -> Resolution {
    let serial = serial_key(&device.serial);
    let mut candidates = free.candidates(serial.as_deref());
    let only = candidates.next().filter(|_| candidates.next().is_none());
    let mut rivals = rivals(site, device, name).peekable();

    if let Some(own) = free.own(serial.as_deref()).filter(|_| has_serial_alone(site, device, name)) {
        let rule = if only.is_some() && rivals.peek().is_none() { Rule::Name } else { Rule::Serial };
        return link(own, rule);
    }
    let competes = |rival: &DeviceRow| {
        let serial = serial_key(&rival.entry.serial);
        free.own(serial.as_deref()).is_none() || !has_serial_alone(site, &rival.entry, name)
    };
    match (only, rivals.find(competes)) {
        (Some(only), None) => link(only, Rule::Name),
        (only, rival) => ambiguous(device, free, only.is_some(), rival),
    }
}

fn link(free: &FreeAsset, rule: Rule) -> Resolution {
    Resolution::Link { asset: Box::new(free.asset.clone()), rule, takes_over: None }
}

/// The other devices that may be an asset of this name, in this and in the sibling integrations.
fn rivals<'a>(
    site: &'a Site<'_>,
    device: &'a DeviceEntry,
    name: &'a NameKey,
) -> impl Iterator<Item = DeviceRow> + 'a {
    let own = contenders(site.view, others(site.view.devices_named(name), device));
    let theirs =
        site.siblings.iter().flat_map(move |sibling| contenders(sibling, sibling.devices_named(name)));
    own.chain(theirs)
}

/// Which of the devices are not this one: what there is to know about itself need not be looked up.
pub(super) fn others(mut ids: Vec<DeviceId>, device: &DeviceEntry) -> Vec<DeviceId> {
    ids.retain(|id| *id != device.device_id);
    ids
}

/// Those of the devices that are unlinked and take over no other link (P9).
fn contenders(view: &View, ids: Vec<DeviceId>) -> impl Iterator<Item = DeviceRow> + '_ {
    ids.into_iter()
        .filter_map(|id| view.device(&id))
        .filter(|row| is_open(view, row) && !serials::takes_over(view, &row.entry))
}

/// Whether no other contender of this name has the device's serial.
fn has_serial_alone(site: &Site<'_>, device: &DeviceEntry, name: &NameKey) -> bool {
    let alone = |view: &View| {
        contenders(view, others(view.devices_with_serial(&device.serial), device))
            .all(|row| NameKey::of(&row.entry.name).as_ref() != Some(name))
    };
    alone(site.view) && site.siblings.iter().all(|sibling| alone(sibling))
}

fn ambiguous(
    device: &DeviceEntry,
    free: &FreeAssets,
    one_asset: bool,
    rival: Option<DeviceRow>,
) -> Resolution {
    let mut candidates = free.candidates_shown(device);
    let what = match (&rival, one_asset) {
        (None, _) => format!("{} free assets have the name of this device", candidates.len()),
        (Some(_), true) => "Another unlinked device has the same name, and one asset is free".to_owned(),
        (Some(_), false) => {
            "Another unlinked device has the same name, and several assets are free".to_owned()
        }
    };
    let first = candidates.first().map_or("ASSET", |candidate| candidate.id.as_str());
    let reason = format!(
        "{what}, so \"{}\" is not guessed; link it with `reconciler link \"{}\" {first}`, or make the names differ.",
        label(device),
        handle(device)
    );
    candidates.extend(rival.map(|rival| Candidate {
        id: rival.entry.device_id.to_string(),
        name: rival.entry.name.clone(),
        note: format!("another unlinked device of that name, serial {}", handle(&rival.entry)),
    }));
    Resolution::Ambiguous { reason, candidates }
}
