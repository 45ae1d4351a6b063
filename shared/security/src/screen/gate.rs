//! The one gate to the terminal: everything that the programs write to standard output and standard error passes here.
//!
//! A name from a device, an id, a body of a service or an argument that is quoted back may hold signs that a terminal
//! obeys: escapes and C1 codes that colour, move, rename, answer or paste; marks that turn the direction of writing, so
//! that a line reads as another one; separators that begin a new line. None of them leaves: they become `·`. Colours are
//! ours: [`ink`](super::Screen::ink) seals them with a number that was drawn at start, which no name can know.
//!
//! Clippy refuses `println!` and its like everywhere else (clippy.toml).

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write};
use std::sync::LazyLock;

use crate::secrets;

/// What stands for a sign that is not passed on.
const LEFT_OUT: char = '·';
/// Variation selectors have no width, so a sealed colour does not shift what stands beside it.
const SEALING: u32 = 0xfe00;
/// Ends a sealed colour.
const END: u32 = 0xb;
/// Begins one, and has no width either; where no seal follows it is a sign like any other.
const START: char = '\u{2060}';

/// Drawn at start.
static SEAL: LazyLock<String> = LazyLock::new(|| {
    let drawn: u64 = rand::random();
    (0..16).filter_map(|nibble| char::from_u32(SEALING + ((drawn >> (nibble * 4)) & 0xf) as u32)).collect()
});

/// Whether a terminal obeys this sign, or shows something else than stands there.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A colour of ours, sealed: `code` as in `ESC [ code m`.
pub(super) fn sealed(code: &str) -> String {
    let mut text = format!("{START}{}", *SEAL);
    let letters = code.bytes().filter_map(|byte| match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b';' => Some(0xa),
        _ => None,
    });
    text.extend(letters.chain([END]).filter_map(|letter| char::from_u32(SEALING + letter)));
    text
}

/// A text in a colour of ours.
#[must_use]
pub fn colour(code: &str, text: &str) -> String {
    format!("{}{text}{}", sealed(code), sealed("0"))
}

/// Seals the colours of a text that holds nothing from outside, such as a table of sanitized cells or the help of clap.
pub(super) fn seal_all(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        let length = behind.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        rest = match behind[length..].strip_prefix('m') {
            Some(behind_it) => {
                out.push_str(&sealed(&behind[..length]));
                behind_it
            }
            None => behind,
        };
    }
    out.push_str(rest);
    out
}

/// The colour that is sealed at the head of a text, and how long that is.
fn colour_at_head(text: &str) -> Option<(String, usize)> {
    let behind = text.strip_prefix(START)?.strip_prefix(SEAL.as_str())?;
    let mut code = String::new();
    for (at, letter) in behind.char_indices() {
        match u32::from(letter).checked_sub(SEALING)? {
            digit @ 0..=9 => {
                let _ = write!(code, "{digit}");
            }
            0xa => code.push(';'),
            END => return Some((code, text.len() - behind.len() + at + letter.len_utf8())),
            _ => return None,
        }
    }
    None
}

/// A text as it may leave: lines of it, also those of a table for other programs, with our colours and no other sign that
/// steers.
#[must_use]
pub fn passed(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    filtered(&text, |code| format!("\u{1b}[{code}m"), |c| if matches!(c, '\n' | '\t') { c } else { LEFT_OUT })
}

/// A text on one line, with our colours still sealed.
pub(super) fn on_one_line(text: &str) -> String {
    filtered(text, sealed, |_| LEFT_OUT)
}

fn filtered(text: &str, colour: impl Fn(&str) -> String, instead: impl Fn(char) -> char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c| steers(c) || c == START) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((code, length)) = colour_at_head(rest) {
            out.push_str(&colour(&code));
            rest = &rest[length..];
        } else if let Some(c) = rest.chars().next() {
            out.push(if c == START { c } else { instead(c) });
            rest = &rest[c.len_utf8()..];
        }
    }
    out.push_str(rest);
    out
}

/// JSON with every sign that steers as `\uXXXX`: the same value, and harmless on a terminal.
#[must_use]
pub fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        // The line ends of JSON itself; within texts they are escaped.
        if steers(c) && c != '\n' {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes lines to standard output. Whoever reads may have seen enough (`| head`): that is no failure.
pub fn say(text: &str) {
    say_with_secrets(&secrets::scrub(text));
}

/// Writes lines to standard output that are there to show a secret: a token that was made up, to be pasted.
pub fn say_with_secrets(text: &str) {
    let text = passed(text);
    drop(writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n')));
}

/// Writes one line to standard output, whatever names are in it.
pub fn say_line(text: &str) {
    say(&on_one_line(text));
}

/// Writes a question to standard output, and no end of line.
pub fn ask(question: &str) {
    let mut stdout = std::io::stdout().lock();
    // A question that cannot be shown is answered by nobody.
    drop(write!(stdout, "{}", passed(question)));
    drop(stdout.flush());
}

/// Writes lines to standard error: what went wrong, or what a person is to know beside the result.
pub fn say_error(text: &str) {
    let text = passed(&secrets::scrub(text));
    drop(writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n')));
}

/// Writes a question to standard error, where the result of a command goes to standard output.
pub fn ask_error(question: &str) {
    let mut stderr = std::io::stderr().lock();
    drop(write!(stderr, "{}", passed(question)));
    drop(stderr.flush());
}

/// Writes JSON for machines to standard output.
pub fn say_json(value: &impl serde::Serialize) {
    // Our own types with text keys: they always serialise.
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    let json = escaped_json(&secrets::scrub(&json));
    drop(writeln!(std::io::stdout().lock(), "{json}"));
}

/// Reads the arguments of a program. What clap says to wrong ones, it says here: it quotes them.
#[must_use]
pub fn arguments<A: clap::Parser>() -> A {
    let given: Vec<String> = std::env::args_os().map(|one| one.to_string_lossy().into_owned()).collect();
    A::try_parse().unwrap_or_else(|error| refuse::<A>(&error, &given))
}

fn refuse<A: clap::Parser>(error: &clap::Error, given: &[String]) -> ! {
    if error.use_stderr() {
        // Read once more as it may be shown, so that no argument has lines of its own in what is said about it.
        let shown = given.iter().map(|one| on_one_line(one));
        let said = A::try_parse_from(shown).err().filter(|again| again.kind() == error.kind());
        say_error(&said.as_ref().unwrap_or(error).render().to_string());
    } else {
        let help = error.render();
        let colour = std::io::stdout().is_terminal() && super::wants_colour();
        say(&if colour { seal_all(&help.ansi().to_string()) } else { help.to_string() });
    }
    std::process::exit(error.exit_code());
}

/// A writer of log lines, most often for standard error, which may be a terminal.
#[derive(Debug)]
pub struct LogLines<W> {
    /// Whether each line is an object of JSON; else it is text that was sanitized, in colours that were sealed.
    pub is_json: bool,
    /// Where the lines go.
    pub out: W,
}

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = secrets::scrub(&text);
        let text = if self.is_json { escaped_json(&text) } else { passed(&text) };
        self.out.write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    /// Everything that a hostile name could be made of.
    const HOSTILE: &str = "a\u{1b}[31mb\u{1b}]0;t\u{7}c\u{9b}2Jd\u{202e}e\u{61c}f\u{2028}g\u{2066}h\0i\u{7f}j\rk\u{8}l\u{e0041}m\u{200f}n\u{206e}\u{fff9}";

    #[test]
    fn no_sign_from_outside_passes_the_gate() {
        let shown = passed(HOSTILE);
        assert!(!shown.chars().any(steers), "{shown:?}");
        assert_eq!(shown.replace('·', ""), "a[31mb]0;tc2JdefghijklmnXX".trim_end_matches('X'));
        assert_eq!(passed("a\nb"), "a\nb");
        assert_eq!(on_one_line("a\nb\r\nc"), "a·b··c");
        // Not even with what a seal looks like.
        let forged = format!("{START}{}\u{fe03}\u{fe01}\u{fe0b}", "\u{fe00}".repeat(16));
        assert!(!passed(&forged).contains('\u{1b}'));
        let whole = sealed("31");
        for part in 1..whole.chars().count() {
            let cut: String = whole.chars().take(part).collect();
            assert!(!passed(&cut).contains('\u{1b}'), "{cut:?}");
        }
    }

    #[test]
    fn our_own_colours_pass() {
        let text = format!("{}no{}", sealed("38;5;9"), sealed("0"));
        assert_eq!(passed(&text), "\u{1b}[38;5;9mno\u{1b}[0m");
        assert_eq!(passed(&on_one_line(&text)), "\u{1b}[38;5;9mno\u{1b}[0m");
        assert_eq!(passed(&seal_all("\u{1b}[1mb\u{1b}[0m \u{1b}[2Jx")), "\u{1b}[1mb\u{1b}[0m 2Jx");
        assert_eq!(text.width(), 2);
    }

    #[test]
    fn json_stays_the_same_value_and_steers_nothing() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, 1] });
        let shown = escaped_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.chars().any(|c| steers(c) && c != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
