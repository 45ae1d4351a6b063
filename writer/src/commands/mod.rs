//! The commands for people: what could not be done, and what was done. They read the broker, never a
//! worker's directory, and work whether or not a writer runs.

mod dead;
mod history;
mod moments;

pub use dead::{Chosen, Filter, drop_letters, list, replay, show};
pub use history::{Asked, history};
