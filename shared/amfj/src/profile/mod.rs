//! The profile: how AMFJ's interface looks, as data (docs/amfj-profile.md).
//!
//! AMFJ publishes no reference of a REST interface, so what is known of the wire stands in a file that a person can correct with a text
//! editor. Here it is read, strictly; the client interprets it, and nothing else knows the wire.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use amfj_sync_config::reading::unreadable;
use amfj_sync_config::{BUILT_IN_PROFILES, ConfigErrors, ProfileSource};

mod capabilities;
pub mod draft;
mod operation;
mod pointer;
mod reading;
mod template;
pub mod types;

#[cfg(test)]
mod tests;

pub use capabilities::{check, refusals};
pub use operation::Op;
pub use pointer::Pointer;
pub(crate) use pointer::escaped;
pub use template::{Body, Names, Template};
pub use types::Profile;

/// The profile that is built in, as it is written.
const ASSUMED_V1: &str = include_str!("assumed-v1.toml");

/// The largest file that is read as a profile.
const LARGEST: u64 = 256 << 10;

/// The text of a built-in profile.
#[must_use]
pub fn show(name: &str) -> Option<&'static str> {
    (name == BUILT_IN_PROFILES[0]).then_some(ASSUMED_V1)
}

/// Reads the text of a profile; `path` is only named in messages. The errors are all of its mistakes, each with its line.
pub fn parse(path: &Path, text: &str) -> Result<Profile, ConfigErrors> {
    reading::read(path, text)
}

/// Reads the profile that a configuration names.
pub fn load(source: &ProfileSource) -> Result<Arc<Profile>, ConfigErrors> {
    match source {
        ProfileSource::BuiltIn(_) => assumed(),
        ProfileSource::File(path) => parse(path, &text_of(path)?).map(Arc::new),
    }
}

/// The profile that is built in.
pub fn assumed() -> Result<Arc<Profile>, ConfigErrors> {
    static READ: OnceLock<Result<Arc<Profile>, ConfigErrors>> = OnceLock::new();
    READ.get_or_init(|| parse(Path::new("assumed-v1"), ASSUMED_V1).map(Arc::new)).clone()
}

fn text_of(path: &Path) -> Result<String, ConfigErrors> {
    let failed = |why: String| {
        let message = format!(
            "the profile {} cannot be read: {why}; `amfj-sync profile show > amfj.toml` writes the built-in one",
            path.display()
        );
        unreadable("the profile", path, message)
    };
    let about = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(failed(format!("it is no file, or one of more than {} KiB", LARGEST >> 10)));
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}
