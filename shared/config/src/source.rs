//! The text of the file, and lines of it for error messages, with everything secret masked (P27).

use std::ops::Range;
use std::path::PathBuf;

use amfj_sync_security::secrets::HIDDEN;

use super::mask::mask;

/// What begins and ends a text of several lines.
const QUOTES: (&str, &str) = ("\"\"\"", "'''");

/// The file as it was read.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    /// As the person named it.
    pub(super) path: PathBuf,
    /// Its content.
    pub(super) text: String,
}

impl SourceFile {
    /// The number of the line, from 1, that holds this byte.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.before(offset).matches('\n').count() + 1
    }

    /// The line of a span, masked, with a caret below each letter of it.
    ///
    /// `hide_from` is a byte of the line from which nothing is shown.
    pub(super) fn excerpt(&self, span: &Range<usize>, hide_from: Option<usize>) -> String {
        let start = self.before(span.start).rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[start..].lines().next().unwrap_or_default();
        let number = self.line_of(span.start).to_string();
        // A line within a text of several lines does not say what it is a part of.
        let mut shown = if self.is_within_a_text(start) { HIDDEN.to_owned() } else { mask(line) };
        let column = line.get(..span.start - start).unwrap_or(line).chars().count();
        let end = span.end.min(start + line.len());
        let mut width = self.text.get(span.start..end).map_or(1, |text| text.chars().count().max(1));
        let hidden =
            hide_from.and_then(|at| line.get(..at.checked_sub(start)?)).map(|before| before.chars().count());
        if let Some(hidden) = hidden {
            let before: String = shown.chars().take(hidden).collect();
            shown = format!("{} …", before.trim_end());
            width = width.min(hidden.saturating_sub(column)).max(1);
        }
        // Tabs stay tabs, so that the carets stand below what they mean.
        let indent: String = line
            .chars()
            .chain(std::iter::repeat(' '))
            .take(column)
            .map(|c| if c == '\t' { c } else { ' ' })
            .collect();
        let carets = "^".repeat(width);
        let gutter = " ".repeat(number.len());
        format!("  {number} | {}\n  {gutter} | {indent}{carets}", shown.trim_end())
    }

    /// Whether a line begins within a text in three quotes.
    fn is_within_a_text(&self, start: usize) -> bool {
        let mut rest = self.before(start);
        loop {
            let opening = |quotes: &'static str| rest.find(quotes).map(|at| (at, quotes));
            let Some((at, quotes)) = [QUOTES.0, QUOTES.1].into_iter().filter_map(opening).min() else {
                return false;
            };
            match rest[at + quotes.len()..].split_once(quotes) {
                Some((_, behind)) => rest = behind,
                None => return true,
            }
        }
    }

    fn before(&self, offset: usize) -> &str {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        &self.text[..offset]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_below_the_span_also_behind_wide_letters() {
        let source = SourceFile { path: "a.toml".into(), text: "a = 1\r\n\"ü\" = nope\n".to_owned() };
        let at = source.text.find("nope").unwrap();
        assert_eq!(source.line_of(at), 2);
        assert_eq!(source.excerpt(&(at..at + 4), None), "  2 | \"ü\" = nope\n    |       ^^^^");
        assert_eq!(source.excerpt(&(999..1000), None).lines().count(), 2);
    }

    #[test]
    fn p27_a_line_of_a_text_of_several_lines_is_not_shown() {
        let text = "a = \"\"\"x\nhunter2 = 1\n\"\"\"\nb = 1\nc = '''\nhunter2\n";
        let source = SourceFile { path: "a.toml".into(), text: text.to_owned() };
        for (at, _) in text.match_indices("hunter2") {
            assert!(!source.excerpt(&(at..at + 3), None).contains("hunter2"));
        }
        let at = text.find("b = 1").unwrap();
        assert!(source.excerpt(&(at..at + 1), None).contains("b = 1"));
    }
}
