//! Faults do what they say, and leave behind what they say.

use std::time::{Duration, Instant};

use amfj_sync_tests::sim::{
    amfj::{AmfjOptions, AmfjSim},
    faults::{Action, Rule},
    kandji::KandjiSim,
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::caller::{Caller, plain, quick};

#[tokio::test]
async fn a_lost_answer_leaves_the_write_behind_and_a_dropped_request_does_not() {
    let amfj = AmfjSim::start(&plain(5).site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let create = |name: &str| {
        let body = json!({ "name": name, "asset_type_id": "type-1" });
        caller.send(Method::POST, "/assets", Some(body))
    };
    amfj.fault(Rule::new(Action::LoseAnswer).on("POST", "/assets").times(1));
    assert!(create("Lost").await.is_err());
    assert_eq!(amfj.assets_named("Lost").len(), 1);

    amfj.fault(Rule::new(Action::DropBefore).on("POST", "/assets").times(1));
    assert!(create("Dropped").await.is_err());
    assert_eq!(amfj.assets_named("Dropped").len(), 0);

    amfj.fault(Rule::new(Action::TruncatedBody).on("POST", "/assets").times(1));
    let response = create("Half").await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(response.bytes().await.is_err(), "the body breaks off");
    assert_eq!(amfj.assets_named("Half").len(), 1);

    amfj.fault(Rule::new(Action::StatusAfter { code: 502 }).times(1));
    assert_eq!(create("After").await.unwrap().status(), StatusCode::BAD_GATEWAY);
    assert_eq!(amfj.assets_named("After").len(), 1);

    amfj.fault(Rule::new(Action::EmptyBody).times(1));
    assert_eq!(create("Empty").await.unwrap().content_length(), Some(0));
    assert_eq!(amfj.assets_named("Empty").len(), 1);

    assert_eq!(create("Fine").await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(amfj.write_count(), 5);
    let faults: Vec<usize> = amfj.requests().iter().map(|request| request.faults.len()).collect();
    assert_eq!(faults, [1, 1, 1, 1, 1, 0]);
}

#[tokio::test]
async fn statuses_html_and_retry_after_in_both_forms() {
    let amfj = AmfjSim::start(&plain(5).site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let get = || caller.send(Method::GET, "/assets", None);
    let too_many = |http_date| Action::TooManyRequests { retry_after: Some(7), http_date };

    amfj.fault(Rule::new(too_many(false)).times(1));
    let response = get().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    amfj.fault(Rule::new(too_many(true)).times(1));
    let response = get().await.unwrap();
    let date = response.headers()["retry-after"].to_str().unwrap();
    let wait = httpdate::parse_http_date(date).unwrap().duration_since(std::time::SystemTime::now()).unwrap();
    assert!(wait < Duration::from_secs(8), "{date}");

    amfj.fault(Rule::new(Action::Html).times(1));
    let response = get().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.text().await.unwrap().starts_with("<!DOCTYPE html>"));

    amfj.fault(Rule::new(Action::Status { code: 503, body: Some("\"a bare string\"".to_owned()) }).times(1));
    assert_eq!(caller.get("/assets").await, (503, json!("a bare string")));
    amfj.fault(Rule::new(Action::EmptyList).times(1));
    assert_eq!(caller.get("/assets").await, (200, json!({ "results": [], "next_cursor": null })));
    amfj.fault(Rule::new(Action::RevokeToken).times(1).after(1));
    assert_eq!(caller.get("/assets").await.0, 200);
    assert_eq!(caller.get("/assets").await.0, 401);
    assert_eq!(caller.get("/assets").await.0, 401);
    amfj.restore_token();
    amfj.rotate_token("another");
    assert_eq!(caller.get("/assets").await.0, 401);
    assert!(amfj.violations().is_empty(), "{:?}", amfj.violations());
}

#[tokio::test]
async fn a_request_that_timed_out_is_carried_out_all_the_same() {
    let amfj = AmfjSim::start(&plain(5).site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    amfj.fault(Rule::new(Action::Delay { ms: 400 }).on("POST", "/users").times(1));
    let request = caller
        .client
        .post(format!("{}/users", caller.url))
        .bearer_auth(&caller.token)
        .json(&json!({ "name": "Slow" }))
        .timeout(Duration::from_millis(100));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(amfj.write_count(), 0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(amfj.write_count(), 1);

    amfj.fault(Rule::new(Action::Silence { ms: 200, applied: false }).times(1));
    let start = Instant::now();
    assert!(caller.send(Method::GET, "/assets", None).await.is_err());
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_service_that_is_down_closes_every_connection() {
    let kandji = KandjiSim::start(&plain(5), quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    assert_eq!(caller.get("/devices").await.0, 200);
    kandji.set_offline(true);
    assert!(caller.send(Method::GET, "/devices", None).await.is_err());
    kandji.set_offline(false);
    assert_eq!(caller.get("/devices").await.0, 200);
    let url = kandji.url();
    drop(kandji);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let fresh = Caller::new(url, String::new());
    assert!(fresh.send(Method::GET, "/", None).await.unwrap_err().is_connect());
}
