//! `amfj.profile`: which description of AMFJ's interface is used. What stands in one is read by `amfj-sync-amfj`.

use std::path::{Path, PathBuf};

use super::problem::nearest;
use super::reader::{Reading, Section, shown};
use super::settings::name;

/// The profiles that are built in, the one that is used by default first.
pub const BUILT_IN_PROFILES: [&str; 1] = ["assumed-v1"];

/// Settings of earlier versions that stand in a profile now, with what to write there.
const PART_OF_IT: [(&str, &str); 3] = [
    ("auth_header", "authentication.headers"),
    ("auth_scheme", "authentication.headers"),
    ("paths", "the path of each operation"),
];

/// Where the profile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource {
    /// One of [`BUILT_IN_PROFILES`].
    BuiltIn(&'static str),
    /// A file; a relative path of the configuration is one from the folder of that file.
    File(PathBuf),
}

impl Default for ProfileSource {
    fn default() -> Self {
        Self::BuiltIn(BUILT_IN_PROFILES[0])
    }
}

impl ProfileSource {
    /// A built-in name, or a path from this folder. The error follows the key's name in a sentence.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        if let Some(known) = BUILT_IN_PROFILES.into_iter().find(|known| *known == text) {
            return Ok(Self::BuiltIn(known));
        }
        let is_toml =
            Path::new(text).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        if is_toml || text.contains('/') {
            return Ok(Self::File(folder.join(text)));
        }
        let known = nearest(text, BUILT_IN_PROFILES).map_or_else(
            || format!("built in is {}, and a file ends with .toml", BUILT_IN_PROFILES.join(", ")),
            |known| format!("did you mean \"{known}\"?"),
        );
        Err(format!("is no profile: \"{}\"; {known}", shown(text)))
    }
}

/// Reads the setting. A variable of the environment names a path from the same folder.
pub(super) fn read(section: &mut Section, reading: &mut Reading<'_>) -> Option<ProfileSource> {
    let folder = reading.source.path.parent().map(Path::to_owned).unwrap_or_default();
    section
        .read(reading, "profile", |node| ProfileSource::parse(&name(node)?, &folder))
        .or(ProfileSource::default())
}

/// Says what to write in place of a setting that stands in the profile now.
pub(super) fn refuse_what_is_part_of_it(section: &mut Section, reading: &mut Reading<'_>) {
    for (key, place) in PART_OF_IT {
        if let Some(node) = section.take_unnamed(key) {
            let message = format!(
                "\"{key}\" is part of the profile now: write `amfj-sync profile show > amfj.toml`, change {place} in that file, \
                 and name it here with profile = \"amfj.toml\" (docs/amfj-profile.md)"
            );
            section.complain_hidden(reading, &node.key_at, &message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_a_built_in_name_or_a_file_beside_the_configuration() {
        let folder = Path::new("/etc/amfj-sync");
        let read = |text| ProfileSource::parse(text, folder);
        assert_eq!(read("assumed-v1"), Ok(ProfileSource::default()));
        for (text, path) in [
            ("amfj.toml", "/etc/amfj-sync/amfj.toml"),
            ("profiles/amfj", "/etc/amfj-sync/profiles/amfj"),
            ("/srv/amfj.toml", "/srv/amfj.toml"),
        ] {
            assert_eq!(read(text), Ok(ProfileSource::File(path.into())), "{text}");
        }
        let said = read("assumed-v2").unwrap_err();
        assert!(said.contains("did you mean \"assumed-v1\"?"), "{said}");
        assert!(read("other").unwrap_err().contains("ends with .toml"));
    }
}
