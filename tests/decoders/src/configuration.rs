//! A configuration file as a tired person writes it: every mistake is told, and no secret with it (P27).

use std::path::Path;

use amfj_sync_config::{Tokens, parse};

use crate::secrets::SECRET;
use crate::separated;
use crate::site::environment;

/// What stands in a file where it should not, and looks like the token or password that it is.
pub(crate) const MISPLACED: &str = "tK7fQ2xW9bZ4mN8pL3vR6yHd";

/// Words of settings that name files: what is in them is not part of the input.
const FILES: [&str; 4] = ["file", "client_", "signing_key", "\\u"];

/// The file, and a variable a line.
pub(crate) fn file(input: &[u8]) {
    let mut parts = separated(input);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let variables = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let small = input.to_ascii_lowercase();
    if FILES.iter().any(|word| small.windows(word.len()).any(|found| found == word.as_bytes())) {
        return;
    }
    let mut environment = environment();
    environment.extend(variables.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    }));
    for tokens in [Tokens::Both, Tokens::Amfj, Tokens::None] {
        match parse(Path::new("amfj-sync.toml"), text.clone(), &environment, tokens) {
            Ok(loaded) => {
                let shown = format!("{loaded:?}");
                assert!(!shown.contains(SECRET), "{shown}");
                assert!(!loaded.config.integrations.is_empty());
                for warning in &loaded.warnings {
                    is_told(&warning.to_string(), &text);
                }
            }
            Err(errors) => {
                assert!(!errors.problems().is_empty());
                is_told(&errors.to_string(), &text);
            }
        }
    }
}

/// A secret that stands where a value does is not quoted.
fn is_told(said: &str, text: &str) {
    assert!(!said.contains(SECRET), "{said}");
    let is_a_value = text.match_indices(MISPLACED).all(|(at, _)| {
        let (before, behind) = (text[..at].chars().next_back(), text[at + MISPLACED.len()..].chars().next());
        before.is_none_or(|c| matches!(c, '"' | '\'' | ' ' | '=' | ':' | '\n'))
            && behind.is_none_or(|c| matches!(c, '"' | '\'' | ' ' | ',' | '@' | '\n'))
    });
    if is_a_value {
        assert!(!said.contains(MISPLACED), "{said}");
    }
}
