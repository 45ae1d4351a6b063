//! The fetcher: reads Kandji and AMFJ to the end, says what differs, and hands every device and person
//! to the reconcilers. It changes nothing in either service.

pub mod check;
pub mod events;
mod inbox;
mod leadership;
mod lookups;
pub mod once;
mod presence;
mod progress;
mod run;
mod schedule;
pub mod serve;
mod status;
pub mod trigger;
