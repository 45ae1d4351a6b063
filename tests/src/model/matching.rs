//! Which asset a device is (P4–P9).

use std::collections::BTreeMap;

use super::{CreateDevices, Model, Run, kandji::Listed, words};
use crate::sim::fleet::SiteAsset;

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
            return resolution;
        }
        self.by_creation(run, device)
    }

    /// P9: the serial of a linked device.
    fn by_reenrolment(&self, run: &Run, unlinked: &[&Listed], device: &Listed) -> Option<Resolution> {
        let serial = words::serial(&device.serial);
        if serial.is_empty() {
            return None;
        }
        let same = |id: &&String| self.serials.get(*id).is_some_and(|other| words::serial(other) == serial);
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
            let shares = |other: &Listed| words::serial(&other.serial) == words::serial(&device.serial);
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
        let is_allowed = match run.settings.create_devices {
            CreateDevices::Never => false,
            CreateDevices::FirstSync => self.is_first_for(run, device) && !is_lost,
            CreateDevices::Always => true,
        };
        if !is_allowed || words::is_blank(&device.name) && words::is_blank(&device.serial) {
            return Resolution::Unmatched;
        }
        let serial = words::serial(&device.serial);
        let has_serial =
            |asset: &SiteAsset| !serial.is_empty() && serials(run, asset).any(|other| other == serial);
        let shares_serial = |other: &Listed| {
            other.id != device.id
                && other.is_live()
                && !serial.is_empty()
                && words::serial(&other.serial) == serial
        };
        let is_ambiguous = !self.candidates(run, device).is_empty()
            || run.before.iter().any(has_serial)
            || run.listed.iter().any(shares_serial);
        if is_ambiguous { Resolution::Ambiguous } else { Resolution::Create }
    }

    /// Whether this run is (still) the device's first sync (P5).
    fn is_first_for(&self, run: &Run, device: &Listed) -> bool {
        run.first_sync || self.unfinished.contains(&device.id)
    }

    /// Free assets of the device's name, without those that carry another serial (P6).
    fn candidates<'a>(&self, run: &'a Run, device: &Listed) -> Vec<&'a SiteAsset> {
        let (name, serial) = (words::name(&device.name), words::serial(&device.serial));
        let fits = |asset: &&SiteAsset| {
            !name.is_empty()
                && words::name(&asset.name) == name
                && self.linked_to(&asset.id).is_none()
                && serials(run, asset).all(|other| other == serial)
        };
        run.before.iter().filter(fits).collect()
    }

    /// The one candidate that carries the device's own serial (P6).
    fn decided_by_serial<'a>(&self, run: &'a Run, device: &Listed) -> Option<&'a SiteAsset> {
        let candidates = self.candidates(run, device);
        let own: Vec<_> = candidates.iter().filter(|asset| serials(run, asset).next().is_some()).collect();
        if let [asset] = own.as_slice() { Some(**asset) } else { None }
    }
}

/// The serials that an asset carries in fields mapped from the serial number; blank ones are none.
fn serials<'a>(run: &'a Run, asset: &'a SiteAsset) -> impl Iterator<Item = String> + 'a {
    let values = run.settings.serial_fields().filter_map(|field| asset.fields.get(field)?.as_str());
    values.map(words::serial).filter(|serial| !serial.is_empty())
}
