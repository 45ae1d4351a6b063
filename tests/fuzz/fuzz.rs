//! Gives the inputs of libFuzzer to the decoder that `FUZZ_TARGET` names: one program for all, since linking takes longest.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use amfj_sync_decoders::{LARGE, LARGEST, TARGETS, Target, echoing, write_inputs};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match Target::named(&name) {
        Some(target) => target,
        None => panic!("FUZZ_TARGET={name} names no decoder; `tests/fuzz/run --list` does"),
    }
});

fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("FUZZ_INPUTS") {
            begin(Path::new(&folder));
        }
        if std::env::var_os("FUZZ_LARGE").is_some() {
            read_large();
        }
    },
    |input: &[u8]| {
        TARGET.read(input);
    }
);

/// Reads the largest bodies that are read at all, says what each took, and ends.
fn read_large() {
    for large in LARGE {
        read_one(large.target, &large.make(LARGEST), &format!("{large:?}"));
    }
    read_one("amfj-rows", &echoing(LARGEST), "the secret of this process in each row");
    std::process::exit(0);
}

fn read_one(target: &str, input: &[u8], about: &str) {
    let (began, target) = (Instant::now(), Target::named(target));
    let took = target.map_or(0, |target| target.read(input));
    println!("{:>5} MB  {:>6.2} s  {about}", took >> 20, began.elapsed().as_secs_f64());
}

/// Writes what fuzzing begins with, says which decoders there are, and ends.
fn begin(folder: &Path) {
    if let Err(error) = write_inputs(folder) {
        eprintln!("{}: {error}", folder.display());
        std::process::exit(1);
    }
    for target in TARGETS {
        println!("{:<16} {}", target.name, target.about);
    }
    std::process::exit(0);
}
