//! An independent model of the rules: what AMFJ should hold after a run.
//!
//! Written from the numbered rules alone, without a look at the reconciler, and as plainly as
//! possible: loops over everything, no index, no messages, no order of events. It knows what a
//! correct product would remember between runs (links, settled users, broken links, missing
//! streaks) and nothing else. Given Kandji's content, AMFJ's content before a run and the settings,
//! [`Model::run`] says what AMFJ holds afterwards; [`Model::agree`] compares that with what it does
//! hold and learns the ids of what was created.
//!
//! What goes wrong on the way is told to it: values that AMFJ took and keeps otherwise
//! ([`Model::keeps_otherwise`]), a run that was held ([`Model::held_run`]), a link or creation that was not
//! carried out ([`Model::was_not_carried_out`]).
//!
//! Left out on purpose, because tests of their own cover it: when a run is held (P23), and refused values (P15).

mod assignments;
mod comparing;
mod kandji;
mod matching;
mod oddities;
mod people;
mod settings;
mod values;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub use settings::{CreateDevices, CreateUsers, Settings};

use self::kandji::{Listed, Person};
use self::matching::Resolution;
use self::oddities::Otherwise;
use crate::sim::fleet::{AssetKind, Site, SiteAsset, SiteUser};

/// Kandji's content at the time of a run.
#[derive(Debug, Clone, Default)]
pub struct KandjiContent {
    /// Rows of the device list.
    pub devices: Vec<Value>,
    /// Details by device id; only looked at where a mapping needs them.
    pub details: BTreeMap<String, Value>,
}

/// How a device stands after a run, as far as the model tells states apart (P24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It has an asset.
    Linked,
    /// No asset, and none may be created (P7).
    Unmatched,
    /// More than one possibility (P6, P7, P9).
    Ambiguous,
    /// Not in scope (P19).
    OutOfScope,
    /// No longer in Kandji (P22).
    Gone,
    /// The same, but its asset is gone as well: whether that counts as gone, no rule says (P8, P22).
    GoneUnlinked,
    /// Listed as removed, or missing for less than two runs, or never linked and no longer listed.
    Away,
}

/// What should be after a run.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The records that AMFJ should hold; what was created has ids that begin with `new `.
    pub site: Site,
    /// How each device should stand, by id.
    pub classes: BTreeMap<String, Class>,
}

/// What a correct product remembers between runs.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Device → asset (P4).
    pub links: BTreeMap<String, String>,
    /// Kandji user → user record (P10).
    pub user_links: BTreeMap<String, String>,
    /// Device → the record its primary user had at the last successful sync (P20, P21).
    pub settled: BTreeMap<String, Option<String>>,
    /// Devices whose asset was deleted (P8).
    lost_links: BTreeSet<String>,
    /// Kandji users whose record was deleted (P11).
    lost_user_links: BTreeSet<String>,
    /// Records that the product created (P11).
    ours: BTreeSet<String>,
    /// Last known serial of every device that was ever listed (P9).
    serials: BTreeMap<String, String>,
    /// Last known platform of each (P9).
    platforms: BTreeMap<String, String>,
    /// Runs in a row without the device (P22).
    missing: BTreeMap<String, u32>,
    /// Records as known, with the number of lists in a row that they were missing from (P11).
    records: BTreeMap<String, (SiteUser, u32)>,
    /// Whether a complete run in apply mode was decided (P5).
    first_sync_over: bool,
    /// Devices whose first sync was decided and not carried out (P5).
    unfinished: BTreeSet<String>,
    /// What AMFJ keeps otherwise than it was sent (P15).
    otherwise: Otherwise,
}

/// One run in the making.
struct Run<'a> {
    settings: &'a Settings,
    listed: Vec<Listed>,
    content: &'a KandjiContent,
    people: Vec<Person>,
    site: Site,
    /// Assets as they were before the run.
    before: Vec<SiteAsset>,
    first_sync: bool,
    serials: matching::Serials,
}

impl Model {
    /// A complete run: what AMFJ holds after it, if it held `site` before.
    pub fn run(&mut self, settings: &Settings, content: &KandjiContent, site: &Site) -> Prediction {
        let mut run = self.begin(settings, content, site);
        let resolutions = self.resolve(&run);
        if !settings.apply {
            return Prediction { classes: self.classes(&run, &resolutions), site: run.site };
        }
        let records = self.match_people(&run, &resolutions);
        self.make_links(&mut run, &resolutions);
        let records = self.make_records(&mut run, &records);
        self.update_assets(&mut run);
        self.assign(&mut run, &records);
        self.first_sync_over = true;
        Prediction { classes: self.classes(&run, &resolutions), site: run.site }
    }

    /// Begins a run: both sides are read, and what they say about what was known is remembered.
    fn begin<'a>(&mut self, settings: &'a Settings, content: &'a KandjiContent, site: &Site) -> Run<'a> {
        let listed = kandji::listed(&content.devices, settings);
        let people = kandji::people(&listed);
        let run = Run {
            settings,
            listed,
            content,
            people,
            site: site.clone(),
            before: site.assets.clone(),
            first_sync: !self.first_sync_over,
            serials: matching::Serials::default(),
        };
        self.observe(&run);
        run
    }

    /// What the two lists say about what was known: broken links, missing devices and records.
    fn observe(&mut self, run: &Run) {
        let gone_assets: Vec<String> = self
            .links
            .iter()
            .filter(|(_, asset)| run.asset(asset).is_none())
            .map(|(device, _)| device.clone())
            .collect();
        for device in gone_assets {
            self.links.remove(&device);
            self.settled.remove(&device);
            self.lost_links.insert(device);
        }
        for device in &run.listed {
            self.serials.insert(device.id.clone(), device.serial.clone());
            self.platforms.insert(device.id.clone(), device.platform.trim().to_owned());
        }
        for device in self.serials.keys() {
            if run.device(device).is_some() {
                self.missing.remove(device);
            } else {
                *self.missing.entry(device.clone()).or_default() += 1;
            }
        }
        for (_, missing) in self.records.values_mut() {
            *missing += 1;
        }
        for user in &run.site.users {
            self.records.insert(user.id.clone(), (user.clone(), 0));
        }
        self.records.retain(|_, (_, missing)| *missing < 2);
        let lost: Vec<String> = self
            .user_links
            .iter()
            .filter(|(_, record)| !self.records.contains_key(*record))
            .map(|(user, _)| user.clone())
            .collect();
        for user in lost {
            self.user_links.remove(&user);
            self.lost_user_links.insert(user);
        }
    }

    /// Links devices to assets and creates assets (P4–P9, P12, P13).
    fn make_links(&mut self, run: &mut Run, resolutions: &BTreeMap<String, Resolution>) {
        let location = run.settings.default_location.as_deref();
        let location = location.and_then(|name| run.site.location_id(name)).map(str::to_owned);
        for (device, resolution) in resolutions {
            let mut goes_on = None;
            let asset = match resolution {
                Resolution::Link { asset, takes_over } => {
                    // The old device with another id: whom the asset was last given to stays known (P9).
                    goes_on = takes_over.as_ref().and_then(|old| {
                        self.links.remove(old);
                        self.settled.remove(old)
                    });
                    asset.clone()
                }
                Resolution::Create => run.create_asset(device),
                Resolution::Unmatched | Resolution::Ambiguous => continue,
            };
            if let Some(asset) = run.asset_mut(&asset)
                && asset.location_id.is_none()
            {
                asset.location_id.clone_from(&location);
            }
            self.links.insert(device.clone(), asset);
            self.lost_links.remove(device);
            self.settled.remove(device);
            if let Some(settled) = goes_on {
                self.settled.insert(device.clone(), settled);
            }
        }
    }

    /// Writes mapped values that differ (P13, P14).
    fn update_assets(&self, run: &mut Run) {
        for (device, asset) in &self.links {
            let Some(listed) = run.device(device).filter(|device| device.is_live()) else { continue };
            let Some(kind) = run.asset(asset).and_then(|asset| run.kind(&asset.asset_type_id)) else {
                continue;
            };
            let wanted =
                values::wanted(run.settings, &listed.row, run.content.details.get(device), &kind.fields);
            let clear = run.settings.clear_on_empty;
            if let Some(asset) = run.asset_mut(asset) {
                wanted.write_to(asset, clear, &kind.fields);
            }
        }
    }

    fn classes(&self, run: &Run, resolutions: &BTreeMap<String, Resolution>) -> BTreeMap<String, Class> {
        let mut classes = BTreeMap::new();
        for device in &run.listed {
            let class = if !device.in_scope {
                Class::OutOfScope
            } else if device.removed {
                Class::Away
            } else if self.links.contains_key(&device.id) {
                Class::Linked
            } else if resolutions.get(&device.id) == Some(&Resolution::Ambiguous) {
                Class::Ambiguous
            } else {
                Class::Unmatched
            };
            classes.insert(device.id.clone(), class);
        }
        for (device, missing) in &self.missing {
            let class = match missing {
                2.. if self.links.contains_key(device) => Class::Gone,
                2.. if self.lost_links.contains(device) => Class::GoneUnlinked,
                _ => Class::Away,
            };
            classes.insert(device.clone(), class);
        }
        classes
    }

    /// The device that an asset is linked to.
    fn linked_to(&self, asset: &str) -> Option<&String> {
        self.links.iter().find(|(_, linked)| *linked == asset).map(|(device, _)| device)
    }
}

impl Run<'_> {
    fn device(&self, id: &str) -> Option<&Listed> {
        self.listed.iter().find(|device| device.id == id)
    }

    fn asset(&self, id: &str) -> Option<&SiteAsset> {
        self.site.assets.iter().find(|asset| asset.id == id)
    }

    fn asset_mut(&mut self, id: &str) -> Option<&mut SiteAsset> {
        self.site.assets.iter_mut().find(|asset| asset.id == id)
    }

    fn kind(&self, id: &str) -> Option<AssetKind> {
        self.site.asset_types.iter().find(|kind| kind.id == id).cloned()
    }

    /// The asset of a device without one (P12).
    fn create_asset(&mut self, device: &str) -> String {
        let id = format!("new asset of {device}");
        let Some(listed) = self.device(device) else { return id };
        let type_name =
            self.settings.asset_types.get(&listed.platform).unwrap_or(&self.settings.default_asset_type);
        let type_id = self.site.type_id(type_name).unwrap_or_default().to_owned();
        let name = if words::is_blank(&listed.name) { &listed.serial } else { &listed.name };
        let asset = SiteAsset {
            id: id.clone(),
            name: name.trim().to_owned(),
            asset_type_id: type_id,
            location_id: None,
            fields: BTreeMap::new(),
            holder: None,
            created_at: String::new(),
            updated_at: String::new(),
        };
        self.site.assets.push(asset);
        id
    }
}
