//! The whole product between two simulated services: what every end-to-end test begins with.
//!
//! [`Services`] are a Kandji tenant and an AMFJ site, [`Pipeline`] the real workers at the shared
//! broker. A run is `fetcher run --once`, and [`Pipeline::settle`] waits until nothing moves.

mod crew;
pub mod outage;
mod reading;
mod services;

pub use crew::{Crew, Pipeline, RUN_LIMIT};
pub use services::{Services, newcomers, spec};
