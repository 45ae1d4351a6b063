//! The Kandji client against servers that behave, and misbehave, as kandji/API describes.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its stub has failed")]

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_backoff::Policy;
use amfj_sync_http::{CallError, SecretString};
use amfj_sync_kandji::{Begin, Device, KandjiClient, KandjiError, Limits, WalkSummary};
use amfj_sync_model::ids::{DeviceId, IntegrationId};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "5d3f0c1e-token";

/// What a stub saw: the path with its query, and the `Authorization` header.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    target: String,
    authorization: String,
}

struct Stub {
    base: url::Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    /// Answers the n-th request (from 0) to `target` with `answer(n, target)`.
    async fn start(answer: impl Fn(usize, &str) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let target = request.uri().path_and_query().unwrap().to_string();
            let authorization =
                request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
            let number = {
                let mut log = log.lock();
                log.push(Seen { target: target.clone(), authorization: authorization.unwrap_or_default() });
                log.len() - 1
            };
            std::future::ready(answer(number, &target))
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, seen }
    }

    fn client(&self) -> KandjiClient {
        client(&self.base, 6000)
    }

    fn count(&self) -> usize {
        self.seen.lock().len()
    }
}

fn client(base: &url::Url, per_hour: u32) -> KandjiClient {
    let limits = Limits::new(&IntegrationId::new("acme").unwrap(), per_hour, Vec::new());
    KandjiClient::new(base, SecretString::from(TOKEN), Duration::from_secs(2), limits).unwrap()
}

fn policy() -> Policy {
    Policy::try_new(Duration::from_millis(1), Duration::from_millis(5), Duration::from_secs(5)).unwrap()
}

fn answer(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn json_answer(value: &Value) -> Response {
    answer(200, value.to_string())
}

fn query(target: &str, name: &str) -> Option<String> {
    let url: url::Url = format!("http://stub{target}").parse().unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn number(target: &str, name: &str) -> usize {
    query(target, name).unwrap().parse().unwrap()
}

fn fleet(size: usize) -> Vec<Value> {
    (0..size)
        .map(|n| json!({"device_id": format!("{n:08}"), "device_name": format!("Mac {n}"), "user": ""}))
        .collect()
}

/// A page of a fleet, as Kandji cuts it, with pages of at most `most` rows.
fn page(fleet: &[Value], target: &str, most: usize) -> Response {
    let rows = fleet.iter().skip(number(target, "offset")).take(number(target, "limit").min(most));
    json_answer(&rows.cloned().collect())
}

async fn walk(client: &KandjiClient) -> (Result<WalkSummary, KandjiError>, Vec<Device>) {
    let mut devices = Vec::new();
    let sink = |page: Vec<Device>| {
        devices.extend(page);
        Ok(())
    };
    let result = client.walk(Begin::default(), &policy(), &CancellationToken::new(), sink, |_| {}).await;
    (result, devices)
}

async fn list_error(status: u16, body: &'static str) -> KandjiError {
    let stub = Stub::start(move |_, _| answer(status, body)).await;
    stub.client().devices(0).await.unwrap_err()
}

// ---- Walking the list -------------------------------------------------------------------------

#[tokio::test]
async fn all_devices_are_read_not_only_the_first_300() {
    let rows = fleet(650);
    let stub = Stub::start(move |_, target| page(&rows, target, 300)).await;
    let (summary, devices) = walk(&stub.client()).await;
    let summary = summary.unwrap();
    assert_eq!((summary.pages, summary.rows, summary.devices(), summary.repeated), (4, 650, 650, 0));
    assert_eq!(devices.len(), 650);
    let offsets: Vec<_> = stub.seen.lock().iter().map(|seen| number(&seen.target, "offset")).collect();
    assert_eq!(offsets, [0, 300, 600, 650]);
}

#[tokio::test]
async fn a_clamped_limit_does_not_truncate_the_fleet() {
    let rows = fleet(70);
    let stub = Stub::start(move |_, target| page(&rows, target, 25)).await;
    let (summary, devices) = walk(&stub.client()).await;
    assert_eq!((summary.unwrap().rows, devices.len()), (70, 70));
}

#[tokio::test]
async fn the_list_is_ordered_by_the_only_key_that_never_changes() {
    let stub = Stub::start(|_, _| json_answer(&json!([]))).await;
    let (summary, _) = walk(&stub.client()).await;
    assert_eq!(summary.unwrap(), WalkSummary { pages: 1, ..WalkSummary::default() });
    let seen = stub.seen.lock()[0].clone();
    assert!(seen.target.starts_with("/api/v1/devices?"), "{}", seen.target);
    assert_eq!(query(&seen.target, "ordering").as_deref(), Some("device_id"));
    assert_eq!(query(&seen.target, "limit").as_deref(), Some("300"));
    assert_eq!(query(&seen.target, "sort"), None);
    assert_eq!(seen.authorization, format!("Bearer {TOKEN}"));
}

#[tokio::test]
async fn an_enrolment_during_the_walk_repeats_a_device_which_counts_once() {
    let rows = fleet(301);
    let stub = Stub::start(move |n, target| {
        let mut now = rows.clone();
        if n > 0 {
            now.insert(0, json!({"device_id": "0"}));
        }
        page(&now, target, 300)
    })
    .await;
    let (summary, devices) = walk(&stub.client()).await;
    let summary = summary.unwrap();
    assert_eq!((summary.rows, summary.devices(), summary.repeated), (302, 301, 1));
    assert_eq!(devices.len(), 301);
}

#[tokio::test]
async fn a_list_that_ignores_the_offset_does_not_go_on_for_ever() {
    let rows = json!(fleet(3));
    let stub = Stub::start(move |_, _| json_answer(&rows)).await;
    let (result, devices) = walk(&stub.client()).await;
    assert!(matches!(result, Err(KandjiError::Endless { devices: 3, .. })), "{result:?}");
    assert_eq!((devices.len(), stub.count()), (3, 4));
}

#[tokio::test]
async fn malformed_rows_are_reported_and_do_not_end_the_walk() {
    let rows = vec![
        json!({"device_id": "a"}),
        json!("junk"),
        json!({"device_name": "Kiosk"}),
        json!({"device_id": "b"}),
    ];
    let stub = Stub::start(move |_, target| page(&rows, target, 300)).await;
    let (summary, devices) = walk(&stub.client()).await;
    let summary = summary.unwrap();
    assert_eq!((summary.rows, summary.devices(), summary.malformed_rows, devices.len()), (4, 2, 2, 2));
    assert!(summary.malformed.first[1].to_string().contains("Kiosk"), "{:?}", summary.malformed);
}

#[tokio::test]
async fn progress_is_told_page_by_page() {
    let rows = fleet(450);
    let stub = Stub::start(move |_, target| page(&rows, target, 300)).await;
    let mut told = Vec::new();
    let progress = |progress: amfj_sync_kandji::Progress| told.push((progress.pages, progress.devices));
    stub.client()
        .walk(Begin::default(), &policy(), &CancellationToken::new(), |_| Ok(()), progress)
        .await
        .unwrap();
    assert_eq!(told, [(1, 300), (2, 450), (3, 450)]);
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_walk() {
    let rows = fleet(450);
    let stub = Stub::start(move |_, target| page(&rows, target, 300)).await;
    let sink = |_: Vec<Device>| Err(anyhow::anyhow!("disk full"));
    let error = stub
        .client()
        .walk(Begin::default(), &policy(), &CancellationToken::new(), sink, |_| {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("disk full"), "{error}");
    assert_eq!(stub.count(), 1);
}

#[tokio::test]
async fn cancelling_ends_a_walk_at_once_even_during_a_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let cancel = CancellationToken::new();
    let walking = tokio::spawn({
        let cancel = cancel.clone();
        async move { client(&base, 6000).walk(Begin::default(), &policy(), &cancel, |_| Ok(()), |_| {}).await }
    });
    let (_connection, _) = listener.accept().await.unwrap();
    cancel.cancel();
    let result = tokio::time::timeout(Duration::from_millis(500), walking).await.unwrap().unwrap();
    assert!(matches!(result, Err(KandjiError::Cancelled)), "{result:?}");
}

// ---- Every sample payload ---------------------------------------------------------------------

fn sample(name: &str) -> Value {
    let path = format!("{}/tests/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn every_sample_of_a_list_is_read_without_loss() {
    for name in [
        "devices-page-iphone-unassigned",
        "devices-page-two-macs",
        "devices-recorded-mac-integer-user-id",
        "devices-recorded-mac-user-empty-string",
    ] {
        let rows = sample(name).as_array().unwrap().clone();
        let served = rows.clone();
        let stub = Stub::start(move |_, target| page(&served, target, 300)).await;
        let (summary, devices) = walk(&stub.client()).await;
        assert_eq!(summary.unwrap().malformed_rows, 0, "{name}");
        let read: Vec<Value> = devices.into_iter().map(Value::from).collect();
        assert_eq!(read, rows, "{name}");
    }
}

#[tokio::test]
async fn every_sample_of_details_is_read_without_loss() {
    for name in ["android", "appletv", "ipad", "ipad-lost-mode", "mac", "recorded-mac", "windows"] {
        let details = sample(&format!("details-{name}"));
        let served = details.clone();
        let stub = Stub::start(move |_, _| json_answer(&served)).await;
        let read = stub.client().details(&DeviceId::new("d/1").unwrap()).await.unwrap();
        assert_eq!(read, Some(details), "{name}");
        assert_eq!(stub.seen.lock()[0].target, "/api/v1/devices/d%2F1/details");
    }
}

// ---- Errors -----------------------------------------------------------------------------------

/// The seven shapes of error bodies, under every status that Kandji may answer.
#[tokio::test]
async fn every_error_is_told_by_its_status_whatever_its_body() {
    for body in [
        r#"{"detail": "no"}"#,
        r#"{"error": "no"}"#,
        r#"{"message": "no", "request_id": "1"}"#,
        r#"["no"]"#,
        r#""no""#,
        "<html><title>no</title></html>",
        "",
    ] {
        assert!(matches!(list_error(401, body).await, KandjiError::Unauthorized { .. }), "{body}");
        assert!(matches!(list_error(403, body).await, KandjiError::Forbidden { .. }), "{body}");
        assert!(matches!(list_error(404, body).await, KandjiError::NoSuchTenant { .. }), "{body}");
        for status in [400, 415, 429, 500, 503] {
            let KandjiError::Call(error) = list_error(status, body).await else { panic!("{status} {body}") };
            assert_eq!(error.status(), Some(status));
            assert_eq!(error.is_transient(), status >= 429, "{status}");
        }
    }
}

#[tokio::test]
async fn a_refused_token_names_the_token_and_the_permission() {
    for status in [401, 403] {
        let text = list_error(status, "").await.to_string();
        assert!(text.contains("kandji.token") && text.contains("“Device list”"), "{text}");
        let stub = Stub::start(move |_, _| answer(status, "")).await;
        let error = stub.client().details(&DeviceId::new("d").unwrap()).await.unwrap_err();
        assert!(error.is_refusal(), "P22: unknown, not gone");
        assert!(error.to_string().contains("“Device details”"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_subdomain_or_region_is_named() {
    let text = list_error(404, "").await.to_string();
    assert!(text.contains("subdomain") && text.contains(".api.eu.kandji.io"), "{text}");
}

#[tokio::test]
async fn the_console_instead_of_the_api_is_named_with_the_cure() {
    let page = "<!DOCTYPE html><html><head><title>Kandji</title></head></html>";
    let error = list_error(200, page).await;
    assert!(matches!(error, KandjiError::NotTheApi { .. }), "{error:?}");
    assert!(error.to_string().contains("https://SUBDOMAIN.api.kandji.io"), "{error}");
    let stub = Stub::start(move |_, _| answer(200, page)).await;
    let (result, devices) = walk(&stub.client()).await;
    assert!(matches!(result, Err(KandjiError::NotTheApi { .. })) && devices.is_empty());
    assert_eq!(stub.count(), 1, "not a thing to try again");
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let other = Stub::start(|_, _| json_answer(&json!([]))).await;
    let location = other.base.to_string();
    let stub = Stub::start(move |_, _| {
        Response::builder().status(302).header("location", &location).body(Body::empty()).unwrap()
    })
    .await;
    let error = stub.client().devices(0).await.unwrap_err();
    assert!(matches!(error, KandjiError::NotTheApi { .. }), "{error:?}");
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn an_envelope_instead_of_a_list_is_an_error_not_an_empty_fleet() {
    for body in [r#"{"results": [], "next": null}"#, "{}", "null", "\"\"", "0"] {
        let error = list_error(200, body).await;
        assert!(matches!(error, KandjiError::Unexpected { .. }), "{body}: {error:?}");
    }
    let text = list_error(200, r#"{"results": []}"#).await.to_string();
    assert!(text.contains("“results”") && text.contains("kandji.api_url"), "{text}");
}

#[tokio::test]
async fn an_empty_or_truncated_answer_is_an_error_not_an_empty_fleet() {
    for body in ["", " ", "[", r#"[{"device_id": "a"}"#] {
        let error = list_error(200, body).await;
        assert!(matches!(error, KandjiError::Call(CallError::NotJson { .. })), "{body:?}: {error:?}");
    }
}

#[tokio::test]
async fn p27_no_error_gives_the_token_away() {
    let body = r#"{"detail": "token 5d3f0c1e-token is bad", "sent": "Bearer 5d3f0c1e-token"}"#;
    for status in [200, 400, 401, 403, 404, 500] {
        let error = list_error(status, body).await;
        assert!(!format!("{error} {error:?}").contains("5d3f0c1e"), "{error:?}");
    }
    let stub = Stub::start(|_, _| answer(200, "")).await;
    assert!(!format!("{:?}", stub.client()).contains("5d3f0c1e"));
}

#[tokio::test]
async fn a_link_header_of_none_is_not_followed() {
    let rows = fleet(2);
    let stub = Stub::start(move |_, target| {
        let mut response = page(&rows, target, 300);
        response.headers_mut().insert("link", "<None>; rel=\"next\"".parse().unwrap());
        response
    })
    .await;
    let (summary, devices) = walk(&stub.client()).await;
    assert_eq!((summary.unwrap().pages, devices.len()), (2, 2));
    assert!(stub.seen.lock().iter().all(|seen| seen.target.starts_with("/api/v1/devices?")));
}

// ---- Trying again -----------------------------------------------------------------------------

#[tokio::test]
async fn a_page_that_fails_is_tried_again_and_nothing_is_read_twice() {
    let rows = fleet(310);
    for status in [408, 429, 500, 502, 503] {
        let rows = rows.clone();
        let stub = Stub::start(move |n, target| match n {
            1 => Response::builder().status(status).header("retry-after", "0").body(Body::empty()).unwrap(),
            _ => page(&rows, target, 300),
        })
        .await;
        let (summary, devices) = walk(&stub.client()).await;
        assert_eq!((summary.unwrap().pages, devices.len(), stub.count()), (3, 310, 4), "{status}");
    }
}

#[tokio::test]
async fn a_page_is_given_up_in_time_and_says_why() {
    let stub = Stub::start(|_, _| answer(503, "maintenance")).await;
    let brief =
        Policy::try_new(Duration::from_millis(1), Duration::from_millis(10), Duration::from_millis(50))
            .unwrap();
    let error = stub
        .client()
        .walk(Begin::default(), &brief, &CancellationToken::new(), |_| Ok(()), |_| {})
        .await
        .unwrap_err();
    assert!(matches!(error, KandjiError::GaveUp { .. }), "{error:?}");
    assert!(error.to_string().contains("503") && error.to_string().contains("maintenance"), "{error}");
}

#[tokio::test]
async fn a_429_pauses_every_request_of_the_tenant_for_as_long_as_asked() {
    let stub = Stub::start(|n, _| match n {
        0 => Response::builder().status(429).header("retry-after", "1").body(Body::empty()).unwrap(),
        _ => answer(404, ""),
    })
    .await;
    let client = stub.client();
    assert!(client.details(&DeviceId::new("a").unwrap()).await.is_err());
    let started = tokio::time::Instant::now();
    assert_eq!(client.clone().details(&DeviceId::new("b").unwrap()).await.unwrap(), None);
    assert!(started.elapsed() >= Duration::from_millis(950), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_known_not_to_have_been_asked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = client(&base, 6000).devices(0).await.unwrap_err();
    assert!(matches!(error, KandjiError::Call(CallError::NotSent { .. })), "{error:?}");
}

// ---- Details and the budget -------------------------------------------------------------------

#[tokio::test]
async fn a_device_that_is_gone_is_none_and_the_others_go_on() {
    let stub = Stub::start(|_, target| {
        if target.contains("/gone/") {
            answer(404, r#"{"detail": "Not found."}"#)
        } else {
            json_answer(&json!({"general": {}}))
        }
    })
    .await;
    let client = stub.client();
    assert_eq!(client.details(&DeviceId::new("gone").unwrap()).await.unwrap(), None);
    assert!(client.details(&DeviceId::new("here").unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn details_that_are_no_object_are_an_error() {
    let stub = Stub::start(|_, _| json_answer(&json!([]))).await;
    let error = stub.client().details(&DeviceId::new("d").unwrap()).await.unwrap_err();
    assert!(matches!(error, KandjiError::Unexpected { .. }), "{error:?}");
}

#[tokio::test]
async fn details_stop_at_the_share_of_the_hour_without_asking_kandji() {
    let stub = Stub::start(|_, _| json_answer(&json!({}))).await;
    let client = client(&stub.base, 2);
    let device = DeviceId::new("d").unwrap();
    for _ in 0..2 {
        client.details(&device).await.unwrap();
    }
    let error = client.details(&device).await.unwrap_err();
    assert!(matches!(error, KandjiError::BudgetSpent { .. }), "{error:?}");
    assert!(error.to_string().contains("kandji.requests_per_hour"), "{error}");
    assert_eq!((stub.count(), client.limits().available()), (2, 0));
    assert_eq!(client.limits().ledger().iter().map(|(_, count)| count).sum::<u32>(), 2);
}

#[tokio::test]
async fn the_tenants_own_count_stops_details_too() {
    let stub = Stub::start(|_, _| {
        Response::builder().header("X-RateLimit-Remaining-Hour", "0").body(Body::from("{}")).unwrap()
    })
    .await;
    let client = stub.client();
    let device = DeviceId::new("d").unwrap();
    client.details(&device).await.unwrap();
    let error = client.details(&device).await.unwrap_err();
    assert!(matches!(error, KandjiError::BudgetSpent { .. }), "{error:?}");
}

#[tokio::test]
async fn no_second_sees_more_than_fifty_requests() {
    let stub = Stub::start(|_, _| json_answer(&json!({}))).await;
    let client = stub.client();
    let device = DeviceId::new("d").unwrap();
    let started = tokio::time::Instant::now();
    futures::future::try_join_all((0..70).map(|_| client.details(&device))).await.unwrap();
    // 4 at once, then 45 a second.
    assert!(started.elapsed() >= Duration::from_millis(1400), "{:?}", started.elapsed());
}

// ---- Odd rows and odd answers (P30) -----------------------------------------------------------

#[tokio::test]
async fn p30_one_broken_row_costs_neither_its_page_nor_its_neighbours() {
    let good = json!({"device_id": "good", "device_name": "Mac", "user": ""}).to_string();
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    let broken: [(Vec<u8>, &str); 6] = [
        (br#"{"device_id":"odd","device_name":"a\ud800b"}"#.to_vec(), "odd"),
        (b"{\"device_id\":\"odd\",\"device_name\":\"a\xffb\"}".to_vec(), "odd"),
        (br#"{"device_id":"odd","device_name":"a\u0000b"}"#.to_vec(), "odd"),
        (format!(r#"{{"device_id":"odd","deep":{deep},"large":1e999,"nan":NaN}}"#).into_bytes(), "odd"),
        (br#"{"device_id":"first","device_id":"odd"}"#.to_vec(), "odd"),
        (b"\"no device\"".to_vec(), ""),
    ];
    for (row, id) in broken {
        let body = [b"[".as_slice(), good.as_bytes(), b",", &row, b",", good.as_bytes(), b"]"].concat();
        let shown = String::from_utf8_lossy(&row).chars().take(60).collect::<String>();
        let stub = Stub::start(move |_, _| answer(200, body.clone())).await;
        let page = stub.client().devices(0).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        let ids: Vec<&str> = page.devices.iter().map(|device| device.device_id.as_str()).collect();
        let expected = if id.is_empty() { vec!["good", "good"] } else { vec!["good", id, "good"] };
        assert_eq!((ids, page.rows), (expected, 3), "{shown}");
        assert_eq!(page.malformed.len(), usize::from(id.is_empty()), "{shown}");
        if shown.contains("device_name") {
            assert!(page.devices[1].name.as_deref().is_some_and(|name| name.contains('\u{fffd}')), "{shown}");
            assert_eq!(page.odd.len(), 1, "{shown}: {:?}", page.odd);
        }
    }
}

#[tokio::test]
async fn p22_only_kandjis_own_404_says_that_a_device_is_gone() {
    let device = DeviceId::new("d").unwrap();
    for body in ["", r#"{"detail": "Not found."}"#, r#"["gone"]"#, r#""gone""#] {
        let stub = Stub::start(move |_, _| answer(404, body)).await;
        assert_eq!(stub.client().details(&device).await.unwrap(), None, "{body}");
    }
    let stub = Stub::start(|_, _| answer(404, "<html><title>nginx</title></html>")).await;
    assert!(stub.client().details(&device).await.is_err(), "a page of something in between");
}

#[tokio::test]
async fn p2_a_first_page_that_was_read_is_not_read_again() {
    let fleet = fleet(450);
    let rows = fleet.clone();
    let stub = Stub::start(move |_, target| page(&rows, target, 300)).await;
    let client = stub.client();
    let first = client.page(0, &policy(), &CancellationToken::new()).await.unwrap();
    let begin = Begin { first: Some(first), ..Begin::default() };
    let walked = client.walk(begin, &policy(), &CancellationToken::new(), |_| Ok(()), |_| {}).await.unwrap();
    assert_eq!((walked.devices(), walked.pages, stub.count()), (450, 3, 3));
}

proptest::proptest! {
    /// P30: whatever one row is, it neither ends the walk nor costs its neighbours.
    #[test]
    fn p30_no_row_costs_its_neighbours(odd in any_json()) {
        let rows = json!([{"device_id": "one"}, odd, {"device_id": "two"}]).to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let read = runtime.block_on(async {
            let stub = Stub::start(move |_, _| answer(200, rows.clone())).await;
            stub.client().devices(0).await.unwrap()
        });
        proptest::prop_assert_eq!(read.devices.len() + read.malformed.len(), 3);
        proptest::prop_assert_eq!(read.devices.first().unwrap().device_id.as_str(), "one");
        proptest::prop_assert_eq!(read.devices.last().unwrap().device_id.as_str(), "two");
    }
}

fn any_json() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![
            Just("device_id".to_owned()),
            Just("user".to_owned()),
            Just("tags".to_owned()),
            Just("id".to_owned()),
            ".{0,4}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
