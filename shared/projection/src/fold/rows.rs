//! Rows with the indexes that belong to them: the only places where either is written.

use amfj_sync_model::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{Decision, LinkOutcome, PrimaryUser};
use amfj_sync_model::names::{NameKey, email_key, serial_class, serial_key};
use serde::de::DeserializeOwned;

use super::super::batch::Batch;
use super::super::coding;
use super::super::keys::{index, index_key, row_key, table};
use super::super::rows::{
    AssetRow, DeviceRow, IntentRow, LinkRow, Memory, Meta, Open, RecordRow, UserLinkRow, UserRow,
};
use super::super::store::StoreError;
use super::super::view::{Projection, parse_row, pending_link_in};
use super::{Projector, Verdict};
use crate::serials;

type Entries = Vec<(&'static str, String)>;

fn push(entries: &mut Entries, meta: &Meta, index: &'static str, value: impl FnOnce() -> Option<String>) {
    if meta.has_index(index) {
        entries.extend(value().map(|value| (index, value)));
    }
}

fn name_entry(name: &str) -> Option<String> {
    NameKey::of(name).map(|key| key.as_str().to_owned())
}

fn asset_entries(meta: &Meta, row: &AssetRow) -> Entries {
    let mut entries = Entries::new();
    // Near ones in one place (P6): whoever looks them up tells them apart.
    push(&mut entries, meta, index::ASSET_NAME, || NameKey::of(&row.asset.name).map(|name| name.class()));
    push(&mut entries, meta, index::ASSET_SERIAL, || {
        let field = meta.serial_field.as_deref()?;
        serials::written(&row.asset, field)
            .map(|serial| serial_class(&serial))
            .filter(|class| !class.is_empty())
    });
    entries
}

fn record_entries(meta: &Meta, row: &RecordRow) -> Entries {
    let mut entries = Entries::new();
    push(&mut entries, meta, index::RECORD_NAME, || name_entry(&row.record.name));
    push(&mut entries, meta, index::RECORD_EMAIL, || row.record.email.as_deref().and_then(email_key));
    entries
}

fn device_entries(meta: &Meta, row: &DeviceRow) -> Entries {
    let mut entries = Entries::new();
    push(&mut entries, meta, index::DEVICE_SERIAL, || {
        serial_key(&row.entry.serial).map(|serial| serial_class(&serial))
    });
    if row.is_listed() {
        push(&mut entries, meta, index::DEVICE_NAME, || name_entry(&row.entry.name));
        if let (PrimaryUser::Person { key }, true) = (&row.entry.user, row.entry.in_scope) {
            push(&mut entries, meta, index::DEVICE_USER, || Some(key.as_str().to_owned()));
        }
    } else {
        entries.push((index::DEVICE_MISSING, String::new()));
    }
    entries
}

fn user_entries(meta: &Meta, row: &UserRow) -> Entries {
    let mut entries = Entries::new();
    if !row.missing {
        push(&mut entries, meta, index::USER_NAME, || name_entry(&row.entry.name));
        entries.extend(row.entry.ids.iter().map(|id| (index::USER_ID, id.as_str().to_owned())));
    }
    entries
}

/// Decisions that may have to be looked at again, by what they wait for.
fn decision_entries(decision: &Decision) -> Entries {
    let mut entries = Entries::new();
    let mut add = |applies: bool, open: Open| {
        entries.extend(applies.then(|| (index::DECISION_OPEN, open.as_str().to_owned())));
    };
    add(decision.awaits.is_some(), Open::Awaiting);
    add(!decision.changes.is_empty(), Open::WithChanges);
    add(decision.changes.iter().any(|change| change.staged), Open::Staged);
    entries
}

fn reindex(batch: &mut Batch<'_>, id: &str, old: &Entries, new: &Entries) {
    for (index, value) in old.iter().filter(|entry| !new.contains(entry)) {
        batch.unindex(index, value, id);
    }
    for (index, value) in new.iter().filter(|entry| !old.contains(entry)) {
        batch.index(index, value, id);
    }
}

macro_rules! table_with_indexes {
    ($put:ident, $get:ident, $row:ty, $id:ty, $table:expr, $entries_of:ident, $($id_of:ident).+) => {
        pub(super) fn $get(&self, id: &$id) -> Result<Option<$row>, StoreError> {
            self.batch.row($table, id.as_str())
        }

        pub(super) fn $put(&mut self, new: &$row) -> Result<(), StoreError> {
            let id = new.$($id_of).+.as_str();
            let old: Option<$row> = self.batch.row($table, id)?;
            if old.as_ref() == Some(new) {
                return Ok(());
            }
            let old = old.as_ref().map(|old| $entries_of(self.meta, old)).unwrap_or_default();
            let entries = $entries_of(self.meta, new);
            reindex(self.batch, id, &old, &entries);
            self.batch.put($table, id, new);
            Ok(())
        }
    };
}

impl Projector<'_, '_> {
    table_with_indexes!(put_asset, asset, AssetRow, AssetId, table::ASSET, asset_entries, asset.id);
    table_with_indexes!(put_record, record, RecordRow, RecordId, table::RECORD, record_entries, record.id);
    table_with_indexes!(
        put_device,
        device,
        DeviceRow,
        DeviceId,
        table::DEVICE,
        device_entries,
        entry.device_id
    );
    table_with_indexes!(put_user, user, UserRow, UserKey, table::USER, user_entries, entry.key);

    pub(super) fn delete_asset(&mut self, id: &AssetId) -> Result<(), StoreError> {
        let old = self.asset(id)?.map(|row| asset_entries(self.meta, &row));
        reindex(self.batch, id.as_str(), &old.unwrap_or_default(), &Entries::new());
        self.batch.delete(table::ASSET, id.as_str());
        Ok(())
    }

    pub(super) fn delete_record(&mut self, id: &RecordId) -> Result<(), StoreError> {
        let old = self.record(id)?.map(|row| record_entries(self.meta, &row));
        reindex(self.batch, id.as_str(), &old.unwrap_or_default(), &Entries::new());
        self.batch.delete(table::RECORD, id.as_str());
        Ok(())
    }

    pub(super) fn link(&self, device: &DeviceId) -> Result<Option<LinkRow>, StoreError> {
        self.batch.row(table::LINK, device.as_str())
    }

    pub(super) fn put_link(&mut self, device: &DeviceId, row: &LinkRow) -> Result<(), StoreError> {
        self.delete_link(device)?;
        self.batch.put(table::LINK, device.as_str(), row);
        self.batch.index(index::ASSET_LINK, row.asset.as_str(), device.as_str());
        Ok(())
    }

    pub(super) fn delete_link(&mut self, device: &DeviceId) -> Result<(), StoreError> {
        if let Some(old) = self.link(device)? {
            self.batch.unindex(index::ASSET_LINK, old.asset.as_str(), device.as_str());
            self.batch.delete(table::LINK, device.as_str());
        }
        Ok(())
    }

    /// A link that was decided by name holds from when its change is published (P5).
    fn add_pending_link(&mut self, decision: &Decision) {
        let Key::Device(device) = &decision.key else { return };
        for (asset, _) in decision.changes.iter().filter_map(pending_link_in) {
            self.batch.index(index::PENDING_LINK, asset.as_str(), device.as_str());
        }
    }

    /// The link is made, and stands for itself.
    pub(super) fn settle_pending_link(&mut self, device: &DeviceId, link: &LinkOutcome) {
        if let LinkOutcome::Linked { asset, .. } = link {
            self.batch.unindex(index::PENDING_LINK, asset.as_str(), device.as_str());
        }
    }

    /// The devices that are linked to an asset: one at most, by construction.
    pub(super) fn devices_linked_to(&self, asset: &AssetId) -> Result<Vec<String>, StoreError> {
        self.batch.keys(&index_key(index::ASSET_LINK, asset.as_str(), ""))
    }

    pub(super) fn put_user_link(&mut self, id: &KandjiUserId, row: &UserLinkRow) -> Result<(), StoreError> {
        self.delete_user_link(id)?;
        self.batch.put(table::USER_LINK, id.as_str(), row);
        self.batch.index(index::RECORD_LINK, row.record.as_str(), id.as_str());
        Ok(())
    }

    pub(super) fn delete_user_link(&mut self, id: &KandjiUserId) -> Result<(), StoreError> {
        if let Some(old) = self.batch.row::<UserLinkRow>(table::USER_LINK, id.as_str())? {
            self.batch.unindex(index::RECORD_LINK, old.record.as_str(), id.as_str());
            self.batch.delete(table::USER_LINK, id.as_str());
        }
        Ok(())
    }
}

impl Projector<'_, '_> {
    /// A decision about a snapshot that is older than the one decided last is that of a worker which lost
    /// its partition before it had published it.
    pub(super) fn decided(&mut self, decision: &Decision) -> Result<Verdict, StoreError> {
        if self.is_of_no_run(decision.snapshot.run.max(decision.last_place().run)) {
            return Ok(Verdict::Rejected("it is of a run that nobody has started".into()));
        }
        let key = decision.key.to_string();
        let old = self.batch.row::<Decision>(table::DECISION, &key)?;
        if old.as_ref().is_some_and(|old| old.snapshot > decision.snapshot) {
            return Ok(Verdict::Rejected("a newer snapshot is decided already".into()));
        }
        let before = old.as_ref().map(decision_entries).unwrap_or_default();
        if old.is_none() {
            self.resume_first_sync(&key)?;
        }
        reindex(self.batch, &key, &before, &decision_entries(decision));
        self.meta.count_decision(old.as_ref(), Some(decision));
        self.batch.put(table::DECISION, &key, decision);
        self.add_pending_link(decision);
        Ok(Verdict::Accepted)
    }

    /// The first sync lasts for a device although one list does not show it (P5): remembered while no decision says so.
    pub(super) fn keep_first_sync(&mut self, key: &Key) -> Result<(), StoreError> {
        let id = key.to_string();
        if self.batch.row::<Decision>(table::DECISION, &id)?.is_some_and(|decision| decision.first_sync) {
            let memory = Memory { first_sync: true, ..self.memory(&id)? };
            self.batch.put(table::MEMORY, &id, &memory);
        }
        Ok(())
    }

    /// From now on its decisions say so.
    fn resume_first_sync(&mut self, key: &str) -> Result<(), StoreError> {
        let memory = self.memory(key)?;
        if memory.first_sync {
            self.batch.put(table::MEMORY, key, &Memory { first_sync: false, ..memory });
        }
        Ok(())
    }

    /// Nobody decides about a person who left: what is staged for them would stay so for ever (P23).
    pub(super) fn delete_staged(&mut self, key: &Key) -> Result<(), StoreError> {
        let decision = self.batch.row::<Decision>(table::DECISION, &key.to_string())?;
        if decision.is_some_and(|decision| decision.changes.iter().any(|decided| decided.staged)) {
            self.delete_decision(key)?;
        }
        Ok(())
    }

    pub(super) fn delete_decision(&mut self, key: &Key) -> Result<(), StoreError> {
        let id = key.to_string();
        if let Some(old) = self.batch.row::<Decision>(table::DECISION, &id)? {
            reindex(self.batch, &id, &decision_entries(&old), &Entries::new());
            self.meta.count_decision(Some(&old), None);
            self.batch.delete(table::DECISION, &id);
        }
        Ok(())
    }
}

/// Rows that are gone through at once while all indexes are made anew.
const STEP: usize = 1_024;

impl Projection {
    /// Makes all indexes and counts anew from the tables.
    pub(crate) fn rebuild_indexes(&mut self) -> Result<(), StoreError> {
        self.meta.indexing = true;
        self.put_meta()?;
        self.clear_indexes()?;
        self.meta.devices.clear();
        self.index_table(table::ASSET, |meta, row| asset_entries(meta, row))?;
        self.index_table(table::RECORD, |meta, row| record_entries(meta, row))?;
        self.index_table(table::DEVICE, |meta, row| device_entries(meta, row))?;
        self.index_table(table::USER, |meta, row| user_entries(meta, row))?;
        self.index_table(table::LINK, |_, row: &LinkRow| {
            vec![(index::ASSET_LINK, row.asset.as_str().to_owned())]
        })?;
        self.index_table(table::USER_LINK, |_, row: &UserLinkRow| {
            vec![(index::RECORD_LINK, row.record.as_str().to_owned())]
        })?;
        self.index_table(table::INTENT, |_, row: &IntentRow| {
            let subjects = super::outcome::claimed_subjects(&row.intent).into_iter();
            subjects.map(|subject| (index::CLAIM, subject)).collect()
        })?;
        self.index_table(table::DECISION, |meta, row: &Decision| {
            meta.count_decision(None, Some(row));
            decision_entries(row)
        })?;
        // By the device itself, not by the key of its decision.
        let device = |key: &str| key.strip_prefix("device/").map(str::to_owned);
        self.index_table_as(table::DECISION, device, |_, row: &Decision| {
            let promised = row.changes.iter().filter_map(pending_link_in);
            promised.map(|(asset, _)| (index::PENDING_LINK, asset.as_str().to_owned())).collect()
        })?;
        self.meta.indexing = false;
        self.put_meta()
    }

    fn put_meta(&mut self) -> Result<(), StoreError> {
        self.store.apply(vec![(row_key(table::META, ""), Some(coding::encode(&self.meta)))])
    }

    fn clear_indexes(&mut self) -> Result<(), StoreError> {
        let prefix = row_key(table::INDEX, "");
        loop {
            let mut writes = Vec::new();
            self.store.scan(&prefix, &mut |key, _| {
                writes.push((key.to_vec(), None));
                writes.len() < STEP
            })?;
            if writes.is_empty() {
                return Ok(());
            }
            self.store.apply(writes)?;
        }
    }

    fn index_table<T: DeserializeOwned>(
        &mut self,
        table: &str,
        entries_of: impl Fn(&mut Meta, &T) -> Entries,
    ) -> Result<(), StoreError> {
        self.index_table_as(table, |id| Some(id.to_owned()), entries_of)
    }

    fn index_table_as<T: DeserializeOwned>(
        &mut self,
        table: &str,
        id_of: impl Fn(&str) -> Option<String>,
        entries_of: impl Fn(&mut Meta, &T) -> Entries,
    ) -> Result<(), StoreError> {
        let prefix = row_key(table, "");
        let mut after = Vec::new();
        loop {
            let (mut rows, mut writes, mut read) = (0, Vec::new(), Ok(()));
            let (store, meta) = (&self.store, &mut self.meta);
            store.scan_after(&prefix, &after.clone(), &mut |key, value| {
                rows += 1;
                after = key.to_vec();
                let id = id_of(std::str::from_utf8(&key[prefix.len()..]).unwrap_or_default());
                match parse_row::<T>(table, value) {
                    Ok(row) => writes.extend(id.into_iter().flat_map(|id| {
                        let entries = entries_of(meta, &row).into_iter();
                        entries.map(move |(index, value)| (index_key(index, &value, &id), Some(Vec::new())))
                    })),
                    Err(error) => read = Err(error),
                }
                rows < STEP && read.is_ok()
            })?;
            read?;
            if rows == 0 {
                return Ok(());
            }
            self.store.apply(writes)?;
        }
    }
}
