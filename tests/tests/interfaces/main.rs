//! Interfaces that the interpreter of profiles was not written for: three that were invented, each with its description, and
//! json-server, which nobody here wrote. With a profile alone the whole product works with each.

mod fleetbox;
mod inventar;
mod json_server;
mod stockroom;
mod support;
