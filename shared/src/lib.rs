//! What two or more workers of amfj-sync speak: identifiers, messages, the broker, the state,
//! AMFJ, the configuration, retry and telemetry. What only one worker needs lives with that worker.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

pub mod backlog;
pub mod command;
pub mod endpoints;
pub mod status;
pub mod worker;
