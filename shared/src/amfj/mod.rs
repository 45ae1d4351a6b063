//! Asset Management for Jira: its records and, in `client`, the assumed REST contract.

pub mod client;
pub mod lenient;
