//! What the workers speak about: ids, names, messages, mappings, and the records of both services. Pure: nothing here waits,
//! reads a file or talks to anybody.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

pub mod amfj;
pub mod convert;
pub mod failing;
pub mod ids;
pub mod mapping;
pub mod messages;
pub mod names;
