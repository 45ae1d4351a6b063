//! The AMFJ client against stubs of the assumed contract: what is sent, what is understood, and what
//! is known after a failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its stub has failed")]
#![expect(clippy::disallowed_methods, reason = "a date in HTTP is one of the clock of the system")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::client::{AmfjClient, AssetPatch, Assigned, NewAsset, NewUser, UserPatch};
use amfj_sync_amfj::profile;
use amfj_sync_backoff::{Policy, Stopped};
use amfj_sync_http::{Answered, CallError, Limiter, SecretString};
use amfj_sync_model::amfj::{Asset, FieldType, Source};
use amfj_sync_model::ids::{AssetId, RecordId};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "7c0ffee1-token";

#[derive(Clone, Debug)]
struct Seen {
    method: String,
    target: String,
    authorization: Option<String>,
    custom: Option<String>,
    body: Value,
}

struct Stub {
    base: url::Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    async fn start(answer: impl Fn(usize, &Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (log, answer) = (log.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let header = |name: &str| head.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
                let seen = Seen {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    authorization: header("authorization"),
                    custom: header("x-api-key"),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                };
                let number = {
                    let mut log = log.lock();
                    log.push(seen.clone());
                    log.len() - 1
                };
                answer(number, &seen)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, seen }
    }

    /// A stub that always answers the same.
    async fn always(status: u16, body: Value) -> Self {
        Self::start(move |_, _| answer(status, body.to_string())).await
    }

    fn client(&self) -> AmfjClient {
        client(&self.base)
    }

    fn only(&self) -> Seen {
        let seen = self.seen.lock();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

fn client(base: &url::Url) -> AmfjClient {
    let timeout = Duration::from_millis(700);
    AmfjClient::new(base.clone(), SecretString::from(TOKEN), timeout, Limiter::new(1000.0)).unwrap()
}

fn answer(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn asset(id: &str) -> Value {
    json!({
        "id": id, "name": "Sam’s Mac", "asset_type": {"id": "t1", "name": "Laptop"},
        "location": null, "fields": {"Memory": "8 GB"}, "checked_out_to": {"id": "u1", "name": "Sam"},
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "unknown": 1
    })
}

fn user(id: &str) -> Value {
    json!({"id": id, "name": "Sam", "email": null, "source": "local"})
}

fn asset_id() -> AssetId {
    AssetId::new("a/1").unwrap()
}

fn record_id() -> RecordId {
    RecordId::new("u 1").unwrap()
}

fn policy() -> Policy {
    Policy::try_new(Duration::from_millis(1), Duration::from_millis(5), Duration::from_secs(5)).unwrap()
}

// ---- What is sent -----------------------------------------------------------------------------

#[tokio::test]
async fn an_asset_is_created_with_the_contracts_members_only() {
    let stub = Stub::always(201, asset("a1")).await;
    let fields = BTreeMap::from([("Memory".to_owned(), json!("8 GB"))]);
    let new = NewAsset {
        name: "Sam’s Mac".to_owned(),
        asset_type_id: "t1".to_owned(),
        location_id: Some("l1".to_owned()),
        fields,
    };
    let created = stub.client().create_asset(&new).await.unwrap();
    assert_eq!(created.id.as_str(), "a1");
    assert_eq!(created.checked_out_to.unwrap().id.as_str(), "u1");
    let seen = stub.only();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/assets"));
    assert_eq!(seen.authorization, Some(format!("Bearer {TOKEN}")));
    assert_eq!(
        seen.body,
        json!({"name": "Sam’s Mac", "asset_type_id": "t1", "location_id": "l1", "fields": {"Memory": "8 GB"}})
    );
}

#[tokio::test]
async fn what_is_not_set_is_not_sent() {
    let stub = Stub::always(201, asset("a1")).await;
    let new = NewAsset {
        name: "n".to_owned(),
        asset_type_id: "t".to_owned(),
        location_id: None,
        fields: BTreeMap::new(),
    };
    stub.client().create_asset(&new).await.unwrap();
    assert_eq!(stub.only().body, json!({"name": "n", "asset_type_id": "t"}));
}

#[tokio::test]
async fn p13_an_update_sends_the_changed_fields_only_and_null_clears() {
    let stub = Stub::always(200, asset("a/1")).await;
    let patch =
        AssetPatch { fields: BTreeMap::from([("Memory".to_owned(), Value::Null)]), ..AssetPatch::default() };
    assert!(AssetPatch::default().is_empty() && !patch.is_empty());
    stub.client().update_asset(&asset_id(), &patch).await.unwrap();
    let seen = stub.only();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PATCH", "/v1/assets/a%2F1"));
    assert_eq!(seen.body, json!({"fields": {"Memory": null}}));
}

#[tokio::test]
async fn check_out_and_check_in_are_sent_as_the_contract_says() {
    let stub = Stub::always(200, asset("a/1")).await;
    let client = stub.client();
    let done = client.check_out(&asset_id(), &record_id(), Some("by amfj-sync")).await.unwrap();
    assert!(matches!(done, Assigned::Done(asset) if asset.id.as_str() == "a/1"));
    client.check_in(&asset_id(), None).await.unwrap();
    let seen = stub.seen.lock().clone();
    assert_eq!(seen[0].target, "/v1/assets/a%2F1/check-out");
    assert_eq!(seen[0].body, json!({"user_id": "u 1", "note": "by amfj-sync"}));
    assert_eq!((seen[1].target.as_str(), &seen[1].body), ("/v1/assets/a%2F1/check-in", &json!({})));
}

#[tokio::test]
async fn users_are_created_and_updated_as_the_contract_says() {
    let stub = Stub::always(200, user("u 1")).await;
    let client = stub.client();
    let new = NewUser {
        name: "Sam".to_owned(),
        email: Some("sam@example.com".to_owned()),
        fields: BTreeMap::new(),
    };
    let record = client.create_user(&new).await.unwrap();
    assert_eq!((record.source, record.email), (Source::Local, None));
    let patch = UserPatch { name: Some("Samira".to_owned()), ..UserPatch::default() };
    client.update_user(&record_id(), &patch).await.unwrap();
    let seen = stub.seen.lock().clone();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/v1/users"));
    assert_eq!(seen[0].body, json!({"name": "Sam", "email": "sam@example.com"}));
    assert_eq!((seen[1].method.as_str(), seen[1].target.as_str()), ("PATCH", "/v1/users/u%201"));
    assert_eq!(seen[1].body, json!({"name": "Samira"}));
}

#[tokio::test]
async fn paths_and_header_are_those_of_the_profile() {
    let stub = Stub::always(200, asset("a/1")).await;
    let text = profile::show("assumed-v1").unwrap();
    let text = text.replace("Authorization = \"Bearer {{ token }}\"", "X-Api-Key = \"{{ token }}\"");
    let text = text.replace("path = \"assets", "path = \"/inventory/items");
    let profile = profile::parse("amfj.toml".as_ref(), &text).unwrap_or_else(|errors| panic!("{errors}"));
    let token = SecretString::from(TOKEN);
    let limiter = Limiter::new(100.0);
    let client = AmfjClient::with_profile(
        stub.base.clone(),
        token,
        Duration::from_secs(1),
        limiter,
        Arc::new(profile),
    )
    .unwrap();
    client.check_in(&asset_id(), None).await.unwrap();
    let seen = stub.only();
    assert_eq!(seen.target, "/v1/inventory/items/a%2F1/check-in");
    assert_eq!((seen.custom.as_deref(), seen.authorization), (Some(TOKEN), None));
}

#[tokio::test]
async fn a_base_address_with_a_trailing_slash_is_the_same() {
    let stub = Stub::always(200, asset("a1")).await;
    let base = format!("{}/", stub.base).parse().unwrap();
    client(&base).asset(&asset_id()).await.unwrap();
    assert_eq!(stub.only().target, "/v1/assets/a%2F1");
}

// ---- Lists ------------------------------------------------------------------------------------

fn pages(seen: &Seen) -> Response {
    let body = match seen.target.rsplit_once("cursor=").map(|(_, cursor)| cursor) {
        None => json!({"results": [asset("a1"), asset("a2")], "next_cursor": "c/1=="}),
        Some("c%2F1%3D%3D") => json!({"results": [asset("a3")], "next_cursor": "c2"}),
        Some("c2") => json!({"results": [], "next_cursor": null}),
        Some(other) => panic!("cursor {other}"),
    };
    answer(200, body.to_string())
}

async fn all_assets(client: &AmfjClient) -> (Result<u64, Stopped<CallError>>, Vec<String>) {
    let mut ids = Vec::new();
    let mut sink = |assets: Vec<Asset>| ids.extend(assets.into_iter().map(|a| a.id.to_string()));
    let result = client.all_assets(&policy(), &CancellationToken::new(), &mut sink).await;
    (result, ids)
}

#[tokio::test]
async fn a_list_is_walked_to_the_null_cursor() {
    let stub = Stub::start(|_, seen| pages(seen)).await;
    let (count, ids) = all_assets(&stub.client()).await;
    assert_eq!((count, ids), (Ok(3), vec!["a1".to_owned(), "a2".to_owned(), "a3".to_owned()]));
    assert_eq!(stub.seen.lock()[0].target, "/v1/assets?limit=100");
    assert_eq!(stub.seen.lock()[1].target, "/v1/assets?limit=100&cursor=c%2F1%3D%3D");
}

#[tokio::test]
async fn a_page_that_fails_is_read_again_without_repeating_the_others() {
    let stub = Stub::start(|n, seen| if n == 1 { answer(503, "busy") } else { pages(seen) }).await;
    let (count, ids) = all_assets(&stub.client()).await;
    assert_eq!((count, ids.len(), stub.seen.lock().len()), (Ok(3), 3, 4));
}

#[tokio::test]
async fn a_walk_can_run_as_a_task_and_be_cancelled_during_a_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: url::Url = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    let cancel = CancellationToken::new();
    let walking = tokio::spawn({
        let cancel = cancel.clone();
        async move { client(&base).all_users(&policy(), &cancel, &mut |_| {}).await }
    });
    let (_connection, _) = listener.accept().await.unwrap();
    cancel.cancel();
    let result = tokio::time::timeout(Duration::from_millis(500), walking).await.unwrap().unwrap();
    assert_eq!(result, Err(Stopped::Cancelled));
}

#[tokio::test]
async fn a_cursor_that_comes_twice_ends_the_walk_with_an_error() {
    let stub = Stub::always(200, json!({"results": [], "next_cursor": "same"})).await;
    let (result, _) = all_assets(&stub.client()).await;
    let Err(Stopped::Failed(error)) = result else { panic!("{result:?}") };
    assert!(error.to_string().contains("never end"), "{error}");
    assert_eq!(stub.seen.lock().len(), 2);
}

#[tokio::test]
async fn searches_send_the_exact_text_and_read_every_page() {
    let stub = Stub::start(|_, seen| {
        let body = match (seen.target.starts_with("/v1/assets"), seen.target.contains("cursor=")) {
            (true, false) => json!({"results": [asset("a1")], "next_cursor": "n"}),
            (true, true) => json!({"results": [asset("a2")], "next_cursor": null}),
            (false, _) => json!({"results": [user("u1")], "next_cursor": ""}),
        };
        answer(200, body.to_string())
    })
    .await;
    let client = stub.client();
    assert_eq!(client.find_assets_by_name("Sam’s & Mac+1").await.unwrap().len(), 2);
    assert_eq!(client.find_users_by_email("sam+x@example.com").await.unwrap().len(), 1);
    let seen = stub.seen.lock().clone();
    let value = |n: usize| {
        let url: url::Url = format!("http://stub{}", seen[n].target).parse().unwrap();
        url.query_pairs().next().map(|(name, value)| (name.into_owned(), value.into_owned())).unwrap()
    };
    assert_eq!(value(0), ("name".to_owned(), "Sam’s & Mac+1".to_owned()));
    assert_eq!(value(2), ("email".to_owned(), "sam+x@example.com".to_owned()));
}

#[tokio::test]
async fn types_fields_and_locations_are_read() {
    let stub = Stub::start(|_, seen| {
        let field = json!({"name": "Memory", "type": "currency", "required": true});
        let body = match seen.target.as_str() {
            "/v1/asset-types" => json!({"results": [{"id": "t", "name": "Laptop", "fields": [field]}]}),
            "/v1/user-fields" => json!({"results": [field]}),
            "/v1/locations" => json!({"results": [{"id": "l", "name": "HQ"}]}),
            other => panic!("{other}"),
        };
        answer(200, body.to_string())
    })
    .await;
    let client = stub.client();
    let types = client.asset_types().await.unwrap().results;
    assert_eq!(types[0].fields[0].field_type, FieldType::Text, "an unknown type is text");
    assert!(client.user_fields().await.unwrap().results[0].required);
    assert_eq!(client.locations().await.unwrap().results[0].name, "HQ");
}

// ---- What is known after a failure ------------------------------------------------------------

#[tokio::test]
async fn an_asset_that_does_not_exist_is_none() {
    let stub = Stub::always(404, json!({"error": {"code": "not_found", "message": "no such asset"}})).await;
    assert_eq!(stub.client().asset(&asset_id()).await.unwrap(), None);
}

#[tokio::test]
async fn p21_a_conflict_is_a_case_of_its_own_not_an_error() {
    let stub = Stub::always(409, json!({"error": {"code": "conflict", "message": "held by Kim"}})).await;
    let client = stub.client();
    let Assigned::Conflict { reason } = client.check_out(&asset_id(), &record_id(), None).await.unwrap()
    else {
        panic!("done")
    };
    assert!(reason.contains("held by Kim"), "{reason}");
    assert!(matches!(client.check_in(&asset_id(), None).await.unwrap(), Assigned::Conflict { .. }));
}

#[tokio::test]
async fn p15_a_refused_value_names_its_field() {
    let body = json!({"error": {"code": "invalid", "message": "no number", "field": "Memory"}});
    let stub = Stub::always(422, body).await;
    let error = stub.client().update_asset(&asset_id(), &AssetPatch::default()).await.unwrap_err();
    assert_eq!(error.field(), Some("Memory"));
    assert!(error.to_string().contains("update asset") && error.to_string().contains("no number"), "{error}");
    assert!(!error.may_have_happened());
    assert_eq!(Answered::of(&error), Answered::Value { field: "Memory".to_owned() });
}

#[tokio::test]
async fn a_jira_user_refuses_changes_without_pausing_anything() {
    let stub = Stub::always(403, json!({"error": {"code": "forbidden", "message": "Jira user"}})).await;
    let error = stub.client().update_user(&record_id(), &UserPatch::default()).await.unwrap_err();
    assert_eq!(Answered::of(&error), Answered::Refused, "it is about the record, not about the token");
}

#[tokio::test]
async fn a_server_that_is_not_there_got_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = client(&base).asset(&asset_id()).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
    assert!(!error.may_have_happened() && error.is_transient());
    assert!(error.to_string().contains("nothing was sent"), "{error}");
}

/// Reads one request from a raw connection, then answers with these bytes and closes.
async fn raw(reply: &'static [u8], hold: Duration) -> url::Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(reply).await;
            tokio::time::sleep(hold).await;
        }
    });
    base
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_outcome_unknown() {
    let new = NewUser { name: "Sam".to_owned(), email: None, fields: BTreeMap::new() };
    for (what, reply, hold) in [
        ("closed without a word", &b""[..], Duration::ZERO),
        ("half a head", b"HTTP/1.1 201 Cre", Duration::ZERO),
        ("half a body", b"HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"id\": ", Duration::ZERO),
        ("silence", b"", Duration::from_secs(5)),
        (
            "silence in the body",
            b"HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{",
            Duration::from_secs(5),
        ),
    ] {
        let base = raw(reply, hold).await;
        let started = Instant::now();
        let error = client(&base).create_user(&new).await.unwrap_err();
        assert!(matches!(error, CallError::Unknown { .. }), "{what}: {error:?}");
        assert!(error.may_have_happened(), "{what}");
        assert!(matches!(Answered::of(&error), Answered::Failed), "{what}");
        assert!(started.elapsed() < Duration::from_secs(2), "{what}: no time-out");
    }
}

#[tokio::test]
async fn a_refusal_counts_even_if_its_explanation_was_cut_off() {
    let base = raw(b"HTTP/1.1 422 Unprocessable\r\ncontent-length: 500\r\n\r\n{\"err", Duration::ZERO).await;
    let error = client(&base).asset(&asset_id()).await.unwrap_err();
    assert_eq!(error.status(), Some(422));
}

#[tokio::test]
async fn a_5xx_after_a_write_leaves_the_outcome_unknown() {
    for status in [408, 500, 502, 503, 504] {
        let stub = Stub::always(status, json!({})).await;
        let error = stub.client().check_in(&asset_id(), None).await.unwrap_err();
        assert!(error.may_have_happened() && error.is_transient(), "{status}");
        assert_eq!(stub.seen.lock().len(), 1, "never repeated by the client");
    }
}

#[tokio::test]
async fn html_with_status_200_is_no_success() {
    let stub = Stub::start(|_, _| answer(200, "<html>maintenance</html>")).await;
    let error = stub.client().asset(&asset_id()).await.unwrap_err();
    assert!(matches!(error, CallError::NotJson { html: true, .. }), "{error:?}");
    assert!(error.to_string().contains("amfj.api_url is the address of the API"), "{error}");
    assert!(error.may_have_happened() && error.is_transient());
}

#[tokio::test]
async fn json_of_another_shape_is_no_success() {
    for body in ["", "{}", "[]", "null", r#"{"id": ""}"#] {
        let stub = Stub::start(move |_, _| answer(200, body)).await;
        let error = stub.client().asset(&asset_id()).await.unwrap_err();
        assert!(matches!(error, CallError::NotJson { html: false, .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let other = Stub::always(200, asset("a1")).await;
    let location = other.base.to_string();
    let stub = Stub::start(move |_, _| {
        Response::builder().status(307).header("location", &location).body(Body::empty()).unwrap()
    })
    .await;
    let error = stub.client().asset(&asset_id()).await.unwrap_err();
    assert!(error.to_string().contains("redirects are not followed"), "{error}");
    assert_eq!(Answered::of(&error), Answered::WrongAddress);
    assert!(other.seen.lock().is_empty());
}

#[tokio::test]
async fn a_429_pauses_all_requests_of_the_site() {
    let stub = Stub::start(|n, _| match n {
        0 => Response::builder().status(429).header("retry-after", "1").body(Body::empty()).unwrap(),
        _ => answer(200, asset("a1").to_string()),
    })
    .await;
    let client = stub.client();
    let error = client.asset(&asset_id()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert!(!error.may_have_happened());
    let started = Instant::now();
    client.clone().asset(&asset_id()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(950));
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let stub = Stub::start(|_, _| {
        let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(90));
        Response::builder().status(503).header("retry-after", date).body(Body::empty()).unwrap()
    })
    .await;
    let pause = stub.client().asset(&asset_id()).await.unwrap_err().retry_after().unwrap();
    assert!(pause > Duration::from_secs(80) && pause <= Duration::from_secs(90), "{pause:?}");
}

#[tokio::test]
async fn p27_neither_errors_nor_the_client_print_the_token() {
    let body = json!({"error": {"message": format!("unknown token {TOKEN}"), "field": "x"}});
    for status in [200, 401, 403, 422, 500] {
        let stub = Stub::always(status, body.clone()).await;
        let error = stub.client().asset(&asset_id()).await.unwrap_err();
        assert!(!format!("{error} {error:?} {:?}", stub.client()).contains("7c0ffee1"), "{error:?}");
    }
}

#[tokio::test]
async fn every_call_is_counted_by_operation_and_status() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let stub = Stub::start(|n, _| answer(if n == 0 { 503 } else { 200 }, asset("a1").to_string())).await;
    let client = stub.client();
    assert!(client.asset(&asset_id()).await.is_err());
    client.asset(&asset_id()).await.unwrap();
    let gone = raw(b"", Duration::ZERO).await;
    assert!(self::client(&gone).check_in(&asset_id(), None).await.is_err());
    let text = handle.render();
    for line in [
        r#"amfj_sync_api_requests_total{api="amfj",operation="read asset",status="503"} 1"#,
        r#"amfj_sync_api_requests_total{api="amfj",operation="read asset",status="200"} 1"#,
        r#"amfj_sync_api_requests_total{api="amfj",operation="check in",status="no_answer"} 1"#,
        r#"amfj_sync_api_request_duration_seconds_count{api="amfj",operation="read asset"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("7c0ffee1"), "P27");
}
