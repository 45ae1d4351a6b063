//! What an operator does with the commands: look, check, and find out why.

mod calling;
mod checking;
mod credentials;
mod status;
mod terminal;
mod walks;
mod watching;
