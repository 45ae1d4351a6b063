//! Every property that the devices here have, with an example.

use std::collections::BTreeMap;

use amfj_sync_model::mapping::is_blank;
use serde_json::Value;

use super::{Fleet, shown};

/// What a device has dozens of, and nobody maps.
const CROWDS: [&str; 3] =
    ["details.installed_profiles", "details.users.system_users", "details.cellular.subscriptions"];

/// The properties whose name has this word in it, those of the list first, and an example of each that has one.
pub(crate) fn listed(fleet: &Fleet, word: &str) -> Vec<(String, Option<String>)> {
    let word = word.trim().to_lowercase();
    let mut seen: BTreeMap<(bool, String), Option<String>> = BTreeMap::new();
    for (row, details) in fleet.objects() {
        collect(row, String::new(), &mut seen);
        if let Some(details) = details {
            collect(details, "details".to_owned(), &mut seen);
        }
    }
    let named = seen.into_iter().map(|((_, name), example)| (name, example));
    named.filter(|(name, _)| name.to_lowercase().contains(&word)).collect()
}

fn collect(value: &Value, name: String, seen: &mut BTreeMap<(bool, String), Option<String>>) {
    if CROWDS.contains(&name.as_str()) {
        return;
    }
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| collect(value, below(key), seen)),
        Value::Array(values) if values.iter().any(Value::is_object) => {
            values.iter().take(1).for_each(|value| collect(value, format!("{name}[0]"), seen));
        }
        value => {
            let example = (!is_blank(value)).then(|| shown(value));
            let known = seen.entry((name.starts_with("details"), name)).or_default();
            *known = known.take().or(example);
        }
    }
}
