//! Checkpoints: a copy of all rows in the stream, so that its beginning may be trimmed.
//!
//! A reader takes the latest complete one and then every fact after the offset that it copies, so a
//! checkpoint of a worker that lags is as good as any other.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::rows::Meta;
use super::store::StoreError;
use super::view::{View, table};
use crate::messages::{Catalogue, FORMAT, Fact};

/// Rows in one record of the stream.
const ROWS_A_PART: usize = 200;

/// A complete checkpoint.
#[derive(Debug)]
pub(super) struct Found {
    /// The copied view had everything up to and including this offset.
    pub(super) as_of: u64,
    rows: BTreeMap<String, Value>,
}

/// The facts that copy a view.
pub(super) fn facts_of(view: &View) -> Vec<Fact> {
    let Some(as_of) = view.meta.offset else { return Vec::new() };
    let checkpoint = Uuid::new_v4();
    let mut facts = vec![Fact::CheckpointBegun { checkpoint, as_of, format: FORMAT }];
    let mut rows = BTreeMap::new();
    let mut part = 0;
    let mut push = |rows: &mut BTreeMap<String, Value>| {
        facts.push(Fact::CheckpointRows { checkpoint, part, rows: std::mem::take(rows) });
        part += 1;
    };
    let index = format!("{}/", table::INDEX);
    // A store that cannot be read gives no checkpoint; the next day's attempt will.
    let scanned = view.store.scan(b"", &mut |key, value| {
        if let (Ok(key), Ok(value)) = (std::str::from_utf8(key), serde_json::from_slice(value))
            && !key.starts_with(&index)
        {
            rows.insert(key.to_owned(), value);
            if rows.len() == ROWS_A_PART {
                push(&mut rows);
            }
        }
        true
    });
    if scanned.is_err() {
        return Vec::new();
    }
    if !rows.is_empty() {
        push(&mut rows);
    }
    facts.push(Fact::CheckpointEnded { checkpoint, parts: part });
    facts
}

/// The rows of one part.
type Rows = BTreeMap<String, Value>;

/// Looks for the latest complete checkpoint among facts in order.
#[derive(Debug, Default)]
pub(super) struct Search {
    open: BTreeMap<Uuid, (u64, BTreeMap<u32, Rows>)>,
    found: Option<Found>,
}

impl Search {
    pub(super) fn look_at(&mut self, fact: Fact) {
        match fact {
            Fact::CheckpointBegun { checkpoint, as_of, format } if format == FORMAT => {
                self.open.insert(checkpoint, (as_of, BTreeMap::new()));
            }
            Fact::CheckpointRows { checkpoint, part, rows } => {
                if let Some((_, parts)) = self.open.get_mut(&checkpoint) {
                    parts.insert(part, rows);
                }
            }
            Fact::CheckpointEnded { checkpoint, parts } => {
                if let Some((as_of, rows)) = self.open.remove(&checkpoint)
                    && rows.len() == parts as usize
                {
                    let rows = rows.into_values().flatten().collect();
                    self.found = Some(Found { as_of, rows });
                }
            }
            _ => {}
        }
    }

    pub(super) fn found(self) -> Option<Found> {
        self.found
    }
}

impl View {
    /// Replaces everything by a checkpoint.
    pub(super) fn load(&mut self, found: Found) -> Result<(), StoreError> {
        let serial_field = self.meta.serial_field.clone();
        self.store.clear()?;
        let mut writes = Vec::with_capacity(found.rows.len());
        for (key, value) in found.rows {
            if key == format!("{}/", table::META) {
                self.meta = serde_json::from_value::<Meta>(value).unwrap_or_default();
                continue;
            }
            if key == format!("{}/", table::CATALOGUE) {
                self.catalogue = serde_json::from_value::<Catalogue>(value.clone()).unwrap_or_default();
            }
            writes.push((key.into_bytes(), Some(serde_json::to_vec(&value).unwrap_or_default())));
        }
        self.store.apply(writes)?;
        self.meta.serial_field = serial_field;
        self.meta.offset = Some(found.as_of);
        self.rebuild_indexes()
    }
}
