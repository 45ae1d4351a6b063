//! How a log line looks: one event, one line, whatever is in it.
//!
//! Names of devices, bodies of services and errors that quote them come into fields and messages. None of them can end its
//! line, begin a field of its own, steer the terminal (the gate sees to that, too) or fill the disk: every value is quoted
//! where it is more than a word, escaped, and cut.

use std::fmt::{self, Write as _};

use amfj_sync_security::screen::{colour, steers};
use jiff::Timestamp;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::logs::LogFormat;

/// Bytes of a value that are logged.
const LONGEST: usize = 2_048;
/// Fields of an event that are logged.
const MOST: usize = 40;

/// Writes events as lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pub(super) format: LogFormat,
    /// Whether it says which part of the program speaks.
    pub(super) target: bool,
    pub(super) colours: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let meta = event.metadata();
        let target = said.target.take().unwrap_or_else(|| meta.target().to_owned());
        let target = self.target.then_some(target);
        let text = match self.format {
            LogFormat::Text => said.as_text(Timestamp::now(), *meta.level(), target.as_deref(), self.colours),
            LogFormat::Json => said.as_json(Timestamp::now(), *meta.level(), target),
        };
        writeln!(line, "{text}")
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
    /// Whether a text is one that was written down for people or programs, and not a value's own form.
    target: Option<String>,
}

impl Said {
    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("log.target", Value::String(text)) => self.target = Some(text),
            (name, _) if name.starts_with("log.") => {}
            (name, value) if self.fields.len() < MOST => self.fields.push((name, value)),
            _ => {}
        }
    }

    fn as_text(&self, at: Timestamp, level: Level, target: Option<&str>, colours: bool) -> String {
        let inked = |code: &str, text: &str| if colours { colour(code, text) } else { text.to_owned() };
        let ink = match level {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            Level::DEBUG => "34",
            Level::TRACE => "35",
        };
        let mut line = format!("{} {}", inked("2", &format!("{at:.6}")), inked(ink, &format!("{level:>5}")));
        if let Some(target) = target {
            let _ = write!(line, " {}", inked("2", &format!("{}:", escaped(target, false))));
        }
        if !self.message.is_empty() {
            let _ = write!(line, " {}", escaped(&self.message, false));
        }
        for (name, value) in &self.fields {
            let _ = write!(line, " {}{}", inked("2", &format!("{name}=")), shown(value));
        }
        line
    }

    fn as_json(&self, at: Timestamp, level: Level, target: Option<String>) -> String {
        let mut line = format!("{{\"timestamp\":\"{at:.6}\",\"level\":\"{level}\"");
        let target = target.map(|target| ("target", Value::String(target)));
        let message = (!self.message.is_empty()).then(|| ("message", Value::String(self.message.clone())));
        let fields = self.fields.iter().filter(|(name, _)| !matches!(*name, "timestamp" | "level"));
        for (name, value) in message.into_iter().chain(fields.cloned()).chain(target) {
            let _ = write!(line, ",{}:{value}", Value::from(name));
        }
        line.push('}');
        line
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded::default();
        // An error is the bound.
        let _ = write!(text, "{value:?}");
        self.take(field, Value::String(text.done()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Bounded::default();
        let _ = text.write_str(value);
        self.take(field, Value::String(text.done()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }
}

/// A text that takes no more than there is room for.
#[derive(Default)]
struct Bounded {
    text: String,
    is_cut: bool,
}

impl Bounded {
    fn done(mut self) -> String {
        if self.is_cut {
            self.text.push('…');
        }
        self.text
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut room = LONGEST.saturating_sub(self.text.len()).min(text.len());
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.text.push_str(&text[..room]);
        self.is_cut |= room < text.len();
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// A value on one line: a word as it is, anything else in quotes.
fn shown(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let of_word = |c: char| !c.is_whitespace() && !steers(c) && !matches!(c, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(of_word) || is_quoted(text) {
        return text.clone();
    }
    format!("\"{}\"", escaped(text, true))
}

/// Whether a text was quoted by Rust already, and ends where its quotes do.
fn is_quoted(text: &str) -> bool {
    let Some(within) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return false };
    let mut is_escaped = false;
    for c in within.chars() {
        if steers(c) || (c == '"' && !is_escaped) {
            return false;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    !is_escaped
}

fn escaped(text: &str, in_quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' if in_quotes => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if steers(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = Lines { format, target: false, colours: false };
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(lines).finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = kept.0.lock().clone();
        String::from_utf8(text).unwrap()
    }

    const FORGED: &str =
        "x\n2026-11-30T10:00:00.000000Z ERROR all is lost device=\"y\" \u{1b}[31m\u{202e}\u{2028}";

    /// Whatever is in a field or message, it makes no line and no field of its own.
    #[test]
    fn a_line_cannot_be_forged() {
        let log = || {
            let error = anyhow::anyhow!("{FORGED}");
            tracing::warn!(%error, device = FORGED, debug = ?FORGED, plain = "word", count = 3, "{FORGED}");
        };
        let text = logged(LogFormat::Text, log);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(steers), "{text:?}");
        let forged = "\"x\\n2026-11-30T10:00:00.000000Z ERROR all is lost device=\\\"y\\\" \\u{1b}[31m\\u{202e}\\u{2028}\"";
        for field in ["error", "device", "debug"] {
            assert!(text.contains(&format!(" {field}={forged}")), "{field}: {text}");
        }
        assert!(text.contains(" plain=word count=3") && text.contains("  WARN x\\n2026"), "{text}");
        let json = logged(LogFormat::Json, log);
        assert_eq!(json.matches('\n').count(), 1, "{json}");
        let line: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&line["error"], &line["count"]), (&Value::from(FORGED), &Value::from(3)));
        assert_eq!(line["level"], "WARN");
    }

    #[test]
    fn what_only_looks_quoted_is_quoted_again() {
        for (text, line) in [
            ("\"a\" level=\"b\"", r#""\"a\" level=\"b\"""#),
            ("\"a\\\"", r#""\"a\\\"""#),
            ("\"a \\\" b\"", r#""a \" b""#),
            ("", "\"\""),
            ("a=b", "\"a=b\""),
            ("a/b:c-d", "a/b:c-d"),
        ] {
            assert_eq!(shown(&Value::from(text)), line, "{text}");
        }
    }

    #[test]
    fn a_value_is_cut_and_so_is_a_line() {
        let long = "é".repeat(1_000_000);
        let text =
            logged(LogFormat::Text, || tracing::warn!(reason = long, error = ?vec![&long; 50], "{long}"));
        assert!(text.len() < 4 * LONGEST && text.contains('…'), "{}", text.len());
    }
}
