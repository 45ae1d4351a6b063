//! What a person reads: on a terminal, in a shell's line, in a log.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, LazyLock};

use amfj_sync_security::screen::{
    Screen, Style, StyledText, escaped_json, for_a_shell, passed, sanitize, value,
};
use amfj_sync_telemetry::{LogFormat, Verbosity, log_lines};
use parking_lot::Mutex;
use serde_json::Value;
use tracing::Dispatch;

/// Whether a terminal obeys this sign, shows something else than stands there, or begins a new line: said here once more,
/// so that the product's own list is not what it is compared with.
pub(crate) fn steers(c: char) -> bool {
    let code = u32::from(c);
    (code < 0x20 && c != '\n' && c != '\t')
        || (0x7f..=0x9f).contains(&code)
        || matches!(code, 0x61c | 0x200e | 0x200f | 0x2028 | 0x2029 | 0x202a..=0x202e | 0x2066..=0x2069)
}

pub(crate) fn is_on_one_line(text: &str) {
    assert!(!text.chars().any(|c| steers(c) || c == '\n'), "{text:?}");
}

pub(crate) fn shown(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    on_a_terminal(&text);
    in_a_shell(&text);
    as_json(&text);
    in_a_log(&text);
}

fn on_a_terminal(text: &str) {
    is_on_one_line(&sanitize(text));
    is_on_one_line(&value(&Value::from(text)));
    let screen = Screen::plain();
    let piece = || StyledText::new(Style::Red, text.to_owned());
    is_on_one_line(&passed(&screen.line(text)));
    for lines in [
        screen.sentence(4, text),
        screen.inked(Style::Bold, 4, text),
        screen.flow(4, &[piece(), piece()]),
        screen.table(4, &[vec![piece(), piece()]]),
        text.to_owned(),
    ] {
        let shown = passed(&lines);
        assert!(!shown.chars().any(steers), "{shown:?}");
        assert_eq!(passed(&shown), shown);
    }
}

/// What is to be pasted is one word, and the very one, however a shell reads it.
fn in_a_shell(text: &str) {
    let quoted = for_a_shell(text);
    let mut word = String::new();
    let mut rest = quoted.as_str();
    while let Some(c) = rest.chars().next() {
        if let Some((within, behind)) = rest.strip_prefix('\'').and_then(|rest| rest.split_once('\'')) {
            word.push_str(within);
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("\\'") {
            word.push('\'');
            rest = behind;
        } else {
            assert!(c.is_ascii_alphanumeric() || "/._-:+=@%".contains(c), "{quoted}");
            word.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    assert_eq!(word, text, "{quoted}");
}

fn as_json(text: &str) {
    let value = serde_json::json!({ text: [text] });
    let shown = escaped_json(&serde_json::to_string_pretty(&value).unwrap_or_default());
    assert!(!shown.chars().any(steers), "{shown:?}");
    assert_eq!(serde_json::from_str::<Value>(&shown).ok(), Some(value));
}

/// Lines that were logged, in both forms.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static LOGS: LazyLock<[(Log, Dispatch); 2]> = LazyLock::new(|| {
    [LogFormat::Text, LogFormat::Json].map(|format| {
        let log = Log::default();
        let out = log.clone();
        let lines = log_lines(format, Verbosity::default(), false, move || out.clone());
        (log, Dispatch::new(lines))
    })
});

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Bytes of the longest line: a few values of two kilobytes each, and what escaping makes of them.
const LONGEST_LINE: usize = 64 << 10;

fn in_a_log(text: &str) {
    for (log, dispatch) in LOGS.iter() {
        log.0.lock().clear();
        tracing::dispatcher::with_default(dispatch, || {
            tracing::warn!(error = %text, device = text, debug = ?text, count = 3, "{text}");
        });
        let line = String::from_utf8_lossy(&std::mem::take(&mut *log.0.lock())).into_owned();
        assert!(line.len() <= LONGEST_LINE && line.ends_with('\n'), "{} bytes", line.len());
        let line = line.trim_end_matches('\n');
        is_on_one_line(line);
        assert!(!line.contains('\t') || !text.contains('\t'), "{line}");
        if let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(line) {
            assert!(
                fields.get("level") == Some(&"WARN".into()) && fields.get("count") == Some(&3.into()),
                "{line}"
            );
        } else {
            has_its_own_fields_alone(line);
        }
    }
}

/// The last field is ours, and each of the others is one word or one text in quotes.
fn has_its_own_fields_alone(line: &str) {
    // The message is a text of ours with nothing around it: here it is the name itself, and may hold anything.
    let reads = |fields: &str| ends_with_its_fields(fields);
    assert!(line.match_indices(" error=").any(|(at, sign)| reads(&line[at + sign.len()..])), "{line}");
}

fn ends_with_its_fields(fields: &str) -> bool {
    let mut rest = fields;
    for next in [" device=", " debug=", " count="] {
        let end = end_of_value(rest);
        let Some(behind) = rest[end..].strip_prefix(next) else { return false };
        rest = behind;
    }
    rest == "3"
}

fn end_of_value(text: &str) -> usize {
    let Some(within) = text.strip_prefix('"') else { return text.find(' ').unwrap_or(text.len()) };
    let mut is_escaped = false;
    for (at, c) in within.char_indices() {
        if c == '"' && !is_escaped {
            return at + 2;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}
