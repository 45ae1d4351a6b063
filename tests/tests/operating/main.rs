//! What an operator does with the commands: look, check, and find out why.

mod advice;
mod calling;
mod checking;
mod connections;
mod credentials;
mod linking;
mod same_data;
mod status;
mod terminal;
mod trouble;
mod walks;
mod watching;
