//! Asset Management for Jira: its interface as data ([`profile`]), the interpreter of that, and what the rest of the product knows of
//! it: operations and records ([`client`]).

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

pub mod client;
pub mod lenient;
pub mod probe;
pub mod profile;
mod wire;
