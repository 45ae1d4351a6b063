use std::collections::BTreeMap;
use std::path::Path;

use amfj_sync_config::{Tokens, parse};

use super::*;

const INTEGRATION: &str = include_str!("../../../shared/config/src/fixture.toml");

const KEY: &str = "3f9c0b7de1a24865b0c7d9e2f4a1638c";

fn event(
    body: &str,
    place: Option<&str>,
) -> Result<(AssetEventKind, Option<String>, Option<String>), Receipt> {
    read(body.as_bytes(), place)
        .map(|event| (event.kind, event.asset.map(|id| id.as_str().to_owned()), event.name))
}

#[test]
fn p34_an_event_says_which_asset_by_id_or_by_name() {
    use AssetEventKind::{Created, Deleted, Updated};
    let (id, name) = (Some("AST-1".to_owned()), Some("Sam’s Mac".to_owned()));
    for (body, place, expected) in [
        (
            r#"{"event_type":"asset.update","id":"AST-1","name":"Sam’s Mac"}"#,
            None,
            (Updated, id.clone(), name.clone()),
        ),
        (r#"{"event_type":"asset.create","asset":{"id":" AST-1 "}}"#, None, (Created, id.clone(), None)),
        (
            r#"{"event_type":"asset.delete","asset_id":17,"name":" Sam’s Mac "}"#,
            None,
            (Deleted, Some("17".to_owned()), name.clone()),
        ),
        (
            r#"{"event_type":"asset.update","id":{"x":1},"name":"Sam’s Mac","assettype":{"id":"T1"}}"#,
            None,
            (Updated, None, name.clone()),
        ),
        (
            r#"{"event_type":"asset.update","id":"event-9","data":{"key":"AST-1"}}"#,
            Some("/data/key"),
            (Updated, id, None),
        ),
        (
            r#"{"event_type":"asset.update","id":"event-9","name":"Sam’s Mac"}"#,
            Some("/data/key"),
            (Updated, None, name),
        ),
        (
            "{\"event_type\":\"asset.update\",\"name\":\"a \\ud83d b\"}",
            None,
            (Updated, None, Some("a \u{fffd} b".to_owned())),
        ),
    ] {
        assert_eq!(event(body, place), Ok(expected), "{body}");
    }
}

#[test]
fn p34_what_is_no_event_is_refused() {
    for body in ["", "asset.update", "{", "event_type=asset.update"] {
        assert_eq!(event(body, None), Err(Receipt::NotJson), "{body}");
    }
    for body in [
        "[]",
        "7",
        "{}",
        r#"{"event_type":"asset.moved","id":"1"}"#,
        r#"{"event_type":"user.update","id":"1"}"#,
        r#"{"event_type":["asset.update"],"id":"1"}"#,
        r#"{"event_type":"asset.update"}"#,
        r#"{"event_type":"asset.update","name":"  ","id":""}"#,
        r#"{"event_type":"asset.update","id":1.5}"#,
        r#"[{"event_type":"asset.update","id":"1"}]"#,
    ] {
        assert!(matches!(event(body, None), Err(Receipt::NotKnown(_))), "{body}");
    }
    let deep = format!("{{\"event_type\":\"asset.update\",\"x\":{}", "[".repeat(100_000));
    assert_eq!(event(&deep, None), Err(Receipt::NotJson));
    let endless = format!(r#"{{"event_type":"asset.update","id":"{}"}}"#, "x".repeat(10_000));
    assert!(matches!(event(&endless, None), Err(Receipt::NotKnown(_))));
}

#[test]
fn p34_only_the_key_of_an_integration_opens_it() {
    let acme =
        INTEGRATION.replace("[integration.amfj]", "[integration.amfj]\nevents_key = { env = \"KEY\" }");
    let quiet = INTEGRATION.replace("acme", "quiet").replace("/v1", "/v2");
    let text = format!("[fetcher]\nevents_listen = \"127.0.0.1:0\"\n{acme}\n{quiet}");
    let variables =
        BTreeMap::from([("T".to_owned(), "token".to_owned()), ("KEY".to_owned(), KEY.to_owned())]);
    let loaded = parse(Path::new("amfj-sync.toml"), text, &variables, Tokens::Both);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    let keys = Keys::of(&loaded.config.integrations).unwrap();
    assert_eq!(keys.addressee("acme", KEY).map(|id| id.to_string()), Some("acme".to_owned()));
    for (id, key) in
        [("acme", ""), ("acme", &KEY[..31]), ("quiet", KEY), ("quiet", ""), ("other", KEY), ("", KEY)]
    {
        assert_eq!(keys.addressee(id, key), None, "{id} {key}");
    }
}
