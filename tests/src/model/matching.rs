//! Which asset a device is (P4–P9).

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};

use super::{CreateDevices, Model, Run, kandji::Listed, words};
use crate::sim::fleet::{FieldKind, SiteAsset};

/// What becomes of a device without a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolution {
    Link { asset: String, takes_over: Option<String> },
    Create,
    Unmatched,
    Ambiguous,
}

impl Model {
    /// Resolves every listed device that is in scope and has no link. Nothing depends on the order
    /// of devices: all of them look at the links there were when the run began.
    pub(super) fn resolve(&self, run: &Run) -> BTreeMap<String, Resolution> {
        let unlinked: Vec<&Listed> = run
            .listed
            .iter()
            .filter(|device| device.is_live() && !self.links.contains_key(&device.id))
            .collect();
        unlinked.iter().map(|device| (device.id.clone(), self.resolve_one(run, &unlinked, device))).collect()
    }

    fn resolve_one(&self, run: &Run, unlinked: &[&Listed], device: &Listed) -> Resolution {
        if let Some(resolution) = self.by_reenrolment(run, unlinked, device) {
            return resolution;
        }
        if let Some(resolution) = self.by_name(run, unlinked, device) {
            let is_link = matches!(resolution, Resolution::Link { .. });
            return if is_link && self.has_twin(run, unlinked, device) {
                Resolution::Ambiguous
            } else {
                resolution
            };
        }
        self.by_creation(run, device)
    }

    /// Whether another newcomer of the serial has an asset of its name as well: both are ambiguous (P9).
    fn has_twin(&self, run: &Run, unlinked: &[&Listed], device: &Listed) -> bool {
        let serial = run.telling(device);
        !serial.is_empty()
            && unlinked.iter().any(|other| {
                other.id != device.id
                    && run.telling(other) == serial
                    && matches!(self.by_name(run, unlinked, other), Some(Resolution::Link { .. }))
            })
    }

    /// P9: the serial of a linked device.
    fn by_reenrolment(&self, run: &Run, unlinked: &[&Listed], device: &Listed) -> Option<Resolution> {
        let serial = run.telling(device);
        if serial.is_empty() {
            return None;
        }
        let same = |id: &&String| {
            self.serials.get(*id).is_some_and(|other| words::serial(other) == serial)
                && self
                    .platforms
                    .get(*id)
                    .is_some_and(|other| other.eq_ignore_ascii_case(device.platform.trim()))
        };
        let linked: Vec<&String> = self.links.keys().filter(same).collect();
        let is_only_newcomer =
            unlinked.iter().filter(|other| words::serial(&other.serial) == serial).count() == 1;
        match linked.as_slice() {
            [] => None,
            [old] if is_only_newcomer && run.device(old).is_none() => {
                Some(Resolution::Link { asset: self.links[*old].clone(), takes_over: Some((*old).clone()) })
            }
            _ => Some(Resolution::Ambiguous),
        }
    }

    /// P5, P6: the name.
    fn by_name(&self, run: &Run, unlinked: &[&Listed], device: &Listed) -> Option<Resolution> {
        let is_matched = if self.lost_links.contains(&device.id) {
            run.settings.until_linked
        } else {
            self.is_first_for(run, device) || run.settings.until_linked
        };
        if !is_matched {
            return None;
        }
        let candidates = self.candidates(run, device);
        if candidates.is_empty() {
            return None;
        }
        let namesakes =
            |other: &&&Listed| other.id != device.id && words::name(&other.name) == words::name(&device.name);
        if let Some(asset) = self.decided_by_serial(run, device) {
            let shares = |other: &Listed| run.stands(other, asset) == Stands::Same;
            let is_contested = unlinked.iter().filter(namesakes).any(|other| shares(other));
            let link = Resolution::Link { asset: asset.id.clone(), takes_over: None };
            return Some(if is_contested { Resolution::Ambiguous } else { link });
        }
        // A namesake whose serial decides, or that takes over a link, wants none of these.
        let is_rival = |other: &&Listed| {
            self.decided_by_serial(run, other).is_none()
                && self.by_reenrolment(run, unlinked, other).is_none()
        };
        let rivals = unlinked.iter().filter(namesakes).filter(|other| is_rival(other)).count();
        Some(match candidates.as_slice() {
            [asset] if rivals == 0 => Resolution::Link { asset: asset.id.clone(), takes_over: None },
            _ => Resolution::Ambiguous,
        })
    }

    /// P7: create, if that is allowed and nothing is in the way.
    fn by_creation(&self, run: &Run, device: &Listed) -> Resolution {
        let is_lost = self.lost_links.contains(&device.id);
        let serial = run.telling(device);
        let is_allowed = match run.settings.create_devices {
            CreateDevices::Never => false,
            CreateDevices::FirstSync => self.is_first_for(run, device) && !is_lost,
            CreateDevices::Always => true,
        };
        if !is_allowed || words::is_blank(&device.name) && serial.is_empty() {
            return Resolution::Unmatched;
        }
        let has_serial = |asset: &SiteAsset| run.stands(device, asset) == Stands::Same;
        let shares_serial = |other: &Listed| {
            other.id != device.id
                && other.is_live()
                && !serial.is_empty()
                && words::serial(&other.serial) == serial
        };
        let is_ambiguous = !self.candidates(run, device).is_empty()
            || self.has_near(run, device)
            || run.before.iter().any(has_serial)
            || run.listed.iter().any(shares_serial);
        if is_ambiguous { Resolution::Ambiguous } else { Resolution::Create }
    }

    /// Whether this run is (still) the device's first sync (P5).
    fn is_first_for(&self, run: &Run, device: &Listed) -> bool {
        run.first_sync || self.unfinished.contains(&device.id)
    }

    /// Free assets of the device's name, without those that carry another serial, or that of another device of the name
    /// while this one's says nothing (P6).
    fn candidates<'a>(&self, run: &'a Run, device: &Listed) -> Vec<&'a SiteAsset> {
        let free = self.free_of_name(run, device);
        let is_left = |asset: &&SiteAsset| {
            run.telling(device).is_empty() && self.is_decided_for_another(run, device, asset, &free)
        };
        let mut fits = free.clone();
        fits.retain(|asset| run.stands(device, asset) != Stands::Other && !is_left(asset));
        fits
    }

    fn free_of_name<'a>(&self, run: &'a Run, device: &Listed) -> Vec<&'a SiteAsset> {
        let name = words::name(&device.name);
        let free = run.before.iter().filter(|asset| self.linked_to(&asset.id).is_none());
        free.filter(|asset| !name.is_empty() && words::name(&asset.name) == name).collect()
    }

    /// Whether one other device of the name has the serial of the asset, and no other asset of the name holds it.
    fn is_decided_for_another(
        &self,
        run: &Run,
        device: &Listed,
        asset: &SiteAsset,
        free: &[&SiteAsset],
    ) -> bool {
        let unlinked: Vec<&Listed> = run
            .listed
            .iter()
            .filter(|other| other.is_live() && !self.links.contains_key(&other.id))
            .collect();
        let has = |other: &&&Listed| {
            other.id != device.id
                && words::name(&other.name) == words::name(&device.name)
                && run.stands(other, asset) == Stands::Same
                && !matches!(self.by_reenrolment(run, &unlinked, other), Some(Resolution::Link { .. }))
        };
        let having = unlinked.iter().filter(has).count();
        let held = free.iter().filter(|other| run.held(other).1 == run.held(asset).1).count();
        having == 1 && held == 1
    }

    /// Whether a free asset has nearly the device's name, and no other serial (P6).
    fn has_near(&self, run: &Run, device: &Listed) -> bool {
        let (name, near) = (words::name(&device.name), words::near(&device.name));
        !near.is_empty()
            && run.before.iter().any(|asset| {
                words::near(&asset.name) == near
                    && words::name(&asset.name) != name
                    && self.linked_to(&asset.id).is_none()
                    && run.stands(device, asset) != Stands::Other
            })
    }

    /// The one candidate that carries the device's own serial (P6).
    fn decided_by_serial<'a>(&self, run: &'a Run, device: &Listed) -> Option<&'a SiteAsset> {
        let mut own = self.candidates(run, device);
        own.retain(|asset| run.stands(device, asset) == Stands::Same);
        if let [asset] = own.as_slice() { Some(*asset) } else { None }
    }
}

/// How the serials of a device and an asset stand to each other (P6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Silent,
    Same,
    Other,
}

/// A serial of more devices than this says nothing.
const MOST: usize = 2;

/// What the serials of a run say, each looked up once: a thousand devices and assets are compared with each other.
#[derive(Debug, Default)]
pub(super) struct Serials {
    /// How many devices bear a serial, as a text and as a number.
    bearers: [OnceCell<HashMap<String, usize>>; 2],
    telling: RefCell<HashMap<String, String>>,
    held: RefCell<HashMap<String, (bool, String)>>,
}

impl Run<'_> {
    /// The serial of a device; blank where it says nothing (P6).
    fn telling(&self, device: &Listed) -> String {
        if let Some(known) = self.serials.telling.borrow().get(&device.id) {
            return known.clone();
        }
        let serial = words::serial(&device.serial);
        let telling = if self.bearers(&serial, false) > MOST { String::new() } else { serial };
        self.serials.telling.borrow_mut().insert(device.id.clone(), telling.clone());
        telling
    }

    fn bearers(&self, serial: &str, is_number: bool) -> usize {
        let bearers = self.serials.bearers[usize::from(is_number)].get_or_init(|| {
            let mut bearers = HashMap::new();
            for device in &self.listed {
                *bearers.entry(words::serial_held(&device.serial, is_number)).or_default() += 1;
            }
            bearers
        });
        bearers.get(serial).copied().unwrap_or(0)
    }

    /// Whether the mapped field of an asset's type is a number.
    fn is_number(&self, asset: &SiteAsset) -> bool {
        let kind = self.kind(&asset.asset_type_id);
        let mut fields = self.settings.serial_fields();
        let number = |field: &String| {
            let of = kind.as_ref().and_then(|kind| kind.fields.iter().find(|spec| spec.name == *field));
            of.is_some_and(|spec| spec.kind == FieldKind::Number)
        };
        fields.any(number)
    }

    /// The serial that an asset held in the mapped field before the run; blank where it says nothing. And whether that
    /// field is a number.
    fn held(&self, asset: &SiteAsset) -> (bool, String) {
        if let Some(known) = self.serials.held.borrow().get(&asset.id) {
            return known.clone();
        }
        let is_number = self.is_number(asset);
        let value = self.settings.serial_fields().find_map(|field| asset.fields.get(field));
        let text = match value {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let held = words::serial_held(&text, is_number);
        let held = if self.bearers(&held, is_number) > MOST { String::new() } else { held };
        self.serials.held.borrow_mut().insert(asset.id.clone(), (is_number, held.clone()));
        (is_number, held)
    }

    fn stands(&self, device: &Listed, asset: &SiteAsset) -> Stands {
        let own = self.telling(device);
        let (is_number, held) = self.held(asset);
        if held.is_empty() || own.is_empty() {
            Stands::Silent
        } else if words::serial_held(&own, is_number) == held {
            Stands::Same
        } else {
            Stands::Other
        }
    }
}
