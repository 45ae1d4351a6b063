//! Services that were invented for the tests: each as its vendor would describe it in `tests/fixtures/interfaces`, and made from
//! that description alone. None knows of profiles, nor of the simulated AMFJ, so that what one of them understands is not only
//! our own idea of a server.

mod fleetbox;
mod inventar;
mod stockroom;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request};
use axum::http::HeaderMap;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use fleetbox::Fleetbox;
pub use inventar::Inventar;
pub use stockroom::Stockroom;

const LARGEST_BODY: usize = 1 << 20;

/// A file of an interface, for instance its description.
#[must_use]
pub fn fixture(interface: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/interfaces").join(interface).join(name)
}

/// One request.
#[derive(Debug)]
pub struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    text: String,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The body as JSON; null where it is none.
    fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// One answer; without a body where it has none.
#[derive(Debug)]
pub struct Answered {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Answered {
    fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What an invented service does.
pub trait Service: Send + 'static {
    /// Answers a request.
    fn hear(&mut self, asked: &Asked) -> Answered;
}

/// An invented service on loopback. It ends when this is dropped.
#[derive(Debug)]
pub struct Served<S> {
    service: Arc<Mutex<S>>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl<S: Service> Served<S> {
    /// Serves it on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(service: S) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(Mutex::new(service));
        let own = Arc::clone(&service);
        let app = Router::new().fallback(move |request: Request| handle(Arc::clone(&own), request));
        let task = tokio::spawn(async move {
            // `serve` retries what fails in accepting and never returns by itself.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { service, address, task })
    }

    /// Its address with a path behind it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it holds; it answers nobody meanwhile.
    pub fn with<R>(&self, look: impl FnOnce(&mut S) -> R) -> R {
        look(&mut self.service.lock())
    }
}

impl<S> Drop for Served<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The number of the next record.
fn next<T>(records: &BTreeMap<u64, T>) -> u64 {
    records.keys().next_back().map_or(1, |last| last + 1)
}

async fn handle<S: Service>(service: Arc<Mutex<S>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri).map(|query| query.0);
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query.unwrap_or_default(),
        headers: parts.headers,
        text: String::from_utf8_lossy(&body).into_owned(),
    };
    let answered = service.lock().hear(&asked);
    let mut response = Response::builder().status(answered.status);
    for (name, value) in answered.headers {
        response = response.header(name, value);
    }
    let body = match answered.body {
        Some(body) => {
            response = response.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    response.body(body).unwrap_or_default()
}
