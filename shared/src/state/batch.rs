//! Writes that are not in the store yet, with reads that see them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::{Store, StoreError};
use super::view::{index_key, parse_row, row_key};

/// Several facts become one write to the store; what an earlier fact wrote, a later one reads here.
pub(super) struct Batch<'a> {
    store: &'a mut dyn Store,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(store: &'a mut dyn Store) -> Self {
        Self { store, writes: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.store.get(key),
        }
    }

    pub(super) fn row<T: DeserializeOwned>(&self, table: &str, id: &str) -> Result<Option<T>, StoreError> {
        Ok(self.get(&row_key(table, id))?.and_then(|bytes| parse_row(table, &bytes)))
    }

    pub(super) fn put<T: Serialize>(&mut self, table: &str, id: &str, row: &T) {
        // Rows are our own types with text keys, so they always serialise.
        let bytes = serde_json::to_vec(row).unwrap_or_default();
        self.writes.insert(row_key(table, id), Some(bytes));
    }

    pub(super) fn delete(&mut self, table: &str, id: &str) {
        self.writes.insert(row_key(table, id), None);
    }

    pub(super) fn index(&mut self, index: &str, value: &str, id: &str) {
        self.writes.insert(index_key(index, value, id), Some(Vec::new()));
    }

    pub(super) fn unindex(&mut self, index: &str, value: &str, id: &str) {
        self.writes.insert(index_key(index, value, id), None);
    }

    /// Keys below a prefix, without the prefix, in order, writes of this batch included.
    pub(super) fn keys(&self, prefix: &[u8]) -> Result<Vec<String>, StoreError> {
        let mut keys = std::collections::BTreeSet::new();
        self.store.scan(prefix, &mut |key, _| {
            keys.insert(key.to_vec());
            true
        })?;
        for (key, value) in self.writes.range(prefix.to_vec()..) {
            if !key.starts_with(prefix) {
                break;
            }
            match value {
                Some(_) => keys.insert(key.clone()),
                None => keys.remove(key),
            };
        }
        Ok(keys.into_iter().filter_map(|key| String::from_utf8(key[prefix.len()..].to_vec()).ok()).collect())
    }

    /// Hands everything to the store in one step.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.store.apply(std::mem::take(&mut self.writes).into_iter().collect())
    }
}
