//! `deploy/monitoring`: promtool takes the rules and runs their cases, the dashboard is in good order, and
//! every alert has a place in the documentation. What a running pipeline makes of them is tried in
//! `tests/tests/observability`.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn monitoring() -> PathBuf {
    workspace().join("deploy/monitoring")
}

fn read(name: &str) -> String {
    fs::read_to_string(monitoring().join(name)).unwrap()
}

fn promtool(arguments: &[&str]) -> String {
    let output = Command::new("promtool").args(arguments).current_dir(monitoring()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("promtool cannot be run: {error}; `tests/run` installs it (Debian's prometheus)")
    });
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// The lines of each alert, by its name.
fn alerts() -> BTreeMap<String, String> {
    let rules = read("alerts.yml");
    let alerts = rules.split("- alert: ").skip(1);
    alerts.map(|rule| (rule.lines().next().unwrap().trim().to_owned(), rule.to_owned())).collect()
}

#[test]
fn prometheus_takes_the_rules_and_the_configuration() {
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["check", "config", "prometheus.yml"]);
}

#[test]
fn every_alert_fires_when_it_shall_and_only_then() {
    promtool(&["test", "rules", "alerts.test.yml"]);
    let cases = read("alerts.test.yml");
    let mut fires: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for case in cases.split("alertname: ").skip(1) {
        let mut lines = case.lines();
        let name = lines.next().unwrap().trim();
        fires.entry(name).or_default().insert(lines.next().unwrap().trim() == "exp_alerts:");
    }
    for name in alerts().keys() {
        let tried = fires.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no case"));
        assert_eq!(tried.len(), 2, "{name} needs a case in which it fires and one in which it does not");
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let page = fs::read_to_string(workspace().join("docs/operating.md")).unwrap();
    let headings: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### Amfj")).collect();
    let alerts = alerts();
    assert!(alerts.len() > 6, "{alerts:?}");
    for (name, rule) in &alerts {
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        let runbook = format!("runbook_url: \"docs/operating.md#{}\"", name.to_lowercase());
        assert!(rule.contains(&runbook), "{name} has no {runbook}");
        let heading = name.strip_prefix("Amfj").unwrap();
        assert!(headings.contains(heading), "docs/operating.md has no heading `### {name}`");
    }
    for heading in headings {
        assert!(alerts.contains_key(&format!("Amfj{heading}")), "there is no alert Amfj{heading}");
    }
}

#[test]
fn the_dashboard_is_in_good_order() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title} has the id of another panel");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24 && w > 0 && h > 0, "{title} does not fit on the grid");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{title} lies over another panel at {place:?}");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{title}: no description");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title} names a data source of somebody");
        let targets = panel["targets"].as_array().unwrap();
        let names: BTreeSet<&str> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{title}: its queries need names");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(
                target["legendFormat"].as_str().is_some_and(|text| !text.is_empty()),
                "{title}: no legend"
            );
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "integration"]);
}
