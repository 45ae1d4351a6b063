//! The state of an integration: facts on its stream are the truth, a view in sled is what they say.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

mod batch;
pub mod checkpoint;
pub mod claims;
pub mod coding;
mod fold;
pub mod illness;
mod keys;
pub mod lookup;
mod room;
pub mod rows;
pub mod serials;
mod store;
pub mod transfer;
mod view;

pub use fold::Verdict;
pub use store::{DataDir, MemoryStore, OnDisk, STATE_FORMAT, SledStore, Store, StoreError};
pub use view::{FirstSync, Indexes, Projection, Unreadable};

#[cfg(test)]
mod tests;
