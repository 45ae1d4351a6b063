//! The largest bodies made of what grows most when it is read: memory stays within its bound (`Target::read`), and time grows with
//! the size. What took the square of it would take hours here.

use amfj_sync_decoders::{LARGE, Target, echoing};

/// Enough that what once took dozens of times its size in memory, or the square of it in time, cannot pass.
const BYTES: usize = 8 << 20;

fn target(name: &str) -> &'static Target {
    Target::named(name).unwrap_or_else(|| panic!("no decoder is called {name}"))
}

/// One test, so that the memory of each input is its own.
#[test]
fn large_bodies_take_memory_and_time_within_their_bounds() {
    for large in LARGE {
        println!("{large:?}");
        target(large.target).read(&large.make(BYTES));
    }
    println!("a secret of this process in each row");
    target("amfj-rows").read(&echoing(BYTES));
}
