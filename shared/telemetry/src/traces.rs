//! Traces: one device's way through the workers, as OpenTelemetry spans.
//!
//! A message carries the W3C `traceparent` of the span that published it, and whoever takes it goes on
//! from there, so that snapshot, decision, change, request and outcome of a device are one trace. Nothing
//! of this happens unless a collector is configured with the standard environment variables
//! (`OTEL_EXPORTER_OTLP_ENDPOINT`, …); a `traceparent` that somebody else has put into a message is passed
//! on all the same.
//!
//! Spans are sent in batches, from a thread of their own. While the collector is away they are dropped:
//! no worker waits for it.

use std::collections::HashMap;
use std::env;
use std::sync::OnceLock;
use std::time::Duration;

use amfj_sync_model::ids::{IntegrationId, Key, RunId};
use amfj_sync_security::secrets::keep_address_part_unsaid;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    FutureExt as _, Link, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::collector::Collector;

pub use opentelemetry::trace::SpanKind;

/// The header of the W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// How long the last spans may take at the end of a worker, which ends within 20 seconds.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What is sent along with the spans.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
/// Any of these, not blank, switches traces on.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// How the collector is spoken to; only this one is built in.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"];
const PROTOCOL: &str = "http/protobuf";

static TRACES: OnceLock<(SdkTracer, SdkTracerProvider)> = OnceLock::new();

/// Why the environment asks for traces that cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces: {0}")]
pub struct TracesError(String);

/// Starts sending traces if the environment names a collector; a second call has no effect. Call it
/// within the runtime.
pub fn start_traces(role: &str, worker: &str) -> Result<(), TracesError> {
    if !is_wanted() || TRACES.get().is_some() {
        return Ok(());
    }
    keep_credentials_unsaid();
    for name in PROTOCOLS {
        if let Some(other) = set(name).filter(|value| value != PROTOCOL) {
            return Err(TracesError(format!("{name} is `{other}`, and only `{PROTOCOL}` is built in")));
        }
    }
    let is_https = ENDPOINTS.iter().filter_map(|name| set(name)).any(|address| address.starts_with("https:"));
    let collector = Collector::new(is_https).map_err(|error| TracesError(error.to_string()))?;
    let exporter = SpanExporter::builder().with_http().with_http_client(collector).build();
    let exporter =
        exporter.map_err(|error| TracesError(format!("{error}; check {}", ENDPOINTS.join(", "))))?;
    let resource = Resource::builder().with_attributes([
        KeyValue::new("service.namespace", "amfj-sync"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", worker.to_owned()),
    ]);
    // OTEL_SERVICE_NAME goes first.
    let resource = match set("OTEL_SERVICE_NAME") {
        Some(_) => resource,
        None => resource.with_service_name(format!("amfj-sync-{role}")),
    };
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let tracer = provider.tracer("amfj-sync");
    drop(TRACES.set((tracer, provider)));
    Ok(())
}

/// Sends the last spans, for two seconds at most.
pub async fn flush_traces() {
    let Some((_, provider)) = TRACES.get() else { return };
    let flushed = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(LAST_SPANS));
    if let Ok(Err(error)) = flushed.await {
        tracing::debug!(%error, "the last spans could not be sent");
    }
}

/// What a collector asks for is a token most often, in a header or in its address (P27).
fn keep_credentials_unsaid() {
    for headers in HEADERS.iter().filter_map(|name| set(name)) {
        let values = headers.split(',').filter_map(|header| header.split_once('=')).map(|(_, value)| value);
        values.for_each(keep_address_part_unsaid);
    }
    for address in ENDPOINTS.iter().filter_map(|name| set(name)?.parse::<url::Url>().ok()) {
        address.password().into_iter().for_each(keep_address_part_unsaid);
    }
}

fn is_wanted() -> bool {
    let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    !is_off && ENDPOINTS.iter().any(|name| set(name).is_some())
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A step on a way; it ends when it is dropped. Blank, at no cost, where traces are not sent.
#[derive(Debug, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// The first step of a way.
    #[must_use]
    pub fn first(kind: SpanKind, name: impl Into<String>) -> Self {
        Self::after(&Context::new(), kind, name, &[])
    }

    /// The first step of a way, which came about in `other`.
    #[must_use]
    pub fn first_from(other: &Span, kind: SpanKind, name: impl Into<String>) -> Self {
        let links: Vec<Link> =
            other.0.iter().map(|from| Link::with_context(from.span().span_context().clone())).collect();
        Self::after(&Context::new(), kind, name, &links)
    }

    /// Goes on where the sender of a message was. Without its `traceparent` a way begins here.
    #[must_use]
    pub fn on(traceparent: Option<&str>, kind: SpanKind, name: impl Into<String>) -> Self {
        if TRACES.get().is_none() {
            return Self(None);
        }
        let carrier: HashMap<String, String> =
            traceparent.map(|value| (TRACEPARENT.to_owned(), value.to_owned())).into_iter().collect();
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        Self::after(&parent, kind, name, &[])
    }

    /// A part of the step that is being taken here and now; none where there is none.
    #[must_use]
    pub fn part(kind: SpanKind, name: impl Into<String>) -> Self {
        if TRACES.get().is_none() || !Context::current().span().span_context().is_valid() {
            return Self(None);
        }
        Self::after(&Context::current(), kind, name, &[])
    }

    /// A part of this step.
    #[must_use]
    pub fn part_of(&self, kind: SpanKind, name: impl Into<String>) -> Self {
        self.0.as_ref().map_or(Self(None), |own| Self::after(own, kind, name, &[]))
    }

    fn after(parent: &Context, kind: SpanKind, name: impl Into<String>, links: &[Link]) -> Self {
        let Some((tracer, _)) = TRACES.get() else { return Self(None) };
        let builder = tracer.span_builder(name.into()).with_kind(kind).with_links(links.to_vec());
        let span = tracer.build_with_context(builder, parent);
        Self(Some(parent.with_span(span)))
    }

    /// Adds a fact about it.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        if let Some(own) = &self.0 {
            own.span().set_attribute(KeyValue::new(name, value));
        }
    }

    /// Says what it is about: names, emails and addresses stay out of traces.
    #[must_use]
    pub fn about(self, integration: &IntegrationId, run: Option<&RunId>, key: Option<&Key>) -> Self {
        if self.0.is_some() {
            self.set("amfj_sync.integration", integration.to_string());
            if let Some(run) = run {
                self.set("amfj_sync.run", run.to_string());
            }
            match key {
                Some(Key::Device(id)) => self.set("amfj_sync.device", id.to_string()),
                Some(Key::User(_)) => self.set("amfj_sync.user", true),
                None => {}
            }
        }
        self
    }

    /// It went wrong.
    pub fn fail(&self, reason: impl Into<String>) {
        if let Some(own) = &self.0 {
            own.span().set_status(Status::error(reason.into()));
        }
    }

    /// Whether it will be sent: not so where traces are off or this one is not among the sample.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.0.as_ref().is_some_and(|own| own.span().is_recording())
    }

    /// For a message that it publishes; none where traces are not sent.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(self.0.as_ref()?, &mut carrier);
        carrier.remove(TRACEPARENT)
    }

    /// Does something as this step: what it starts by itself with [`Span::part`] is a part of it.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        match &self.0 {
            Some(own) => work.with_context(own.clone()).await,
            None => work.await,
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            own.span().end();
        }
    }
}
