//! `amfj-sync dead`: what could not be done, and why; and once the reason is gone, doing it after all.

mod filter;
mod letter;
mod reading;
mod sending;
mod target;

pub(crate) use filter::DeadFilter;
pub use letter::as_text;
pub(crate) use reading::{list, show};
pub(crate) use sending::{DeadSelection, drop_letters, replay};
