//! The workers under every dialect: an AMFJ that is spoken to in another way, with its profile, is kept in step by the same
//! rules, and is as odd, as slow and as silent as any.
#![expect(clippy::unwrap_used, reason = "a test may panic, and so may what only tests call")]

mod fleets;
mod holders;
mod jobs;
mod killed;
mod main_job;
mod oddities;
