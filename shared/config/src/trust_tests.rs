//! Keys and certificates of the broker: what cannot be right is refused, what others can read is told of, nothing is shown.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use amfj_sync_security::secrets::scrub;

use super::fixture::INTEGRATION;
use super::{ConfigErrors, Loaded, Tokens, parse};

const CERTIFICATE: &str = include_str!("../../../tests/tests/trust/certificates/client.pem");
const KEY: &str = include_str!("../../../tests/tests/trust/certificates/client.key");
const LONG: &str = "q7Xw2Zk9Rv4T6yB1mN8cL3pD5sF0gHjK";
const OTHER: &str = "hJ5sK0gF8dP2lC7nM4bY9tV1rZ6wX3qA";

fn load(broker: &str) -> Result<Loaded, ConfigErrors> {
    let text = format!("[broker]\n{broker}\n{INTEGRATION}");
    let variables = [("LONG", LONG), ("OTHER", OTHER), ("SHORT", "0123456789abcdef")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    parse(Path::new("amfj-sync.toml"), text, &BTreeMap::from(variables), Tokens::None)
}

/// The mistakes of a section, none of which shows a key.
fn refused(broker: &str) -> String {
    let said = load(broker).map(drop).expect_err(broker).to_string();
    for key in [LONG, OTHER, "0123456789abcdef"] {
        assert!(!said.contains(key), "{broker}: {said}");
    }
    said
}

fn written(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    file
}

#[test]
fn a_signing_key_is_long_stands_elsewhere_and_is_never_said() {
    let config =
        load("signing_key = { env = \"LONG\" }\nsigning_keys_accepted = [{ env = \"OTHER\" }]").unwrap();
    assert_eq!(config.config.broker.signing.map(|signing| signing.keys.len()), Some(2));
    assert_eq!(scrub(&format!("{LONG} and {OTHER}")), "*** and ***");
    for (broker, why) in [
        ("signing_key = { env = \"SHORT\" }".to_owned(), "fewer than 32 characters"),
        (format!("signing_key = \"{LONG}\""), "must not hold the key itself"),
        (format!("signing_key = {{ env = \"{LONG}\" }}"), "is not set"),
        ("signing_keys_accepted = [{ env = \"LONG\" }]".to_owned(), "needs \"signing_key\" beside it"),
        (
            "signing_key = { env = \"LONG\" }\nsigning_keys_accepted = { env = \"OTHER\" }".to_owned(),
            "must be a list",
        ),
        (
            format!("signing_key = {{ env = \"LONG\" }}\nsigning_keys_accepted = [\"{OTHER}\"]"),
            "must not hold the key",
        ),
        (
            "signing_key = { env = \"LONG\" }\nunsigned_messages = \"maybe\"".to_owned(),
            "\"refuse\" or \"accept\"",
        ),
    ] {
        let said = refused(&broker);
        assert!(said.contains(why), "{broker}: {said}");
    }
}

#[test]
fn files_of_keys_that_others_can_read_are_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = written(folder.path(), "client.pem", CERTIFICATE, 0o644);
    for (mode, warnings) in [(0o600, 0), (0o640, 2), (0o604, 2)] {
        let signing = written(folder.path(), "signing.key", LONG, mode);
        let client = written(folder.path(), "client.key", KEY, mode);
        let broker = format!(
            "url = \"amqps://u:p@h/\"\nsigning_key = {{ file = {signing:?} }}\nclient_certificate = {certificate:?}\n\
             client_key = {client:?}"
        );
        let said: Vec<String> = load(&broker).unwrap().warnings.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), warnings, "{mode:o}: {said:?}");
        assert!(said.iter().all(|one| one.contains("chmod 600")), "{said:?}");
    }
}

#[test]
fn certificates_that_cannot_be_right_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| written(folder.path(), name, text, 0o600);
    let (certificate, key, empty) = (file("c.pem", CERTIFICATE), file("c.key", KEY), file("empty.pem", ""));
    let url = "url = \"amqps://u:p@h/\"";
    for (broker, why) in [
        (format!("url = \"amqp://u:p@h/\"\nca_file = {certificate:?}"), "are for amqps://"),
        (format!("{url}\nclient_certificate = {certificate:?}"), "go together"),
        (format!("{url}\nclient_key = {key:?}"), "go together"),
        (format!("{url}\nca_file = {empty:?}"), "holds no certificate"),
        (format!("{url}\nca_file = {key:?}"), "holds no certificate"),
        (format!("{url}\nca_file = \"/nowhere/ca.pem\""), "cannot be read"),
        (
            format!("{url}\nclient_certificate = {certificate:?}\nclient_key = {certificate:?}"),
            "no private key",
        ),
    ] {
        let said = refused(&broker);
        assert!(said.contains(why), "{broker}: {said}");
    }
}
