//! The writer: applies changes to AMFJ, each at most once, in the order of each key.
//!
//! The way of a change: decode → already answered or out of date? done → may this worker make it? →  compare with the view →
//! **intent**, published and read back → HTTP → history → **outcome**, published and read back →
//! acknowledge. The process may be killed between any two steps.

mod admission;
mod allowed;
mod answers;
pub mod applying;
pub mod blame;
pub mod circuit;
mod claims;
pub mod commands;
mod creating;
mod dead_letters;
mod events;
mod holders;
mod obeying;
mod outcomes;
mod requests;
mod restoring;
mod serving;
pub mod site;
mod slots;
mod steps;
mod updating;
pub mod worker;
mod working;
