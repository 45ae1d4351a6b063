//! HTTP as both services are called: one way to send, one way to fail, one way to wait.
//!
//! - [`Api`] sends one [`Call`] and counts it. It never repeats a call and never follows a redirect:
//!   whether a call may be repeated is known only to whoever made it.
//! - [`CallError`] says what is known about the call: surely not sent, perhaps carried out, or
//!   answered with a refusal. For a write that difference decides everything.
//! - [`Answered`] says what an error tells about: the token, the address, a value, a record, or nothing yet.
//! - [`limit::Limiter`] spaces calls and pauses them when a service asks for it.
//!
//! No token is ever part of an error or a log line (P27): it is a sensitive header, what services say is kept as
//! [`ServiceWords`](amfj_sync_security::secrets::ServiceWords) only, and what they list is scrubbed before it is read.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

mod answer;
mod answered;
mod body;
mod client;
mod credentials;
pub mod cursors;
mod error;
pub mod json;
pub mod limit;
mod network;
mod oauth;
mod pulse;
mod retry_after;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use answered::Answered;
pub use client::{Api, Call, Interpreter, Responder, SetupError};
pub use credentials::{Credentials, Pattern, Shown};
pub use error::{BodyForm, CallError};
pub use limit::Limiter;
pub use network::NetworkFault;
pub use oauth::{ClientAuthentication, OAuth};
pub use pulse::Pulse;
pub use reqwest::header::HeaderMap;
pub use reqwest::{Method, StatusCode};
pub use retry_after::{LONGEST_RETRY_AFTER, parse_retry_after};
pub use secrecy::SecretString;
