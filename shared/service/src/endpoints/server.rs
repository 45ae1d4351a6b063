//! `GET /healthz`, `/readyz`, `/metrics`, `/status` of a worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_telemetry::recorder;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::connections::{self, Bodies};
use super::hosts::{Hosts, check};
use super::pages;
use crate::status::{WorkerReport, Wrong, wrong_now};
use crate::systemd::keep_told;
use crate::worker::{Served, Worker};

/// What a worker tells about itself.
pub trait Health: Send + Sync + 'static {
    /// Everything that keeps it from working, one sentence each; empty when it is ready.
    fn not_ready(&self) -> Vec<String>;

    /// What it does at the moment, in short, for whoever asks all workers.
    fn report(&self) -> WorkerReport;

    /// Its state in detail.
    fn status(&self) -> Value;

    /// The worker that it is about.
    fn worker(&self) -> &Arc<Worker>;
}

/// The endpoints of one worker.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

struct Shared {
    health: Arc<dyn Health>,
    metrics: PrometheusHandle,
}

impl Server {
    /// Binds the address and serves until `stop`. Fails where the address cannot be bound.
    pub async fn start(
        listen: SocketAddr,
        health: Arc<dyn Health>,
        stop: CancellationToken,
    ) -> Result<Self, std::io::Error> {
        let role = health.report().role;
        let listener = tokio::net::TcpListener::bind(listen).await.map_err(|error| {
            let why = cannot_listen(listen, &format!("{role}.listen"), &error);
            std::io::Error::new(error.kind(), why)
        })?;
        let address = listener.local_addr()?;
        let hosts = Hosts::of(health.worker().config.serving(&role).map(|(_, serve)| serve));
        let served = Served { role, address, by_chance: listen.port() == 0 };
        // Only a worker that waited for its disk serves twice, as another one.
        drop(health.worker().served.set(served));
        let metrics = recorder()?;
        let upkeep = metrics.clone();
        let told = health.clone();
        let shared = Arc::new(Shared { health, metrics });
        let router = Router::new()
            .route("/healthz", get(alive))
            .route("/health", get(alive))
            .route("/readyz", get(ready))
            .route("/metrics", get(render_metrics))
            .route("/status", get(status))
            .layer(from_fn_with_state(hosts, check))
            .with_state(shared);
        let serving = tokio::spawn(connections::serve(listener, router, Bodies::Refused, stop.clone()));
        tokio::spawn(keep_told(told, stop.clone()));
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                tokio::time::sleep(Duration::from_secs(5)).await;
                upkeep.run_upkeep();
            }
        });
        tracing::info!(listen = %address, "health, metrics and status are served");
        Ok(Self { address, serving })
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits, after it was told to stop, until the address is free again.
    pub async fn ended_within(self, limit: Duration) {
        drop(tokio::time::timeout(limit, self.serving).await);
    }
}

/// Which address, why, and what to do; a port that is taken is most often that of another worker of the same kind.
pub(super) fn cannot_listen(listen: SocketAddr, setting: &str, error: &std::io::Error) -> String {
    let role = setting.split('.').next().unwrap_or_default();
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "cannot listen on {listen} ({setting}): the port is in use, most likely by another {role} that runs on this \
             machine. `amfj-sync status` shows those that run, `ss -ltnp 'sport = :{}'` who has the port. A second \
             {role} needs a port of its own: set {setting} = \"{}:0\" for any that is free, in its configuration or as \
             {}",
            listen.port(),
            host_of(listen),
            variable_of(setting)
        ),
        std::io::ErrorKind::PermissionDenied => format!(
            "cannot listen on {listen} ({setting}): ports below 1024 need more rights than this user has; set \
             {setting} to a port above"
        ),
        std::io::ErrorKind::AddrNotAvailable => format!(
            "cannot listen on {listen} ({setting}): this machine has no such address; set {setting} to one of its own, \
             or to 127.0.0.1:{} or 0.0.0.0:{}",
            listen.port(),
            listen.port()
        ),
        _ => format!("cannot listen on {listen} ({setting}): {error}; set another {setting}"),
    }
}

/// The environment variable that sets it.
fn variable_of(setting: &str) -> String {
    format!("AMFJ_SYNC__{}", setting.to_uppercase().replace('.', "__"))
}

fn host_of(listen: SocketAddr) -> String {
    match listen {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

impl Shared {
    fn wrong(&self) -> Vec<Wrong> {
        wrong_now(self.health.worker(), self.health.report())
    }
}

/// The process works; what else is wrong stands below.
async fn alive(State(shared): State<Arc<Shared>>) -> String {
    with_wrong("ok", &shared.wrong())
}

/// A service that fails does not make the worker less ready; what fails stands below.
async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let reasons = shared.health.not_ready();
    if reasons.is_empty() {
        (StatusCode::OK, with_wrong("ready", &shared.wrong()))
    } else {
        let reasons: Vec<String> = reasons.iter().map(|reason| pages::line(reason)).collect();
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n")))
    }
}

fn with_wrong(word: &str, wrong: &[Wrong]) -> String {
    let mut page = format!("{word}\n");
    for one in wrong {
        page.push_str(&pages::line(&one.line()));
        page.push('\n');
    }
    page
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let mut shown = shared.health.status();
    shown["wrong"] = serde_json::json!(shared.wrong());
    Json(pages::value(shown))
}

#[expect(clippy::disallowed_macros, reason = "it is true at the moment of asking alone")]
async fn render_metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let is_ready = shared.health.not_ready().is_empty();
    metrics::gauge!("amfj_sync_ready").set(f64::from(u8::from(is_ready)));
    let format = [("content-type", "text/plain; version=0.0.4; charset=utf-8")];
    (format, shared.metrics.render())
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_says_which_setting_why_and_what_to_do() {
        let table: [(&str, ErrorKind, &[&str]); 4] = [
            (
                "127.0.0.1:9466",
                ErrorKind::AddrInUse,
                &[
                    "127.0.0.1:9466",
                    "writer.listen",
                    "another writer",
                    "ss -ltnp 'sport = :9466'",
                    "127.0.0.1:0",
                ],
            ),
            ("[::1]:9466", ErrorKind::AddrInUse, &["[::1]:9466", "\"[::1]:0\"", "AMFJ_SYNC__WRITER__LISTEN"]),
            ("127.0.0.1:80", ErrorKind::PermissionDenied, &["below 1024"]),
            ("192.0.2.1:9466", ErrorKind::AddrNotAvailable, &["no such address", "0.0.0.0:9466"]),
        ];
        for (listen, kind, words) in table {
            let text = cannot_listen(listen.parse().unwrap(), "writer.listen", &Error::from(kind));
            for word in words {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
    }
}
