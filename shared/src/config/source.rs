//! The text of the file, and lines of it for error messages, with everything secret masked (P27).

use std::ops::Range;
use std::path::PathBuf;

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
        let mut shown = mask(line);
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

    fn before(&self, offset: usize) -> &str {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        &self.text[..offset]
    }
}

/// Replaces what may be a secret by as many asterisks: whatever is given as a token, passwords in
/// addresses, and quoted words that look like a token wherever they stand.
pub(super) fn mask(line: &str) -> String {
    let mut letters: Vec<char> = line.chars().collect();
    mask_passwords(&mut letters);
    mask_tokens(&mut letters);
    mask_quoted(&mut letters);
    letters.into_iter().collect()
}

/// `scheme://user:PASSWORD@host`
fn mask_passwords(letters: &mut [char]) {
    let mut at = 0;
    while let Some(found) = find(letters, at, "://") {
        let start = found + 3;
        let end =
            start + letters[start..].iter().take_while(|c| !matches!(c, '/' | '"' | '\'' | ' ')).count();
        if let Some(sign) = letters[start..end].iter().rposition(|c| *c == '@') {
            let colon = letters[start..start + sign].iter().position(|c| *c == ':');
            // Without a colon it may be a token in the place of the user.
            hide(&mut letters[start + colon.map_or(0, |colon| colon + 1)..start + sign]);
        }
        at = end.max(start);
    }
}

/// `token = …` up to its end, except the words of `{ env = "NAME" }` and `{ file = "PATH" }`.
fn mask_tokens(letters: &mut [char]) {
    for word in ["token", "password", "secret"] {
        let mut at = 0;
        while let Some(found) = find(letters, at, word) {
            at = found + word.len();
            let rest = &letters[at..];
            let gap = rest
                .iter()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '"' | '\'' | ' ' | '\t'))
                .count();
            if rest.get(gap) != Some(&'=') {
                continue;
            }
            let value = at + gap + 1;
            let blanks = letters[value..].iter().take_while(|c| c.is_whitespace()).count();
            let value = value + blanks;
            if letters.get(value) == Some(&'{') {
                at = mask_inline_table(letters, value);
            } else {
                hide_value(letters, value);
                at = value;
            }
        }
    }
}

/// Inside `{ … }` that stands for a token: every text that is not after `env =` or `file =`.
fn mask_inline_table(letters: &mut [char], open: usize) -> usize {
    let mut key = String::new();
    let mut at = open + 1;
    while at < letters.len() && letters[at] != '}' {
        match letters[at] {
            '=' => {
                at += 1 + letters[at + 1..].iter().take_while(|c| c.is_whitespace()).count();
                let end = value_end(letters, at);
                if !matches!(key.trim(), "env" | "file") {
                    hide_inside(letters, at, end);
                }
                key.clear();
                at = end;
            }
            ',' => {
                key.clear();
                at += 1;
            }
            letter => {
                key.push(letter);
                at += 1;
            }
        }
    }
    at
}

/// Where a value ends that begins here: behind its quote, else before the next comma or brace.
fn value_end(letters: &[char], start: usize) -> usize {
    match letters.get(start) {
        Some(quote @ ('"' | '\'')) => {
            let rest = &letters[start + 1..];
            rest.iter().position(|c| c == quote).map_or(letters.len(), |end| start + end + 2)
        }
        _ => start + letters[start..].iter().take_while(|c| !matches!(c, ',' | '}')).count(),
    }
}

fn hide_value(letters: &mut [char], start: usize) {
    let quoted = matches!(letters.get(start), Some('"' | '\''));
    let end = if quoted { value_end(letters, start) } else { letters.len() };
    hide_inside(letters, start, end);
}

/// Keeps the quotes.
fn hide_inside(letters: &mut [char], start: usize, end: usize) {
    for letter in &mut letters[start..end] {
        if !matches!(letter, '"' | '\'') {
            *letter = '*';
        }
    }
}

/// Quoted words that look like a token, and bare ones behind an `=`.
fn mask_quoted(letters: &mut [char]) {
    let border = |c: &char| matches!(c, '"' | '\'' | '=' | ',' | '[' | ']' | '{' | '}' | ' ' | '\t');
    let mut start = 0;
    while start < letters.len() {
        let length = letters[start..].iter().take_while(|c| !border(c)).count();
        let word: String = letters[start..start + length].iter().collect();
        if looks_like_token(&word) {
            hide(&mut letters[start..start + length]);
        }
        start += length + 1;
    }
}

/// Long, without spaces, letters and digits mixed, and neither a path nor the name of a variable.
pub(super) fn looks_like_token(word: &str) -> bool {
    let variable =
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    word.len() >= 16
        && !variable
        && word.chars().any(|c| c.is_ascii_digit())
        && word.chars().any(|c| c.is_ascii_alphabetic())
        && word.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+') || (c == '.' && word.len() >= 40)
        })
}

fn hide(letters: &mut [char]) {
    letters.fill('*');
}

/// The position of a word, in any case, from `from` on.
fn find(letters: &[char], from: usize, word: &str) -> Option<usize> {
    let word: Vec<char> = word.chars().collect();
    let windows = letters.get(from..)?.windows(word.len());
    windows
        .into_iter()
        .position(|w| w.iter().zip(&word).all(|(a, b)| a.eq_ignore_ascii_case(b)))
        .map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p27_secrets_are_masked_in_shown_lines() {
        for (line, shown) in [
            (r#"token = "hunter2""#, r#"token = "*******""#),
            (r"token = 'hunter2' # why", r"token = '*******' # why"),
            ("token = hunter2-x", "token = *********"),
            (r#"api_token="hunter2""#, r#"api_token="*******""#),
            (r#"token_value = "hunter2""#, r#"token_value = "*******""#),
            (r#"token = { env = "KANDJI_TOKEN" }"#, r#"token = { env = "KANDJI_TOKEN" }"#),
            (r#"token = { evn = "hunter2", file = "/a" }"#, r#"token = { evn = "*******", file = "/a" }"#),
            (
                r#"token = { env = "0b1c2d3e-7a8d-4e23-9c5f" }"#,
                r#"token = { env = "***********************" }"#,
            ),
            (r#"kandji = { token = "hunter2", x = 1 }"#, r#"kandji = { token = "*******", x = 1 }"#),
            (r#"url = "amqp://guest:pa$s@h:5672/%2f""#, r#"url = "amqp://guest:****@h:5672/%2f""#),
            (r#"url = "https://hunter2@h/x""#, r#"url = "https://*******@h/x""#),
            (r#"tokn = "0b1c2d3e7a8d4e239c5f""#, r#"tokn = "********************""#),
            ("token = \"unterminated", "token = \"************"),
            (r#"id = "acme""#, r#"id = "acme""#),
        ] {
            assert_eq!(mask(line), shown);
        }
    }

    #[test]
    fn carets_stand_below_the_span_also_behind_wide_letters() {
        let source = SourceFile { path: "a.toml".into(), text: "a = 1\r\n\"ü\" = nope\n".to_owned() };
        let at = source.text.find("nope").unwrap();
        assert_eq!(source.line_of(at), 2);
        assert_eq!(source.excerpt(&(at..at + 4), None), "  2 | \"ü\" = nope\n    |       ^^^^");
        assert_eq!(source.excerpt(&(999..1000), None).lines().count(), 2);
    }
}
