//! Walking Kandji's devices to the end, each kept on disk until the end of the run.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_kandji::{Begin, Device, Page};
use amfj_sync_model::ids::{DeviceId, UserKey};
use amfj_sync_model::mapping::PropertyPath;
use amfj_sync_model::messages::{Fact, Unusable};
use amfj_sync_projection::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::absence::Sight;
use super::fleet::{ListedDevice, Person, read_row};
use super::properties::{Unproven, remembered};
use super::unusable::are_too_many;
use super::{Halt, Leader, Run};

/// Ids of devices in one fact: some twenty kilobytes.
const IDS_A_FACT: usize = 500;

/// What a complete walk found. The devices and people themselves are in the scratch store.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Every device, sorted.
    pub(crate) ids: Vec<DeviceId>,
    /// How many are in scope.
    pub(crate) in_scope: u64,
    /// Those listed as removed.
    pub(crate) removed: BTreeSet<DeviceId>,
    /// Whom the devices name.
    pub(crate) people: BTreeSet<UserKey>,
    /// Mapped properties that are still to be proven.
    pub(crate) unproven: Unproven,
    /// Mapped properties that were there and are on no device any more, by their names: unknown, not blank (P18).
    pub(crate) left_out: BTreeSet<String>,
    /// Requests that the walk took.
    pub(crate) pages: u64,
}

impl Fleet {
    /// Removes the values of properties that are on no device any more: unknown overwrites nothing (P18).
    pub(super) fn strip(&self, values: &mut BTreeMap<String, Value>) {
        if !self.left_out.is_empty() {
            values.retain(|name, _| !self.left_out.contains(name));
        }
    }

    /// Whether the walk showed the device.
    pub(crate) fn shows(&self, id: &str) -> bool {
        self.ids.binary_search_by(|listed| listed.as_str().cmp(id)).is_ok()
    }
}

impl Run<'_> {
    /// The first page of the walk, read before AMFJ is: where Kandji cannot be read, nothing else need be (P2).
    pub(super) async fn first_page(&self) -> Result<Page, Halt> {
        let leader = self.leader;
        leader.progress.say("reading devices".into());
        let page = leader.kandji.page(0, &leader.reads, &leader.stop).await?;
        if page.rows == 0 && !leader.config.sync.allow_empty { Err(nobody()) } else { Ok(page) }
    }

    /// Walks on from the first page to the end.
    pub(super) async fn walk(&self, first: Page) -> Result<Fleet, Halt> {
        let leader = self.leader;
        let begin = Begin {
            first: Some(first),
            last: self.counted_last().devices,
            longest: leader.config.sync.longest_list,
        };
        let mut fleet = Fleet {
            ids: Vec::new(),
            in_scope: 0,
            removed: BTreeSet::new(),
            people: BTreeSet::new(),
            unproven: Unproven::of(&leader.config),
            left_out: BTreeSet::new(),
            pages: 0,
        };
        let walked = leader
            .kandji
            .walk(
                begin,
                &leader.reads,
                &leader.stop,
                |page| Ok(leader.keep(&mut fleet, page)?),
                |progress| leader.progress.say(format!("reading devices: {}", progress.devices)),
            )
            .await;
        let summary = walked?;
        fleet.ids = summary.ids.into_iter().collect();
        fleet.ids.sort_unstable();
        fleet.pages = summary.pages;
        if let Some(first) = summary.malformed.first.first()
            && are_too_many(summary.malformed_rows, summary.rows)
        {
            return Err(Halt::failed(format!(
                "{} of {} rows of Kandji's device list cannot be used, so it is not what it is taken for; the first: \
                 {first}; check that kandji.api_url is that of the API",
                summary.malformed_rows, summary.rows
            )));
        }
        {
            let unusable = &mut self.report.lock().unusable;
            unusable.append(summary.malformed);
            unusable.append(summary.odd);
        }
        self.check(&mut fleet)?;
        Ok(fleet)
    }

    /// Every row was read: what none of them has is on no device.
    fn check(&self, fleet: &mut Fleet) -> Result<(), Halt> {
        let config = &self.leader.config;
        if fleet.ids.is_empty() {
            // No row could have proven a property.
            return if config.sync.allow_empty { Ok(()) } else { Err(nobody()) };
        }
        let missing = fleet.unproven.missing_from_list(&self.names_in_use());
        self.leave_out(fleet, &missing);
        let mut listed = fleet.unproven.clone();
        listed.give_details_up();
        let problems = listed.problems(config);
        if problems.is_empty() { Ok(()) } else { Err(Halt::configuration(&problems)) }
    }

    /// The names in the settings that an earlier run found to be right (P18).
    pub(super) fn names_in_use(&self) -> BTreeSet<String> {
        self.leader.state.read(|view| view.reading_report().in_use).unwrap_or_default()
    }

    /// Goes on without properties that were there when a run applied them last, and says so (P18).
    pub(super) fn leave_out(&self, fleet: &mut Fleet, missing: &[PropertyPath]) {
        for path in missing {
            let settings = Unproven::settings_with(&self.leader.config, path).join(", ");
            let why = format!(
                "it was right and is not any more: no device in Kandji has the property \"{path}\"; until one has, what it \
                 fills is left as it is"
            );
            self.report(Unusable::new("setting", None, Some(&settings), &why));
            tracing::warn!(integration = %self.leader.config.id, property = %path, settings, why, "a mapped property is left out");
            self.say_in_use([remembered(path)]);
            fleet.left_out.insert(path.to_string());
        }
    }

    /// Remembers names in the settings that are right, for the next run.
    pub(super) fn say_in_use(&self, names: impl IntoIterator<Item = String>) {
        self.report.lock().in_use.get_or_insert_default().extend(names);
    }

    /// P23, as far as the leader can see: many linked devices gone at once, or another tenant's fleet.
    pub(super) async fn hold_if_devices_vanished(&self, fleet: &Fleet) -> Result<(), Halt> {
        let mut sight = Sight::default();
        let mut vanished = BTreeSet::new();
        let released = self.leader.state.read(|view| {
            view.each_link(&mut |id, _| {
                let shown = fleet.shows(id.as_str()).then(|| fleet.removed.contains(&id));
                if sight.add(view.device(&id).as_ref(), shown) {
                    vanished.insert(id);
                }
                true
            });
            view.meta().released.is_some()
        });
        if released || self.started.first_sync {
            return Ok(());
        }
        let config = &self.leader.config;
        let Some(reason) = sight.reason_to_hold(config.sync.gone_limit, &config.id) else { return Ok(()) };
        self.say(self.news_of_vanished(&vanished)).await?;
        Err(Halt::Held { reason })
    }

    /// Which devices a person has to look at. A hold that lasts says again only what is new (P2).
    fn news_of_vanished(&self, vanished: &BTreeSet<DeviceId>) -> Vec<Fact> {
        let number = self.started.number;
        let known: BTreeSet<DeviceId> =
            self.leader.state.read(amfj_sync_projection::Projection::vanished_devices).into_iter().collect();
        let news: Vec<&DeviceId> = vanished.difference(&known).collect();
        let back: Vec<&DeviceId> = known.difference(vanished).collect();
        let owned = |ids: &[&DeviceId]| ids.iter().copied().cloned().collect();
        let none = BTreeSet::new;
        let gone = news.chunks(IDS_A_FACT).map(|ids| Fact::DevicesVanished {
            number,
            vanished: owned(ids),
            back: none(),
        });
        let back = back.chunks(IDS_A_FACT).map(|ids| Fact::DevicesVanished {
            number,
            vanished: none(),
            back: owned(ids),
        });
        gone.chain(back).collect()
    }
}

/// Of a tenant without devices nothing is believed.
fn nobody() -> Halt {
    Halt::failed(
        "Kandji's device list is empty, which is taken for a mistake: check kandji.api_url and kandji.token, or set \
         allow_empty = true if the tenant has no devices",
    )
}

impl Leader {
    /// Takes one page of the walk.
    fn keep(&self, fleet: &mut Fleet, page: Vec<Device>) -> Result<(), NotKept> {
        let mut writes = Vec::with_capacity(page.len());
        // As this page leaves them.
        let mut people: BTreeMap<UserKey, Person> = BTreeMap::new();
        for device in page {
            let row = read_row(device, &self.config.scope, &self.mapped);
            fleet.unproven.see_row(&row.raw);
            let entry = &row.listed.entry;
            self.traces.device_seen(&entry.device_id);
            fleet.in_scope += u64::from(entry.in_scope);
            if entry.removed {
                fleet.removed.insert(entry.device_id.clone());
            }
            writes.push(write(&row.listed));
            if let Some(named) = row.person {
                let person = match people.entry(named.key.clone()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) if fleet.people.insert(named.key.clone()) => {
                        new.insert(Person::default())
                    }
                    Entry::Vacant(again) => again.insert(self.person(&named.key)?),
                };
                person.meet(named);
            }
        }
        writes.extend(people.iter().map(|(key, person)| write_row(&place_of_user(key), person)));
        Ok(self.scratch.lock().apply(writes)?)
    }

    /// A person whom the devices of the walk name.
    pub(super) fn person(&self, key: &UserKey) -> Result<Person, NotKept> {
        Ok(self.kept(&place_of_user(key))?.unwrap_or_default())
    }

    fn kept<T: DeserializeOwned>(&self, place: &str) -> Result<Option<T>, NotKept> {
        let bytes = self.scratch.lock().get(place.as_bytes())?;
        let kept = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        kept.map_err(|error| NotKept::Broken { place: place.to_owned(), error })
    }

    /// A device of the walk.
    pub(super) fn listed(&self, id: &DeviceId) -> Result<Option<ListedDevice>, Halt> {
        Ok(self.kept(&place_of_device(id))?)
    }

    /// Keeps what was learnt about a device of the walk since.
    pub(super) fn keep_again(&self, listed: &ListedDevice) -> Result<(), Halt> {
        Ok(self.scratch.lock().apply(vec![write(listed)])?)
    }
}

fn write(listed: &ListedDevice) -> (Vec<u8>, Option<Vec<u8>>) {
    write_row(&place_of_device(&listed.entry.device_id), listed)
}

fn place_of_device(id: &DeviceId) -> String {
    format!("device/{id}")
}

fn place_of_user(key: &UserKey) -> String {
    format!("user/{key}")
}

fn write_row(place: &str, kept: &impl Serialize) -> (Vec<u8>, Option<Vec<u8>>) {
    // Our own types with text keys: they always serialise.
    let bytes = serde_json::to_vec(kept).unwrap_or_default();
    (place.as_bytes().to_vec(), Some(bytes))
}

/// Why a device or a person of the walk is not there any more. Both were written by this process in this run; a broken
/// row is as good as a broken store.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{place} was not kept properly in the data directory: {error}")]
    Broken { place: String, error: serde_json::Error },
}

impl From<NotKept> for Halt {
    fn from(error: NotKept) -> Self {
        match error {
            NotKept::Store(error) => error.into(),
            broken @ NotKept::Broken { .. } => Self::failed(broken.to_string()),
        }
    }
}
