//! How commands show results: aligned, within the terminal's width, and coloured on a terminal only.

use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

pub use gate::{
    arguments, ask, ask_error, escaped_json, passed, say, say_error, say_json, say_line, say_with_secrets,
    steers,
};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table};
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub use gate::{LogLines, colour};

mod gate;

/// Where there is no terminal: what most are set to, and what a mail shows.
const WIDTH: usize = 80;

/// How something is set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// A heading.
    Bold,
    /// What matters less.
    Faint,
    /// Something new, or well.
    Green,
    /// Something that changes, or wants to be looked at.
    Yellow,
    /// Something wrong.
    Red,
    /// Something that is handed over.
    Blue,
}

impl Style {
    fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Bold => Some(1),
            Self::Faint => Some(2),
            Self::Red => Some(31),
            Self::Green => Some(32),
            Self::Yellow => Some(33),
            Self::Blue => Some(34),
        }
    }
}

/// A part of a list, in its style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyledText {
    style: Style,
    text: String,
}

impl StyledText {
    /// A text in a style.
    #[must_use]
    pub fn new(style: Style, text: String) -> Self {
        Self { style, text }
    }

    fn as_cell(&self) -> Cell {
        let cell = Cell::new(sanitize(&self.text));
        match self.style {
            Style::Plain => cell,
            Style::Bold => cell.add_attribute(Attribute::Bold),
            Style::Faint => cell.add_attribute(Attribute::Dim),
            Style::Green => cell.fg(Color::DarkGreen),
            Style::Yellow => cell.fg(Color::DarkYellow),
            Style::Red => cell.fg(Color::DarkRed),
            Style::Blue => cell.fg(Color::DarkBlue),
        }
    }
}

/// Where results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    colour: bool,
    width: usize,
}

impl Screen {
    /// Standard output: coloured on a terminal, unless `NO_COLOR` is set, and as wide as that.
    #[must_use]
    pub fn stdout() -> Self {
        let colour = std::io::stdout().is_terminal() && wants_colour();
        let width = Table::new().width().map_or(WIDTH, usize::from).max(40);
        Self { colour, width }
    }

    /// A file, or somebody else's program.
    #[must_use]
    pub fn plain() -> Self {
        Self { colour: false, width: WIDTH }
    }

    /// The text in that style; as it is where there are no colours. Only [`say`] and its like know the style as one.
    #[must_use]
    pub fn ink(&self, style: Style, text: &str) -> String {
        match style.code().filter(|_| self.colour) {
            Some(code) => gate::colour(&code.to_string(), text),
            None => text.to_owned(),
        }
    }

    /// A sentence in lines that fit, all but the first indented. `indent` is that of the first line,
    /// which the caller has written already. Blanks within a name stay as they are; line ends in one do not.
    #[must_use]
    pub fn sentence(&self, indent: usize, text: &str) -> String {
        self.inked(Style::Plain, indent, text)
    }

    /// The same in a style, which the indents are not in.
    #[must_use]
    pub fn inked(&self, style: Style, indent: usize, text: &str) -> String {
        let text = gate::on_one_line(text);
        let lines = self.fold(indent, text.split(' '), " ");
        let lines: Vec<String> = lines.iter().map(|line| self.ink(style, line)).collect();
        lines.join(&format!("\n{}", " ".repeat(indent)))
    }

    /// Pieces, each in its style, with commas between them, in lines that fit. No piece is folded.
    #[must_use]
    pub fn flow(&self, indent: usize, pieces: &[StyledText]) -> String {
        let room = self.room(indent);
        let (mut out, mut taken) = (String::new(), 0);
        for (at, piece) in pieces.iter().enumerate() {
            let comma = if at + 1 < pieces.len() { "," } else { "" };
            let text = gate::on_one_line(&piece.text);
            let width = text.width() + comma.len();
            if taken > 0 && taken + 1 + width > room {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                taken = 0;
            } else if taken > 0 {
                out.push(' ');
                taken += 1;
            }
            out.push_str(&self.ink(piece.style, &text));
            out.push_str(comma);
            taken += width;
        }
        out
    }

    /// One line that fits; what is too much is cut off.
    #[must_use]
    pub fn line(&self, text: &str) -> String {
        let mut taken = 0;
        let text = gate::on_one_line(text);
        let fits = text.chars().take_while(|c| {
            taken += c.width().unwrap_or(0);
            taken <= self.width
        });
        fits.collect()
    }

    fn room(&self, indent: usize) -> usize {
        self.width.saturating_sub(indent).max(20)
    }

    fn fold<'a>(&self, indent: usize, words: impl Iterator<Item = &'a str>, between: &str) -> Vec<String> {
        let room = self.room(indent);
        let mut lines: Vec<String> = vec![String::new()];
        for word in words {
            let Some(line) = lines.last_mut() else { break };
            let taken = line.width();
            if taken > 0 && taken + between.len() + word.width() > room {
                lines.push(word.to_owned());
            } else {
                if taken > 0 {
                    line.push_str(between);
                }
                line.push_str(word);
            }
        }
        lines
    }

    /// Rows in columns, each line indented. Too long cells are folded, but for those of the first column
    /// as far as there is room: they are ids, to be copied. Without colours.
    #[must_use]
    pub fn columns(&self, indent: usize, rows: &[Vec<String>]) -> String {
        let plain = |cell: &String| StyledText::new(Style::Plain, cell.clone());
        let rows: Vec<Vec<StyledText>> = rows.iter().map(|row| row.iter().map(plain).collect()).collect();
        self.table(indent, &rows)
    }

    /// The same with a style for each cell.
    #[must_use]
    pub fn table(&self, indent: usize, rows: &[Vec<StyledText>]) -> String {
        if rows.is_empty() {
            return String::new();
        }
        let room = u16::try_from(self.room(indent)).unwrap_or(u16::MAX);
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(room);
        if self.colour {
            table.enforce_styling().style_text_only();
        } else {
            table.force_no_tty();
        }
        table.add_rows(rows.iter().map(|row| row.iter().map(StyledText::as_cell)));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let widest = rows.iter().filter_map(|row| row.first()).map(|cell| cell.text.width()).max();
        if let Some(first) =
            table.column_mut(0).filter(|_| widest.is_some_and(|widest| widest <= usize::from(room / 2) + 4))
        {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
        let margin = " ".repeat(indent);
        let lines: Vec<String> = table.lines().map(|line| format!("{margin}{}", line.trim_end())).collect();
        // The cells are sanitized, so these colours are ours.
        gate::seal_all(&(lines.join("\n") + "\n"))
    }
}

fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A value as people read it: texts in quotes, nothing as `(empty)`.
#[must_use]
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "(empty)".to_owned(),
        Value::String(text) if text.trim().is_empty() => "(empty)".to_owned(),
        Value::String(text) => format!("\"{}\"", sanitize(text)),
        other => sanitize(&other.to_string()),
    }
}

/// One word of a line that is to be pasted into a shell, whatever is in it.
#[must_use]
pub fn for_a_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+=@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A text from a device or record without what could steer the terminal or make lines of its own: line breaks, escapes,
/// and marks that turn the direction of writing.
#[must_use]
pub fn sanitize(text: &str) -> String {
    text.chars().map(|c| if gate::steers(c) { '·' } else { c }).collect()
}

/// Whether long texts are shown page by page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pager {
    /// On a terminal through `$PAGER`, else through `less -FRX`, which ends by itself when all fits.
    OnTerminal,
    /// Never.
    Off,
}

impl Pager {
    /// Writes a text to standard output. A `PAGER` that is blank or does not exist means none.
    pub fn say(self, text: &str) {
        if self == Self::Off || !std::io::stdout().is_terminal() {
            return say(text);
        }
        let wanted = std::env::var("PAGER").unwrap_or_else(|_| "less -FRX".to_owned());
        let mut words = wanted.split_whitespace();
        let Some(program) = words.next() else { return say(text) };
        let mut pager = Command::new(program);
        pager.args(words).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            // Ends when all fits, passes colours on, leaves the text on the screen.
            pager.env("LESS", "FRX");
        }
        let Ok(mut running) = pager.spawn() else { return say(text) };
        if let Some(mut stdin) = running.stdin.take() {
            // Whoever reads may have seen enough.
            drop(stdin.write_all(passed(&crate::secrets::scrub(text)).as_bytes()));
        }
        drop(running.wait());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NARROW: Screen = Screen { colour: false, width: 40 };

    #[test]
    fn names_are_quoted_as_a_shell_takes_them() {
        for (name, shown) in
            [("/", "/"), ("amfj-sync", "amfj-sync"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(for_a_shell(name), shown);
        }
    }

    #[test]
    fn a_sentence_is_folded_between_words_and_indented() {
        let text = "No asset has the name of \"Lobby iPad\", and create_devices is \"never\".";
        assert_eq!(
            NARROW.sentence(4, text),
            "No asset has the name of \"Lobby\n    iPad\", and create_devices is\n    \"never\"."
        );
        assert_eq!(NARROW.sentence(4, ""), "");
    }

    #[test]
    fn columns_are_aligned_and_fit() {
        let rows = [
            vec!["Model".to_owned(), "(empty)".to_owned(), "\"MacBook Pro\"".to_owned()],
            vec!["Serial Number".to_owned(), "\"C02\"".to_owned(), "\"C02XK1\"".to_owned()],
        ];
        let shown = Screen::plain().columns(4, &rows);
        assert_eq!(
            shown,
            "    Model          (empty)  \"MacBook Pro\"\n    Serial Number  \"C02\"    \"C02XK1\"\n"
        );
        let long = [vec!["Notes".to_owned(), "word ".repeat(40)]];
        assert!(NARROW.columns(2, &long).lines().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn nothing_from_a_device_steers_the_terminal() {
        assert_eq!(value(&json!("a\u{1b}[31mb\nc\u{202e}d")), "\"a·[31mb·c·d\"");
        assert_eq!(value(&json!(" ")), "(empty)");
        assert_eq!(value(&json!(8)), "8");
    }

    #[test]
    fn a_name_has_no_lines_of_its_own() {
        assert_eq!(NARROW.sentence(2, "a\nerror: b"), "a·error: b");
        assert_eq!(NARROW.line("a\r\nb"), "a··b");
        assert_eq!(NARROW.flow(2, &[StyledText::new(Style::Plain, "a\u{2028}b".to_owned())]), "a·b");
        let shown = Screen { colour: true, width: 80 }
            .table(0, &[vec![StyledText::new(Style::Red, "a\u{1b}[2Jb".to_owned())]]);
        let shown = passed(&shown);
        assert!(shown.contains("a·[2Jb") && shown.contains("\u{1b}["), "{shown:?}");
    }

    #[test]
    fn there_are_no_colours_without_a_terminal() {
        assert_eq!(Screen::plain().ink(Style::Red, "no"), "no");
        let coloured = Screen { colour: true, width: 80 }.ink(Style::Red, "no\u{1b}[1m");
        assert_eq!(passed(&coloured), "\u{1b}[31mno·[1m\u{1b}[0m");
    }
}
