//! The simulators keep their own promises: the contract, the faults, and the same fleet for the
//! same seed. Everything that is tested against them rests on that.
#![expect(clippy::unwrap_used, reason = "a test may panic, and so may what only tests call")]

mod amfj;
mod caller;
mod control;
mod dialects;
mod faults;
mod fleets;
mod irusdk;
mod kandji;
mod personalities;
