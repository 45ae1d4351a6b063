//! What earlier releases wrote: messages that may still be in a queue or stream, and data directories.
//!
//! The files in `fixtures/format-1` are never changed. A release that writes something new adds a folder.
#![expect(clippy::unwrap_used, reason = "a test may panic, and so may what only tests call")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use amfj_sync_model::messages::{DecodeError, Event};
use amfj_sync_projection::{DataDir, OnDisk, STATE_FORMAT, Store as _};
use serde_json::{Value, json};

fn fixtures() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// Every member of `old` is in `new` with the same value.
fn keeps(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(name, value)| new.get(name).is_some_and(|new| keeps(value, new)))
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| keeps(old, new))
        }
        _ => old == new,
    }
}

#[test]
fn every_message_of_format_1_is_understood_and_nothing_of_it_is_lost() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 40, "only {} files", fixtures.len());
    for (path, old) in fixtures {
        let event = Event::decode(&serde_json::to_vec(&old).unwrap())
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let new: Value = serde_json::from_slice(&event.encode()).unwrap();
        assert!(keeps(&old, &new), "{path} lost something:\n{old:#}\n{new:#}");
    }
}

/// What a later release adds does not keep an older one from reading; another version does, and says so.
#[test]
fn a_message_of_a_later_release_is_read_if_it_may_be_and_refused_by_name_otherwise() {
    for (path, mut message) in fixtures() {
        message["added-later"] = json!({"what": "ever"});
        message["data"]["added-later"] = json!([1, 2]);
        let bytes = serde_json::to_vec(&message).unwrap();
        assert!(Event::decode(&bytes).is_ok(), "{path} with members that are new");
        let kind = message["type"].as_str().unwrap().replace(".v1", ".v2");
        message["type"] = json!(kind);
        match Event::decode(&serde_json::to_vec(&message).unwrap()) {
            Err(DecodeError::UnknownType(unknown)) => assert_eq!(unknown, kind),
            other => panic!("{path} of version 2: {other:?}"),
        }
    }
}

fn aside(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.contains(".format-")).collect();
    names.sort();
    names
}

/// sled lets go of a directory a moment after it was closed.
fn once_free<T>(path: &Path, open: impl Fn() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(opened) = open() {
            return opened;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{} is still in use", path.display());
}

/// Where it is in use, another beside it would be opened.
fn open(path: &Path) -> DataDir {
    once_free(path, || Some(DataDir::open(OnDisk::at(path)).unwrap()).filter(|dir| dir.path() == path))
}

#[expect(clippy::disallowed_methods, reason = "it looks at the store as an earlier release left it")]
fn open_db(path: &Path) -> sled::Db {
    once_free(path, || sled::open(path).ok())
}

fn write_one_row(path: &Path) {
    let dir = open(path);
    let mut store = dir.store("acme").unwrap();
    store.apply(vec![(b"row".to_vec(), Some(b"value".to_vec()))]).unwrap();
    store.flush().unwrap();
}

fn has_row(path: &Path) -> bool {
    open(path).store("acme").unwrap().get(b"row").unwrap().is_some()
}

#[test]
fn a_data_directory_of_this_release_is_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("writer");
    write_one_row(&path);
    assert!(has_row(&path));
    assert!(aside(folder.path()).is_empty());
}

/// Format 1 said nothing about itself: rows, and no mark.
#[test]
fn a_data_directory_of_format_1_is_moved_aside_and_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("writer");
    {
        let db = open_db(&path);
        db.open_tree("view/acme").unwrap().insert("row", "value").unwrap();
        db.flush().unwrap();
    }
    assert!(!has_row(&path), "rows of format 1 were taken for rows of this release");
    let names = aside(folder.path());
    assert!(names.len() == 1 && names[0].starts_with("writer.format-1-"), "{names:?}");
    write_one_row(&path);
    assert!(has_row(&path), "the new directory is kept");
    assert_eq!(aside(folder.path()).len(), 1);
}

/// After a downgrade: a later release left its directory behind.
#[test]
fn a_data_directory_of_a_later_format_is_moved_aside_and_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("writer");
    write_one_row(&path);
    {
        let db = open_db(&path);
        let later = (STATE_FORMAT + 1).to_be_bytes();
        db.open_tree("about").unwrap().insert("format", &later).unwrap();
        db.flush().unwrap();
    }
    assert!(!has_row(&path));
    let names = aside(folder.path());
    let expected = format!("writer.format-{}-", STATE_FORMAT + 1);
    assert!(names.len() == 1 && names[0].starts_with(&expected), "{names:?}");
}
