//! A worker that is ill says so and makes room: its disk fails, the broker takes nothing, part of it panics.

mod alarm;
mod disks;
mod panics;
