//! What an operator does with the commands: look, check, and find out why.

mod advice;
mod calling;
mod checking;
mod credentials;
mod same_data;
mod status;
mod terminal;
mod walks;
mod watching;
