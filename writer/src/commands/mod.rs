//! The commands for people: what could not be done, what was done, and doing it again. They read the broker, never a
//! worker's directory, and work whether or not a writer runs.

mod dead;
mod history;
pub mod moments;
mod past;
mod replay;
mod stopped;

pub use dead::{Chosen, Filter, as_text, drop_letters, list, replay, show};
pub use history::{Asked, history};
pub use replay::{Wanted, replay as replay_history};
pub use stopped::{Meant, drop_stopped, list as list_stopped, retry as retry_stopped};
