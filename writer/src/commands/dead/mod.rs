//! `writer dead`: what could not be done, and why; and once the reason is gone, doing it after all.

mod filter;
mod letter;
mod reading;
mod sending;
mod target;

pub use filter::Filter;
pub use letter::as_text;
pub use reading::{list, show};
pub use sending::{Chosen, drop_letters, replay};
