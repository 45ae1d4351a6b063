//! Large bodies made of what grows most when it is read: memory stays within its bound (`Target::read`), and time grows with the
//! size. What took the square of it does not come to an end here.
//!
//! These are the quickest; `tests/fuzz/run --large` reads all of them, and as large as an answer may be.

use amfj_sync_decoders::{LARGE, Target, echoing};

/// Of very many values: what took dozens of times its size is over the bound.
const VALUES: usize = 8 << 20;

/// What reads those within seconds in a build that is not optimised.
const QUICK: [&str; 4] = ["amfj-answers", "kandji-devices", "kandji-details", "error-answers"];

/// Of one text.
const TEXT: usize = 512 << 10;

fn target(name: &str) -> &'static Target {
    Target::named(name).unwrap_or_else(|| panic!("no decoder is called {name}"))
}

/// One test, so that the memory of each input is its own.
#[test]
fn large_bodies_take_memory_and_time_within_their_bounds() {
    for large in LARGE {
        let bytes = match large.is_text() {
            true => TEXT,
            false if QUICK.contains(&large.target) => VALUES,
            false => continue,
        };
        println!("{large:?}");
        target(large.target).read(&large.make(bytes));
    }
    println!("a secret of this process in each row");
    target("amfj-rows").read(&echoing(TEXT / 2));
}
