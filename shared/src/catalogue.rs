//! Whether the names in the configuration exist in AMFJ (P18), and how they are looked up.

use crate::amfj::{AssetType, Field, Named};
use crate::config::{CreateDevices, Integration, Place};
use crate::messages::{Catalogue, Outcome};

impl Catalogue {
    /// The asset type of that name; spaces around it do not count.
    #[must_use]
    pub fn asset_type_named(&self, name: &str) -> Option<&AssetType> {
        let name = name.trim();
        self.asset_types.iter().find(|asset_type| asset_type.name.trim() == name)
    }

    /// The asset type of that id.
    #[must_use]
    pub fn asset_type(&self, id: &str) -> Option<&AssetType> {
        self.asset_types.iter().find(|asset_type| asset_type.id == id)
    }

    /// The location of that name; spaces around it do not count.
    #[must_use]
    pub fn location_named(&self, name: &str) -> Option<&Named> {
        let name = name.trim();
        self.locations.iter().find(|location| location.name.trim() == name)
    }
}

impl AssetType {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Every name in an integration's settings that its AMFJ site does not have, and every required
/// field that nothing fills: one sentence each, with the line, the wrong word and the nearest right
/// one. Empty where all is well (P18). Kandji properties are not looked at.
#[must_use]
pub fn problems(config: &Integration, catalogue: &Catalogue) -> Vec<String> {
    let mut problems = asset_type_problems(config, catalogue);
    if let Some(location) = &config.sync.default_location
        && catalogue.location_named(location).is_none()
    {
        let known = catalogue.locations.iter().map(|location| location.name.as_str());
        problems.push(unknown(config, "sync.default_location", "location", location, known));
    }
    problems.extend(field_problems(config, catalogue));
    problems.extend(user_field_problems(config, catalogue));
    problems.extend(required_field_problems(config, catalogue));
    problems
}

/// The asset types that assets are created with: the key of the setting, and the name (P12).
fn types_in_use(config: &Integration) -> impl Iterator<Item = (String, &str)> {
    let default = ("sync.default_asset_type".to_owned(), config.sync.default_asset_type.as_str());
    let by_platform =
        config.asset_types.iter().map(|(platform, name)| (format!("asset_types.{platform}"), name.as_str()));
    std::iter::once(default).chain(by_platform)
}

fn asset_type_problems(config: &Integration, catalogue: &Catalogue) -> Vec<String> {
    types_in_use(config)
        .filter(|(_, name)| catalogue.asset_type_named(name).is_none())
        .map(|(key, name)| {
            let known = catalogue.asset_types.iter().map(|asset_type| asset_type.name.as_str());
            unknown(config, &key, "asset type", name, known)
        })
        .collect()
}

/// A field that only some asset types have is no mistake: it is skipped on the others (P15).
fn field_problems(config: &Integration, catalogue: &Catalogue) -> Vec<String> {
    let known = || {
        let fields = catalogue.asset_types.iter().flat_map(|asset_type| &asset_type.fields);
        fields.map(|field| field.name.as_str()).chain([Outcome::NAME])
    };
    config
        .fields
        .iter()
        .filter(|(name, _)| !known().any(|field| field == *name))
        .map(|(name, _)| unknown(config, &format!("fields.{name}"), "field of any asset type", name, known()))
        .collect()
}

fn user_field_problems(config: &Integration, catalogue: &Catalogue) -> Vec<String> {
    let known = || {
        let fields = catalogue.user_fields.iter().map(|field| field.name.as_str());
        fields.chain([Outcome::NAME, Outcome::EMAIL])
    };
    config
        .user_fields
        .iter()
        .filter(|(name, _)| !known().any(|field| field == *name))
        .map(|(name, _)| unknown(config, &format!("user_fields.{name}"), "user field", name, known()))
        .collect()
}

/// Assets could not be created without these (P18).
fn required_field_problems(config: &Integration, catalogue: &Catalogue) -> Vec<String> {
    if config.sync.create_devices == CreateDevices::Never {
        return Vec::new();
    }
    let mut seen = std::collections::BTreeSet::new();
    types_in_use(config)
        .filter_map(|(key, name)| Some((key, catalogue.asset_type_named(name)?)))
        .filter(|(_, asset_type)| seen.insert(asset_type.id.as_str()))
        .flat_map(|(key, asset_type)| {
            let unmapped = asset_type
                .fields
                .iter()
                .filter(|field| field.required && config.fields.get(&field.name).is_none());
            unmapped.map(move |field| {
                format!(
                    "{}assets of type \"{}\" must have the field \"{}\", which nothing fills; map it in \
                     [integration.fields], make it optional in AMFJ, or set create_devices = \"never\"",
                    place(config, &key),
                    asset_type.name,
                    field.name
                )
            })
        })
        .collect()
}

fn unknown<'a>(
    config: &Integration,
    key: &str,
    what: &str,
    word: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    known.dedup();
    let hint = match nearest(word, &known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => "the site has none, so create it there first".to_owned(),
        None => {
            let shown: Vec<String> = known.iter().take(10).map(|name| format!("\"{name}\"")).collect();
            let more = if known.len() > shown.len() { ", …" } else { "" };
            format!("it is none of {}{more}", shown.join(", "))
        }
    };
    format!("{}AMFJ has no {what} \"{word}\"; {hint}", place(config, key))
}

/// Where a setting is written, as the beginning of a message.
fn place(config: &Integration, key: &str) -> String {
    let mapped = key
        .strip_prefix("fields.")
        .and_then(|name| config.fields.get(name))
        .or_else(|| config.user_fields.get(key.strip_prefix("user_fields.")?));
    let place: Option<&Place> = config.place_of(key).or(mapped.map(|mapped| &mapped.place));
    match place.or_else(|| config.place_of("id")) {
        Some(place) => format!("{place}: "),
        None => format!("integration \"{}\", {key}: ", config.id),
    }
}

/// Below this, two words have too little in common to suggest one for the other.
const LIKE_ENOUGH: f64 = 0.6;

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.trim().to_lowercase();
    known
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(&known.to_lowercase(), &word), *known))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
