//! A service that is merely odd costs no link, no asset and no day: whatever AMFJ and Kandji answer about one record,
//! one kind of request or for a while, nothing is lost, nothing is made twice, healthy records are not delayed, and what
//! is refused for ever ends as failed with one dead letter.
//!
//! Each oddity is a personality of the simulated services (`sim::personality`); each test names the end state that the
//! rules ask for.
#![expect(clippy::unwrap_used, reason = "a test may panic, and so may what only tests call")]

mod absence;
mod creating;
mod failing;
mod first_sync;
mod forms;
mod given_up;
mod held;
mod holders;
mod kinds;
mod pauses;
mod reading;
mod refused;
mod shared_sites;

use amfj_sync_tests::scene as support;
