//! Rows as bytes: `MessagePack` with the names of the members.
//!
//! The names cost a few bytes and buy what JSON has: a member may be added without rebuilding anything,
//! and a row can be turned into JSON for a checkpoint without knowing its type.

use rmp_serde::decode::Error as DecodeError;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

mod counts;

/// Why bytes are not the row that they should be.
#[derive(Debug, thiserror::Error)]
#[error("a row of the local state is malformed: {0}")]
pub struct Malformed(#[from] DecodeError);

/// A row as bytes.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(row: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1_024);
    // Human readable: ids and times are texts, as they are in the JSON of a checkpoint. Rows are our own
    // types with text keys, so they always serialise.
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map().with_human_readable();
    if row.serialize(&mut serializer).is_err() {
        bytes.clear();
    }
    bytes
}

/// Several rows that are written one after the other and read together: an array of them.
#[derive(Debug)]
pub struct RowChunk {
    bytes: Vec<u8>,
    rows: u16,
}

/// An array whose length is in the next two bytes, as `MessagePack` marks it.
const ARRAY: u8 = 0xdc;

impl RowChunk {
    /// With its first row.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(row: &T) -> Self {
        let mut pile = Self { bytes: vec![ARRAY, 0, 0], rows: 0 };
        pile.add(row);
        pile
    }

    /// Puts one more on it.
    pub fn add<T: Serialize + ?Sized>(&mut self, row: &T) {
        self.bytes.extend(encode(row));
        self.rows += 1;
        self.bytes[1..3].copy_from_slice(&self.rows.to_be_bytes());
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The array; for [`decode`], a list.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// How deep a row may be: what came as JSON is less than half of that. A disk that lies must not cost more of the stack than
/// a thread has: that would end the process, again at each start, where a row that cannot be read has the view rebuilt.
const DEEPEST: usize = 256;

/// Reads a row.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    if !counts::are_possible(bytes) {
        return Err(DecodeError::custom("it says that it has more members than it has bytes").into());
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable();
    deserializer.set_max_depth(DEEPEST);
    Ok(T::deserialize(&mut deserializer)?)
}
