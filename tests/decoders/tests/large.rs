//! Large bodies made of what grows most when it is read: memory stays within its bound (`Target::read`), and time grows with the
//! size. What took the square of it does not come to an end here. `tests/fuzz/run --large` reads all of them, four times as large.

use std::collections::BTreeSet;

use amfj_sync_decoders::{LARGE, Target, echoing};

/// Of very many values: what took dozens of times its size is over the bound.
const VALUES: usize = 8 << 20;

/// Of one text.
const TEXT: usize = 1 << 20;

fn target(name: &str) -> &'static Target {
    Target::named(name).unwrap_or_else(|| panic!("no decoder is called {name}"))
}

/// One test, so that the memory of each input is its own. Of each decoder one body of many values: the others take minutes in a
/// build that is not optimised.
#[test]
fn large_bodies_take_memory_and_time_within_their_bounds() {
    let mut seen = BTreeSet::new();
    for large in LARGE {
        if large.is_text() {
            println!("{large:?}");
            target(large.target).read(&large.make(TEXT));
        } else if seen.insert(large.target) {
            println!("{large:?}");
            target(large.target).read(&large.make(VALUES));
        }
    }
    println!("a secret of this process in each row");
    target("amfj-rows").read(&echoing(TEXT));
}
