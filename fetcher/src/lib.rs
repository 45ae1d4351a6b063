//! The fetcher: reads Kandji and AMFJ to the end, says what differs, and hands every device and person
//! to the reconcilers. It changes nothing in either service.

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

/// How a run reads what Kandji lists. Whoever proves a configuration against the real services reads it in the same way.
pub mod reading {
    pub use crate::run::bulk::columns;
    pub use crate::run::fleet::{ListedDevice, Mapped, Named, Person, Row, read_row};
    pub use crate::run::properties::Unproven;
}
