use std::collections::BTreeMap;
use std::path::Path;

use amfj_sync_security::secrets::scrub;

use super::super::fixture::INTEGRATION;
use super::super::{ConfigErrors, Loaded, Tokens, parse};

const GOOD: &str = "3f9c0b7de1a24865b0c7d9e2f4a1638c";
const SHORT: &str = "3f9c0b7de1a24865b0c7d9e2f4a163";

fn load(fetcher: &str, amfj: &str, tokens: Tokens) -> Result<Loaded, ConfigErrors> {
    let amfj = format!("[integration.amfj]\n{amfj}");
    let text = format!("[fetcher]\n{fetcher}\n{}", INTEGRATION.replacen("[integration.amfj]", &amfj, 1));
    let variables = [("GOOD", GOOD), ("SHORT", SHORT), ("SAME", "abababababababababababab-_ab")];
    let mut variables: BTreeMap<String, String> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    for name in ["KANDJI_TOKEN", "AMFJ_TOKEN", "T"] {
        variables.insert(name.to_owned(), "some-token-or-other".to_owned());
    }
    parse(Path::new("amfj-sync.toml"), text, &variables, tokens)
}

fn refused(fetcher: &str, amfj: &str) -> String {
    let said = load(fetcher, amfj, Tokens::Both).map(drop).expect_err(amfj).to_string();
    for key in [GOOD, SHORT] {
        assert!(!said.contains(key), "{amfj}: {said}");
    }
    said
}

#[test]
fn p34_a_key_of_events_is_long_fits_an_address_and_is_never_said() {
    let taken = "events_listen = \"127.0.0.1:9467\"";
    let loaded = load(taken, "events_key = { env = \"GOOD\" }\nevent_asset_id = \"/asset/id\"", Tokens::Both);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let events = loaded.config.integrations[0].amfj.events.clone().expect("it has a key");
    assert_eq!(events.asset_id.as_deref(), Some("/asset/id"));
    assert_eq!(scrub(&format!("POST /events/acme/{GOOD}")), "POST /events/acme/***");
    assert!(!format!("{:?}", loaded.config).contains(GOOD));
    let others: Vec<&str> = loaded.token_variables.not_needed_for(Tokens::Amfj).collect();
    assert!(others.contains(&"GOOD"), "only the fetcher is given the key: {others:?}");
    for (amfj, why) in [
        ("events_key = { env = \"SHORT\" }".to_owned(), "fewer than 32 hexadecimal characters"),
        ("events_key = { env = \"SAME\" }".to_owned(), "the same few characters"),
        (format!("events_key = \"{GOOD}\""), "must not hold the key itself"),
        (format!("events_key = {{ env = \"{GOOD}\" }}"), "is not set"),
        ("events_key = { env = \"GOOD\", file = \"x\" }".to_owned(), "either env"),
        ("event_asset_id = \"asset.id\"".to_owned(), "must be a JSON Pointer"),
    ] {
        let said = refused(taken, &amfj);
        assert!(said.contains(why), "{amfj}: {said}");
    }
}

#[test]
fn p34_events_have_a_port_of_their_own() {
    for fetcher in [
        "events_listen = \"127.0.0.1:9464\"",
        "events_listen = \"0.0.0.0:9464\"",
        "listen = \"127.0.0.1:7001\"\nevents_listen = \"127.0.0.1:7001\"",
    ] {
        let said = refused(fetcher, "");
        assert!(said.contains("a port of its own"), "{fetcher}: {said}");
    }
    for fetcher in [
        "listen = \"127.0.0.1:0\"\nevents_listen = \"127.0.0.1:0\"",
        "events_listen = \"127.0.0.2:9464\"",
        "events_listen = \"[::1]:9467\"",
    ] {
        assert!(load(fetcher, "", Tokens::Both).is_ok(), "{fetcher}");
    }
    assert!(refused("events_listen = \"here\"", "").contains("must be an address and a port"));
}

#[test]
fn p34_half_of_what_takes_events_is_told_of_and_only_the_fetcher_reads_the_key() {
    let half =
        load("", "events_key = { env = \"GOOD\" }", Tokens::Both).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(format!("{:?}", half.warnings).contains("events_listen"), "{:?}", half.warnings);
    let half = load("events_listen = \"127.0.0.1:9467\"", "", Tokens::Both)
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert!(format!("{:?}", half.warnings).contains("events_key"), "{:?}", half.warnings);
    let other = load("", "events_key = { env = \"NOT_THERE\" }", Tokens::Amfj)
        .unwrap_or_else(|errors| panic!("{errors}"));
    let events = other.config.integrations[0].amfj.events.as_ref();
    assert!(other.warnings.is_empty() && events.is_some_and(|events| events.key.is_none()));
}
