//! Whatever reads what comes from outside, as functions of bytes, with what must hold whatever the bytes are.
//!
//! The same functions are fuzzed (`tests/fuzz/run`) and, with the inputs that were found and kept, replayed in the daily tests
//! (`tests/kept.rs`). A target calls what the workers, commands and clients call on bytes, headers and texts of a service, of
//! the broker, of a file or of a person; it panics where something does not hold. Besides what each target says, for all of
//! them: no panic, and no more memory than an input of that size may take.

mod amfj;
mod answers;
mod configuration;
mod frames;
mod inputs;
mod kandji;
mod large;
mod letters;
mod messages;
mod names;
mod rows;
mod screen;
mod secrets;
mod site;
mod templates;
mod times;
mod words;

use parking_lot::Mutex;
use peak_alloc::PeakAlloc;

pub use inputs::{kept, separated, write_inputs};
pub use large::{LARGE, LARGEST, Large, echoing};

/// Counts, so that each input can be held to what it may take.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What all of this product's memory may be (`docs/guarantees.md`), so what one input may take, at most.
pub const MOST_MEMORY: usize = 256 << 20;

/// What an input may take whatever its size: tables that are made at the first use, and room that is made ahead.
const BASE: usize = 8 << 20;

/// How many times its own size an input may take beside that: a value of JSON is some thirty bytes, and its text may be two.
const TIMES: usize = 256;

/// Memory is counted for one input at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// One decoder.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called: `tests/fuzz/run NAME`, `tests/fuzz/corpus/NAME`.
    pub name: &'static str,
    /// What it reads, and whose that is.
    pub about: &'static str,
    read: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    words: &'static [&'static str],
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Reads an input. Answers how many bytes of memory that took.
    ///
    /// # Panics
    /// Where something does not hold: that is what it is for.
    pub fn read(&self, input: &[u8]) -> usize {
        let _alone = ONE_AT_A_TIME.lock();
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        (self.read)(input);
        let took = MEMORY.peak_usage().saturating_sub(before);
        let most = MOST_MEMORY.min(BASE + TIMES * input.len());
        assert!(took <= most, "{}: an input of {} bytes took {took} bytes of memory", self.name, input.len());
        took
    }

    /// What fuzzing begins with: real payloads of this repository.
    #[must_use]
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }

    /// Words of its format, for the dictionary.
    #[must_use]
    pub fn words(&self) -> &'static [&'static str] {
        self.words
    }
}

/// All of them.
pub const TARGETS: [Target; 19] = [
    Target {
        name: "events",
        about: "bodies of messages: packs, envelopes, snapshots, changes, facts",
        read: messages::events,
        seeds: inputs::messages,
        words: words::MESSAGES,
    },
    Target {
        name: "facts",
        about: "a state stream, a message a line: what it does to the view, and what is decided and said on it",
        read: site::facts,
        seeds: inputs::streams,
        words: words::MESSAGES,
    },
    Target {
        name: "reports",
        about: "what workers answer when they are asked how they are",
        read: messages::reports,
        seeds: inputs::reports,
        words: words::MESSAGES,
    },
    Target {
        name: "frames",
        about: "frames of AMQP as the broker sends them, with whatever properties somebody published",
        read: frames::frames,
        seeds: inputs::frames,
        words: words::HEADERS,
    },
    Target {
        name: "dead-letters",
        about: "headers of AMQP as bytes, and a body behind them: deaths, replays, signatures, what is shown",
        read: letters::dead_letters,
        seeds: inputs::letters,
        words: words::HEADERS,
    },
    Target {
        name: "kandji-devices",
        about: "a page of Kandji's device list",
        read: kandji::devices,
        seeds: inputs::kandji_devices,
        words: words::KANDJI,
    },
    Target {
        name: "kandji-details",
        about: "details of a device, and a page of Prism",
        read: kandji::details,
        seeds: inputs::kandji_details,
        words: words::KANDJI,
    },
    Target {
        name: "amfj-rows",
        about: "a page of any of AMFJ's lists, and one record",
        read: amfj::rows,
        seeds: inputs::amfj_rows,
        words: words::AMFJ,
    },
    Target {
        name: "amfj-answers",
        about: "a status and a body, to every request that the client makes",
        read: amfj::answers,
        seeds: inputs::amfj_answers,
        words: words::AMFJ,
    },
    Target {
        name: "error-answers",
        about: "status, headers and body of a refusal: words, blame, pauses, limits",
        read: answers::refusals,
        seeds: inputs::error_answers,
        words: words::HEADERS,
    },
    Target {
        name: "secrets",
        about: "a secret in some encoding with any text around it",
        read: secrets::embedded,
        seeds: inputs::secrets,
        words: words::SECRETS,
    },
    Target {
        name: "configuration",
        about: "a configuration file, and variables that override it",
        read: configuration::file,
        seeds: inputs::configurations,
        words: words::CONFIGURATION,
    },
    Target {
        name: "templates",
        about: "the right side of a mapping, and the values of a device",
        read: templates::mapped,
        seeds: inputs::templates,
        words: words::TEMPLATES,
    },
    Target {
        name: "names",
        about: "three names, serials and emails that are compared",
        read: names::compared,
        seeds: inputs::names,
        words: words::NAMES,
    },
    Target {
        name: "values",
        about: "a value of Kandji for a field of AMFJ, and what AMFJ holds",
        read: names::converted,
        seeds: inputs::values,
        words: words::NAMES,
    },
    Target {
        name: "times",
        about: "times, pauses, spans, places in an order",
        read: times::read,
        seeds: inputs::times,
        words: words::TIMES,
    },
    Target {
        name: "screen",
        about: "a name or word of a service that is shown on a terminal, in a shell's line, as JSON, in a log line",
        read: screen::shown,
        seeds: inputs::texts,
        words: words::TEXTS,
    },
    Target {
        name: "local-rows",
        about: "rows of the local store, and a store that is made of them",
        read: rows::stored,
        seeds: inputs::local_rows,
        words: words::MESSAGES,
    },
    Target {
        name: "selectors",
        about: "what a person types to name a device, asset, person, record, moment or span",
        read: site::selected,
        seeds: inputs::selectors,
        words: words::NAMES,
    },
];
