//! What of a line or word of the configuration may be shown: nothing that is a secret, or that may be one in the wrong
//! place (P27). Whoever reads the message has the file; too much that is hidden costs them a look.

/// Keys whose values are secrets, or the place where people put one by mistake.
const SECRET_KEYS: [&str; 5] = ["token", "password", "secret", "auth", "passphrase"];
/// Letters of the shortest word that is taken for a token.
const SHORTEST: usize = 12;

/// Replaces what may be a secret by as many asterisks: whatever is given as a token, passwords in addresses, and words
/// that look like a token wherever they stand.
pub(super) fn mask(line: &str) -> String {
    let mut letters: Vec<char> = line.chars().collect();
    mask_addresses(&mut letters);
    mask_tokens(&mut letters);
    mask_quoted(&mut letters);
    mask_words(&mut letters);
    letters.into_iter().collect()
}

/// The same of a sentence that quotes a value.
pub(super) fn mask_sentence(text: String) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    mask_words(&mut letters);
    if text.chars().eq(letters.iter().copied()) { text } else { letters.into_iter().collect() }
}

/// `scheme://user:PASSWORD@host/path?QUERY`, whatever signs the password has: nobody can say where it ends but for the last
/// `@`. Also without a scheme, where the key says that an address is meant.
fn mask_addresses(letters: &mut [char]) {
    let mut at = 0;
    while let Some(found) = find(letters, at, "://") {
        let end = end_of_address(letters, found);
        mask_address(&mut letters[found + 3..end]);
        at = end.max(found + 3);
    }
    if let Some(key) = find(letters, 0, "url")
        && find(letters, 0, "://").is_none()
        && let Some(value) = letters[key..].iter().position(|c| *c == '=').map(|sign| key + sign + 1)
    {
        mask_address(&mut letters[value..]);
    }
}

/// Behind the value that an address stands in: that of its quotes, or of the line.
fn end_of_address(letters: &[char], found: usize) -> usize {
    let of_scheme = |c: &&char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let start = found - letters[..found].iter().rev().take_while(of_scheme).count();
    match start.checked_sub(1).and_then(|before| letters.get(before)) {
        Some(quote @ ('"' | '\'')) => closing(letters, start, *quote).unwrap_or(letters.len()),
        _ => letters.len(),
    }
}

/// The quote that closes a text which begins here; none where what follows cannot follow a value, so that the quote is a
/// part of it.
fn closing(letters: &[char], start: usize, quote: char) -> Option<usize> {
    let end = start + letters.get(start..)?.iter().position(|c| *c == quote)?;
    let next = letters[end + 1..].iter().find(|c| !c.is_whitespace());
    next.is_none_or(|c| matches!(c, ',' | '}' | ']' | '#')).then_some(end)
}

fn mask_address(letters: &mut [char]) {
    let sign = letters.iter().rposition(|c| *c == '@');
    if let Some(sign) = sign {
        let colon = letters[..sign].iter().position(|c| *c == ':');
        // Without a colon it may be a token in the place of the user.
        hide_inside(letters, colon.map_or(0, |colon| colon + 1), sign);
    }
    let start = sign.map_or(0, |sign| sign + 1);
    let ends = |c: &char| matches!(c, '/' | '?' | '#');
    let path = letters[start..].iter().position(ends).map_or(letters.len(), |end| start + end);
    let is_of_port = |c: &char| c.is_ascii_digit() || matches!(c, '"' | '\'' | ' ');
    if sign.is_none()
        && let Some(colon) = letters[..path].iter().position(|c| *c == ':')
        && !letters[colon + 1..path].iter().all(is_of_port)
    {
        // No port: a password whose host is missing, or that has a sign which ends the host.
        hide_inside(letters, colon + 1, letters.len());
        return;
    }
    let ends = |c: &char| matches!(c, '?' | '#');
    let query = letters[path..].iter().position(ends).map_or(letters.len(), |end| path + end);
    let whole: String = letters[path..query].iter().collect();
    if !whole.split('/').all(is_plain_segment) {
        hide_inside(letters, (path + 1).min(query), query);
    }
    hide_inside(letters, (query + 1).min(letters.len()), letters.len());
}

/// A part of a path that an interface or a vhost has, and no token.
fn is_plain_segment(segment: &str) -> bool {
    let segment = segment.trim_matches(['"', '\'', ' ']);
    let of_path =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | '%');
    segment.len() <= 24
        && segment.chars().filter(char::is_ascii_digit).count() <= 4
        && segment.chars().all(of_path)
}

/// `token = …` up to its end, except the words of `{ env = "NAME" }` and `{ file = "PATH" }`.
fn mask_tokens(letters: &mut [char]) {
    for word in SECRET_KEYS {
        let mut at = 0;
        while let Some(found) = find(letters, at, word) {
            at = found + word.len();
            let of_key = |c: &&char| c.is_alphanumeric() || matches!(c, '_' | '-' | '"' | '\'' | ' ' | '\t');
            let gap = letters[at..].iter().take_while(of_key).count();
            if letters.get(at + gap) != Some(&'=') {
                continue;
            }
            let value = at + gap + 1;
            let value = value + letters[value..].iter().take_while(|c| c.is_whitespace()).count();
            if letters.get(value) == Some(&'{') {
                at = mask_inline_table(letters, value);
            } else {
                hide_value(letters, value);
                at = value;
            }
        }
    }
}

/// Inside `{ … }` that stands for a token: every text that is not after `env =` or `file =`, or is no name and no path.
fn mask_inline_table(letters: &mut [char], open: usize) -> usize {
    let mut key = String::new();
    let mut at = open + 1;
    while at < letters.len() && letters[at] != '}' {
        match letters[at] {
            '=' => {
                at += 1 + letters[at + 1..].iter().take_while(|c| c.is_whitespace()).count();
                let end = value_end(letters, at);
                if !is_source(key.trim(), &letters[at..end]) {
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

/// Whether it is said where a token stands, and not the token.
fn is_source(key: &str, value: &[char]) -> bool {
    let value: String = value.iter().filter(|c| !matches!(c, '"' | '\'')).collect();
    match key {
        "env" => is_variable(value.trim()),
        "file" => is_path(value.trim()),
        _ => false,
    }
}

/// Where a value ends that begins here: behind its quote, else before the next comma or brace. A quote behind which no
/// value can end is a part of it.
fn value_end(letters: &[char], start: usize) -> usize {
    if let Some(quote @ ('"' | '\'')) = letters.get(start) {
        return closing(letters, start + 1, *quote).map_or(letters.len(), |end| end + 1);
    }
    let length = letters[start..].iter().take_while(|c| !matches!(c, ',' | '}')).count();
    let blanks = letters[start..start + length].iter().rev().take_while(|c| c.is_whitespace()).count();
    start + length - blanks
}

fn hide_value(letters: &mut [char], start: usize) {
    let quoted = matches!(letters.get(start), Some('"' | '\''));
    let mut end = if quoted { value_end(letters, start) } else { letters.len() };
    if letters[end..].contains(&'#') {
        // A comment beside a token often says what it was before.
        end = letters.len();
    }
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

/// Whole texts in quotes, which may have signs in them that else stand between words.
fn mask_quoted(letters: &mut [char]) {
    let mut at = 0;
    let is_quote = |c: &char| matches!(c, '"' | '\'');
    while let Some(start) = letters[at..].iter().position(is_quote).map(|open| at + open + 1) {
        let quote = letters[start - 1];
        let Some(end) = letters[start..].iter().position(|c| *c == quote).map(|close| start + close) else {
            return;
        };
        let text: String = letters[start..end].iter().collect();
        if looks_like_token(&text) {
            letters[start..end].fill('*');
        }
        at = end + 1;
    }
}

/// Bare words that look like a token, also behind a sign of equality.
fn mask_words(letters: &mut [char]) {
    let signs = ['"', '\'', ',', '[', ']', '{', '}', '(', ')', ';', '?', '`'];
    let border = |c: &&char| !(c.is_whitespace() || signs.contains(c));
    let mut start = 0;
    while start < letters.len() {
        let end = start + letters[start..].iter().take_while(border).count();
        let word: String = letters[start..end].iter().collect();
        let behind = word.trim_end_matches(['=', ':']).find('=').map_or(0, |sign| sign + 1);
        // Addresses are masked for what they are.
        if !word.contains("://") {
            if behind > 0 && looks_like_token(&word[behind..]) {
                letters[start + word[..behind].chars().count()..end].fill('*');
            } else if looks_like_token(&word) {
                letters[start..end].fill('*');
            }
        }
        start = end + 1;
    }
}

/// Long, without spaces, of several kinds of letters, and neither a path nor the name of a variable or property.
pub fn looks_like_token(word: &str) -> bool {
    let has = |kind: fn(char) -> bool| word.chars().any(kind);
    let is_something = is_variable(word) || is_path(word) || is_dotted(word) || word.contains("://");
    let length = word.chars().count();
    if length < SHORTEST || is_something || has(char::is_whitespace) {
        return false;
    }
    let (small, large) = (has(|c| c.is_ascii_lowercase()), has(|c| c.is_ascii_uppercase()));
    let digits = has(|c| c.is_ascii_digit());
    let signs = has(|c| c.is_ascii_punctuation() && !matches!(c, '.' | '-' | '_' | ':' | '@' | '%' | '*'));
    let kinds = [small, large, digits, signs].into_iter().filter(|has| *has).count();
    (length >= 16 && digits && (small || large)) || (signs && kinds >= 3) || (length >= 20 && small && large)
}

/// The name of an environment variable, as those are written.
pub(super) fn is_variable(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && (word.contains('_') || word.len() < SHORTEST)
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The path of a file, from the root or from here.
pub(super) fn is_path(word: &str) -> bool {
    let of_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let starts = ["/", "./", "../", "~/"].iter().any(|start| word.starts_with(start));
    starts && word.chars().all(of_path) && word.split('/').all(|segment| segment.len() <= 40)
}

/// A host or a property: words with dots between them.
fn is_dotted(word: &str) -> bool {
    let mut segments = word.split(['.', '[', ']']).filter(|segment| !segment.is_empty());
    let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | ':');
    let is_plain = |segment: &str| {
        segment.chars().all(of_name)
            && (segment.len() < 16 || !segment.bytes().any(|byte| byte.is_ascii_digit()))
    };
    word.contains('.') && segments.all(is_plain)
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
mod tests;
