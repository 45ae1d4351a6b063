//! A service that answers as a test says, and clients of it under a profile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_amfj::profile::parse;
use amfj_sync_config::{self as config, Config, Tokens};
use amfj_sync_http::{Limiter, SecretString};
use amfj_sync_model::ids::{AssetId, RecordId};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::Value;

pub(crate) const TOKEN: &str = "7c0ffee1-token";

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn is(&self, method: &str, target: &str) -> bool {
        self.method == method && self.target == target
    }
}

pub(crate) struct Stub {
    pub(crate) base: url::Url,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/api", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (log, answer) = (log.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let text = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
                    (name.to_string(), value.to_str().unwrap().to_owned())
                };
                let seen = Seen {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    headers: head.headers.iter().map(text).collect(),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                    text: String::from_utf8_lossy(&body).into_owned(),
                };
                log.lock().push(seen.clone());
                answer(&seen)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, seen }
    }

    pub(crate) fn config(&self, dialect: &str, more: &str) -> Config {
        let profile = format!("{}/../../tests/profiles/{dialect}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = format!(
            "[[integration]]\nid = \"acme\"\nmode = \"apply\"\n\
             [integration.kandji]\napi_url = \"https://acme.api.kandji.io\"\ntoken = {{ env = \"T\" }}\n\
             [integration.amfj]\napi_url = \"{}\"\ntoken = {{ env = \"T\" }}\nprofile = \"{profile}\"\nclient_id = \"c1\"\n\
             request_timeout = \"700ms\"\n{more}\n\
             [integration.sync]\ndefault_asset_type = \"Laptop\"\n",
            self.base
        );
        let variables = BTreeMap::from([("T".to_owned(), TOKEN.to_owned())]);
        config::parse("amfj-sync.toml".as_ref(), text, &variables, Tokens::Both)
            .unwrap_or_else(|e| panic!("{e}"))
            .config
    }

    pub(crate) fn client(&self, dialect: &str) -> AmfjClient {
        let config = self.config(dialect, "");
        AmfjClient::from_config(&config.integrations[0].amfj, Limiter::new(1000.0)).unwrap()
    }

    pub(crate) fn writes(&self) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| seen.method != "GET").cloned().collect()
    }
}

pub(crate) fn answer(status: u16, body: &Value) -> Response {
    Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
}

pub(crate) fn empty(status: u16) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

pub(crate) fn id(text: &str) -> AssetId {
    AssetId::new(text).unwrap()
}

pub(crate) fn record(text: &str) -> RecordId {
    RecordId::new(text).unwrap()
}

pub(crate) fn fields<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The text of a dialect's profile.
pub(crate) fn profile(dialect: &str) -> String {
    let path = format!("{}/../../tests/profiles/{dialect}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// A client under a profile that a test wrote itself.
pub(crate) fn under(stub: &Stub, text: &str) -> AmfjClient {
    let profile = parse("amfj.toml".as_ref(), text).unwrap_or_else(|errors| panic!("{errors}"));
    let (token, timeout) = (SecretString::from(TOKEN), Duration::from_secs(1));
    AmfjClient::with_profile(stub.base.clone(), token, timeout, Limiter::new(1e4), Arc::new(profile)).unwrap()
}
