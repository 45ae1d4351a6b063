//! P34: AMFJ's events wake the sync for one asset. The real workers, a real broker, and an AMFJ that sends events.

mod doors;
mod limits;
mod storms;
mod support;
mod waking;
