//! Every file below `fixtures/config/bad` is refused with the text beside it, and no text holds a secret.
//!
//! Lines `# env: NAME=VALUE` at the head of a file are the environment it is read with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use amfj_sync_config as config;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/config/bad");

fn environment(text: &str) -> BTreeMap<String, String> {
    let set = text.lines().filter_map(|line| line.strip_prefix("# env: ")?.split_once('='));
    [("KANDJI_TOKEN", "kandji-hunter2"), ("AMFJ_TOKEN", "amfj-hunter2")]
        .into_iter()
        .chain(set)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[expect(clippy::unwrap_used, reason = "without its fixtures the test must fail")]
fn fixtures() -> Vec<PathBuf> {
    let files = std::fs::read_dir(FIXTURES).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    files
}

#[test]
fn every_bad_file_is_refused_with_its_golden_text() {
    assert!(fixtures().len() >= 13);
    for path in fixtures() {
        let text = std::fs::read_to_string(&path).unwrap();
        let variables = environment(&text);
        let errors = config::parse(Path::new("amfj-sync.toml"), text, &variables, config::Tokens::Both)
            .expect_err("must be refused");
        let name = path.file_stem().unwrap().to_str().unwrap();
        let shown = errors.to_string();
        assert!(!shown.contains("hunter2"), "{name} shows a secret (P27):\n{shown}");
        assert!(!format!("{errors:?}").contains("hunter2"), "{name} holds a secret (P27)");
        insta::with_settings!({
            snapshot_path => "fixtures/config/bad", prepend_module_to_snapshot => false, omit_expression => true
        }, { insta::assert_snapshot!(name, shown) });
    }
}

#[test]
fn a_file_that_is_not_there_says_how_to_name_one() {
    let missing = Path::new("/nonexistent/amfj-sync.toml");
    let error = config::load(Some(missing), &BTreeMap::new(), config::Tokens::Both).unwrap_err().to_string();
    for word in
        ["/nonexistent/amfj-sync.toml", "--config", "AMFJ_SYNC_CONFIG", "amfj-sync.example.toml", "1 error"]
    {
        assert!(error.contains(word), "{word} in {error}");
    }
}
