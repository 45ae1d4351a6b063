//! Rows with the indexes that belong to them: the only places where either is written.

use serde_json::Value;

use super::super::batch::Batch;
use super::super::rows::{AssetRow, DeviceRow, LinkRow, RecordRow, UserLinkRow, UserRow};
use super::super::store::StoreError;
use super::super::view::{View, index, promise_in, table};
use super::Folding;
use crate::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId};
use crate::messages::{Decision, LinkOutcome, PrimaryUser};
use crate::names::{NameKey, email_key, serial_key};

type Entries = Vec<(&'static str, String)>;

fn push(entries: &mut Entries, index: &'static str, value: Option<String>) {
    entries.extend(value.map(|value| (index, value)));
}

fn name_entry(name: &str) -> Option<String> {
    NameKey::of(name).map(|key| key.as_str().to_owned())
}

fn asset_entries(row: &AssetRow, serial_field: Option<&str>) -> Entries {
    let mut entries = Entries::new();
    push(&mut entries, index::ASSET_NAME, name_entry(&row.asset.name));
    let serial = serial_field.and_then(|field| row.asset.fields.get(field)).and_then(serial_of);
    push(&mut entries, index::ASSET_SERIAL, serial);
    entries
}

/// The comparable serial in an AMFJ field: a text, or a number where the field was made as one.
fn serial_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => serial_key(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn record_entries(row: &RecordRow) -> Entries {
    let mut entries = Entries::new();
    push(&mut entries, index::RECORD_NAME, name_entry(&row.record.name));
    push(&mut entries, index::RECORD_EMAIL, row.record.email.as_deref().and_then(email_key));
    entries
}

fn device_entries(row: &DeviceRow) -> Entries {
    let mut entries = Entries::new();
    push(&mut entries, index::DEVICE_SERIAL, serial_key(&row.entry.serial));
    if row.is_listed() {
        push(&mut entries, index::DEVICE_NAME, name_entry(&row.entry.name));
        if let (PrimaryUser::Person { key }, true) = (&row.entry.user, row.entry.in_scope) {
            push(&mut entries, index::DEVICE_USER, Some(key.as_str().to_owned()));
        }
    }
    entries
}

fn user_entries(row: &UserRow) -> Entries {
    let mut entries = Entries::new();
    if !row.missing {
        push(&mut entries, index::USER_NAME, name_entry(&row.entry.name));
        entries.extend(row.entry.ids.iter().map(|id| (index::USER_ID, id.as_str().to_owned())));
    }
    entries
}

fn reindex(batch: &mut Batch<'_>, id: &str, old: Entries, new: &Entries) {
    for (index, value) in old {
        if !new.iter().any(|(i, v)| *i == index && *v == value) {
            batch.unindex(index, &value, id);
        }
    }
    for (index, value) in new {
        batch.index(index, value, id);
    }
}

macro_rules! table_with_indexes {
    ($put:ident, $get:ident, $row:ty, $id:ty, $table:expr, |$view:ident, $value:ident| $entries:expr, $key:expr) => {
        pub(super) fn $get(&self, id: &$id) -> Result<Option<$row>, StoreError> {
            self.batch.row($table, id.as_str())
        }

        pub(super) fn $put(&mut self, new: &$row) -> Result<(), StoreError> {
            let key: fn(&$row) -> &str = $key;
            let id = key(new).to_owned();
            let old: Option<$row> = self.batch.row($table, &id)?;
            let $view = &*self.meta;
            let old = old.as_ref().map(|$value| $entries).unwrap_or_default();
            let entries = {
                let $value = new;
                $entries
            };
            reindex(self.batch, &id, old, &entries);
            self.batch.put($table, &id, new);
            Ok(())
        }
    };
}

impl Folding<'_, '_> {
    table_with_indexes!(
        put_asset,
        asset,
        AssetRow,
        AssetId,
        table::ASSET,
        |meta, row| asset_entries(row, meta.serial_field.as_deref()),
        |row| row.asset.id.as_str()
    );
    table_with_indexes!(
        put_record,
        record,
        RecordRow,
        RecordId,
        table::RECORD,
        |_meta, row| record_entries(row),
        |row| row.record.id.as_str()
    );
    table_with_indexes!(
        put_device,
        device,
        DeviceRow,
        DeviceId,
        table::DEVICE,
        |_meta, row| device_entries(row),
        |row| row.entry.device_id.as_str()
    );
    table_with_indexes!(
        put_user,
        user,
        UserRow,
        crate::ids::UserKey,
        table::USER,
        |_meta, row| user_entries(row),
        |row| row.entry.key.as_str()
    );

    pub(super) fn delete_asset(&mut self, id: &AssetId) -> Result<(), StoreError> {
        let serial_field = self.meta.serial_field.clone();
        let old = self.asset(id)?.map(|row| asset_entries(&row, serial_field.as_deref()));
        reindex(self.batch, id.as_str(), old.unwrap_or_default(), &Entries::new());
        self.batch.delete(table::ASSET, id.as_str());
        Ok(())
    }

    pub(super) fn delete_record(&mut self, id: &RecordId) -> Result<(), StoreError> {
        let old = self.record(id)?.map(|row| record_entries(&row));
        reindex(self.batch, id.as_str(), old.unwrap_or_default(), &Entries::new());
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
    pub(super) fn promise(&mut self, decision: &Decision) {
        let Key::Device(device) = &decision.key else { return };
        for (asset, _) in decision.changes.iter().filter_map(promise_in) {
            self.batch.index(index::PROMISE, asset.as_str(), device.as_str());
        }
    }

    /// The link is made, and stands for itself.
    pub(super) fn keep_promise(&mut self, device: &DeviceId, link: &LinkOutcome) {
        if let LinkOutcome::Linked { asset, .. } = link {
            self.batch.unindex(index::PROMISE, asset.as_str(), device.as_str());
        }
    }

    /// The devices that are linked to an asset: one at most, by construction.
    pub(super) fn devices_linked_to(&self, asset: &AssetId) -> Result<Vec<String>, StoreError> {
        self.batch.keys(&super::super::view::index_key(index::ASSET_LINK, asset.as_str(), ""))
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

/// Rows of the index that are put into the store at once while all indexes are made anew.
const REBUILD_CHUNK: usize = 4_096;

impl View {
    /// Makes all indexes anew from the tables.
    pub(in crate::state) fn rebuild_indexes(&mut self) -> Result<(), StoreError> {
        let mut entries: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        self.store.scan(format!("{}/", table::INDEX).as_bytes(), &mut |key, _| {
            entries.push((key.to_vec(), None));
            true
        })?;
        self.store.apply(std::mem::take(&mut entries))?;
        let mut add = |index: &str, value: &str, id: &str| {
            entries.push((super::super::view::index_key(index, value, id), Some(Vec::new())));
        };
        let serial_field = self.meta.serial_field.clone();
        let mut add_all = |id: &str, found: Entries| {
            for (index, value) in &found {
                add(index, value, id);
            }
        };
        self.each_asset(&mut |row| {
            add_all(row.asset.id.as_str(), asset_entries(&row, serial_field.as_deref()));
            true
        });
        self.each_record(&mut |row| {
            add_all(row.record.id.as_str(), record_entries(&row));
            true
        });
        self.each_device(&mut |row| {
            add_all(row.entry.device_id.as_str(), device_entries(&row));
            true
        });
        self.each_user(&mut |row| {
            add_all(row.entry.key.as_str(), user_entries(&row));
            true
        });
        self.each_link(&mut |device, row| {
            add_all(device.as_str(), vec![(index::ASSET_LINK, row.asset.as_str().to_owned())]);
            true
        });
        self.each_user_link(&mut |id, row| {
            add_all(id.as_str(), vec![(index::RECORD_LINK, row.record.as_str().to_owned())]);
            true
        });
        self.each_decision(&mut |decision| {
            if let Key::Device(device) = &decision.key {
                let promised = decision.changes.iter().filter_map(promise_in);
                let entries = promised.map(|(asset, _)| (index::PROMISE, asset.as_str().to_owned()));
                add_all(device.as_str(), entries.collect());
            }
            true
        });
        self.each_intent(&mut |id, row| {
            let claims = super::outcome::claimed_subjects(&row.intent);
            add_all(id, claims.into_iter().map(|subject| (index::CLAIM, subject)).collect());
            true
        });
        for chunk in entries.chunks(REBUILD_CHUNK) {
            self.store.apply(chunk.to_vec())?;
        }
        let meta = serde_json::to_vec(&self.meta).unwrap_or_default();
        self.store.apply(vec![(super::super::view::row_key(table::META, ""), Some(meta))])
    }
}
