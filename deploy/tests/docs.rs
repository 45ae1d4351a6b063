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
    // The example shows what can be set as it stands: a file that is not there cannot.
    let is_shown = |(key, default): &(&String, &String)| *key != "asset_types" && *default != "none";
    let shown = page.iter().filter(is_shown).map(|(key, _)| key);
    let unknown: Vec<_> = shown.filter(|key| !example.contains_key(*key)).collect();
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
    for folder in ["shared", "fetcher", "reconciler", "writer", "deploy/commands"] {
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

/// Every file below a folder, of those that `fits` chooses.
fn files_below(folder: &Path, fits: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path, fits));
        } else if fits(&path) {
            files.push(path);
        }
    }
    files
}

/// The uses of an action in a workflow that do not name a commit, with the tag that it had beside it.
fn unpinned(workflow: &str) -> Vec<&str> {
    let is_pinned = |used: &str| {
        let Some((_, rest)) = used.split_once('@') else { return used.starts_with("./") };
        let Some((commit, comment)) = rest.split_once(" # ") else { return false };
        commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()) && !comment.trim().is_empty()
    };
    let lines = workflow.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix("uses:")).filter(|used| !is_pinned(used.trim())).collect()
}

/// The calls of `cargo install` in a script that may build anything but one release with its locked dependencies.
fn loose_installs(script: &str) -> Vec<&str> {
    let commands = script.lines().filter(|line| !line.trim_start().starts_with('#'));
    let installs = commands.filter(|line| line.contains("cargo install") || line.contains("cargo binstall"));
    installs.filter(|line| !(line.contains("--locked") && line.contains("--version"))).collect()
}

/// What others publish under a name can be replaced by other code; a commit, a version and a hash cannot.
#[test]
fn what_is_fetched_for_building_is_pinned() {
    assert_eq!(unpinned("  - uses: a/b@v4 # v4\n  - uses: a/b@stable"), [" a/b@v4 # v4", " a/b@stable"]);
    let commit = "11d5960a326750d5838078e36cf38b85af677262";
    assert_eq!(unpinned(&format!("uses: a/b@{commit}")).len(), 1, "nobody can tell which release that is");
    assert_eq!(unpinned(&format!("- uses: a/b@{commit} # v4.4.0\n- uses: ./here")), [""; 0]);
    let workflows = files_below(&workspace().join(".github"), &|path| {
        path.extension().is_some_and(|end| end == "yml" || end == "yaml")
    });
    assert!(!workflows.is_empty());
    for workflow in &workflows {
        let text = fs::read_to_string(workflow).unwrap();
        assert!(text.contains("uses:"), "{}", workflow.display());
        assert_eq!(unpinned(&text), [""; 0], "{}", workflow.display());
    }

    assert_eq!(loose_installs("# cargo install x\ncargo install --locked x").len(), 1);
    let has_scripts =
        ["deploy/lib", "deploy/up", "tests/lib", "tests/run", "tests/bench", "tests/campaign", ".ci"];
    let scripts: Vec<PathBuf> = has_scripts
        .into_iter()
        .map(|place| workspace().join(place))
        .flat_map(|place| if place.is_dir() { files_below(&place, &|_| true) } else { vec![place] })
        .collect();
    let texts: Vec<String> =
        scripts.iter().chain(&workflows).map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(texts.iter().any(|text| text.contains("cargo install --locked --version")));
    for (text, path) in texts.iter().zip(scripts.iter().chain(&workflows)) {
        assert_eq!(loose_installs(text), [""; 0], "{}", path.display());
    }
    // Python's packages, each file by its hash.
    let list = read("tests/lib/irusdk.txt");
    let named = list.lines().filter(|line| line.contains("==") && !line.starts_with('#'));
    for line in named {
        let rest = list.split(line).nth(1).unwrap();
        assert!(rest.trim_start().starts_with("--hash=sha256:"), "{line}");
    }
    assert!(read("tests/lib/irusdk").contains("--require-hashes --only-binary :all:"));
    // npm's likewise, and none of them runs a script.
    assert!(read("tests/lib/json-server/install").contains("npm ci --ignore-scripts"));
    let lock: serde_json::Value =
        serde_json::from_str(&read("tests/lib/json-server/package-lock.json")).unwrap();
    let packages = lock["packages"].as_object().unwrap();
    assert!(packages.len() > 1);
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        assert!(package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{name}");
    }
    assert!(read("deny.toml").contains("yanked = \"deny\""));
}
