//! Histories: sequences of events that once in a while happen between the workers, each made to happen
//! on purpose, with the real binaries. After each, AMFJ is as if nothing had happened.
//!
//! A writer or fetcher is made to wait or die at a named place (`AMFJ_SYNC_FAILPOINTS`), is frozen, or
//! is cut off from the broker by a proxy; then the others do what they do in the meantime.

mod assignments;
mod cut_off;
mod hand_overs;
mod late_lists;
mod leaders;
mod links;
mod order;
mod overtaken;
mod second_runs;
mod support;
mod users;
