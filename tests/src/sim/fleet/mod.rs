//! Fleets: the devices of a Kandji tenant and an AMFJ site that fits them, from a size and a seed.
//!
//! ```
//! use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Trap, Traps};
//! let spec = FleetSpec { devices: 200, seed: 7, traps: Traps::Realistic };
//! let fleet = Fleet::generate(spec);
//! assert_eq!(fleet.devices.len(), 200);
//! assert!(!fleet.trapped(Trap::BlankName).is_empty());
//! assert_eq!(fleet.fingerprint(), Fleet::generate(spec).fingerprint());
//! ```

mod build;
mod catalog;
mod details;
mod device;
mod moments;
mod people;
mod samples;
mod site;
mod traps;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;

pub use device::{Device, Owner, Person};
pub use site::{AssetKind, FieldKind, FieldSpec, NamedRecord, Site, SiteAsset, SiteUser};
pub use traps::Trap;

pub(crate) use details::details_of;
pub(crate) use moments::{Form, written_at};
pub(crate) use people::{email_of, uuid_of};

/// Whether the fleet holds what breaks naive importers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traps {
    /// Every device has a unique name, an owner and exactly one asset of that name; three in four
    /// owners have a user record with their email.
    None,
    /// Every [`Trap`] in a known proportion (at least once from 50 devices on).
    Realistic,
}

/// What fleet to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSpec {
    /// How many devices.
    pub devices: usize,
    /// Same seed, same fleet.
    pub seed: u64,
    /// With or without traps.
    pub traps: Traps,
}

/// A Kandji tenant and an AMFJ site.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// Devices, in the order of their ids.
    pub devices: Vec<Device>,
    /// Kandji users, with or without devices.
    pub people: Vec<Person>,
    /// Details payloads that are served as they are, by device id; all others are made up from the
    /// device when they are asked for.
    pub details: BTreeMap<String, Value>,
    /// The AMFJ side.
    pub site: Site,
    trapped: BTreeMap<Trap, Vec<String>>,
}

impl Fleet {
    /// Makes a fleet. 100,000 devices take about a second when optimised.
    #[must_use]
    pub fn generate(spec: FleetSpec) -> Self {
        build::Builder::new(spec).build()
    }

    /// The committed sample payloads as a fleet: every platform, with its recorded details.
    ///
    /// # Errors
    /// When a sample cannot be read as what it should be.
    pub fn from_samples() -> anyhow::Result<Self> {
        samples::fleet()
    }

    /// The ids that a trap concerns: of devices, or for the traps of users of Kandji users.
    #[must_use]
    pub fn trapped(&self, trap: Trap) -> &[String] {
        self.trapped.get(&trap).map_or(&[], Vec::as_slice)
    }

    /// How often each trap was laid.
    #[must_use]
    pub fn trap_counts(&self) -> BTreeMap<Trap, usize> {
        self.trapped.iter().map(|(trap, ids)| (*trap, ids.len())).collect()
    }

    /// A number that differs when any byte of either side does.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for device in &self.devices {
            device.to_json().to_string().hash(&mut hasher);
        }
        serde_json::to_string(&(&self.people, &self.site, &self.details))
            .unwrap_or_default()
            .hash(&mut hasher);
        hasher.finish()
    }
}
