//! Reading a profile: strictly, and with all of its mistakes at once.

use std::path::Path;

use amfj_sync_config::ConfigErrors;
use amfj_sync_config::reading::{self as file, Kind, Node, NodeValue, Reading, Section};

use super::pointer::Pointer;
use super::types::{Ids, Profile};

mod authentication;
mod checks;
mod members;
mod operations;
mod records;
mod wire;

/// The one format there is.
const FORMAT: u32 = 1;

/// Reads the text of a profile. `path` is only named in messages.
pub(super) fn read(path: &Path, text: &str) -> Result<Profile, ConfigErrors> {
    file::document("the profile", path, text, profile)
}

fn profile(mut root: Section, reading: &mut Reading<'_>) -> Option<Profile> {
    let format = root.read(reading, "format", |node| file::integer(node, FORMAT..=FORMAT)).required(
        &mut root,
        "format",
        "format = 1",
    );
    let name = root.read(reading, "name", file::name).required(&mut root, "name", "name = \"my-amfj\"");
    let ids = root
        .read(reading, "ids", |node| word(node, &[("text", Ids::Text), ("number", Ids::Number)]))
        .or(Ids::Text);
    let authentication = authentication::read(root.section(reading, "authentication"), reading);
    let asset = records::asset(root.section(reading, "asset"), reading);
    let user = records::user(root.section(reading, "user"), reading);
    let asset_type = records::asset_type(root.section(reading, "asset_type"), reading);
    let location = records::location(root.section(reading, "location"), reading);
    let field = records::field(root.section(reading, "field"), reading);
    let values = wire::values(root.section(reading, "values"), reading);
    let errors = wire::errors(root.section(reading, "errors"), reading);
    let limits = wire::limits(root.section(reading, "limits"), reading);
    let lists = wire::lists(root.section(reading, "lists"), reading);
    let below = root.section(reading, "operations");
    let at = below.at.clone();
    let operations = operations::read(below, reading, lists.as_ref());
    root.finish(reading);
    format?;
    let (operations, places) = operations?;
    let profile = Profile {
        name: name?,
        ids: ids?,
        authentication: authentication?,
        asset: asset?,
        user: user?,
        asset_type: asset_type?,
        location: location?,
        field: field?,
        values: values?,
        errors: errors?,
        limits: limits?,
        operations,
    };
    checks::check(&profile, &at, &places, reading);
    Some(profile)
}

/// One of a few words.
fn word<T: Copy>(node: &Node, words: &[(&'static str, T)]) -> Result<T, String> {
    let found = node.as_kind(Kind::Text);
    if let NodeValue::Text(text) = &found {
        if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
            return Ok(*value);
        }
        if let Some(meant) = file::nearest(text, words.iter().map(|(word, _)| *word)) {
            return Err(format!("has no value \"{}\"; did you mean \"{meant}\"?", file::shown(text)));
        }
    }
    let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    Err(format!("must be {}, not {}", known.join(" or "), file::shown(&found.described())))
}

/// What a word that is not known may have been meant as, or else what is known.
fn meant(word: &str, known: &[&str]) -> String {
    file::nearest(word, known.iter().copied()).map_or_else(
        || format!("known are {}", known.join(", ")),
        |known| format!("did you mean \"{known}\"?"),
    )
}

/// A JSON Pointer.
fn pointer(node: &Node) -> Result<Pointer, String> {
    Pointer::parse(&file::text(node)?)
}

fn pointers(node: &Node) -> Result<Vec<Pointer>, String> {
    match node.as_kind(Kind::List) {
        NodeValue::List(list) => list
            .iter()
            .map(|one| pointer(one).map_err(|error| format!("has an element that {error}")))
            .collect(),
        other => Err(format!("must be a list of pointers such as [\"/id\"], not {}", other.described())),
    }
}

fn statuses(node: &Node) -> Result<Vec<u16>, String> {
    match node.as_kind(Kind::List) {
        NodeValue::List(list) => list
            .iter()
            .map(|one| file::integer(one, 200..=599).map_err(|error| format!("has an element that {error}")))
            .collect(),
        other => Err(format!("must be a list of statuses such as [404], not {}", other.described())),
    }
}
