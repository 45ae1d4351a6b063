//! Everything that tests of the whole product need: [simulators](sim) of both services,
//! [services that were invented](interfaces) beside them, a [harness](harness) with a private broker and the real workers, the
//! [pipeline] that puts them together, the [ledger] of the requests that a run takes, an independent [model] of the rules to
//! compare with, [random fleets](random_fleet) for it, and the [campaign] that breaks all of it in every way. A [scene] is what
//! tests of odd services begin and end with.

pub mod campaign;
pub mod harness;
pub mod interfaces;
pub mod ledger;
pub mod model;
pub mod pipeline;
pub mod random_fleet;
pub mod scene;
pub mod sim;
