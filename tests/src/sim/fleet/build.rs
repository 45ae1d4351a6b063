//! Makes a fleet: people, their devices, the AMFJ site, and then the traps.

use std::collections::{BTreeMap, HashSet};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::json;
use unicode_normalization::UnicodeNormalization;

use super::{
    Device, Fleet, FleetSpec, Owner, Person, Site, Trap, Traps, catalog,
    catalog::Model,
    moments::{Form, written},
    people,
    people::uuid_of,
};

/// Devices of the one person who has many, in fleets of at least a hundred.
const MANY: usize = 30;
/// 2026-06-01, when generated fleets checked in last.
const EPOCH: i64 = 1_780_272_000;

/// Everything on the way to a fleet.
pub(crate) struct Builder {
    spec: FleetSpec,
    rng: StdRng,
    people: Vec<Person>,
    devices: Vec<Device>,
    /// Position of the asset of each device.
    assets: Vec<Option<usize>>,
    site: Site,
    trapped: BTreeMap<Trap, Vec<String>>,
    names: HashSet<String>,
    blueprints: Vec<String>,
}

impl Builder {
    pub(crate) fn new(spec: FleetSpec) -> Self {
        let mut rng = StdRng::seed_from_u64(spec.seed);
        let blueprints = catalog::BLUEPRINTS.iter().map(|_| uuid_of(&mut rng).to_string()).collect();
        Self {
            spec,
            rng,
            people: Vec::new(),
            devices: Vec::new(),
            assets: Vec::new(),
            site: Site::empty(),
            trapped: BTreeMap::new(),
            names: HashSet::new(),
            blueprints,
        }
    }

    pub(crate) fn build(mut self) -> Fleet {
        self.gather_people();
        for n in 0..self.spec.devices {
            let owner = self.owner_of(n);
            let device = self.device(owner);
            self.devices.push(device);
        }
        self.enter_assets();
        if self.spec.traps == Traps::Realistic {
            self.lay_name_traps();
            self.lay_owner_traps();
            self.lay_notation_traps();
            self.enter_unrelated();
        }
        self.check_out_some();
        self.devices.sort_by(|a, b| a.device_id.cmp(&b.device_id));
        let Self { people, devices, site, trapped, .. } = self;
        Fleet { devices, people, details: BTreeMap::new(), site, trapped }
    }

    fn gather_people(&mut self) {
        let count = (self.spec.devices * 6 / 10).max(1);
        self.people = people::people(count, &mut self.rng);
        let mut trapped = BTreeMap::new();
        if self.spec.traps == Traps::Realistic {
            trapped = people::lay_traps(&mut self.people, &mut self.rng);
        }
        self.site.add_records_of(&self.people, &trapped, &mut self.rng);
        for (trap, positions) in trapped {
            let name = |&position: &usize| {
                let person = &self.people[position];
                person.id_text().or_else(|| person.email.clone()).unwrap_or_default()
            };
            self.trapped.insert(trap, positions.iter().map(name).collect());
        }
    }

    /// Everybody has one device before anybody has a second; the rest falls anywhere.
    fn owner_of(&mut self, n: usize) -> usize {
        let many = if self.spec.devices >= 100 { MANY } else { 0 };
        if n < many {
            if n == 0 && self.spec.traps == Traps::Realistic {
                let id = self.people[0].id_text().unwrap_or_default();
                self.trapped.insert(Trap::ManyDevices, vec![id]);
            }
            0
        } else if n - many + 1 < self.people.len() {
            n - many + 1
        } else {
            self.rng.random_range(0..self.people.len())
        }
    }

    fn device(&mut self, owner: usize) -> Device {
        let model = self.model();
        let name = self.name(owner, model);
        let blueprint = self.rng.random_range(0..self.blueprints.len());
        let enrolled = EPOCH - self.rng.random_range(86_400_i64..86_400 * 900);
        let checked_in = EPOCH - self.rng.random_range(0_i64..86_400 * 5);
        let micros = self.rng.random_range(0..1_000_000);
        let tags: Vec<String> =
            catalog::TAGS.iter().filter(|_| self.rng.random_bool(0.15)).map(|&tag| tag.to_owned()).collect();
        let is_apple = !matches!(model.platform, "Windows" | "Android");
        let agent = matches!(model.platform, "Mac" | "Windows");
        let mut more = serde_json::Map::new();
        // These members are on every device of a tenant that manages Windows or Android.
        if !is_apple {
            let level = if model.platform == "Android" { "2026-05-05" } else { "" };
            more.insert("api_level".to_owned(), json!(""));
            more.insert("security_patch_level".to_owned(), json!(level));
            more.insert("full_software_version".to_owned(), json!(""));
        }
        Device {
            device_id: uuid_of(&mut self.rng).to_string(),
            device_name: name,
            model: model.name.to_owned(),
            serial_number: self.serial(),
            platform: model.platform.to_owned(),
            os_version: model.os[self.rng.random_range(0..model.os.len())].to_owned(),
            supplemental_build_version: Some(if is_apple { "24E248".to_owned() } else { String::new() }),
            supplemental_os_version_extra: Some(String::new()),
            last_check_in: Some(written(checked_in, micros, Form::Zulu)),
            user: Owner::Person(self.people[owner].clone()),
            asset_tag: if self.rng.random_bool(0.2) {
                format!("ACME-{}", checked_in % 10_000)
            } else {
                String::new()
            },
            blueprint_id: self.blueprints[blueprint].clone(),
            mdm_enabled: true,
            agent_installed: agent,
            is_missing: self.rng.random_bool(0.03),
            is_removed: false,
            agent_version: if agent { "4.7.3 (5374)".to_owned() } else { String::new() },
            first_enrollment: written(enrolled, micros, Form::Spaced),
            last_enrollment: written(enrolled, micros, Form::Spaced),
            blueprint_name: catalog::BLUEPRINTS[blueprint].to_owned(),
            lost_mode_status: Some(String::new()),
            tags: Some(tags),
            more,
        }
    }

    fn model(&mut self) -> &'static Model {
        let mut point = self.rng.random_range(0..catalog::MODELS.iter().map(|model| model.share).sum());
        for model in catalog::MODELS {
            if point < model.share {
                return model;
            }
            point -= model.share;
        }
        &catalog::MODELS[0]
    }

    /// Half of the devices keep the name Apple gives them, the others follow some convention.
    fn name(&mut self, owner: usize, model: &Model) -> String {
        let full = self.people[owner].name.clone().unwrap_or_default();
        let given = full.split(' ').next().filter(|given| !given.is_empty()).unwrap_or("Guest");
        let name = match self.rng.random_range(0..10) {
            0..5 => format!("{given}’s {}", model.short),
            5..7 => {
                format!("{}-{:05}", model.platform.to_ascii_uppercase(), self.rng.random_range(0..100_000))
            }
            7..9 => format!("{full} – {}", model.short),
            _ => format!("{} {}", model.short, self.rng.random_range(1..1000)),
        };
        let mut unique = name.clone();
        let mut n = 1;
        while !self.names.insert(unique.to_lowercase()) {
            n += 1;
            // Names run out in large fleets: jump instead of trying every number.
            unique = if n < 5 {
                format!("{name} ({n})")
            } else {
                format!("{name} ({})", self.rng.random_range(5..1_000_000))
            };
        }
        unique
    }

    fn serial(&mut self) -> String {
        const LETTERS: &[u8] = b"CDFGHJKLMNPQRTVWXY0123456789";
        (0..10).map(|_| char::from(LETTERS[self.rng.random_range(0..LETTERS.len())])).collect()
    }

    fn enter_assets(&mut self) {
        for device in &self.devices {
            self.assets.push(Some(self.site.add_asset_of(device, &mut self.rng)));
        }
    }

    /// Picks devices for each trap, so that no device is in two traps of a family.
    fn pick(&mut self, family: &[Trap]) -> Vec<(Trap, Vec<usize>)> {
        let mut order: Vec<usize> = (0..self.devices.len()).collect();
        order.shuffle(&mut self.rng);
        let mut picked = Vec::new();
        for &trap in family {
            let count = trap.count(self.devices.len());
            if order.len() < count {
                break;
            }
            let caught = order.split_off(order.len() - count);
            let ids = caught.iter().map(|&n| self.devices[n].device_id.clone()).collect();
            self.trapped.insert(trap, ids);
            picked.push((trap, caught));
        }
        picked
    }

    fn lay_name_traps(&mut self) {
        let mut unused = HashSet::new();
        for (trap, caught) in self.pick(Trap::OF_NAMES) {
            for (n, &position) in caught.iter().enumerate() {
                let first_of_pair = (n % 2 == 1).then(|| caught[n - 1]);
                self.lay_name_trap(trap, n, position, first_of_pair, &mut unused);
            }
        }
        let mut position = 0;
        self.site.assets.retain(|_| {
            position += 1;
            !unused.contains(&(position - 1))
        });
        // Positions are void from here on.
        self.assets.clear();
    }

    fn lay_name_trap(
        &mut self,
        trap: Trap,
        n: usize,
        position: usize,
        first_of_pair: Option<usize>,
        unused: &mut HashSet<usize>,
    ) {
        let Some(asset) = self.assets[position] else { return };
        let device_name = self.devices[position].device_name.clone();
        let serial = json!(self.devices[position].serial_number);
        match trap {
            Trap::BlankName => {
                self.devices[position].device_name =
                    if n.is_multiple_of(2) { String::new() } else { "  ".to_owned() };
                unused.insert(asset);
            }
            Trap::DuplicateName => {
                if let Some(first) = first_of_pair {
                    let name = self.devices[first].device_name.clone();
                    self.devices[position].device_name = name;
                    unused.insert(asset);
                }
            }
            Trap::AssetNameCase => {
                let upper = device_name.to_ascii_uppercase();
                let other = if upper == device_name { device_name.to_ascii_lowercase() } else { upper };
                self.site.assets[asset].name = other;
            }
            Trap::AssetNameSpace => {
                self.site.assets[asset].name = format!("\t{} ", device_name.replace(' ', " \u{a0}"));
            }
            Trap::AssetNameNfd => {
                let name = format!("Café {device_name}");
                self.site.assets[asset].name = name.nfd().collect();
                self.devices[position].device_name = name;
            }
            Trap::AssetOtherSerial => self.set_serial(asset, json!(format!("OTHER{position:05}"))),
            Trap::TwoAssets | Trap::TwoAssetsOneSerial => {
                let twin = self.site.add_asset(&device_name, "Laptop");
                self.site.assets[asset].fields.remove("Serial Number");
                if trap == Trap::TwoAssetsOneSerial {
                    self.set_serial(twin, serial);
                }
            }
            Trap::CheckedOutToOther => {
                let holder = self.site.add_user(&format!("Former Owner {n}"), None, false);
                self.site.assets[asset].holder = Some(self.site.users[holder].id.clone());
            }
            Trap::NoAsset => {
                unused.insert(asset);
            }
            Trap::SharedSerial => {
                if let Some(first) = first_of_pair {
                    let serial = self.devices[first].serial_number.clone();
                    self.devices[position].serial_number = serial;
                    unused.insert(asset);
                }
            }
            Trap::AssetNameSigns => {
                self.devices[position].device_name = format!("Straße’s {device_name} – “ﬁle”");
                self.site.assets[asset].name = format!("STRASSE'S {device_name} - \"file\"");
            }
            Trap::AssetNameNear => {
                self.site.assets[asset].name = format!("{device_name}!");
                self.site.assets[asset].fields.remove("Serial Number");
            }
            Trap::PlaceholderSerial => {
                let nothing = ["unknown", "0", "To be filled by O.E.M.", "XXXXXX", "N/A"][n % 5];
                nothing.clone_into(&mut self.devices[position].serial_number);
                self.set_serial(asset, json!(nothing.to_uppercase()));
            }
            Trap::LotSerial => {
                "LOT-2026-07".clone_into(&mut self.devices[position].serial_number);
                self.site.assets[asset].fields.remove("Serial Number");
            }
            Trap::BlankSerial => {
                self.devices[position].serial_number = String::new();
                self.site.assets[asset].fields.remove("Serial Number");
            }
            _ => {}
        }
    }

    fn set_serial(&mut self, asset: usize, serial: serde_json::Value) {
        self.site.assets[asset].fields.insert("Serial Number".to_owned(), serial);
    }

    fn lay_owner_traps(&mut self) {
        for (trap, caught) in self.pick(Trap::OF_OWNERS) {
            for position in caught {
                self.devices[position].user = match trap {
                    Trap::UserNull => Owner::Null,
                    Trap::UserAbsent => Owner::Absent,
                    _ => Owner::Empty,
                };
            }
        }
    }

    fn lay_notation_traps(&mut self) {
        for (trap, caught) in self.pick(Trap::OF_NOTATION) {
            for position in caught {
                let device = &mut self.devices[position];
                match trap {
                    Trap::BlankCheckIn => device.last_check_in = Some(String::new()),
                    Trap::TagsAbsent => device.tags = None,
                    Trap::Removed => device.is_removed = true,
                    _ => {}
                }
            }
        }
    }

    /// What else is in an AMFJ site: other kit, and people without a device.
    fn enter_unrelated(&mut self) {
        let count = self.spec.devices / 20;
        for n in 0..count {
            self.site.add_asset(&format!("Dell U2723QE #{n}"), "Monitor");
            self.site.add_user(&format!("Works Council {n}"), Some(&format!("council{n}@example.com")), true);
        }
    }

    /// Some assets are out already to the person who has the device.
    fn check_out_some(&mut self) {
        let records: BTreeMap<&str, &str> = self
            .site
            .users
            .iter()
            .filter_map(|user| user.email.as_deref().map(|email| (email, user.id.as_str())))
            .collect();
        let owners: BTreeMap<&str, &str> = self
            .devices
            .iter()
            .filter_map(|device| {
                let email = device.user.person()?.email.as_deref()?;
                Some((device.device_name.as_str(), *records.get(email)?))
            })
            .collect();
        let mut holders = Vec::new();
        for (position, asset) in self.site.assets.iter().enumerate() {
            if let Some(owner) = owners.get(asset.name.as_str())
                && asset.holder.is_none()
                && self.rng.random_bool(0.2)
            {
                holders.push((position, (*owner).to_owned()));
            }
        }
        for (position, holder) in holders {
            self.site.assets[position].holder = Some(holder);
        }
    }
}
