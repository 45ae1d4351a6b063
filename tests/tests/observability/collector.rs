//! A small OpenTelemetry collector: takes spans over HTTP as protobuf and keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use parking_lot::Mutex;
use prost::Message as _;

/// A span as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    /// Blank for the first of a trace.
    pub(crate) parent: Vec<u8>,
    /// What OpenTelemetry calls client.
    pub(crate) is_request: bool,
    pub(crate) links: usize,
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Received>,
    /// Everything that was received, to be searched.
    bytes: Vec<u8>,
}

/// The running collector.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    kept: Arc<Mutex<Kept>>,
    address: String,
}

impl Collector {
    pub(crate) async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let kept = Arc::<Mutex<Kept>>::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(kept.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { kept, address })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn spans(&self) -> Vec<Received> {
        self.kept.lock().spans.clone()
    }

    /// Everything that was received, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept.lock().bytes).into_owned()
    }
}

async fn take(State(kept): State<Arc<Mutex<Kept>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body.clone()) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut kept = kept.lock();
    kept.bytes.extend_from_slice(&body);
    for of_process in request.resource_spans {
        let resource =
            attributes(of_process.resource.map(|resource| resource.attributes).unwrap_or_default());
        let service = resource.get("service.name").cloned().unwrap_or_default();
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            kept.spans.push(Received {
                service: service.clone(),
                is_request: span.kind() == opentelemetry_proto::tonic::trace::v1::span::SpanKind::Client,
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                links: span.links.len(),
                attributes: attributes(span.attributes),
            });
        }
    }
    StatusCode::OK
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        _ => String::new(),
    };
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

/// The one span that fits.
pub(crate) fn the<'a>(
    spans: &'a [Received],
    what: &str,
    fits: impl Fn(&Received) -> bool,
) -> Result<&'a Received> {
    let mut found = spans.iter().filter(|span| fits(span));
    let first = found.next().with_context(|| format!("no span: {what}"))?;
    anyhow::ensure!(found.next().is_none(), "more than one span: {what}");
    Ok(first)
}
