//! What the documentation names must be there.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn pages() -> Vec<String> {
    let docs = fs::read_dir(workspace().join("docs")).unwrap().flatten();
    let docs = docs.map(|entry| format!("docs/{}", entry.file_name().to_string_lossy()));
    docs.chain(["README.md".to_owned(), "CHANGELOG.md".to_owned()]).collect()
}

/// `key → default` of the example: what it sets itself has no default.
fn keys_of_the_example() -> BTreeMap<String, Option<String>> {
    let mut keys = BTreeMap::new();
    let mut section = String::new();
    for line in read("amfj-sync.example.toml").lines() {
        let text = line.trim_start_matches("# ");
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let name = name.trim_matches('[').replace("integration", "");
            section = String::from(name.trim_matches('.'));
            continue;
        }
        let Some((key, rest)) = text.split_once(" = ") else { continue };
        // The keys of these tables are names out of AMFJ and Kandji.
        let is_a_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if !is_a_key || ["fields", "user_fields", "asset_types"].contains(&section.as_str()) {
            continue;
        }
        let name = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        let value = rest.split(" #").next().unwrap_or_default().trim().to_owned();
        keys.insert(name, line.starts_with('#').then_some(value));
    }
    keys
}

/// The first two cells of every row of the tables: key and default.
fn keys_of_the_page() -> BTreeMap<String, String> {
    let page = read("docs/configuration.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let key = cells.next()?.strip_suffix('`')?.to_owned();
        Some((key, cells.next()?.trim_matches('`').to_owned()))
    });
    rows.collect()
}

#[test]
fn the_page_and_the_example_name_the_same_settings_and_defaults() {
    let (example, page) = (keys_of_the_example(), keys_of_the_page());
    assert!(example.len() > 40, "{example:?}");
    for (key, default) in &example {
        let described = page.get(key).unwrap_or_else(|| panic!("docs/configuration.md has no row for {key}"));
        let is_prose = ["required", "none", "everything", "nothing"].contains(&described.as_str());
        match default {
            Some(default) if !is_prose => assert_eq!(described, default, "default of {key}"),
            _ => {}
        }
    }
    let unknown: Vec<_> =
        page.keys().filter(|key| !example.contains_key(*key) && *key != "asset_types").collect();
    assert!(unknown.is_empty(), "amfj-sync.example.toml has no {unknown:?}");
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        let text = read(&page);
        let folder = workspace().join(&page).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            if file.starts_with("https://") {
                continue;
            }
            let path = if file.is_empty() { workspace().join(&page) } else { folder.join(file) };
            assert!(path.exists(), "{page} links to {target}, which is not there");
            if !heading.is_empty() {
                let headings = fs::read_to_string(&path).unwrap().to_lowercase().replace(' ', "-");
                assert!(headings.contains(&format!("#-{heading}")), "{page}: {target} has no such heading");
            }
        }
    }
}

#[test]
fn the_metrics_that_are_named_are_those_that_are_counted() {
    let mut counted = String::new();
    for folder in ["shared/src", "fetcher/src", "reconciler/src", "writer/src"] {
        collect(&workspace().join(folder), &mut counted);
    }
    let mut named = BTreeSet::new();
    for page in pages() {
        let text = read(&page);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        named.extend(words.filter(|word| word.starts_with("amfj_sync_")).map(str::to_owned));
    }
    assert!(named.len() > 10, "{named:?}");
    let counted: BTreeSet<String> = counted
        .split('"')
        .filter(|text| {
            text.starts_with("amfj_sync_") && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
        .map(str::to_owned)
        .collect();
    let table = read("docs/messages.md");
    for metric in &counted {
        assert!(table.contains(&format!("| `{metric}` |")), "docs/messages.md has no row for {metric}");
    }
    for metric in named {
        assert!(counted.contains(&metric), "no code counts {metric}");
    }
}

fn collect(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
