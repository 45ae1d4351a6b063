//! Whether the mapped Kandji properties exist (P18): documented, seen on some device, or there when a run applied them
//! last. Absence is concluded from all devices, never from a few.

use std::collections::BTreeSet;

use amfj_sync_config::Integration;
use amfj_sync_model::mapping::known::{is_documented, nearest};
use amfj_sync_model::mapping::{Mapping, PropertyPath, SourceLocation};
use amfj_sync_model::messages::Details;
use serde_json::Value;

#[cfg(test)]
mod tests;

/// Mapped properties that are not documented and have not been seen yet.
#[derive(Debug, Clone)]
pub struct Unproven {
    list: Vec<PropertyPath>,
    details: Vec<PropertyPath>,
}

impl Unproven {
    /// The properties of an integration that are not documented.
    #[must_use]
    pub fn of(config: &Integration) -> Self {
        let mut paths = config.fields.properties();
        paths.extend(config.user_fields.properties());
        let undocumented = paths.into_iter().filter(|path| !is_documented(path));
        let (details, list) = undocumented.partition(PropertyPath::is_details);
        Self { list, details }
    }

    /// Takes note of a row of the device list.
    pub fn see_row(&mut self, row: &Value) {
        self.list.retain(|path| path.lookup(row).is_none());
    }

    /// Takes note of the details of a device.
    pub fn see_details(&mut self, details: &Value) {
        self.details.retain(|path| path.lookup(details).is_none());
    }

    /// Takes note of details that were read in an earlier run.
    pub fn know_details(&mut self, known: &Details) {
        self.details.retain(|path| known.values.get(&path.to_string()).is_none_or(Value::is_null));
    }

    /// Takes note of properties that were present, whatever they said, by their names.
    pub fn were_present(&mut self, names: &BTreeSet<String>) {
        self.list.retain(|path| !names.contains(path.as_str()));
        self.details.retain(|path| !names.contains(path.as_str()));
    }

    /// Those of the device list that an earlier run found: they are missing now, and no mistake.
    pub fn missing_from_list(&mut self, before: &BTreeSet<String>) -> Vec<PropertyPath> {
        missing(&mut self.list, before)
    }

    /// The same of the details.
    pub fn missing_from_details(&mut self, before: &BTreeSet<String>) -> Vec<PropertyPath> {
        missing(&mut self.details, before)
    }

    /// Whether details show every property that is still unproven, be it as nothing.
    #[must_use]
    pub fn are_all_in(&self, known: &Details) -> bool {
        self.details.iter().all(|path| known.values.contains_key(path.as_str()))
    }

    /// The names under which the next run looks up what was there.
    #[must_use]
    pub fn proven(&self, config: &Integration) -> BTreeSet<String> {
        let all = Self::of(config);
        let paths = all.list.iter().chain(&all.details).filter(|path| !self.has(path));
        paths.map(remembered).collect()
    }

    /// The settings that need these properties.
    #[must_use]
    pub fn settings_with(config: &Integration, path: &PropertyPath) -> Vec<String> {
        let of = |table: &'static str, mapping: &Mapping| -> Vec<String> {
            let lines = mapping.iter().filter(|(_, mapped)| mapped.source.properties().contains(path));
            lines.map(|(field, _)| format!("{table}.{field}")).collect()
        };
        [of("fields", &config.fields), of("user_fields", &config.user_fields)].concat()
    }

    /// The details that are still unproven.
    #[must_use]
    pub fn details(&self) -> &[PropertyPath] {
        &self.details
    }

    /// Whether some of the details are unproven.
    #[must_use]
    pub fn needs_details(&self) -> bool {
        !self.details.is_empty()
    }

    /// The details cannot be read, so nothing can be said about them.
    pub fn give_details_up(&mut self) {
        self.details.clear();
    }

    /// Only the details are of interest.
    pub fn give_list_up(&mut self) {
        self.list.clear();
    }

    /// Whether this property is unproven.
    #[must_use]
    pub fn has(&self, path: &PropertyPath) -> bool {
        self.list.contains(path) || self.details.contains(path)
    }

    /// One sentence for every line that maps a property which no device has.
    #[must_use]
    pub fn problems(&self, config: &Integration) -> Vec<String> {
        let wrong: Vec<&PropertyPath> = self.list.iter().chain(&self.details).collect();
        let of = |table: &str, mapping: &Mapping| -> Vec<String> {
            let lines = mapping.iter().flat_map(|(field, mapped)| {
                let properties = mapped.source.properties();
                let wrong = wrong.iter().filter(move |path| properties.contains(**path));
                wrong.map(move |path| (field, &mapped.place, path))
            });
            lines.map(|(field, place, path)| sentence(table, field, place, path)).collect()
        };
        let mut problems = of("fields", &config.fields);
        problems.extend(of("user_fields", &config.user_fields));
        problems
    }
}

fn missing(paths: &mut Vec<PropertyPath>, before: &BTreeSet<String>) -> Vec<PropertyPath> {
    let (missing, unknown) =
        std::mem::take(paths).into_iter().partition(|path| before.contains(&remembered(path)));
    *paths = unknown;
    missing
}

/// What a property is called among the names in use.
pub(crate) fn remembered(path: &PropertyPath) -> String {
    format!("property/{path}")
}

fn sentence(table: &str, field: &str, place: &SourceLocation, path: &PropertyPath) -> String {
    let hint = nearest(&path.to_string()).map_or_else(
        || "see Kandji's device list and details for what there is".to_owned(),
        |nearest| format!("did you mean \"{nearest}\"?"),
    );
    format!("{place}: {table}.\"{field}\": no device in Kandji has a property \"{path}\"; {hint}")
}
