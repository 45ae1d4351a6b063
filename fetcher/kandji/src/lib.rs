//! Kandji: its devices, read page by page within its limits.
//!
//! The token that the set-up asks for may do two things, *Device list* and *Device details*, so
//! nothing else is read: the users are those found in the devices (P10). Prism is read only where it
//! was asked for.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

mod client;
mod device;
mod error;
mod limits;
mod prism;
mod timestamp;
mod walk;

pub use client::{KandjiClient, PAGE, Page};
pub use device::{Device, KandjiUser, Malformed};
pub use error::KandjiError;
pub use limits::{Budget, Limits};
pub use prism::{PrismPage, PrismRow};
pub use timestamp::parse_timestamp;
pub use walk::{Begin, Progress, WalkSummary};
