//! Words of a service, or of something between here and there: whatever they hold, they hold no secret.

use serde::{Serialize, Serializer};

use super::scrub_words;

/// How much of what was said is kept, in characters.
const QUOTED: usize = 500;
/// How much of it is looked at, in bytes: what comes behind is not shown.
const LOOKED_AT: usize = 64 << 10;

/// What a service said, on one line of at most 500 characters, without the secrets of this process and without what
/// looks like somebody else's (P27).
///
/// There is no other way to make one than from what was said, and then it is scrubbed: of the secrets as they are, and as
/// they come back to life when escapes are undone. So whatever is decoded becomes words *after* that, and words are safe
/// to be kept, shown, and put together with our own sentences.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ServiceWords(String);

impl ServiceWords {
    /// Scrubs what was said, as it was decoded.
    #[must_use]
    pub fn of(said: &str) -> Self {
        let mut end = said.len().min(LOOKED_AT);
        while !said.is_char_boundary(end) {
            end -= 1;
        }
        // Scrub before cutting: what is left of a secret would be harder to recognise.
        let scrubbed = scrub_words(&said[..end]);
        let mut line = String::new();
        for word in scrubbed.split_whitespace() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            if line.len() > QUOTED * 4 {
                break;
            }
        }
        Self(line.chars().take(QUOTED).collect())
    }

    /// The same of a body that was not decoded.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Self {
        Self::of(&String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT)]))
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for ServiceWords {
    fn from(said: &str) -> Self {
        Self::of(said)
    }
}

impl From<String> for ServiceWords {
    fn from(said: String) -> Self {
        Self::of(&said)
    }
}

impl std::fmt::Display for ServiceWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for ServiceWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for ServiceWords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A sentence of ours that quotes what a service answered, without the quotation. For pages that more people may read
/// than may read the broker: what a service says may be about a person.
#[must_use]
pub fn outline(sentence: &str) -> String {
    let mut shown = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, quoted)) = rest.split_once('“') {
        let Some((words, behind)) = quoted.split_once('”') else { break };
        shown.push_str(before);
        let clause = shown.rsplit(['”', ';', '(']).next().unwrap_or_default();
        if clause.contains("answered ") {
            shown.push('…');
        } else {
            shown.push('“');
            shown.push_str(words);
            shown.push('”');
        }
        rest = behind;
    }
    shown.push_str(rest);
    shown
}
