//! Matching by name, and by serial among equal names (P5, P6).

use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::{AssetId, DeviceId, Key};
use amfj_sync_model::messages::{Candidate, DeviceEntry, Rule};
use amfj_sync_model::names::NameKey;
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::DeviceRow;
use amfj_sync_projection::serials::{HeldSerial, Serials, written};

use super::super::{Site, handle, label};
use super::{Resolution, is_open, is_taken, serials};

/// Candidates that a report lists, at most.
pub(super) const SHOWN: usize = 10;

/// The assets of one name, or of a near one, that no device has.
pub(super) struct FreeAssets {
    same: Vec<FreeAsset>,
    /// Never matched: shown, and nothing is created beside one (P6).
    near: Vec<FreeAsset>,
}

struct FreeAsset {
    asset: Asset,
    /// The serial that the mapped field holds, as far as it says something.
    serial: Option<HeldSerial>,
    /// The same as people wrote it.
    written: Option<String>,
    /// Whether it was free when the run began, and is not any more: whether something is created beside it must not
    /// depend on which device was decided first.
    taken_since: bool,
    /// Whether its serial decides for another device of that name: a device whose own says nothing leaves it alone.
    decided: bool,
}

impl FreeAssets {
    pub(super) fn of(site: &Site<'_>, device: &DeviceEntry, name: &NameKey) -> Self {
        let (mut same, mut near) = (Vec::new(), Vec::new());
        for row in site.view.assets_like(name) {
            let is_same = NameKey::of(&row.asset.name).as_ref() == Some(name);
            let is_taken = is_taken(site, &row.asset.id);
            if is_taken && (is_same || !was_free(site, &row.asset.id)) {
                continue;
            }
            let free = FreeAsset::of(site.view, row.asset, is_taken);
            if is_same { same.push(free) } else { near.push(free) }
        }
        let mut free = Self { same, near };
        if site.view.telling_serial(device).is_none() {
            let decided: Vec<bool> =
                free.same.iter().map(|asset| free.is_decided(site, asset, device, name)).collect();
            free.same.iter_mut().zip(decided).for_each(|(asset, decided)| asset.decided = decided);
        }
        free
    }

    /// Whether exactly one other contender of this name has the serial of this asset, which holds it alone.
    fn is_decided(&self, site: &Site<'_>, asset: &FreeAsset, device: &DeviceEntry, name: &NameKey) -> bool {
        let Some(held) = &asset.serial else { return false };
        let alone = self.same.iter().filter(|other| other.serial.as_ref() == Some(held)).count() == 1;
        alone && holders_of(site, held, device, name) == 1
    }

    /// Those that may be this device: an asset with another serial is no candidate (P6).
    fn candidates<'a>(&'a self, serial: Option<&'a str>) -> impl Iterator<Item = &'a FreeAsset> {
        self.same.iter().filter(move |free| !free.decided && free.stands_to(serial) != Serials::Other)
    }

    /// The one that has the device's own serial, if exactly one has.
    fn own(&self, serial: Option<&str>) -> Option<&FreeAsset> {
        let mut own = self.same.iter().filter(|free| free.stands_to(serial) == Serials::Same);
        own.next().filter(|_| own.next().is_none())
    }

    pub(super) fn has_candidate(&self, serial: Option<&str>) -> bool {
        self.candidates(serial).next().is_some()
    }

    pub(super) fn candidates_shown(&self, serial: Option<&str>) -> Vec<Candidate> {
        self.candidates(serial).take(SHOWN).map(|free| free.shown("of that name")).collect()
    }

    /// Those that another serial speaks against (P6).
    pub(super) fn refused_shown(&self, serial: Option<&str>) -> Vec<Candidate> {
        let others = self.same.iter().filter(|free| free.stands_to(serial) == Serials::Other);
        others.take(SHOWN).map(|free| free.shown("of that name")).collect()
    }

    /// Those of a near name beside which nothing is created (P6).
    pub(super) fn near_shown(&self, serial: Option<&str>) -> Vec<Candidate> {
        let near = self.near.iter().filter(|free| free.stands_to(serial) != Serials::Other);
        near.take(SHOWN).map(|free| free.shown("of nearly that name")).collect()
    }
}

/// Whether an asset that has a device by now was free when the run in force began: what a run decides about it is
/// decided by rules, after that.
fn was_free(site: &Site<'_>, asset: &AssetId) -> bool {
    let has = |view: &Projection| view.linked_device(asset).is_some() || view.promised_to(asset).is_some();
    if site.siblings.iter().any(|sibling| has(sibling)) {
        return false;
    }
    let run = site.view.meta().number_in_force();
    if let Some(link) = site.view.linked_device(asset).and_then(|device| site.view.link(&device)) {
        return link.run.is_some() && link.run == run && matches!(link.rule, Rule::Name | Rule::Serial);
    }
    let promised = site.view.promised_to(asset).and_then(|device| site.view.decision(&Key::Device(device)));
    promised.is_some_and(|decision| {
        let promise = decision.changes.iter().find(|decided| decided.change.action.asset() == Some(asset));
        promise.is_some_and(|promise| Some(promise.sequence.run) == run)
    })
}

impl FreeAsset {
    fn of(view: &Projection, asset: Asset, taken_since: bool) -> Self {
        let written = view.meta().serial_field.as_deref().and_then(|field| written(&asset, field));
        Self { serial: view.held_serial(&asset), written, asset, taken_since, decided: false }
    }

    fn stands_to(&self, serial: Option<&str>) -> Serials {
        match (&self.serial, serial) {
            (Some(held), Some(own)) if held.is(own) => Serials::Same,
            (Some(_), Some(_)) => Serials::Other,
            _ => Serials::Silent,
        }
    }

    fn shown(&self, how: &str) -> Candidate {
        let serial =
            self.written.as_ref().map_or("no serial".to_owned(), |serial| format!("serial {serial}"));
        let free =
            if self.taken_since { "an asset that was free when the run began," } else { "a free asset" };
        let note = format!("{free} {how}, {}, {serial}", self.asset.asset_type.name);
        Candidate { id: self.asset.id.to_string(), name: self.asset.name.clone(), note }
    }
}

/// Whether nothing in the asset's mapped serial speaks against its being this device (P6).
pub(super) fn may_be(site: &Site<'_>, device: &DeviceEntry, asset: &Asset) -> bool {
    site.view.serials(device, asset) != Serials::Other
}

/// Chooses among the free assets of the device's name; at least one of them is a candidate.
///
/// A device whose serial is in exactly one of them has that one and competes for no other, and no
/// other device competes for it. So it does not matter which of them is linked first.
pub(super) fn choose(site: &Site<'_>, device: &DeviceEntry, name: &NameKey, free: &FreeAssets) -> Resolution {
    let serial = site.view.telling_serial(device);
    let mut candidates = free.candidates(serial.as_deref());
    let only = candidates.next().filter(|_| candidates.next().is_none());
    let mut rivals = rivals(site, device, name).peekable();

    if let Some(own) = free.own(serial.as_deref()).filter(|own| has_alone(site, own, device, name)) {
        let rule = if only.is_some() && rivals.peek().is_none() { Rule::Name } else { Rule::Serial };
        return link(own, rule);
    }
    let competes = |rival: &DeviceRow| {
        let serial = site.view.telling_serial(&rival.entry);
        let own = free.own(serial.as_deref());
        own.is_none_or(|own| !has_alone(site, own, &rival.entry, name))
    };
    match (only, rivals.find(competes)) {
        (Some(only), None) => link(only, Rule::Name),
        (only, rival) => ambiguous(device, free.candidates_shown(serial.as_deref()), only.is_some(), rival),
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
fn contenders(view: &Projection, ids: Vec<DeviceId>) -> impl Iterator<Item = DeviceRow> + '_ {
    ids.into_iter()
        .filter_map(|id| view.device(&id))
        .filter(|row| is_open(view, row) && !serials::takes_over(view, &row.entry))
}

/// Whether no other contender of this name has the serial that this asset holds.
fn has_alone(site: &Site<'_>, own: &FreeAsset, device: &DeviceEntry, name: &NameKey) -> bool {
    own.serial.as_ref().is_some_and(|held| holders_of(site, held, device, name) == 0)
}

/// How many other contenders of this name have the serial that an asset holds.
fn holders_of(site: &Site<'_>, held: &HeldSerial, device: &DeviceEntry, name: &NameKey) -> usize {
    let of = |view: &Projection| {
        let same = view.devices_with_held(held).into_iter().map(|row| row.entry.device_id).collect();
        let rows = contenders(view, others(same, device));
        rows.filter(|row| NameKey::of(&row.entry.name).as_ref() == Some(name)).count()
    };
    of(site.view) + site.siblings.iter().map(|sibling| of(sibling)).sum::<usize>()
}

fn ambiguous(
    device: &DeviceEntry,
    mut candidates: Vec<Candidate>,
    one_asset: bool,
    rival: Option<DeviceRow>,
) -> Resolution {
    let what = match (&rival, one_asset) {
        (None, _) => format!("{} free assets have the name of this device", candidates.len()),
        (Some(_), true) => "Another unlinked device has the same name, and one asset is free".to_owned(),
        (Some(_), false) => {
            "Another unlinked device has the same name, and several assets are free".to_owned()
        }
    };
    let first = candidates.first().map_or("ASSET", |candidate| candidate.id.as_str());
    let reason = format!(
        "{what}, so \"{}\" is not guessed; link it with `amfj-sync link \"{}\" {first}`, or make the names differ.",
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
