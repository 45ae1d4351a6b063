//! Secrets that a service sends back, in whatever form (P27).

use std::fmt::Write as _;
use std::sync::LazyLock;

use amfj_sync_security::secrets::ServiceWords;
use amfj_sync_security::secrets::{keep_unsaid, scrub};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// The token of this process: with letters that JSON, addresses, HTML and shells each write in ways of their own.
pub(crate) const SECRET: &str = "Zk/9q+7Rw=T_4vXyc8Ps1hkD0mu2JqLb";

/// Letters of a piece by which a long secret is known, in texts that are only read.
const PIECE: usize = 8;

/// Known before anything is read.
static KNOWN: LazyLock<()> = LazyLock::new(|| keep_unsaid(SECRET));

/// How a service may write a text.
const ENCODINGS: [fn(&str) -> String; 16] =
    [
        |text| text.to_owned(),
        |text| text.replace('/', "\\/"),
        |text| text.replace('=', "\\u003d").replace('+', "\\u002B"),
        |text| each(text, |c| format!("\\u{:04x}", u32::from(c))),
        |text| each(text, |c| format!("\\u{{{:x}}}", u32::from(c))),
        |text| each(text, |c| format!("\\x{:02x}", u32::from(c))),
        |text| each(text, |c| format!("\\{:03o}", u32::from(c))),
        |text| {
            each(text, |c| {
                if c.is_ascii_alphanumeric() { c.to_string() } else { format!("%{:02X}", u32::from(c)) }
            })
        },
        |text| each(text, |c| format!("%{:02x}", u32::from(c))),
        |text| each(text, |c| format!("&#{};", u32::from(c))),
        |text| each(text, |c| format!("&#x{:X};", u32::from(c))),
        |text| text.replace('/', "&sol;").replace('+', "&plus;").replace('=', "&equals;"),
        |text| {
            each(text, |c| {
                if c.is_ascii_alphanumeric() { c.to_string() } else { format!("={:02X}", u32::from(c)) }
            })
        },
        |text| STANDARD.encode(format!("sam:{text}")),
        |text| URL_SAFE.encode(text),
        |text| each(text, |c| format!("{:02x}", u32::from(c))),
    ];

fn each(text: &str, write: impl Fn(char) -> String) -> String {
    text.chars().map(write).collect()
}

/// A byte says how the secret is encoded, the next how that is written once more; the rest stands around it, with 0x1E in
/// its place.
pub(crate) fn embedded(input: &[u8]) {
    LazyLock::force(&KNOWN);
    let Some(([first, second], around)) = input.split_first_chunk::<2>() else { return };
    let write = |how: u8, text: &str| ENCODINGS[usize::from(how) % ENCODINGS.len()](text);
    // Whatever is encoded as a whole is written once more only in ways that can be undone letter by letter.
    let written = write(second % 13, &write(*first, SECRET));
    let around = String::from_utf8_lossy(around);
    let (before, behind) = around.split_once('\x1e').unwrap_or((&around, ""));
    let mut text = String::new();
    let _ = write!(text, "{before}{written}{behind}");
    let shown = scrub(&text);
    if !before.contains(&written) && !behind.contains(&written) {
        assert!(!shown.contains(&written), "{shown}");
    }
    assert_eq!(scrub(&shown), shown, "once is enough");
    let words = ServiceWords::of(&text);
    assert!(!words.as_str().contains(&written), "{words}");
    holds_no_secret(words.as_str());
}

/// No piece of the secret by which a part of it could be known.
pub(crate) fn holds_no_secret(text: &str) {
    LazyLock::force(&KNOWN);
    for at in 0..=SECRET.len() - PIECE {
        let piece = &SECRET[at..at + PIECE];
        assert!(!text.contains(piece), "{text}");
    }
}
