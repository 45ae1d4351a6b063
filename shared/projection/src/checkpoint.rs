//! Checkpoints: a copy of all rows in the stream, so that its beginning may be trimmed.
//!
//! A reader takes the latest complete one and then every fact after the offset that it copies, so a
//! checkpoint of a worker that lags is as good as any other. Writing and reading go in steps: what is in
//! memory for it does not grow with the fleet.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_model::messages::{Catalogue, EventHeader, FORMAT, Fact};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::coding;
use super::keys::{row_key, table};
use super::rows::Meta;
use super::store::StoreError;
use super::view::Projection;

/// Rows in one record of the stream.
const ROWS_A_PART: usize = 100;

/// Bytes of rows, as the view has them, after which a record is large enough.
const BYTES_A_PART: usize = 2 << 20;

/// JSON takes so many times as much in the worst case.
const JSON_TAKES: usize = 7;

/// What a record has beside its rows, at most.
const ENVELOPE: usize = 512;

/// Records that are read from the view and published together: what is in memory for a copy grows with it.
const PARTS_A_STEP: u32 = 2;

/// The rows of one part.
type Rows = BTreeMap<String, Value>;

/// A view that is being copied. It must not change meanwhile: the rows are those of one offset.
#[derive(Debug)]
pub struct Copying {
    checkpoint: Uuid,
    as_of: u64,
    parts: u32,
    /// The last key that was copied.
    after: Vec<u8>,
    /// Bytes of rows in one record.
    bytes_a_part: usize,
    /// What one message may have.
    largest: usize,
}

impl Copying {
    /// None for a view that has read nothing yet. `largest` is what one message may have.
    #[must_use]
    pub fn of(view: &Projection, largest: usize) -> Option<Self> {
        let as_of = view.meta.offset?;
        let bytes_a_part = BYTES_A_PART.min(largest / JSON_TAKES);
        Some(Self { checkpoint: Uuid::new_v4(), as_of, parts: 0, after: Vec::new(), bytes_a_part, largest })
    }

    /// What comes before all other rows.
    pub fn begin(&mut self, view: &Projection) -> Vec<Fact> {
        let begun = Fact::CheckpointBegun { checkpoint: self.checkpoint, as_of: self.as_of, format: FORMAT };
        // From memory: its keys that are numbers are texts in JSON and in nothing else.
        let meta = serde_json::to_value(&view.meta).unwrap_or_default();
        vec![begun, self.part(Rows::from([(format!("{}/", table::META), meta)]))]
    }

    /// The next rows; none when all are copied.
    pub fn step(&mut self, view: &Projection) -> Result<Vec<Fact>, StoreError> {
        let mut facts = Vec::new();
        for _ in 0..PARTS_A_STEP {
            let rows = self.rows(view)?;
            if rows.is_empty() {
                break;
            }
            facts.push(self.part(rows));
        }
        Ok(facts)
    }

    /// What comes after all rows.
    #[must_use]
    pub fn end(&self) -> Fact {
        Fact::CheckpointEnded { checkpoint: self.checkpoint, parts: self.parts }
    }

    fn part(&mut self, rows: Rows) -> Fact {
        let part = self.parts;
        self.parts += 1;
        Fact::CheckpointRows { checkpoint: self.checkpoint, part, rows }
    }

    /// Whether a message can carry the row. What came of several facts may be larger than each of them: without it, what is
    /// copied says less of one record; with it, nothing could be copied ever again, and the stream is trimmed some day.
    fn fits(&self, name: &str, row: &Value) -> bool {
        if self.bytes_a_part == BYTES_A_PART {
            return true;
        }
        // Our own values always serialise.
        let bytes = serde_json::to_vec(row).map_or(0, |json| json.len()) + name.len();
        let fits = bytes + ENVELOPE <= self.largest;
        if !fits {
            tracing::warn!(
                row = name,
                bytes,
                limit = self.largest,
                "what is known of this is larger than a message may be (max_message_size), so the copy of the state lacks it"
            );
        }
        fits
    }

    fn rows(&mut self, view: &Projection) -> Result<Rows, StoreError> {
        let (meta, index) = (row_key(table::META, ""), row_key(table::INDEX, ""));
        let (mut rows, mut bytes) = (Rows::new(), 0);
        loop {
            let (mut at_index, mut read) = (false, Ok(()));
            let mut after = Vec::new();
            view.store.scan_after(b"", &self.after, &mut |key, value| {
                at_index = key.starts_with(&index);
                if at_index {
                    return false;
                }
                if bytes > 0 && bytes + value.len() > self.bytes_a_part {
                    // The next record begins with it.
                    return false;
                }
                after = key.to_vec();
                if *key == *meta {
                    return true;
                }
                bytes += value.len();
                match row_as_json(key, value) {
                    Ok((name, value)) if self.fits(&name, &value) => drop(rows.insert(name, value)),
                    Ok(_) => bytes = bytes.saturating_sub(value.len()),
                    Err(error) => read = Err(error),
                }
                rows.len() < ROWS_A_PART && read.is_ok()
            })?;
            // A copy without it would make the loss good for everybody.
            read.inspect_err(|error| view.count_failed_read(error))?;
            if !after.is_empty() {
                self.after = after;
            }
            if !at_index {
                return Ok(rows);
            }
            // Behind all of its keys, which are texts. What it says is derived from the other rows.
            self.after = [index.as_slice(), &[0xff]].concat();
        }
    }
}

fn row_as_json(key: &[u8], value: &[u8]) -> Result<(String, Value), StoreError> {
    let name =
        std::str::from_utf8(key).map_err(|error| StoreError::undecodable("the local state", &error))?;
    let value = coding::decode(value).map_err(|error| StoreError::undecodable(name, &error))?;
    Ok((name.to_owned(), value))
}

/// A complete checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which one.
    pub checkpoint: Uuid,
    /// Where it begins in the stream.
    pub begun: u64,
    /// The copied view had everything up to and including this offset.
    pub as_of: u64,
    parts: u32,
}

/// A fact of a checkpoint with its rows unread.
#[derive(Debug, Deserialize)]
#[serde(tag = "fact")]
enum Sign {
    #[serde(rename = "checkpoint_begun")]
    Begun { checkpoint: Uuid, as_of: u64, format: u32 },
    #[serde(rename = "checkpoint_rows")]
    Rows { checkpoint: Uuid, part: u32 },
    #[serde(rename = "checkpoint_ended")]
    Ended { checkpoint: Uuid, parts: u32 },
}

/// The fact of a checkpoint without its rows, which are large and say nothing to whoever has read the facts that they
/// copy. None for everything else, and for what this release does not know.
#[must_use]
pub fn outline(header: &EventHeader<'_>) -> Option<Fact> {
    if !header.is_fact() || header.subject() != Fact::CHECKPOINT {
        return None;
    }
    Some(match serde_json::from_str(header.data().get()).ok()? {
        Sign::Begun { checkpoint, as_of, format } => Fact::CheckpointBegun { checkpoint, as_of, format },
        Sign::Rows { checkpoint, part } => Fact::CheckpointRows { checkpoint, part, rows: Rows::new() },
        Sign::Ended { checkpoint, parts } => Fact::CheckpointEnded { checkpoint, parts },
    })
}

/// Looks for the latest complete checkpoint among the facts of checkpoints, in order: the one that copies most. One that
/// stands behind it and copies less was written by a worker that lagged, or kept by somebody and published again.
#[derive(Debug, Default)]
pub struct Search {
    /// Of each where it begins, what it copies, and the parts that were seen.
    open: BTreeMap<Uuid, (u64, u64, BTreeSet<u32>)>,
    found: Option<Found>,
}

impl Search {
    /// Looks at the data of the fact at an offset. A copy of nothing, or of what comes only after it, is none.
    pub fn look_at(&mut self, offset: u64, fact: &RawValue) {
        match serde_json::from_str(fact.get()) {
            Ok(Sign::Begun { checkpoint, as_of, format }) if format <= FORMAT && as_of < offset => {
                self.open.insert(checkpoint, (offset, as_of, BTreeSet::new()));
            }
            Ok(Sign::Rows { checkpoint, part }) => {
                if let Some((.., parts)) = self.open.get_mut(&checkpoint) {
                    parts.insert(part);
                }
            }
            Ok(Sign::Ended { checkpoint, parts }) => {
                if let Some((begun, as_of, seen)) = self.open.remove(&checkpoint)
                    && seen.len() == parts as usize
                    && parts > 0
                    && self.found.is_none_or(|found| found.as_of <= as_of)
                {
                    self.found = Some(Found { checkpoint, begun, as_of, parts });
                }
            }
            Ok(Sign::Begun { .. }) | Err(_) => {}
        }
    }

    /// The checkpoint that was found, if one is complete.
    #[must_use]
    pub fn found(self) -> Option<Found> {
        self.found
    }
}

/// Takes the rows of one checkpoint into an empty view, part by part.
#[derive(Debug)]
pub struct Loading {
    found: Found,
    meta: Meta,
    seen: BTreeSet<u32>,
}

impl Loading {
    /// Empties the view.
    pub fn begin(view: &mut Projection, found: Found) -> Result<Self, StoreError> {
        view.reset()?;
        Ok(Self { found, meta: Meta::default(), seen: BTreeSet::new() })
    }

    /// Takes a part, if it is one of this checkpoint. Answers whether that was the last.
    pub fn take(&mut self, view: &mut Projection, fact: Fact) -> Result<bool, StoreError> {
        if let Fact::CheckpointRows { checkpoint, part, rows } = fact
            && checkpoint == self.found.checkpoint
            && self.seen.insert(part)
        {
            self.store(view, rows)?;
        }
        Ok(self.seen.len() == self.found.parts as usize)
    }

    fn store(&mut self, view: &mut Projection, rows: Rows) -> Result<(), StoreError> {
        let mut writes = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            if key == format!("{}/", table::META) {
                // Without it links would have to be found anew: rather not ready than that.
                self.meta = serde_json::from_value(value)
                    .map_err(|error| StoreError::undecodable("the checkpoint", &error))?;
                continue;
            }
            if key == format!("{}/", table::CATALOGUE) {
                view.catalogue = serde_json::from_value::<Catalogue>(value.clone())
                    .map_err(|error| StoreError::undecodable("the checkpoint", &error))?;
            }
            writes.push((key.into_bytes(), Some(coding::encode(&value))));
        }
        view.store.apply(writes)
    }

    /// Puts the copied offset in force: only now does the view hold anything.
    pub fn end(self, view: &mut Projection) -> Result<(), StoreError> {
        let copied = self.meta.indexed_as(&view.meta);
        view.meta = Meta { offset: Some(self.found.as_of), ..copied };
        view.rebuild_indexes()
    }
}
