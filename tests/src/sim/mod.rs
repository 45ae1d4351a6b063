//! Simulators of Kandji and of AMFJ: stateful HTTP servers on loopback, strict about the contract,
//! that misbehave when they are told to.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use amfj_sync_tests::sim::{
//!     amfj::{AmfjOptions, AmfjSim},
//!     faults::{Action, Rule},
//!     fleet::{Fleet, FleetSpec, Traps},
//!     kandji::{KandjiOptions, KandjiSim},
//! };
//!
//! let fleet = Fleet::generate(FleetSpec { devices: 650, seed: 7, traps: Traps::Realistic });
//! let kandji = KandjiSim::start(&fleet, KandjiOptions::default()).await?;
//! let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await?;
//! println!("api_url = {:?}, token {}", kandji.url(), kandji.token());
//!
//! // Both handles are the [`Controls`] of their server as well.
//! amfj.fault(Rule::new(Action::LoseAnswer).on("POST", "/assets").times(1));
//! kandji.rename(&fleet.devices[0].device_id, "Reception iMac")?;
//! // … let the workers run …
//! assert!(amfj.violations().is_empty());
//! println!("{} writes", amfj.write_count());
//! # Ok(()) }
//! ```
//!
//! The servers end when the last clone of their handle is dropped.
//!
//! # From another process
//! The binary `simulate` serves both and prints one line of JSON with addresses and tokens. Each
//! server answers, without a token and without recording it:
//!
//! | request | answer |
//! |---|---|
//! | `GET /_sim/state` | the whole content |
//! | `GET /_sim/requests`, `GET /_sim/violations` | what was asked, and what broke the contract |
//! | `GET /_sim/writes` | AMFJ: every write that was carried out |
//! | `POST /_sim/fault` | adds a [`faults::Rule`]; `GET` or `DELETE /_sim/faults` lists or clears them |
//! | `POST /_sim/personality` | adds a [`personality::Personality`]; `DELETE /_sim/personality?id=N` ends it; `GET` or `DELETE /_sim/personalities` lists or ends them |
//! | `POST /_sim/mutate` | a change by hand: [`kandji::Mutation`] or [`amfj::Mutation`], or for both `{"op":"revoke_token"}`, `restore_token`, `{"op":"set_offline","on":true}`, `{"op":"set_latency","ms":50}` |
//!
//! For instance `{"op":"set_owner","device":"C02XYZ","owner":{"name":"Dana Reyes"}}`.

pub mod amfj;
mod core;
pub mod disguise;
pub mod echo;
pub mod faults;
pub mod fleet;
mod journal;
pub mod kandji;
pub mod personality;
mod wire;

pub use core::Controls;
pub use journal::RequestRecord;
