//! Who may write to the broker, and what the workers believe of what is written there.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod decided;
mod doors;
mod forged;
mod headers;
mod numbers;
mod permissions;
mod signed;
mod support;
mod tls;
mod unsigned;
