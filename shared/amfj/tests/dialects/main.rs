//! The client under profiles that differ from the assumed contract in every row of what a profile can say: what is sent, what is
//! understood, and what is known after a failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its stub has failed")]
#![expect(clippy::disallowed_methods, reason = "a date in HTTP is one of the clock of the system")]

mod abilities;
mod assumed;
mod flat;
mod old;
mod php;
mod probing;
mod support;
mod variants;
mod young;
