//! What must not get out of a program: secrets in what it says, signs that a terminal obeys, files that others can read, its
//! memory.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

pub mod hardening;
pub mod private_files;
pub mod screen;
pub mod secrets;
