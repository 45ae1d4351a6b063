//! Whether the names in the configuration exist in AMFJ (P18), and how they are looked up.

use std::collections::BTreeSet;

use amfj_sync_model::amfj::{AssetType, Field};
use amfj_sync_model::mapping::{Mapping, SourceLocation};
use amfj_sync_model::messages::{Catalogue, Outcome, Unusable};

use crate::{CreateDevices, Integration};

/// Only what an integration uses: mapped fields and required ones, and the default location. For a broker that takes no
/// message with all of it.
#[must_use]
pub fn narrowed_to(catalogue: &Catalogue, config: &Integration) -> Catalogue {
    let used = |fields: &[Field], mapping: &Mapping| -> Vec<Field> {
        let is_used = |field: &&Field| field.required || mapping.iter().any(|(name, _)| name == field.name);
        fields.iter().filter(is_used).cloned().collect()
    };
    let of_type = |asset_type: &AssetType| AssetType {
        fields: used(&asset_type.fields, &config.fields),
        ..asset_type.clone()
    };
    let location = config.sync.default_location.as_deref().and_then(|name| catalogue.location_named(name));
    Catalogue {
        asset_types: catalogue.asset_types.iter().map(of_type).collect(),
        locations: location.into_iter().cloned().collect(),
        user_fields: used(&catalogue.user_fields, &config.user_fields),
    }
}

/// What an earlier run found.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// What the site had.
    pub catalogue: &'a Catalogue,
    /// The names that were in use; none of a run of an earlier release.
    pub in_use: Option<&'a BTreeSet<String>>,
}

/// How the names in an integration's settings stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// Mistakes: one sentence each, with the line, the wrong word and the nearest right one.
    pub problems: Vec<String>,
    /// What was there when a run applied it last, and is missing now: it stops only what needs it.
    pub missing: Vec<Unusable>,
    /// Everything that is in use, for the next run to compare with.
    pub in_use: BTreeSet<String>,
}

/// One name in the settings, or one thing that they need.
struct Need {
    /// What it is for the next run.
    id: String,
    /// The setting.
    key: String,
    /// What is wrong; none where it is there.
    problem: Option<String>,
    /// What does not happen while it is missing.
    consequence: &'static str,
}

/// Every name in an integration's settings that its AMFJ site does not have, and every required
/// field that nothing fills: one sentence each. Empty where all is well (P18). Kandji properties are not looked at.
#[must_use]
pub fn problems(config: &Integration, catalogue: &Catalogue) -> Vec<String> {
    needs(config, catalogue).into_iter().filter_map(|need| need.problem).collect()
}

/// The same, told apart by whether it was right when a run applied it last (P18).
#[must_use]
pub fn examine(config: &Integration, catalogue: &Catalogue, before: &Before<'_>) -> Examined {
    let by_the_site = || {
        let right = needs(config, before.catalogue).into_iter().filter(|need| need.problem.is_none());
        right.map(|need| need.id).collect()
    };
    let applied: BTreeSet<String> = before.in_use.cloned().unwrap_or_else(by_the_site);
    let mut examined = Examined::default();
    for need in needs(config, catalogue) {
        match need.problem {
            Some(problem) if !applied.contains(&need.id) => examined.problems.push(problem),
            Some(problem) => {
                let why =
                    format!("it was right and is not any more: {problem}; until then {}", need.consequence);
                examined.missing.push(Unusable::new("setting", None, Some(&need.key), &why));
                examined.in_use.insert(need.id);
            }
            None => drop(examined.in_use.insert(need.id)),
        }
    }
    examined
}

/// The mapped fields of user records that are not every record's own.
pub fn maps_user_fields(config: &Integration) -> impl Iterator<Item = &str> {
    config
        .user_fields
        .iter()
        .map(|(name, _)| name)
        .filter(|name| ![Outcome::NAME, Outcome::EMAIL].contains(name))
}

fn needs(config: &Integration, catalogue: &Catalogue) -> Vec<Need> {
    let mut needs = asset_type_needs(config, catalogue);
    if let Some(location) = &config.sync.default_location {
        let known = catalogue.locations.iter().map(|location| location.name.as_str());
        let key = "sync.default_location".to_owned();
        needs.push(Need {
            id: format!("location/{}", location.trim()),
            problem: catalogue
                .location_named(location)
                .is_none()
                .then(|| unknown(config, &key, "location", location, known)),
            key,
            consequence: "assets get no location",
        });
    }
    needs.extend(field_needs(config, catalogue));
    needs.extend(user_field_needs(config, catalogue));
    needs.extend(required_field_needs(config, catalogue));
    needs
}

/// The asset types that assets are created with: the key of the setting, and the name (P12).
fn types_in_use(config: &Integration) -> impl Iterator<Item = (String, &str)> {
    let default = ("sync.default_asset_type".to_owned(), config.sync.default_asset_type.as_str());
    let by_platform =
        config.asset_types.iter().map(|(platform, name)| (format!("asset_types.{platform}"), name.as_str()));
    std::iter::once(default).chain(by_platform)
}

fn asset_type_needs(config: &Integration, catalogue: &Catalogue) -> Vec<Need> {
    let need = |(key, name): (String, &str)| {
        let known = catalogue.asset_types.iter().map(|asset_type| asset_type.name.as_str());
        let is_there = catalogue.asset_type_named(name).is_some();
        Need {
            id: format!("asset type/{}", name.trim()),
            problem: (!is_there).then(|| unknown(config, &key, "asset type", name, known)),
            key,
            consequence: "no asset of that type is created",
        }
    };
    types_in_use(config).map(need).collect()
}

/// A field that only some asset types have is no mistake: it is skipped on the others (P15).
fn field_needs(config: &Integration, catalogue: &Catalogue) -> Vec<Need> {
    let known = || {
        let fields = catalogue.asset_types.iter().flat_map(|asset_type| &asset_type.fields);
        fields.map(|field| field.name.as_str()).chain([Outcome::NAME])
    };
    let need = |name: &str| {
        let key = format!("fields.{name}");
        let is_there = known().any(|field| field == name);
        Need {
            id: format!("field/{name}"),
            problem: (!is_there).then(|| unknown(config, &key, "field of any asset type", name, known())),
            key,
            consequence: "that field is left out",
        }
    };
    config.fields.iter().map(|(name, _)| need(name)).collect()
}

fn user_field_needs(config: &Integration, catalogue: &Catalogue) -> Vec<Need> {
    let known = || {
        let fields = catalogue.user_fields.iter().map(|field| field.name.as_str());
        fields.chain([Outcome::NAME, Outcome::EMAIL])
    };
    let need = |name: &str| {
        let key = format!("user_fields.{name}");
        let is_there = known().any(|field| field == name);
        Need {
            id: format!("user field/{name}"),
            problem: (!is_there).then(|| unknown(config, &key, "user field", name, known())),
            key,
            consequence: "that field is left out",
        }
    };
    config.user_fields.iter().map(|(name, _)| need(name)).collect()
}

/// Assets could not be created without these (P18).
fn required_field_needs(config: &Integration, catalogue: &Catalogue) -> Vec<Need> {
    if config.sync.create_devices == CreateDevices::Never {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    types_in_use(config)
        .filter_map(|(key, name)| Some((key, catalogue.asset_type_named(name)?)))
        .filter(|(_, asset_type)| seen.insert(asset_type.id.as_str()))
        .flat_map(|(key, asset_type)| required_fields_of(config, &key, asset_type))
        .collect()
}

/// That assets of a type can be created, or each field that keeps them from it.
fn required_fields_of(config: &Integration, key: &str, asset_type: &AssetType) -> Vec<Need> {
    let need = |problem: Option<String>| Need {
        id: format!("creations/{}", asset_type.name.trim()),
        key: key.to_owned(),
        problem,
        consequence: "no asset of that type is created",
    };
    let unmapped =
        asset_type.fields.iter().filter(|field| field.required && config.fields.get(&field.name).is_none());
    let sentences = unmapped.map(|field| {
        format!(
            "{}assets of type \"{}\" must have the field \"{}\", which nothing fills; map it in \
             [integration.fields], make it optional in AMFJ, or set create_devices = \"never\"",
            place(config, key),
            asset_type.name,
            field.name
        )
    });
    let missing: Vec<Need> = sentences.map(|problem| need(Some(problem))).collect();
    if missing.is_empty() { vec![need(None)] } else { missing }
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
    let place: Option<&SourceLocation> = config.place_of(key).or(mapped.map(|mapped| &mapped.place));
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
