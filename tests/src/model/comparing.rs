//! Whether AMFJ holds what it should.

use std::collections::{BTreeMap, BTreeSet};

use super::oddities::Otherwise;
use super::{Model, Prediction, words};
use crate::sim::fleet::{Site, SiteAsset, SiteUser};

impl Model {
    /// Compares what AMFJ should hold with what it holds, and learns the ids of what was created.
    ///
    /// # Errors
    /// One line for each difference.
    pub fn agree(&mut self, prediction: &Prediction, actual: &Site) -> Result<(), String> {
        let mut expected = prediction.site.clone();
        let mut differences = Vec::new();
        let names = name_new_users(&expected, actual);
        rename_users(&mut expected, &names);
        compare(&mut differences, &expected.users, &actual.users, |user| &user.id, show_user);
        let assets = name_new_assets(&self.otherwise, &expected, actual);
        for asset in &mut expected.assets {
            rename(&mut asset.id, &assets);
            if let Some(held) = actual.assets.iter().find(|held| held.id == asset.id) {
                *asset = self.otherwise.as_kept(asset, held);
            }
        }
        compare(&mut differences, &expected.assets, &actual.assets, |asset| &asset.id, show_asset);
        self.learn(&names, &assets);
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    }

    fn learn(&mut self, users: &BTreeMap<String, String>, assets: &BTreeMap<String, String>) {
        for record in self.user_links.values_mut().chain(self.settled.values_mut().flatten()) {
            rename(record, users);
        }
        for asset in self.links.values_mut() {
            rename(asset, assets);
        }
        self.ours = std::mem::take(&mut self.ours)
            .into_iter()
            .map(|record| users.get(&record).cloned().unwrap_or(record))
            .collect();
    }
}

fn rename(id: &mut String, names: &BTreeMap<String, String>) {
    if let Some(name) = names.get(id) {
        id.clone_from(name);
    }
}

fn rename_users(site: &mut Site, names: &BTreeMap<String, String>) {
    for user in &mut site.users {
        rename(&mut user.id, names);
    }
    for holder in site.assets.iter_mut().filter_map(|asset| asset.holder.as_mut()) {
        rename(holder, names);
    }
}

/// The actual ids of predicted records, found by their content.
fn name_new_users(expected: &Site, actual: &Site) -> BTreeMap<String, String> {
    let known: BTreeSet<&String> = expected.users.iter().map(|user| &user.id).collect();
    let mut created: Vec<&SiteUser> = actual.users.iter().filter(|user| !known.contains(&user.id)).collect();
    let mut names = BTreeMap::new();
    for user in expected.users.iter().filter(|user| user.id.starts_with("new ")) {
        let content = |user: &SiteUser| show_user(&SiteUser { id: String::new(), ..user.clone() });
        if let Some(position) = created.iter().position(|other| content(other) == content(user)) {
            names.insert(user.id.clone(), created.remove(position).id.clone());
        }
    }
    names
}

/// The same for assets, whose holders have their actual ids already.
fn name_new_assets(otherwise: &Otherwise, expected: &Site, actual: &Site) -> BTreeMap<String, String> {
    let known: BTreeSet<&String> = expected.assets.iter().map(|asset| &asset.id).collect();
    let mut created: Vec<&SiteAsset> =
        actual.assets.iter().filter(|asset| !known.contains(&asset.id)).collect();
    let mut names = BTreeMap::new();
    for asset in expected.assets.iter().filter(|asset| asset.id.starts_with("new ")) {
        let content = |asset: &SiteAsset| show_asset(&SiteAsset { id: String::new(), ..asset.clone() });
        let is_it = |other: &&SiteAsset| content(other) == content(&otherwise.as_kept(asset, other));
        if let Some(position) = created.iter().position(is_it) {
            names.insert(asset.id.clone(), created.remove(position).id.clone());
        }
    }
    names
}

fn compare<T>(
    differences: &mut Vec<String>,
    expected: &[T],
    actual: &[T],
    id: impl Fn(&T) -> &String,
    show: impl Fn(&T) -> String,
) {
    let found = |records: &'_ [T], wanted: &String| records.iter().position(|record| id(record) == wanted);
    for record in expected {
        match found(actual, id(record)) {
            None => differences.push(format!("should be there: {}", show(record))),
            Some(position) if show(&actual[position]) != show(record) => {
                differences.push(format!(
                    "should be: {}\n       is: {}",
                    show(record),
                    show(&actual[position])
                ));
            }
            Some(_) => {}
        }
    }
    for record in actual.iter().filter(|record| found(expected, id(record)).is_none()) {
        differences.push(format!("should not be there: {}", show(record)));
    }
}

/// What counts of a user record: emails without case, numbers by value.
fn show_user(user: &SiteUser) -> String {
    let email = user.email.as_deref().map(words::email);
    let source = if user.is_jira { "jira" } else { "local" };
    format!("user {} {:?} {email:?} {source} {}", user.id, user.name, show_fields(&user.fields))
}

fn show_asset(asset: &SiteAsset) -> String {
    format!(
        "asset {} {:?} type {} at {:?} holder {:?} {}",
        asset.id,
        asset.name,
        asset.asset_type_id,
        asset.location_id,
        asset.holder,
        show_fields(&asset.fields)
    )
}

fn show_fields(fields: &BTreeMap<String, serde_json::Value>) -> String {
    let show = |(name, value): (&String, &serde_json::Value)| match value.as_f64() {
        Some(number) => format!("{name}={number}"),
        None => format!("{name}={value}"),
    };
    fields.iter().map(show).collect::<Vec<_>>().join(", ")
}
