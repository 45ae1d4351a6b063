//! The probe.

use std::sync::Arc;

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_amfj::probe;
use amfj_sync_config as config;
use amfj_sync_http::Limiter;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::flat::flat;
use super::support::{Stub, answer};

#[tokio::test]
async fn the_probe_finds_what_is_there_and_the_nearest_thing_to_what_is_not() {
    let stub = Stub::start(flat).await;
    let report = probe::read(&stub.client("prefix-members")).await.to_string();
    for line in [
        "ok list_assets: 2 rows at the body itself",
        "ok [asset] id: in 2 of 2 at \"/uid\", for example \"a1\"",
        "-- find_assets_by_name",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(!report.contains("sam@example.com") && report.contains("xxx@xxxxxxx.xxx"), "{report}");
    let other =
        Stub::start(|_| answer(200, &json!({"data": [{"identifier": 1, "names": "Sam"}], "count": 1}))).await;
    let config = other.config("prefix-members", "");
    let mut amfj = config.integrations[0].amfj.clone();
    amfj.profile = config::ProfileSource::default();
    let client = AmfjClient::from_config(&amfj, Limiter::new(1000.0)).unwrap();
    let report = probe::read(&client).await;
    assert!(!report.is_fine());
    let said = report.to_string();
    assert!(
        said.contains("!! list_assets: no member \"/results\"; there is a list of 1 objects at \"/data\""),
        "{said}"
    );
}

#[tokio::test]
async fn the_probe_writes_to_the_one_asset_that_was_named_and_puts_it_back() {
    let asset = Arc::new(Mutex::new(json!({
        "id": "s1", "name": "scratch", "asset_type": {"id": "t", "name": "T"}, "location": null,
        "fields": {"Memory": "8 GB", "Cores": 4}, "checked_out_to": null
    })));
    let held = asset.clone();
    let stub = Stub::start(move |seen| {
        let mut asset = held.lock();
        let path = seen.target.split('?').next().unwrap_or_default();
        match (seen.method.as_str(), path) {
            ("GET", "/api/assets") => answer(200, &json!({"results": [*asset], "next_cursor": null})),
            ("GET", "/api/users") => {
                answer(200, &json!({"results": [{"id": "u1", "name": "Sam", "source": "local"}]}))
            }
            ("GET", "/api/asset-types") => answer(
                200,
                &json!({"results": [{"id": "t", "name": "T", "fields": [
                {"name": "Memory", "type": "text"}, {"name": "Cores", "type": "number"}]}]}),
            ),
            ("GET", _) => answer(200, &asset),
            ("PATCH", _) if seen.body["fields"]["Cores"].is_string() => {
                answer(422, &json!({"error": {"message": "no number", "field": "Cores"}}))
            }
            ("PATCH", _) => {
                for (name, value) in seen.body["fields"].as_object().unwrap() {
                    asset["fields"][name] = value.clone();
                }
                answer(200, &asset)
            }
            ("POST", "/api/assets/s1/check-out") if !asset["checked_out_to"].is_null() => {
                answer(409, &json!({}))
            }
            ("POST", "/api/assets/s1/check-out") => {
                asset["checked_out_to"] = json!({"id": seen.body["user_id"], "name": "Sam"});
                answer(200, &asset)
            }
            ("POST", "/api/assets/s1/check-in") if asset["checked_out_to"].is_null() => {
                answer(409, &json!({}))
            }
            ("POST", "/api/assets/s1/check-in") => {
                asset["checked_out_to"] = Value::Null;
                answer(200, &asset)
            }
            _ => answer(404, &json!({})),
        }
    })
    .await;
    let before = asset.lock().clone();
    let mut amfj = stub.config("prefix-members", "").integrations[0].amfj.clone();
    amfj.profile = config::ProfileSource::default();
    let client = AmfjClient::from_config(&amfj, Limiter::new(1000.0)).unwrap();
    assert!(probe::write(&client, "other").await.unwrap_err().contains("no asset of exactly this name"));
    assert_eq!(stub.writes().len(), 0);
    let report = probe::write(&client, "scratch").await.unwrap();
    let said = report.to_string();
    for line in [
        "a refused value: 422, and the field is named",
        "check_out, twice: refused: it is so already",
        "list_delay = \"5s\"",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(report.is_fine(), "{said}");
    assert_eq!(*asset.lock(), before, "everything is as it was");
    assert!(stub.writes().iter().all(|seen| seen.target.starts_with("/api/assets/s1")), "and no other");
}
