//! What a worker is around its work: how it starts and ends, what it answers to whoever asks how it is, what it knows of the
//! others and of what waits; and what commands have in common.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

pub mod backlog;
pub mod command;
pub mod endpoints;
pub mod reload;
pub mod status;
mod systemd;
pub mod worker;
