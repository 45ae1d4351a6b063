//! The real workers, a real broker and the simulators: every rule that can be seen from outside.
//! Each test is named after its rule.
#![expect(clippy::expect_used, reason = "a test may panic, and so may what only tests call")]

mod at_rest;
mod bench;
mod bulk;
mod carried;
mod checkout;
mod first_sync;
mod hostile_names;
mod integrations;
mod matching;
mod memory;
mod mistakes;
mod modes;
mod random_fleets;
mod reading;
mod reloading;
mod runs;
mod secrets;
mod stopping;
mod traps;
mod values;
