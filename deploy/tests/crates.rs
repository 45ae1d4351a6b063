//! The crates of the workspace: on floors, of which none knows one above it, and drawn in docs/architecture.md.
//!
//! `UPDATE_GRAPH=1` writes the picture as it is now into the page.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]
#![expect(clippy::disallowed_methods, reason = "it writes a page of the repository")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Bottom up. A crate may name what stands on a floor below its own, and nothing else, in its tests as well.
const FLOORS: [&[&str]; 10] = [
    &["network", "security"],
    &["failpoint", "model"],
    &["config", "projection", "telemetry"],
    &["backoff", "rules"],
    &["broker", "http"],
    &["amfj", "kandji", "stream"],
    &["service"],
    &["fetcher", "reconciler", "writer"],
    &["commands", "tests"],
    &["benchmarks", "decoders", "deploy"],
];

/// Libraries that stand behind one crate, or few, so that replacing them is a small matter.
const BEHIND: [(&str, &[&str]); 5] = [
    ("backoff", &["backoff"]),
    ("sled", &["projection"]),
    // The second is the client of the tests, which look at the broker with eyes of their own.
    ("lapin", &["broker", "tests", "benchmarks", "decoders"]),
    // Traces are sent by it, too; `up` and the tests ask the endpoints of workers.
    ("reqwest", &["http", "telemetry", "deploy", "tests", "benchmarks"]),
    ("governor", &["http"]),
];

const BEGIN: &str = "<!-- The crates, drawn by deploy/tests/crates.rs -->\n";
const END: &str = "<!-- The end of the crates -->\n";

/// What a crate names in its manifest.
#[derive(Debug, Default)]
struct Named {
    ours: BTreeSet<String>,
    /// The same, for its tests alone.
    in_tests: BTreeSet<String>,
    others: BTreeSet<String>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every crate of the workspace by its short name, as Cargo understands the manifests.
fn crates() -> BTreeMap<String, Named> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().iter().map(named).collect()
}

fn named(package: &Value) -> (String, Named) {
    let short = |name: &str| name.strip_prefix("amfj-sync-").map(str::to_owned);
    let mut named = Named::default();
    for dependency in package["dependencies"].as_array().unwrap() {
        let name = dependency["name"].as_str().unwrap();
        match (short(name), dependency["kind"].as_str()) {
            (Some(ours), None) => named.ours.insert(ours),
            (Some(ours), Some(_)) => named.in_tests.insert(ours),
            (None, None) => named.others.insert(name.to_owned()),
            (None, Some(_)) => continue,
        };
    }
    let name = package["name"].as_str().unwrap();
    (short(name).unwrap_or_else(|| panic!("{name} is not called amfj-sync-…")), named)
}

fn floor_of(name: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&name));
    floor.unwrap_or_else(|| {
        panic!("the crate {name} stands on no floor: give it one in deploy/tests/crates.rs")
    })
}

/// All that a crate can reach, itself left out.
fn reached(crates: &BTreeMap<String, Named>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> = crates[from].ours.iter().collect();
    while let Some(name) = next.pop() {
        if reached.insert(name.clone()) {
            next.extend(&crates[name].ours);
        }
    }
    reached
}

/// The crates as Mermaid draws them. What is reached through another crate has no arrow of its own.
fn picture(crates: &BTreeMap<String, Named>) -> String {
    let mut picture = String::from("```mermaid\nflowchart BT\n");
    for name in FLOORS.iter().copied().flatten() {
        let direct = &crates[*name].ours;
        let through: BTreeSet<String> = direct.iter().flat_map(|one| reached(crates, one)).collect();
        let shown: Vec<&str> = direct.difference(&through).map(String::as_str).collect();
        match shown.as_slice() {
            [] => writeln!(picture, "  {name}").unwrap(),
            shown => writeln!(picture, "  {name} --> {}", shown.join(" & ")).unwrap(),
        }
    }
    picture.push_str("```\n");
    picture
}

#[test]
fn no_crate_names_one_on_its_own_floor_or_above() {
    let crates = crates();
    for (name, named) in &crates {
        for below in named.ours.iter().chain(&named.in_tests) {
            assert!(floor_of(below) < floor_of(name), "{name} names {below}, which stands no lower");
        }
    }
    for name in FLOORS.iter().copied().flatten() {
        assert!(crates.contains_key(*name), "{name} has a floor and is no crate of the workspace");
    }
}

#[test]
fn the_picture_of_the_crates_is_current() {
    let page = workspace().join("docs/architecture.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let begin = text.find(BEGIN).unwrap() + BEGIN.len();
    let end = text.find(END).unwrap();
    let now = picture(&crates());
    if std::env::var_os("UPDATE_GRAPH").is_some() {
        let renewed = format!("{}{now}{}", &text[..begin], &text[end..]);
        std::fs::write(&page, renewed).unwrap();
        return;
    }
    assert_eq!(&text[begin..end], now, "run this test with UPDATE_GRAPH=1");
}

#[test]
fn rules_know_no_broker_no_service_and_no_disk_the_reconciler_no_service_and_commands_no_simulator() {
    let crates = crates();
    let named = |name: &str| crates[name].ours.iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(named("rules"), ["config", "model", "projection"]);
    for stranger in ["http", "amfj", "kandji"] {
        assert!(!reached(&crates, "reconciler").contains(stranger), "the reconciler reaches {stranger}");
    }
    assert!(!reached(&crates, "commands").contains("tests"), "commands for people reach the simulators");
    let impure = ["tokio", "reqwest", "lapin", "sled", "futures", "hyper", "axum"];
    for name in ["model", "rules"] {
        let waits: Vec<_> =
            crates[name].others.iter().filter(|other| impure.contains(&other.as_str())).collect();
        assert!(waits.is_empty(), "{name} names {waits:?}");
    }
}

#[test]
fn a_library_stands_behind_the_crates_that_are_there_for_it() {
    for (name, named) in crates() {
        for (library, homes) in BEHIND {
            let is_home = homes.contains(&name.as_str());
            assert!(is_home || !named.others.contains(library), "{name} names {library}: use {}", homes[0]);
        }
    }
}
