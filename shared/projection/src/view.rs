//! What is known of one integration, as the facts of its stream say, and every way to look it up.

use std::sync::atomic::{AtomicU64, Ordering};

use amfj_sync_model::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{Action, Catalogue, Decision, PlannedChange, ReadingReport, Rule};
use amfj_sync_model::names::{COMPARISON, NameKey, email_key, serial_class};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::coding;
use super::keys::{index, index_key, row_key, table};
use super::rows::{
    Answered, AssetRow, DeviceRow, IntentRow, LinkRow, Memory, Meta, Open, PersonRow, RecordRow, UserLinkRow,
    UserRow,
};
use super::store::{Store, StoreError};

/// By what rows can be found, besides by their ids. Each index costs memory and disk for every row, and a page somewhere
/// else at every write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexes<'a> {
    /// By links, claims and open decisions, and the person of a Kandji user: for who follows what others decide.
    Links,
    /// Also by names, serials, emails and the people of devices: for who decides.
    All {
        /// The AMFJ field that is mapped from `serial_number` (P6).
        serial_field: Option<&'a str>,
    },
}

/// A row of the local state could not be read, or it is being built anew: what was found says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the local state cannot be read; it is rebuilt from the broker, which has all of it")]
pub struct Unreadable;

/// How far the first sync is for one device (P5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSync {
    /// It goes by the run alone.
    Over,
    /// The creation of its asset is published and not answered.
    CreationUnderWay,
    /// What was decided in the first sync has not been carried out.
    Lasts,
}

/// What is known of one integration.
///
/// Reads are consistent while the view is borrowed: facts are applied through `&mut`.
pub struct Projection {
    pub(super) store: Box<dyn Store>,
    pub(super) meta: Meta,
    pub(super) catalogue: Catalogue,
    /// Reads that failed since the view was opened.
    failed_reads: AtomicU64,
}

impl std::fmt::Debug for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projection").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Projection {
    /// Opens the rows of a store. Where it has other indexes, or not all of them, they are made anew.
    pub fn open(store: Box<dyn Store>, indexes: Indexes<'_>) -> Result<Self, StoreError> {
        let mut view = Self::on(store, Meta::default(), Catalogue::default());
        view.meta = view.row(table::META, "").unwrap_or_default();
        view.catalogue = view.row(table::CATALOGUE, "").unwrap_or_default();
        let (links_only, serial_field) = match indexes {
            Indexes::Links => (true, None),
            Indexes::All { serial_field } => (false, serial_field),
        };
        let as_asked = view.meta.links_only == links_only
            && view.meta.serial_field.as_deref() == serial_field
            && view.meta.comparison == COMPARISON;
        if view.meta.indexing || !as_asked {
            view.meta.links_only = links_only;
            view.meta.serial_field = serial_field.map(str::to_owned);
            view.meta.comparison = COMPARISON;
            match view.rebuild_indexes() {
                Err(error) if error.is_undecodable() => {
                    tracing::error!(%error, "the local state is rebuilt from the broker, which has all of it");
                    view.reset()?;
                }
                made => made?,
            }
        }
        Ok(view)
    }

    fn on(store: Box<dyn Store>, meta: Meta, catalogue: Catalogue) -> Self {
        Self { store, meta, catalogue, failed_reads: AtomicU64::default() }
    }

    /// A view in memory, with all indexes.
    #[must_use]
    pub fn in_memory(serial_field: Option<&str>) -> Self {
        let serial_field = serial_field.map(str::to_owned);
        let meta = Meta { serial_field, comparison: COMPARISON, ..Meta::default() };
        Self::on(Box::<super::store::MemoryStore>::default(), meta, Catalogue::default())
    }

    /// A copy in memory, to try out on it what has not happened.
    pub fn copy(&self) -> Result<Self, StoreError> {
        let mut rows = Vec::new();
        self.store.scan(&[], &mut |key, value| {
            rows.push((key.to_vec(), Some(value.to_vec())));
            true
        })?;
        let mut store = super::store::MemoryStore::default();
        store.apply(rows)?;
        Ok(Self::on(Box::new(store), self.meta.clone(), self.catalogue.clone()))
    }

    /// The integration as a whole.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Asset types, locations and fields of the AMFJ site.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What the run whose inventory is in force said about its reading (P18, P30).
    #[must_use]
    pub fn reading_report(&self) -> ReadingReport {
        self.row(table::REPORT, "").unwrap_or_default()
    }

    /// An asset that AMFJ has.
    #[must_use]
    pub fn asset(&self, id: &AssetId) -> Option<AssetRow> {
        self.row(table::ASSET, id.as_str())
    }

    /// All assets of that name (P5).
    #[must_use]
    pub fn assets_named(&self, name: &NameKey) -> Vec<AssetId> {
        let same =
            |row: AssetRow| (NameKey::of(&row.asset.name).as_ref() == Some(name)).then_some(row.asset.id);
        self.assets_like(name).into_iter().filter_map(same).collect()
    }

    /// All assets of that name or a near one (P6).
    #[must_use]
    pub fn assets_like(&self, name: &NameKey) -> Vec<AssetRow> {
        let ids = self.indexed(index::ASSET_NAME, &name.class(), |id| AssetId::new(id).ok());
        ids.iter().filter_map(|id| self.asset(id)).collect()
    }

    /// All assets that may hold this serial in the mapped field: which do, their types say. Empty without a mapped serial.
    pub(super) fn assets_of_class(&self, serial: &str) -> Vec<AssetRow> {
        let ids = self.indexed(index::ASSET_SERIAL, &serial_class(serial), |id| AssetId::new(id).ok());
        ids.iter().filter_map(|id| self.asset(id)).collect()
    }

    /// Calls `visit` for every device, listed or missing, whose serial may be this one, until it says `false`.
    pub(super) fn each_device_of_class(&self, serial: &str, visit: &mut dyn FnMut(DeviceRow) -> bool) {
        debug_assert!(self.meta.has_index(index::DEVICE_SERIAL), "open the view with Indexes::All");
        let prefix = index_key(index::DEVICE_SERIAL, &serial_class(serial), "");
        self.lenient(self.store.scan(&prefix, &mut |key, _| {
            let id = std::str::from_utf8(&key[prefix.len()..]).ok().and_then(|id| DeviceId::new(id).ok());
            id.and_then(|id| self.device(&id)).is_none_or(&mut *visit)
        }));
    }

    /// A user record that AMFJ has.
    #[must_use]
    pub fn record(&self, id: &RecordId) -> Option<RecordRow> {
        self.row(table::RECORD, id.as_str())
    }

    /// All user records with this email (P10).
    #[must_use]
    pub fn records_with_email(&self, email: &str) -> Vec<RecordId> {
        let Some(email) = email_key(email) else { return Vec::new() };
        self.indexed(index::RECORD_EMAIL, &email, |id| RecordId::new(id).ok())
    }

    /// All user records of that name (P10).
    #[must_use]
    pub fn records_named(&self, name: &NameKey) -> Vec<RecordId> {
        self.indexed(index::RECORD_NAME, name.as_str(), |id| RecordId::new(id).ok())
    }

    /// A device that Kandji has or had.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<DeviceRow> {
        self.row(table::DEVICE, id.as_str())
    }

    /// All devices of that name which the inventory in force lists, in or out of scope.
    #[must_use]
    pub fn devices_named(&self, name: &NameKey) -> Vec<DeviceId> {
        self.indexed(index::DEVICE_NAME, name.as_str(), |id| DeviceId::new(id).ok())
    }

    /// All listed devices in scope whose primary user is this person.
    #[must_use]
    pub fn devices_of(&self, user: &UserKey) -> Vec<DeviceId> {
        self.indexed(index::DEVICE_USER, user.as_str(), |id| DeviceId::new(id).ok())
    }

    /// All devices that the inventory in force does not list.
    #[must_use]
    pub fn missing_devices(&self) -> Vec<DeviceId> {
        self.indexed(index::DEVICE_MISSING, "", |id| DeviceId::new(id).ok())
    }

    /// Linked devices that the runs since the inventory in force did not see, and are held for (P23).
    #[must_use]
    pub fn vanished_devices(&self) -> Vec<DeviceId> {
        let mut found = Vec::new();
        self.each_id(table::VANISHED, &mut |id| {
            found.extend(DeviceId::new(id).ok());
            true
        });
        found
    }

    /// Whether a device is one of them.
    #[must_use]
    pub fn has_vanished(&self, id: &DeviceId) -> bool {
        self.row::<u64>(table::VANISHED, id.as_str()).is_some()
    }

    /// A person.
    #[must_use]
    pub fn user(&self, key: &UserKey) -> Option<UserRow> {
        self.row(table::USER, key.as_str())
    }

    /// All people of that name whom a listed device names.
    #[must_use]
    pub fn users_named(&self, name: &NameKey) -> Vec<UserKey> {
        self.indexed(index::USER_NAME, name.as_str(), |key| UserKey::new(key).ok())
    }

    /// The person that a Kandji user belongs to, as the inventory in force names them.
    #[must_use]
    pub fn user_of(&self, id: &KandjiUserId) -> Option<UserKey> {
        self.indexed(index::USER_ID, id.as_str(), |key| UserKey::new(key).ok()).into_iter().next()
    }

    /// The link of a device, whether or not its asset still exists.
    #[must_use]
    pub fn link(&self, device: &DeviceId) -> Option<LinkRow> {
        self.row(table::LINK, device.as_str())
    }

    /// The device that is linked to an asset.
    #[must_use]
    pub fn linked_device(&self, asset: &AssetId) -> Option<DeviceId> {
        self.indexed(index::ASSET_LINK, asset.as_str(), |id| DeviceId::new(id).ok()).into_iter().next()
    }

    /// The link of a Kandji user, whether or not its record still exists.
    #[must_use]
    pub fn user_link(&self, id: &KandjiUserId) -> Option<UserLinkRow> {
        self.row(table::USER_LINK, id.as_str())
    }

    /// The Kandji users that are linked to a record.
    #[must_use]
    pub fn linked_users(&self, record: &RecordId) -> Vec<KandjiUserId> {
        self.indexed(index::RECORD_LINK, record.as_str(), |id| KandjiUserId::new(id).ok())
    }

    /// What outcomes taught about a key.
    #[must_use]
    pub fn memory(&self, key: &Key) -> Memory {
        let mut memory: Memory = self.row(table::MEMORY, &key.to_string()).unwrap_or_default();
        memory.settled = memory.settled.filter(|settled| settled.offset > self.meta.forgotten_until);
        memory
    }

    /// How far the changes of a key have been answered.
    #[must_use]
    pub fn answered(&self, key: &Key) -> Answered {
        self.row(table::ANSWERED, &key.to_string()).unwrap_or_default()
    }

    /// What was found out about a key last.
    #[must_use]
    pub fn decision(&self, key: &Key) -> Option<Decision> {
        self.row(table::DECISION, &key.to_string())
    }

    /// The asset that a device was matched with by name, while the change that links it is published and
    /// not answered: the match is decided, whatever either is called by the time it is made (P5).
    #[must_use]
    pub fn promised_asset(&self, device: &DeviceId) -> Option<(AssetId, Rule)> {
        self.unanswered(device).iter().find_map(pending_link_in)
    }

    /// The device that an asset is promised to.
    #[must_use]
    pub fn promised_to(&self, asset: &AssetId) -> Option<DeviceId> {
        let promised = self.indexed(index::PENDING_LINK, asset.as_str(), |id| DeviceId::new(id).ok());
        promised
            .into_iter()
            .find(|id| self.promised_asset(id).is_some_and(|(promised, _)| promised == *asset))
    }

    /// How far the first sync is for a device, whatever run is in force (P5).
    #[must_use]
    pub fn first_sync_of(&self, device: &DeviceId) -> FirstSync {
        let key = Key::Device(device.clone());
        let decision = self.decision(&key);
        let lasts = match &decision {
            Some(decision) => decision.first_sync,
            None => self.memory(&key).first_sync,
        };
        // A device that had a link was synced.
        if lasts && self.link(device).is_none() && !self.memory(&key).lost_link {
            return FirstSync::Lasts;
        }
        let unanswered = decision.map(|decision| self.unanswered_in(&key, decision)).unwrap_or_default();
        let creates = |decided: &PlannedChange| matches!(decided.change.action, Action::CreateAsset { .. });
        if unanswered.iter().any(creates) { FirstSync::CreationUnderWay } else { FirstSync::Over }
    }

    /// The changes of a device that are published and have no outcome yet.
    fn unanswered(&self, device: &DeviceId) -> Vec<PlannedChange> {
        let key = Key::Device(device.clone());
        self.decision(&key).map(|decision| self.unanswered_in(&key, decision)).unwrap_or_default()
    }

    /// Whether a change of this key is published and has no outcome yet.
    #[must_use]
    pub fn is_change_under_way(&self, key: &Key) -> bool {
        self.decision(key).is_some_and(|decision| !self.unanswered_in(key, decision).is_empty())
    }

    fn unanswered_in(&self, key: &Key, decision: Decision) -> Vec<PlannedChange> {
        if decision.changes.is_empty() {
            return Vec::new();
        }
        let answered = self.answered(key);
        let mut changes = decision.changes;
        changes
            .retain(|decided| decided.published.is_some() && !answered.covers(decided.sequence, decided.id));
        changes
    }

    /// Whose decisions may have to be looked at again for this.
    #[must_use]
    pub fn open_decisions(&self, open: Open) -> Vec<Key> {
        self.indexed(index::DECISION_OPEN, open.as_str(), Key::parse)
    }

    /// How many devices have a link.
    #[must_use]
    pub fn count_links(&self) -> usize {
        let mut links = 0;
        self.lenient(self.store.scan(&row_key(table::LINK, ""), &mut |_, _| {
            links += 1;
            true
        }));
        links
    }

    /// The last decision of a person about a device or Kandji user (`device/ID`, `kandji-user/ID`).
    #[must_use]
    pub fn person(&self, subject: &str) -> Option<PersonRow> {
        self.row(table::PERSON, subject)
    }

    /// Whether a person unlinked this device, so that no rule links it again.
    #[must_use]
    pub fn is_unlinked_by_person(&self, device: &DeviceId) -> bool {
        self.person(&format!("device/{device}")).is_some_and(|row| row.forbids())
    }

    /// Whether a person unlinked this Kandji user, so that no rule links it again.
    #[must_use]
    pub fn is_user_unlinked_by_person(&self, id: &KandjiUserId) -> bool {
        self.person(&format!("kandji-user/{id}")).is_some_and(|row| row.forbids())
    }

    /// The open claims on a device, person, asset or record (`device/ID`, `asset/ID`, …), oldest first.
    #[must_use]
    pub fn claims(&self, subject: &str) -> Vec<IntentRow> {
        let mut claims: Vec<IntentRow> = self
            .indexed(index::CLAIM, subject, |id| Some(id.to_owned()))
            .iter()
            .filter_map(|id| self.row(table::INTENT, id))
            .collect();
        claims.sort_by_key(|row| row.offset);
        claims
    }

    /// Where in the stream an attempt at this change was announced first by another worker, which did not end it.
    #[must_use]
    pub fn first_announced_by_another(&self, key: &Key, change: Uuid, worker: &str) -> Option<u64> {
        let claims = self.claims(&key.to_string());
        let others = claims.iter().filter(|row| row.intent.change == change && row.intent.worker != worker);
        let handed_back = self.memory(key).handed_back.filter(|before| before.change == change);
        others.map(|row| row.offset).chain(handed_back.map(|before| before.announced)).min()
    }

    /// Requests to Kandji by minute since 1970, as far as they are kept (two hours).
    #[must_use]
    pub fn kandji_requests(&self) -> Vec<(u64, u32)> {
        let mut minutes = Vec::new();
        self.each(table::KANDJI, &mut |id, count: u32| {
            if let Ok(minute) = id.parse() {
                minutes.push((minute, count));
            }
            true
        });
        minutes
    }

    /// Calls `visit` with the id of every asset, without reading it, until it says `false`.
    pub fn each_asset_id(&self, visit: &mut dyn FnMut(&str) -> bool) {
        self.each_id(table::ASSET, visit);
    }

    /// Calls `visit` with the id of every user record, without reading it, until it says `false`.
    pub fn each_record_id(&self, visit: &mut dyn FnMut(&str) -> bool) {
        self.each_id(table::RECORD, visit);
    }

    /// Calls `visit` with the id of every device, listed or missing, without reading it, until it says
    /// `false`.
    pub fn each_device_id(&self, visit: &mut dyn FnMut(&str) -> bool) {
        self.each_id(table::DEVICE, visit);
    }

    /// Calls `visit` with the key of every person, without reading them, until it says `false`.
    pub fn each_user_key(&self, visit: &mut dyn FnMut(&str) -> bool) {
        self.each_id(table::USER, visit);
    }

    /// Calls `visit` for every asset until it says `false`.
    pub fn each_asset(&self, visit: &mut dyn FnMut(AssetRow) -> bool) {
        self.each(table::ASSET, &mut |_, row| visit(row));
    }

    /// Calls `visit` for every user record until it says `false`.
    pub fn each_record(&self, visit: &mut dyn FnMut(RecordRow) -> bool) {
        self.each(table::RECORD, &mut |_, row| visit(row));
    }

    /// Calls `visit` for every device, listed or missing, until it says `false`.
    pub fn each_device(&self, visit: &mut dyn FnMut(DeviceRow) -> bool) {
        self.each(table::DEVICE, &mut |_, row| visit(row));
    }

    /// Calls `visit` for every person until it says `false`.
    pub fn each_user(&self, visit: &mut dyn FnMut(UserRow) -> bool) {
        self.each(table::USER, &mut |_, row| visit(row));
    }

    /// Calls `visit` for every device link until it says `false`.
    pub fn each_link(&self, visit: &mut dyn FnMut(DeviceId, LinkRow) -> bool) {
        self.each(table::LINK, &mut |id, row| DeviceId::new(id).map_or(true, |id| visit(id, row)));
    }

    /// Calls `visit` for every link of a Kandji user until it says `false`.
    pub fn each_user_link(&self, visit: &mut dyn FnMut(KandjiUserId, UserLinkRow) -> bool) {
        self.each(table::USER_LINK, &mut |id, row| KandjiUserId::new(id).map_or(true, |id| visit(id, row)));
    }

    /// Calls `visit` for every open claim, with the id of its row, until it says `false`.
    pub fn each_intent(&self, visit: &mut dyn FnMut(&str, IntentRow) -> bool) {
        self.each(table::INTENT, &mut |id, row| visit(id, row));
    }

    /// Calls `visit` for every decision until it says `false`.
    pub fn each_decision(&self, visit: &mut dyn FnMut(Decision) -> bool) {
        self.each(table::DECISION, &mut |_, row| visit(row));
    }

    /// Waits until what was written is on the disk. Blocks.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.store.flush()
    }

    fn row<T: DeserializeOwned>(&self, table: &str, id: &str) -> Option<T> {
        let mut row = Ok(None);
        let looked =
            self.store.look(&row_key(table, id), &mut |bytes| row = parse_row(table, bytes).map(Some));
        self.lenient(looked.and(row))
    }

    /// A read that fails is an empty one, and is counted: nothing may be decided on it ([`Projection::whole`]), and the view is
    /// built anew.
    fn lenient<T: Default>(&self, read: Result<T, StoreError>) -> T {
        read.unwrap_or_else(|error| {
            self.count_failed_read(&error);
            T::default()
        })
    }

    pub(super) fn count_failed_read(&self, error: &StoreError) {
        tracing::error!(%error, "a row of the local state cannot be read");
        self.failed_reads.fetch_add(1, Ordering::Relaxed);
    }

    /// How many reads failed since the view was opened: what was found meanwhile may lack something.
    #[must_use]
    pub fn failed_reads(&self) -> u64 {
        self.failed_reads.load(Ordering::Relaxed)
    }

    /// What `look` finds, unless a read failed meanwhile: a row that cannot be read is not one that is not there.
    pub fn whole<R>(&self, look: impl FnOnce(&Self) -> R) -> Result<R, Unreadable> {
        let before = self.failed_reads();
        let found = look(self);
        if self.failed_reads() == before { Ok(found) } else { Err(Unreadable) }
    }

    fn indexed<T>(&self, index: &str, value: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        debug_assert!(self.meta.has_index(index), "no {index} here: open the view with Indexes::All");
        let prefix = index_key(index, value, "");
        let mut found = Vec::new();
        self.lenient(self.store.scan(&prefix, &mut |key, _| {
            found.extend(std::str::from_utf8(&key[prefix.len()..]).ok().and_then(&read));
            true
        }));
        found
    }

    fn each_id(&self, table: &str, visit: &mut dyn FnMut(&str) -> bool) {
        let prefix = row_key(table, "");
        self.lenient(self.store.scan(&prefix, &mut |key, _| {
            visit(std::str::from_utf8(&key[prefix.len()..]).unwrap_or_default())
        }));
    }

    pub(super) fn each<T: DeserializeOwned>(&self, table: &str, visit: &mut dyn FnMut(&str, T) -> bool) {
        let prefix = row_key(table, "");
        self.lenient(self.store.scan(&prefix, &mut |key, value| {
            let id = std::str::from_utf8(&key[prefix.len()..]).unwrap_or_default();
            match parse_row(table, value) {
                Ok(row) => visit(id, row),
                Err(error) => {
                    self.count_failed_read(&error);
                    true
                }
            }
        }));
    }
}

/// The asset that a published change links a device to because of its name.
pub(super) fn pending_link_in(decided: &PlannedChange) -> Option<(AssetId, Rule)> {
    match &decided.change.action {
        Action::LinkAsset { asset, rule: rule @ (Rule::Name | Rule::Serial), .. }
            if decided.published.is_some() =>
        {
            Some((asset.clone(), *rule))
        }
        _ => None,
    }
}

/// Reads a row of a table. One that cannot be read is never one that is not there.
pub(super) fn parse_row<T: DeserializeOwned>(table: &str, bytes: &[u8]) -> Result<T, StoreError> {
    coding::decode(bytes).map_err(|error| StoreError::undecodable(table, &error))
}
