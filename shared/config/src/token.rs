//! A token that may be replaced in its file while the worker runs (P35).
#![expect(clippy::disallowed_types, reason = "the configuration knows no runtime")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amfj_sync_security::private_files::is_open_to_others;
use amfj_sync_security::secrets::keep_unsaid;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

/// The least time between two looks into the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The largest file that can hold a token.
const LARGEST: u64 = 64 << 10;

/// A token. One that stands in a file is read again when that changes; one from the environment stays. Clones share it.
#[derive(Clone)]
pub struct Token(Arc<Mutex<Held>>);

struct Held {
    current: SecretString,
    file: Option<PathBuf>,
    looked: Option<Instant>,
    /// Whether it was said that the file cannot be used.
    warned: bool,
    /// How often it was replaced.
    times: u64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl From<SecretString> for Token {
    fn from(current: SecretString) -> Self {
        Self::held(current, None)
    }
}

impl Token {
    /// The token that this file held when the configuration was read.
    #[must_use]
    pub fn in_file(current: SecretString, file: PathBuf) -> Self {
        Self::held(current, Some(file))
    }

    fn held(current: SecretString, file: Option<PathBuf>) -> Self {
        keep_unsaid(current.expose_secret());
        let held = Held { current, file, looked: None, warned: false, times: 0 };
        Self(Arc::new(Mutex::new(held)))
    }

    /// The token to send now.
    #[must_use]
    pub fn current(&self) -> SecretString {
        let mut held = self.0.lock();
        if held.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            held.look();
        }
        held.current.clone()
    }

    /// Looks into the file now, after a token was refused. Answers whether there is another one than was used.
    #[must_use]
    pub fn is_replaced(&self, used: &SecretString) -> bool {
        let mut held = self.0.lock();
        held.look();
        held.current.expose_secret() != used.expose_secret()
    }

    /// How often it was replaced by now: whoever waits because it was refused need not wait any longer (P35).
    #[must_use]
    pub fn times_replaced(&self) -> u64 {
        drop(self.current());
        self.0.lock().times
    }
}

impl Held {
    fn look(&mut self) {
        let Some(file) = self.file.clone() else { return };
        self.looked = Some(Instant::now());
        match read(&file) {
            Ok(token) if token == self.current.expose_secret() => self.warned = false,
            Ok(token) => self.replace(token, &file),
            Err(why) if !self.warned => {
                self.warned = true;
                tracing::warn!(file = %file.display(), why,
                    "the token file cannot be used; the token that was read before stays in use");
            }
            Err(_) => {}
        }
    }

    fn replace(&mut self, token: String, file: &Path) {
        self.warned = false;
        self.times += 1;
        // The one before stays unsaid.
        keep_unsaid(&token);
        self.current = SecretString::from(token);
        tracing::info!(file = %file.display(), "the token was replaced; the new one is used from now on");
        if is_open_to_others(file) {
            tracing::warn!(file = %file.display(), "others than its owner can read the token file; run: chmod 600");
        }
    }
}

/// What the file holds. Anything but a file, such as a pipe, was read once and is not there a second time.
fn read(file: &Path) -> Result<String, String> {
    let about = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !about.is_file() || about.len() > LARGEST {
        return Err("it is no file that holds a token".to_owned());
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let token = text.trim();
    fault_of(token).map_or_else(|| Ok(token.to_owned()), |fault| Err(format!("it {fault}")))
}

/// What keeps a text from being a token, as the end of a sentence.
#[must_use]
pub fn fault_of(token: &str) -> Option<&'static str> {
    if token.is_empty() {
        Some("is empty; it must hold the token")
    } else if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        None
    } else {
        Some("holds something that is no token: it has spaces, line breaks or special letters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amfj_sync_security::secrets::scrub;

    fn in_file(dir: &Path, text: &str) -> (PathBuf, Token) {
        let file = dir.join("token");
        std::fs::write(&file, text).unwrap();
        (file.clone(), Token::in_file(SecretString::from(text), file))
    }

    /// As if the last look was a while ago.
    fn later(token: &Token) -> String {
        token.0.lock().looked = None;
        token.current().expose_secret().to_owned()
    }

    #[test]
    fn p35_a_token_that_was_replaced_in_its_file_is_used_and_the_old_one_still_not_said() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = ("the-0ld/token+of=long", "the-n3w/token+of=long");
        let (file, token) = in_file(dir.path(), old);
        assert_eq!(later(&token), old);
        std::fs::write(&file, format!("{new}\n")).unwrap();
        assert_eq!((later(&token), token.times_replaced()), (new.to_owned(), 1));
        assert_eq!(scrub(&format!("not {old}, but {new}")), "not ***, but ***");
        assert_eq!(format!("{token:?}"), "***");
    }

    #[test]
    fn p35_a_file_that_holds_no_token_for_a_moment_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (file, token) = in_file(dir.path(), "old");
        for broken in ["", " \n", "two words"] {
            std::fs::write(&file, broken).unwrap();
            assert_eq!(later(&token), "old", "{broken:?}");
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(later(&token), "old");
        std::fs::create_dir(&file).unwrap();
        assert_eq!(later(&token), "old");
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, "new").unwrap();
        assert_eq!(later(&token), "new");
    }

    #[test]
    fn p35_after_a_refusal_the_file_is_looked_into_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (file, token) = in_file(dir.path(), "old");
        let used = token.current();
        assert!(!token.is_replaced(&used));
        std::fs::write(&file, "new").unwrap();
        assert_eq!(token.current().expose_secret(), "old", "a look a second is enough");
        assert!(token.is_replaced(&used));
        assert_eq!(token.current().expose_secret(), "new");
        assert!(!Token::from(SecretString::from("fixed")).is_replaced(&SecretString::from("fixed")));
    }
}
