//! Writes that are not in the store yet, with reads that see them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::coding::{self, RowChunk};
use super::keys::{index_key, row_key};
use super::store::{Store, StoreError};
use super::view::parse_row;

/// A key with its value.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// Bytes after which a pile is a row: smaller rows cost more for each of what is on them, since a row costs the store
/// the same whatever is in it; larger ones cost it copies.
const PILE: usize = 4_096;

/// Several facts become one write to the store; what an earlier fact wrote, a later one reads here.
pub(super) struct Batch<'a> {
    store: &'a mut dyn Store,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What was piled last, and under which key it will be a row.
    pile: Option<(Vec<u8>, RowChunk)>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(store: &'a mut dyn Store) -> Self {
        Self { store, writes: BTreeMap::new(), pile: None }
    }

    pub(super) fn row<T: DeserializeOwned>(&self, table: &str, id: &str) -> Result<Option<T>, StoreError> {
        let key = row_key(table, id);
        if let Some(written) = self.writes.get(&key) {
            return written.as_ref().map(|bytes| parse_row(table, bytes)).transpose();
        }
        let mut row = Ok(None);
        self.store.look(&key, &mut |bytes| row = parse_row(table, bytes).map(Some))?;
        row
    }

    pub(super) fn put<T: Serialize>(&mut self, table: &str, id: &str, row: &T) {
        self.writes.insert(row_key(table, id), Some(coding::encode(row)));
    }

    /// Puts a value on the pile of a table, whose rows are lists. A new pile gets this id, which comes after those before.
    pub(super) fn pile<T: Serialize>(&mut self, table: &str, id: &str, value: &T) {
        match &mut self.pile {
            Some((_, pile)) => pile.add(value),
            None => self.pile = Some((row_key(table, id), RowChunk::of(value))),
        }
        if self.pile.as_ref().is_some_and(|(_, pile)| pile.size() >= PILE) {
            self.close_pile();
        }
    }

    fn close_pile(&mut self) {
        if let Some((key, pile)) = self.pile.take() {
            self.writes.insert(key, Some(pile.into_bytes()));
        }
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

    /// Whether there are keys below a prefix, or there were before this batch.
    pub(super) fn has_keys(&mut self, prefix: &[u8]) -> Result<bool, StoreError> {
        self.close_pile();
        let mut found =
            self.writes.range(prefix.to_vec()..).next().is_some_and(|(key, _)| key.starts_with(prefix));
        self.store.scan(prefix, &mut |_, _| {
            found = true;
            false
        })?;
        Ok(found)
    }

    /// The first rows below a prefix, keys included: a long table is gone through in steps. Only what has
    /// been handed to the store is seen.
    pub(super) fn first_rows(&self, prefix: &[u8], most: usize) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        self.store.scan(prefix, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            rows.len() < most
        })?;
        Ok(rows)
    }

    /// Deletes a row by its whole key.
    pub(super) fn delete_row(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Hands everything to the store in one step.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.close_pile();
        if self.writes.is_empty() {
            return Ok(());
        }
        self.store.apply(std::mem::take(&mut self.writes).into_iter().collect())
    }
}
