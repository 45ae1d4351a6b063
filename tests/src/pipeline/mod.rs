//! The whole product between two simulated services: what every end-to-end test begins with.
//!
//! [`Services`] are a Kandji tenant and an AMFJ site, [`Pipeline`] the real workers at the shared
//! broker. A run is `fetcher run --once`, and [`Pipeline::settle`] waits until nothing moves.

pub mod outage;
mod reading;
mod services;
mod workers;

pub use services::{Services, newcomers, spec};
pub use workers::{Pipeline, RUN_LIMIT, Workers};
