//! The workers under every dialect: an AMFJ that is spoken to in another way, with its profile, is kept in step by the same
//! rules, and is as odd, as slow and as silent as any.

mod fleets;
mod holders;
mod jobs;
mod killed;
mod main_job;
mod oddities;
