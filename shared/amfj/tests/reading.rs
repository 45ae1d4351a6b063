//! The AMFJ client against sites whose lists lie, whose rows are odd, and whose tokens change (P8, P30, P35).
#![expect(clippy::disallowed_methods, reason = "it writes what it made up")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its stub has failed")]

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::client::{AmfjClient, AssetPatch};
use amfj_sync_backoff::{Policy, Stopped};
use amfj_sync_config::{self as config, Tokens};
use amfj_sync_http::{CallError, Limiter, SecretString};
use amfj_sync_model::ids::AssetId;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

struct Stub {
    base: url::Url,
    /// Method, target and token of each request.
    seen: Arc<Mutex<Vec<(String, String, String)>>>,
}

impl Stub {
    async fn start(answer: impl Fn(&str, &str) -> (u16, Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (method, target) = (request.method().to_string(), request.uri().to_string());
            let token =
                request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let token = token.unwrap_or_default().replace("Bearer ", "");
            log.lock().push((method, target.clone(), token.clone()));
            let (status, body) = answer(&target, &token);
            std::future::ready(Response::builder().status(status).body(Body::from(body)).unwrap())
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, seen }
    }

    async fn always(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::start(move |_, _| (status, body.clone())).await
    }

    fn client(&self) -> AmfjClient {
        let token = SecretString::from("7c0ffee1-token");
        AmfjClient::new(self.base.clone(), token, Duration::from_secs(2), Limiter::new(100_000.0)).unwrap()
    }
}

fn policy() -> Policy {
    Policy::try_new(Duration::from_millis(1), Duration::from_millis(5), Duration::from_millis(20)).unwrap()
}

fn cursor_of(target: &str) -> Option<String> {
    target.split_once("cursor=").map(|(_, cursor)| cursor.split('&').next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn p8_only_amfjs_own_word_says_that_an_asset_is_gone() {
    let id = AssetId::new("a1").unwrap();
    let own = json!({"error": {"code": "not_found", "message": "no such asset"}}).to_string();
    for status in [404, 410] {
        let stub = Stub::always(status, own.clone()).await;
        assert_eq!(stub.client().asset(&id).await, Ok(None), "{status}");
        for other in ["", "<html><title>no route</title></html>", "no such host", "404"] {
            let stub = Stub::always(status, other).await;
            let error = stub.client().asset(&id).await.unwrap_err();
            assert!(!error.is_not_found() && error.status() == Some(status), "{other}: {error}");
        }
    }
    for (status, body) in [(403, own.as_str()), (200, ""), (200, "[]"), (200, "<html>"), (500, ""), (204, "")]
    {
        let stub = Stub::always(status, body).await;
        assert!(stub.client().asset(&id).await.is_err(), "{status} {body}");
    }
}

#[tokio::test]
async fn p30_an_odd_row_costs_neither_its_page_nor_its_neighbours() {
    let rows = json!([
        {"id": 1, "name": null, "fields": null, "asset_type": {"id": 3}, "created_at": "yesterday"},
        {"id": "a2", "name": "Good", "asset_type": {"id": "t", "name": "Laptop"}},
        {"name": "No id"}, 7
    ]);
    let stub = Stub::always(200, json!({"results": rows, "next_cursor": null}).to_string()).await;
    let page = stub.client().assets_page(None).await.unwrap();
    let ids: Vec<&str> = page.results.iter().map(|asset| asset.id.as_str()).collect();
    assert_eq!((ids, page.rows, page.lost.len(), page.odd.len()), (vec!["1", "a2"], 4, 2, 1));
    assert!(page.lost[0].to_string().contains("No id"), "{:?}", page.lost);
    // Whoever looks before creating must not take what cannot be read for nothing.
    let error = stub.client().find_assets_by_name("No id").await.unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
}

#[tokio::test]
async fn a_list_that_goes_round_or_never_ends_is_an_error() {
    let round = |target: &str| match cursor_of(target).as_deref() {
        None | Some("b") => "a",
        Some(_) => "b",
    };
    let stub = Stub::start(move |target, _| {
        (200, json!({"results": [], "next_cursor": round(target)}).to_string().into_bytes())
    })
    .await;
    let client = stub.client();
    let walked = client.all_users(&policy(), &CancellationToken::new(), &mut |_| {}).await;
    assert!(matches!(&walked, Err(Stopped::Failed(CallError::NotJson { .. }))), "{walked:?}");
    assert!(client.find_users_by_email("sam@example.com").await.is_err());
    assert!(client.locations().await.is_err());
    assert_eq!(stub.seen.lock().len(), 9, "each was left at the third page");
    let stub = Stub::start(|target, _| {
        let next = cursor_of(target).and_then(|cursor| cursor.parse::<u64>().ok()).unwrap_or(0) + 1;
        (200, json!({"results": [], "next_cursor": next}).to_string().into_bytes())
    })
    .await;
    let walked = stub.client().all_assets(&policy(), &CancellationToken::new(), &mut |_| {}).await;
    assert!(walked.is_err() && stub.seen.lock().len() <= 100, "{walked:?}");
}

/// A client as the configuration describes it, with its token in this file.
fn configured(base: &url::Url, file: &std::path::Path) -> AmfjClient {
    let text = format!(
        "[broker]\nurl = \"amqp://guest:guest@127.0.0.1:5672/%2f\"\n[[integration]]\nid = \"acme\"\nmode = \"plan\"\n\
         [integration.kandji]\napi_url = \"https://acme.api.kandji.io\"\ntoken = {{ env = \"TOKEN\" }}\n\
         [integration.amfj]\napi_url = \"{base}\"\ntoken = {{ file = \"{}\" }}\n\
         [integration.sync]\ndefault_asset_type = \"Laptop\"\n",
        file.display()
    );
    let variables = [("TOKEN".to_owned(), "secret".to_owned())].into();
    let loaded = config::parse(std::path::Path::new("amfj-sync.toml"), text, &variables, Tokens::Both);
    let config = loaded.unwrap_or_else(|errors| panic!("{errors}")).config;
    AmfjClient::from_config(&config.integrations[0].amfj, Limiter::new(100_000.0)).unwrap()
}

#[tokio::test]
async fn p35_a_refused_read_is_sent_again_with_the_token_that_is_in_the_file_by_now() {
    let accepted = Arc::new(Mutex::new("old-token".to_owned()));
    let now = accepted.clone();
    let stub = Stub::start(move |target, token| {
        let is_read = target.contains("asset-types");
        match (token == *now.lock(), is_read) {
            (true, true) => (200, json!({"results": []}).to_string().into_bytes()),
            (true, false) => {
                let asset = json!({
                    "id": "a1", "name": "Mac", "asset_type": {"id": "t"}, "fields": {}, "checked_out_to": null
                });
                (200, asset.to_string().into_bytes())
            }
            (false, _) => (401, format!("who is {token}? not old-token").into_bytes()),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old-token").unwrap();
    let client = configured(&stub.base, &file);
    client.asset_types().await.unwrap();
    *accepted.lock() = "new-token".to_owned();
    // The file is not written yet: a refusal, without a second request.
    client.asset_types().await.unwrap_err();
    std::fs::write(&file, "new-token\n").unwrap();
    client.asset_types().await.unwrap();
    let tokens: Vec<String> = stub.seen.lock().iter().map(|(.., token)| token.clone()).collect();
    assert_eq!(tokens, ["old-token", "old-token", "old-token", "new-token"]);
    // A write is not sent twice, and leaves the new token in use.
    *accepted.lock() = "third-token".to_owned();
    std::fs::write(&file, "third-token").unwrap();
    let id = AssetId::new("a1").unwrap();
    let error = client.check_in(&id, None).await.unwrap_err().to_string();
    assert!(!error.contains("old-token") && !error.contains("new-token"), "P27: {error}");
    client.check_in(&id, None).await.unwrap();
    let writes = stub.seen.lock().iter().filter(|(method, ..)| method == "POST").count();
    assert_eq!(writes, 2);
}

#[tokio::test]
async fn answers_to_writes_are_read_as_far_as_they_go() {
    let body =
        json!({"id": 17, "name": "x", "fields": null, "asset_type": {"id": 3}, "created_at": "2026-01-01"});
    let stub = Stub::always(200, body.to_string()).await;
    let id = AssetId::new("17").unwrap();
    let patched = stub.client().update_asset(&id, &AssetPatch::default()).await.unwrap();
    assert_eq!((patched.id, patched.created_at), (id, None));
    let stub = Stub::always(200, Value::Null.to_string()).await;
    assert!(stub.client().update_asset(&AssetId::new("17").unwrap(), &AssetPatch::default()).await.is_err());
}
