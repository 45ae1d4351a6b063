//! The HTTP endpoints of a worker: whether it lives, whether it is ready, its metrics, and how everything stands; and where
//! it takes messages from outside.

mod connections;
mod hosts;
mod inbox;
mod pages;
mod server;

pub use inbox::{Inbox, InboxServer, Parcel, Receipt};
pub use server::{Health, Server};
