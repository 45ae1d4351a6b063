//! Every input that fuzzing found and that is kept, and everything that it begins with, against the same functions.

use amfj_sync_decoders::{TARGETS, Target, kept};

/// One test, so that the memory of each input is its own.
#[test]
fn whatever_was_found_by_fuzzing_holds() {
    for target in &TARGETS {
        for (name, input) in kept(target.name) {
            println!("{}/{name}", target.name);
            target.read(&input);
        }
    }
}

#[test]
fn what_fuzzing_begins_with_holds_and_is_enough() {
    for target in &TARGETS {
        let seeds = target.seeds();
        assert!(seeds.len() >= 3, "{target:?} has {} seeds", seeds.len());
        for (number, seed) in seeds.iter().enumerate() {
            println!("{target:?}, seed {number}");
            target.read(seed);
        }
        assert!(!target.words().is_empty());
    }
    assert!(Target::named("events").is_some());
}
