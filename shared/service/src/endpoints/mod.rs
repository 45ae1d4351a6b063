//! The HTTP endpoints of a worker: whether it lives, whether it is ready, its metrics, and how everything stands.

mod connections;
mod hosts;
mod pages;
mod server;

pub use server::{Health, Server};
