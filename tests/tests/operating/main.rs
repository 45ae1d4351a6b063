//! What an operator does with the commands: look, check, and find out why.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calling;
mod checking;
mod status;
mod terminal;
mod walks;
mod watching;
