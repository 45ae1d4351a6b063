//! prefix-members: flat records.

use std::time::Duration;

use amfj_sync_amfj::client::{AssetPatch, Assigned};
use amfj_sync_amfj::profile::Op;
use amfj_sync_http::{Answered, CallError};
use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use super::support::{Seen, Stub, TOKEN, answer, empty, fields, id, record};

fn flat_asset(uid: &str, holder: &str) -> Value {
    json!({"uid": uid, "asset_name": "Sam&#39;s Mac", "type": "Laptop", "location": "", "holder": holder, "holder_name": "Sam",
           "cf_mem": "8 &lt; 9", "cf_x": "y", "created": 1_782_900_000})
}

pub(crate) fn flat(seen: &Seen) -> Response {
    let path = seen.target.split('?').next().unwrap_or_default();
    let page = |number: u64, rows: Value| {
        let all = seen.target.contains(&format!("page={number}"));
        Response::builder()
            .header("X-Total-Count", "3")
            .body(Body::from(if all { rows } else { json!([]) }.to_string()))
            .unwrap()
    };
    match (seen.method.as_str(), path) {
        ("GET", "/api/rows/assets") if seen.target.contains("page=1&") => {
            page(1, json!([flat_asset("a1", "u1"), flat_asset("a2", "")]))
        }
        ("GET", "/api/rows/assets") => page(2, json!([flat_asset("a3", "")])),
        ("GET", "/api/rows/assets/a1") => answer(200, &flat_asset("a1", "u1")),
        ("GET", "/api/rows/assets/a2") => answer(200, &flat_asset("a2", "")),
        ("GET", "/api/rows/assets/gone") => empty(404),
        ("GET", "/api/rows/types") => answer(200, &json!([{"name": "Laptop"}])),
        ("GET", "/api/rows/columns/assets") => answer(
            200,
            &json!([{"caption": "Memory", "column": "mem"}, {"caption": "Model", "column": "model"}]),
        ),
        ("GET", "/api/rows/columns/people") => answer(200, &json!([])),
        ("GET", "/api/rows/people") => {
            answer(200, &json!([{"uid": "u1", "full_name": "Sam", "mail": "sam@example.com"}]))
        }
        ("PUT", "/api/rows/assets/a1/model") => {
            answer(422, &json!({"message": "no such model", "column": "model"}))
        }
        ("PUT", "/api/rows/assets/busy/mem") => Response::builder()
            .status(503)
            .header(
                "Retry-At",
                httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(30)),
            )
            .body(Body::from("busy"))
            .unwrap(),
        ("PUT", _) => empty(204),
        ("PATCH", "/api/rows/assets/a2") => {
            let mut shown = flat_asset("a2", "");
            shown.as_object_mut().unwrap().extend(seen.body.as_object().unwrap().clone());
            answer(200, &shown)
        }
        _ => answer(404, &json!({"message": "?"})),
    }
}

#[tokio::test]
async fn flat_records_are_read_page_by_page_with_the_token_in_the_query() {
    let stub = Stub::start(flat).await;
    let client = stub.client("prefix-members");
    let first = client.assets_page(None).await.unwrap();
    let asset = &first.results[0];
    assert_eq!((asset.name.as_str(), asset.location.as_ref()), ("Sam's Mac", None));
    assert_eq!(asset.fields, fields([("Memory", json!("8 < 9"))]));
    assert_eq!(first.results[1].checked_out_to, None);
    let second = client.assets_page(first.next.as_deref()).await.unwrap();
    assert_eq!((second.rows, second.next), (1, None));
    assert!(stub.seen.lock().iter().all(|seen| seen.target.contains(&format!("api_key={TOKEN}"))));
    assert_eq!(client.asset(&id("gone")).await, Ok(None), "its own refusals may be empty");
    assert!(!client.can(Op::FindAssetsByName) && client.probe().await.is_ok());
}

#[tokio::test]
async fn each_field_is_one_request_and_a_refusal_names_it_although_others_were_written() {
    let stub = Stub::start(flat).await;
    let client = stub.client("prefix-members");
    let patch = AssetPatch {
        fields: fields([("Memory", Value::Null), ("Model", json!("M9"))]),
        ..AssetPatch::default()
    };
    let error = client.update_asset(&id("a1"), &patch).await.unwrap_err();
    assert!(matches!(error, CallError::Partly { done: 1, of: 2, .. }), "{error:?}");
    assert_eq!(Answered::of(&error), Answered::Value { field: "Model".to_owned() });
    assert!(error.may_have_happened(), "one field was written");
    let sent = stub.writes();
    assert!(sent[0].target.starts_with("/api/rows/assets/a1/mem?"), "{}", sent[0].target);
    assert_eq!((&sent[0].body, &sent[1].body), (&json!({"value": ""}), &json!({"value": "M9"})));
    let busy = AssetPatch { fields: fields([("Memory", json!("1"))]), ..AssetPatch::default() };
    let error = client.update_asset(&id("busy"), &busy).await.unwrap_err();
    let Answered::AskedToWait { pause: Some(pause), out_of_order: false } = Answered::of(&error) else {
        panic!("503 is slow down here: {error:?}")
    };
    assert!((25..=31).contains(&pause.as_secs()), "{pause:?}");
}

#[tokio::test]
async fn the_holder_is_a_member_that_is_never_taken_from_somebody() {
    let stub = Stub::start(flat).await;
    let client = stub.client("prefix-members");
    let taken = client.check_out(&id("a1"), &record("u2"), None).await.unwrap();
    assert!(matches!(taken, Assigned::Conflict { .. }) && stub.writes().is_empty(), "{taken:?}");
    let done = client.check_out(&id("a2"), &record("u1"), None).await.unwrap();
    let Assigned::Done(asset) = done else { panic!("{done:?}") };
    assert_eq!(asset.checked_out_to.unwrap().id.as_str(), "u1");
    assert_eq!(stub.writes()[0].body, json!({"holder": "u1"}));
    client.check_in(&id("a2"), None).await.unwrap();
    assert_eq!(stub.writes()[1].body, json!({"holder": ""}));
}
