//! x

pub mod harness;
