//! envelope-jobs: a young, asynchronous interface.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::client::{AssetPatch, Assigned, NewAsset, NewUser};
use amfj_sync_http::{Answered, CallError};
use amfj_sync_model::amfj::Source;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::support::{Seen, Stub, TOKEN, answer, fields, id, profile, record, under};

fn young_asset(assignee: &Value) -> Value {
    json!({"attributes": {"name": "Mac", "type": "Laptop", "site": "HQ", "assignee": assignee,
                          "custom": {"f1": 1_782_856_800_000_i64, "f2": "8 GB"}},
           "meta": {"created": 1_782_900_000_000_i64}})
}

fn young(seen: &Seen) -> Response {
    let people = json!({"u1": {"attributes": {"name": "Sam", "email": "Sam@example.com"}, "meta": {"managed_by": "atlassian"}},
                        "u2": {"attributes": {"name": "Kim", "email": "kim@example.com"}, "meta": {}}});
    let field = |title: &str, kind: &str| json!({"attributes": {"title": title, "schema": {"type": kind, "required": false}}});
    let job = |state: &str| json!({"state": state, "job": "/api/jobs/7", "result": {"id": "a1"}});
    match (seen.method.as_str(), seen.target.as_str()) {
        ("POST", "/oauth/token") => {
            answer(200, &json!({"access_token": format!("access-{}", seen.text.len()), "expires_in": 3600}))
        }
        ("GET", "/api/v3/assets?page%5Bsize%5D=100") => answer(
            200,
            &json!({"records": {"a1": young_asset(&json!({"email": "sam@example.com", "name": "Sam"})), "a2": young_asset(&Value::Null)},
                    "links": {"next": "/api/v3/assets?after=a2"}}),
        ),
        ("GET", "/api/v3/assets?after=a2") => answer(
            200,
            &json!({"records": {"a3": young_asset(&json!({"email": "gone@example.com", "name": "Gone"}))},
                    "links": {"next": "https://evil.example/assets"}}),
        ),
        ("GET", "/api/v3/assets/a1") => {
            answer(200, &json!({"record": young_asset(&json!({"email": "sam@example.com", "name": "Sam"}))}))
        }
        ("GET", "/api/v3/assets/a2") => answer(200, &json!({"record": young_asset(&Value::Null)})),
        ("GET", target) if target.starts_with("/api/v3/people-fields") => {
            answer(200, &json!({"records": {}}))
        }
        ("GET", target) if target.starts_with("/api/v3/people/") => {
            let who = target.rsplit('/').next().unwrap();
            answer(200, &json!({"record": people[who]}))
        }
        ("POST", "/api/v3/people") => {
            let made = json!({"id": "u7", "attributes": seen.body["attributes"], "meta": {}});
            answer(201, &json!({"record": made}))
        }
        ("GET", target) if target.starts_with("/api/v3/people") => answer(200, &json!({"records": people})),
        ("GET", target) if target.starts_with("/api/v3/types/Laptop/fields") => {
            answer(200, &json!({"records": {"f1": field("Bought", "date"), "f2": field("Memory", "text")}}))
        }
        ("GET", target) if target.starts_with("/api/v3/types") => {
            answer(200, &json!({"records": {"t1": {"attributes": {"name": "Laptop"}}}}))
        }
        ("POST", "/api/v3/assets") | ("PATCH", "/api/v3/assets/a1") => answer(202, &job("queued")),
        ("GET", "/api/jobs/7") => answer(200, &job("succeeded")),
        ("POST", "/api/v3/actions") => {
            answer(200, &json!({"record": young_asset(&json!({"email": "kim@example.com", "name": "Kim"}))}))
        }
        _ => answer(410, &json!({"title": "nothing here"})),
    }
}

#[tokio::test]
async fn a_young_interface_is_read_with_oauth_keys_addresses_and_emails() {
    let stub = Stub::start(young).await;
    let client = stub.client("envelope-jobs");
    let first = client.assets_page(None).await.unwrap();
    let asset = &first.results[0];
    assert_eq!(
        (asset.id.as_str(), asset.asset_type.id.as_str(), asset.asset_type.name.as_str()),
        ("a1", "Laptop", "Laptop")
    );
    assert_eq!(asset.checked_out_to.as_ref().unwrap().id.as_str(), "u1", "an email is who has it");
    assert_eq!(asset.fields, fields([("Bought", json!("2026-07-01")), ("Memory", json!("8 GB"))]));
    assert_eq!(first.results[1].checked_out_to, None);
    let error = client.assets_page(first.next.as_deref()).await.unwrap_err();
    assert!(error.to_string().contains("another host"), "{error}");
    assert_eq!(client.users_page(None).await.unwrap().results[0].source, Source::Jira);
    let seen = stub.seen.lock().clone();
    let tokens: Vec<&Seen> = seen.iter().filter(|seen| seen.target == "/oauth/token").collect();
    assert_eq!(tokens.len(), 1, "one token is good for many calls");
    for part in [
        "grant_type=client_credentials",
        "client_id=c1",
        "client_secret=7c0ffee1-token",
        "scope=assets+people",
    ] {
        assert!(tokens[0].text.contains(part), "{part}: {}", tokens[0].text);
    }
    assert!(
        seen.iter()
            .filter(|seen| seen.method == "GET")
            .all(|seen| seen.headers["authorization"].starts_with("Bearer access-"))
    );
    assert!(
        !seen.iter().filter(|seen| seen.method == "GET").any(|seen| format!("{seen:?}").contains(TOKEN)),
        "the secret goes nowhere else"
    );
}

#[tokio::test]
async fn an_access_token_that_is_refused_is_fetched_anew() {
    let refused = Arc::new(Mutex::new(false));
    let stub = Stub::start(move |seen| {
        let first = seen.method == "GET" && !std::mem::replace(&mut *refused.lock(), seen.method == "GET");
        if first { answer(401, &json!({"title": "expired"})) } else { young(seen) }
    })
    .await;
    let client = stub.client("envelope-jobs");
    assert!(client.asset(&id("a2")).await.is_ok());
    let fetched = stub.seen.lock().iter().filter(|seen| seen.target == "/oauth/token").count();
    assert_eq!(fetched, 2);
}

#[tokio::test]
async fn an_access_token_that_cannot_be_had_blames_the_token_and_sends_nothing() {
    let stub = Stub::start(|seen| {
        if seen.target == "/oauth/token" {
            answer(400, &json!({"error": "invalid_client"}))
        } else {
            young(seen)
        }
    })
    .await;
    let error = stub.client("envelope-jobs").asset(&id("a1")).await.unwrap_err();
    assert_eq!(Answered::of(&error), Answered::TokenRefused, "{error}");
    assert!(stub.seen.lock().iter().all(|seen| seen.target == "/oauth/token"));
}

#[tokio::test]
async fn a_job_is_looked_at_until_it_is_done() {
    let stub = Stub::start(young).await;
    let client = stub.client("envelope-jobs");
    let new = NewAsset {
        name: "Mac".to_owned(),
        asset_type_id: "Laptop".to_owned(),
        location_id: None,
        fields: fields([("Bought", json!("2026-07-01"))]),
    };
    assert_eq!(client.create_asset(&new).await.unwrap().id.as_str(), "a1");
    let sent = stub.writes().into_iter().find(|seen| seen.is("POST", "/api/v3/assets")).unwrap();
    assert_eq!(
        sent.body,
        json!({"attributes": {"name": "Mac", "type": "Laptop", "custom": {"f1": 1_782_856_800_000_i64}}})
    );
    let patch = AssetPatch {
        fields: fields([("Memory", json!("9 GB")), ("Bought", Value::Null)]),
        ..AssetPatch::default()
    };
    assert!(client.update_asset(&id("a1"), &patch).await.unwrap_err().is_unshown_success());
    let sent = stub.writes().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(sent.headers["content-type"], "application/json-patch+json");
    assert_eq!(
        sent.body,
        json!([{"op": "add", "path": "/attributes/custom/f1", "value": null},
               {"op": "add", "path": "/attributes/custom/f2", "value": "9 GB"}])
    );
}

#[tokio::test]
async fn a_job_that_fails_is_a_refusal_and_both_that_and_one_that_does_not_end_may_have_happened() {
    let with = |state: &'static str| {
        move |seen: &Seen| {
            if seen.target == "/api/jobs/7" { answer(200, &json!({"state": state})) } else { young(seen) }
        }
    };
    let new = NewAsset {
        name: "Mac".to_owned(),
        asset_type_id: "Laptop".to_owned(),
        location_id: None,
        fields: BTreeMap::new(),
    };
    let failing = Stub::start(with("failed")).await;
    let error = failing.client("envelope-jobs").create_asset(&new).await.unwrap_err();
    assert_eq!(Answered::of(&error), Answered::Refused, "{error}");
    assert!(error.may_have_happened(), "part of it may be done before it fails: {error}");
    let endless = Stub::start(with("running")).await;
    let error = under(&endless, &impatient()).create_asset(&new).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }) && error.may_have_happened(), "{error}");
    assert_eq!(
        endless.writes().iter().filter(|seen| seen.is("POST", "/api/v3/assets")).count(),
        1,
        "never twice"
    );
}

#[tokio::test]
async fn a_record_whose_id_is_a_key_in_lists_is_known_by_the_id_in_the_answer() {
    let stub = Stub::start(young).await;
    let new = NewUser {
        name: "Lee".to_owned(),
        email: Some("lee@example.com".to_owned()),
        fields: BTreeMap::new(),
    };
    let made = stub.client("envelope-jobs").create_user(&new).await.unwrap();
    assert_eq!((made.id.as_str(), made.name.as_str()), ("u7", "Lee"));
}

/// The profile with jobs that may not take long.
fn impatient() -> String {
    profile("envelope-jobs").replace("within = \"10s\"", "within = \"1s\"")
}

#[tokio::test]
async fn a_job_may_take_longer_than_a_request_where_the_profile_says_so() {
    let looks = Arc::new(Mutex::new(0));
    let stub = Stub::start(move |seen| {
        let is_look = seen.target == "/api/jobs/7";
        *looks.lock() += u32::from(is_look);
        // Longer than the 700 ms that a request may take.
        if is_look && *looks.lock() < 20 { answer(200, &json!({"state": "running"})) } else { young(seen) }
    })
    .await;
    let client = stub.client("envelope-jobs");
    let new = NewAsset {
        name: "Mac".to_owned(),
        asset_type_id: "Laptop".to_owned(),
        location_id: None,
        fields: BTreeMap::new(),
    };
    assert_eq!(client.create_asset(&new).await.unwrap().id.as_str(), "a1");
    assert_eq!(client.longest_write(), Duration::from_millis(10_700), "nobody takes it over before that");
}

#[tokio::test]
async fn what_a_failed_job_says_is_read_as_a_refusal_is() {
    let stub = Stub::start(|seen| {
        let why = json!({"title": "no", "problems": {"f2": "too much"}});
        let failed = json!({"state": "failed", "error": why});
        if seen.target == "/api/jobs/7" { answer(200, &failed) } else { young(seen) }
    })
    .await;
    let patch = AssetPatch { fields: fields([("Memory", json!("9 GB"))]), ..AssetPatch::default() };
    let error = stub.client("envelope-jobs").update_asset(&id("a1"), &patch).await.unwrap_err();
    assert_eq!(Answered::of(&error), Answered::Value { field: "Memory".to_owned() }, "{error}");
    assert!(error.to_string().contains("accepted and failed later “no”"), "{error}");
}

#[tokio::test]
async fn a_look_at_a_job_has_the_headers_of_its_operation_and_heeds_the_pause() {
    let stub = Stub::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("GET", "/api/jobs/7") if seen.headers.get("x-version").is_none_or(|version| version != "3") => {
            answer(406, &json!({"title": "which version?"}))
        }
        _ => young(seen),
    })
    .await;
    let text = profile("envelope-jobs").replace(
        "[operations.create_asset]\n",
        "[operations.create_asset]\nheaders = { \"X-Version\" = \"3\", \"Content-Type\" = \"application/vnd.new+json\" }\n",
    );
    let new = NewAsset {
        name: "Mac".to_owned(),
        asset_type_id: "Laptop".to_owned(),
        location_id: None,
        fields: BTreeMap::new(),
    };
    let asset = under(&stub, &text).create_asset(&new).await.unwrap();
    assert_eq!(asset.id.as_str(), "a1");
    let looks: Vec<Seen> =
        stub.seen.lock().iter().filter(|seen| seen.target == "/api/jobs/7").cloned().collect();
    assert!(!looks.is_empty() && looks.iter().all(|seen| !seen.headers.contains_key("content-type")));
}

/// A writer begins with many changes at once.
#[tokio::test]
async fn definitions_and_people_are_read_once_for_all_who_ask_at_the_same_time() {
    let stub = Stub::start(young).await;
    let client = stub.client("envelope-jobs");
    let (one, other) = (id("a1"), id("a1"));
    let patch = AssetPatch { fields: fields([("Memory", json!("9 GB"))]), ..AssetPatch::default() };
    let (_, _, read, again) = tokio::join!(
        client.update_asset(&one, &patch),
        client.update_asset(&other, &patch),
        client.asset(&one),
        client.asset(&other)
    );
    assert!(read.is_ok() && read == again, "{read:?}");
    for (what, times) in [("/api/v3/types", 2), ("/api/v3/people", 1)] {
        let asked = stub.seen.lock().iter().filter(|seen| seen.target.starts_with(what)).count();
        assert!(asked <= times + usize::from(what == "/api/v3/people"), "{what}: {asked}");
    }
}

#[tokio::test]
async fn an_interface_that_takes_from_anybody_is_read_first_and_nobody_loses_an_asset() {
    let stub = Stub::start(young).await;
    let client = stub.client("envelope-jobs");
    let taken = client.check_out(&id("a1"), &record("u2"), None).await.unwrap();
    assert!(matches!(taken, Assigned::Conflict { .. }), "{taken:?}");
    assert!(!stub.writes().iter().any(|seen| seen.target == "/api/v3/actions"));
    let done = client.check_out(&id("a2"), &record("u2"), Some("by amfj-sync")).await;
    assert!(done.is_err() || matches!(done, Ok(Assigned::Done(_))), "{done:?}");
    let sent = stub.writes().into_iter().find(|seen| seen.target == "/api/v3/actions").unwrap();
    assert_eq!(
        sent.body,
        json!({"action": "assign", "asset": "a2", "assignee": "kim@example.com", "comment": "by amfj-sync"})
    );
}
