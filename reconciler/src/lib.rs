//! The reconciler: matches the fetcher's snapshots with AMFJ and decides what has to change.
//!
//! It is a pure function between two queues: the rules decide on a view, the worker around them gives
//! the results ids and places, and publishes.

mod events;
mod final_decision;
#[cfg(test)]
mod fixture;
pub mod serving;
pub mod worker;
