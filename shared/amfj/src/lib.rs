//! Asset Management for Jira: its records and, in `client`, the assumed REST contract.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

pub mod client;
pub mod lenient;
