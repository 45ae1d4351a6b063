//! The program `amfj-sync`: its command line, and what `up` starts. All other commands are those of `amfj_sync_commands`,
//! which knows no simulator.

mod cli;
mod paper;
mod up;

pub use cli::{Arguments, main};
