//! `GET /healthz`, `/readyz`, `/metrics`, `/status` of a worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::recorder::recorder;
use crate::status::WorkerReport;

/// What a worker tells about itself.
pub trait Health: Send + Sync + 'static {
    /// Everything that keeps it from working, one sentence each; empty when it is ready.
    fn not_ready(&self) -> Vec<String>;

    /// What it does at the moment, in short, for whoever asks all workers.
    fn report(&self) -> WorkerReport;

    /// Its state in detail.
    fn status(&self) -> Value;
}

/// The endpoints of one worker.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
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
        let listener = tokio::net::TcpListener::bind(listen).await.map_err(|error| {
            std::io::Error::new(
                error.kind(),
                format!("cannot listen on {listen}: {error}; set another `listen`"),
            )
        })?;
        let address = listener.local_addr()?;
        let metrics = recorder()?;
        let upkeep = metrics.clone();
        let shared = Arc::new(Shared { health, metrics });
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(render_metrics))
            .route("/status", get(async |State(shared): State<Arc<Shared>>| Json(shared.health.status())))
            .with_state(shared);
        let ended = stop.clone();
        tokio::spawn(async move {
            let serving =
                axum::serve(listener, router).with_graceful_shutdown(async move { ended.cancelled().await });
            if let Err(error) = serving.await {
                tracing::error!(%error, "the HTTP endpoints ended");
            }
        });
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                tokio::time::sleep(Duration::from_secs(5)).await;
                upkeep.run_upkeep();
            }
        });
        tracing::info!(listen = %address, "health, metrics and status are served");
        Ok(Self { address })
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let reasons = shared.health.not_ready();
    if reasons.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n")))
    }
}

async fn render_metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let is_ready = shared.health.not_ready().is_empty();
    metrics::gauge!("amfj_sync_ready").set(f64::from(u8::from(is_ready)));
    let format = [("content-type", "text/plain; version=0.0.4; charset=utf-8")];
    (format, shared.metrics.render())
}
