//! The commands for people, all but `up`: they ask the services, read the broker, and publish what a person decides.
//!
//! None of them opens a worker's directory: they read the streams into memory, and work beside running workers and without
//! any. Each command is a module. What several of them need stands once beside them: `CommandContext` (the states of the
//! integrations, read to their end), `lookup` (what somebody means by a name), `format` (how things are named),
//! [`time_args`] (moments as people type them) and `operator_decisions` (what a person decides, published).

mod carried;
mod check;
mod cli;
mod consent;
mod context;
mod dead;
mod dry_run;
mod explain;
mod export;
#[cfg(test)]
#[path = "../../../reconciler/src/fixture.rs"]
#[expect(dead_code, reason = "some of it is for the tests of the reconciler alone")]
mod fixture;
mod format;
mod history;
mod import;
mod init;
mod lookup;
mod operator_decisions;
mod past;
mod pausing;
mod plan;
mod profiles;
mod reload;
mod replay;
mod schema;
mod status;
mod stopped;
pub mod time_args;
mod trigger;

pub use cli::{Command, run};
pub use dead::as_text;
pub use format::time;
pub use init::InitArgs;

use context::CommandContext;
