//! The writer: applies changes to AMFJ, each at most once, in the order of each key.
//!
//! The way of a change: decode → already answered or out of date? done → may this worker make it? →  compare with the view →
//! **intent**, published and read back → HTTP → history → **outcome**, published and read back →
//! acknowledge. The process may be killed between any two steps.

mod admission;
mod allowed;
mod answers;
pub mod applying;
pub mod blame;
pub mod circuit;
mod claims;
pub mod context;
mod creating;
mod dead_letters;
mod events;
mod holders;
mod obeying;
mod outcomes;
mod requests;
mod restoring;
mod serving;
mod slots;
mod steps;
mod updating;
pub mod worker;
mod working;

use amfj_sync_config::Integration;
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::Past;

/// Whether a writer with this configuration writes a past value again; else why not. Whoever shows what a replay would do
/// asks the writer's own rule (P29).
///
/// # Errors
/// With the reason why not.
pub fn restorable(config: &Integration, key: &Key, field: &str, past: &Past) -> Result<(), String> {
    allowed::restorable(config, key, field, past).map_err(|reason| reason.to_string())
}
