//! A worker that is ill says so and makes room: its disk fails, the broker takes nothing, part of it
//! panics; and what is without end or too large is bounded.

mod alarm;
mod disks;
mod endless;
mod panics;
mod sizes;
