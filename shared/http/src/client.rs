//! Sending one call to one service.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_config::Token;
use amfj_sync_security::secrets::{self, ServiceWords};
use amfj_sync_telemetry::{Span, SpanKind};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode, Url};
use secrecy::SecretString;
use serde::Serialize;
use tokio::time::Instant;

use super::answer::Answer;
use super::answered::Answered;
use super::credentials::{Credentials, Proof};
use super::error::CallError;
use super::network::NetworkFault;
use super::pulse::{Pulse, SILENT};

/// The longest answer that is read. Lists of three hundred devices are well below one MiB. Nothing is ever unpacked: no
/// compression is asked for, so a body that is compressed all the same is no JSON.
const LONGEST_ANSWER: usize = 32 * 1024 * 1024;
/// Making a connection takes milliseconds or does not work at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that cannot be built: no call could ever be made with it.
#[derive(Debug, thiserror::Error)]
#[error("{api}: {reason}")]
pub struct SetupError {
    api: &'static str,
    reason: String,
}

impl SetupError {
    /// No token was read for this service.
    #[must_use]
    pub fn without_token(api: &'static str) -> Self {
        Self::because(api, "there is no token in the configuration to send")
    }

    /// For another reason, without a secret in it.
    #[must_use]
    pub fn because(api: &'static str, reason: impl Into<String>) -> Self {
        Self { api, reason: reason.into() }
    }
}

/// One request, written down before it is sent.
#[derive(Clone, Debug)]
pub struct Call {
    operation: &'static str,
    method: Method,
    target: Target,
    query: Vec<(Cow<'static, str>, String)>,
    headers: Vec<(String, String)>,
    body: Option<Result<Vec<u8>, String>>,
}

/// Where a call goes.
#[derive(Clone, Debug)]
enum Target {
    /// Segments below the base address.
    Path(Vec<String>),
    /// An address that the service gave, which has to be one of its own host.
    Address(Url),
}

impl Call {
    /// A call named `operation` (in errors and metrics) of the path below the base address. Each
    /// segment is escaped.
    pub fn new<S: Into<String>>(
        operation: &'static str,
        method: Method,
        path: impl IntoIterator<Item = S>,
    ) -> Self {
        let target = Target::Path(path.into_iter().map(Into::into).collect());
        Self { operation, method, target, query: Vec::new(), headers: Vec::new(), body: None }
    }

    /// A read of an address that the service itself gave: the next page, a job. It is sent to the host of the base address and to no
    /// other.
    #[must_use]
    pub fn at(operation: &'static str, address: Url) -> Self {
        let target = Target::Address(address);
        Self { operation, method: Method::GET, target, query: Vec::new(), headers: Vec::new(), body: None }
    }

    /// The same read at an address that the service itself gave, with its headers: the next page.
    #[must_use]
    pub fn moved_to(self, address: Url) -> Self {
        Self { headers: self.headers, ..Self::at(self.operation, address) }
    }

    /// A read.
    pub fn get<S: Into<String>>(operation: &'static str, path: impl IntoIterator<Item = S>) -> Self {
        Self::new(operation, Method::GET, path)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: impl Into<Cow<'static, str>>, value: &(impl ToString + ?Sized)) -> Self {
        self.query.push((name.into(), value.to_string()));
        self
    }

    /// Adds a header; one that is set anyway is replaced, but for what proves who sends the call.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends this value as JSON.
    #[must_use]
    pub fn json(mut self, value: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(value).map_err(|error| error.to_string()));
        self
    }
}

/// One service: its address, its credentials and its connections. Clones share them.
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

struct Inner {
    name: &'static str,
    label: String,
    base: Url,
    host: String,
    credentials: Credentials,
    client: reqwest::Client,
    timeout: Duration,
    pulse: Pulse,
    /// Answers in place of the network.
    responder: Option<Box<Responder>>,
    /// What the service's answers mean, where that is not what HTTP says.
    interpreter: Option<Arc<dyn Interpreter>>,
}

/// Says what the answers of one service mean, before anybody looks at them.
pub trait Interpreter: Send + Sync {
    /// Looks at an answer, and notes in it what it means.
    fn interpret(&self, answer: &mut Answer);
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("name", &self.name).field("host", &self.host).finish_non_exhaustive()
    }
}

/// A service in this process: method, address and body of a request to status and body of the answer.
pub type Responder = dyn Fn(&Method, &Url, &[u8]) -> (StatusCode, Vec<u8>) + Send + Sync;

impl Api {
    /// A client for the service `name` at `base`; one call may take `timeout`, all in all.
    pub fn new(
        name: &'static str,
        base: Url,
        credentials: &Credentials,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        Self::answered_by(name, base, credentials, timeout, None)
    }

    /// The same with a service in this process, so that a measurement can leave the network out.
    pub fn answered_by(
        name: &'static str,
        base: Url,
        credentials: &Credentials,
        timeout: Duration,
        responder: Option<Box<Responder>>,
    ) -> Result<Self, SetupError> {
        Self::interpreted(name, base, credentials, timeout, responder, None)
    }

    /// The same, of a service whose answers mean what an interpreter says.
    pub fn interpreted(
        name: &'static str,
        base: Url,
        credentials: &Credentials,
        timeout: Duration,
        responder: Option<Box<Responder>>,
        interpreter: Option<Arc<dyn Interpreter>>,
    ) -> Result<Self, SetupError> {
        let failed = |reason: String| SetupError { api: name, reason };
        if base.cannot_be_a_base() {
            return Err(failed(format!("“{base}” is no web address")));
        }
        credentials.proof(&credentials.token().current()).map_err(failed)?;
        let client = build(&base, timeout)
            .map_err(|error| failed(format!("the HTTP client cannot be set up: {}", chain(&error))))?;
        let host = match (base.host_str(), base.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            _ => base.to_string(),
        };
        keep_proxies_unsaid();
        let label = name.to_lowercase();
        let credentials = credentials.clone();
        let pulse = Pulse::new(name, host.clone());
        Ok(Self(Arc::new(Inner {
            name,
            label,
            base,
            host,
            credentials,
            client,
            timeout,
            pulse,
            responder,
            interpreter,
        })))
    }

    /// The base address.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.0.base
    }

    /// How long one call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// An address that the service gave, whole or relative to the base address, without what proves who asks.
    #[must_use]
    pub fn own_address(&self, text: &str) -> Option<Url> {
        let mut base = self.0.base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut address = base.join(text.trim()).ok().filter(|address| is_of_host(address, &self.0.base))?;
        address.set_fragment(None);
        let ours: Vec<&str> = self.0.credentials.parameters().collect();
        if address.query_pairs().any(|(name, _)| ours.contains(&&*name)) {
            let kept: Vec<(String, String)> = address
                .query_pairs()
                .filter(|(name, _)| !ours.contains(&&**name))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            address.query_pairs_mut().clear().extend_pairs(kept);
        }
        Some(address)
    }

    /// What the service is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Host and port of the service.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// How the service answers at this moment.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.0.pulse
    }

    /// The token, as it is now.
    #[must_use]
    pub fn token(&self) -> &Token {
        self.0.credentials.token()
    }

    /// Sends a call, once, and counts it. Every status is an answer; see [`Answer::success`].
    ///
    /// A read whose token was refused is sent once more where the token's file holds another one by now (P35). A write is
    /// not: whoever sent it knows what it may mean, and finds the new token in use when it asks again.
    pub async fn execute(&self, call: Call) -> Result<Answer, CallError> {
        let credentials = &self.0.credentials;
        let began = jiff::Timestamp::now();
        let used = match self.token_to_send().await {
            Ok(used) => used,
            Err(error) => {
                let error = Err(error);
                self.feel(&error, began);
                return error;
            }
        };
        let again = (call.method == Method::GET).then(|| call.clone());
        let mut answered = self.send(call, &used).await;
        if answered.as_ref().is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED)
            && credentials.is_replaced(&used).await
            && let Some(call) = again
        {
            answered = match self.token_to_send().await {
                Ok(token) => self.send(call, &token).await,
                Err(error) => Err(error),
            };
        }
        self.feel(&answered, began);
        answered
    }

    /// The token, or the access token that it is exchanged for.
    async fn token_to_send(&self) -> Result<SecretString, CallError> {
        let Some(oauth) = self.0.credentials.oauth().filter(|_| self.0.responder.is_none()) else {
            return Ok(self.0.credentials.token().current());
        };
        let started = Instant::now();
        let fetching = oauth.access(&self.0.client, self.0.credentials.token(), self.0.timeout);
        let (token, fetched) = fetching.await;
        if let Some(status) = fetched {
            self.count("fetch access token", status, started.elapsed());
        }
        token.map_err(|failure| failure.into_error(self.name_of("fetch access token"), oauth.host()))
    }

    /// Whether the service itself is well, whatever becomes of this call.
    fn feel(&self, answered: &Result<Answer, CallError>, began: jiff::Timestamp) {
        let error = match answered {
            Ok(answer) if answer.status.is_success() => match answer.page() {
                None => return self.0.pulse.good(),
                Some(error) => error,
            },
            Ok(answer) => answer.refusal(),
            Err(error) => error.clone(),
        };
        match Answered::of(&error) {
            // The request is at fault, not who was to get it; and a pause that was asked for is no failure.
            Answered::Impossible | Answered::AskedToWait { out_of_order: false, .. } => {}
            Answered::Value { .. } | Answered::NotThere | Answered::Refused => self.0.pulse.good(),
            Answered::TokenRefused
            | Answered::WrongAddress
            | Answered::Failed
            | Answered::AskedToWait { .. } => self.0.pulse.bad(error.trouble(), began),
        }
    }

    /// One that is without an answer for long is said to be, and then waited for.
    async fn exchange_watched(
        &self,
        operation: &'static str,
        request: reqwest::Request,
    ) -> Result<Answer, CallError> {
        let pulse = &self.0.pulse;
        let call = Watched { pulse, id: pulse.begin(self.name_of(operation)) };
        let mut exchange = Box::pin(self.exchange(operation, request));
        if let Ok(answered) = tokio::time::timeout(SILENT, &mut exchange).await {
            return answered;
        }
        pulse.still_waits(call.id);
        exchange.await
    }

    async fn send(&self, call: Call, token: &SecretString) -> Result<Answer, CallError> {
        let operation = call.operation;
        let request = self.build(call, token)?;
        let span = Span::part(SpanKind::Client, operation);
        span.set("http.request.method", request.method().as_str().to_owned());
        span.set("server.address", self.0.host.clone());
        let started = Instant::now();
        let mut result = self.exchange_watched(operation, request).await;
        if let (Ok(answer), Some(interpreter)) = (&mut result, &self.0.interpreter) {
            interpreter.interpret(answer);
        }
        let status = match &result {
            Ok(answer) => answer.wire_status.as_str().to_owned(),
            Err(CallError::NotSent { .. }) => "no_connection".to_owned(),
            Err(_) => "no_answer".to_owned(),
        };
        let took = started.elapsed();
        match &result {
            Ok(answer) => span.set("http.response.status_code", i64::from(answer.wire_status.as_u16())),
            Err(_) => span.fail(status.clone()),
        }
        drop(span);
        tracing::debug!(api = self.0.label, operation, status, took_ms = took.as_secs_f64() * 1e3, "called");
        self.count(operation, status, took);
        result
    }

    #[expect(clippy::disallowed_macros, reason = "every call passes here, and nothing else counts calls")]
    fn count(&self, operation: &'static str, status: String, took: Duration) {
        metrics::histogram!("amfj_sync_api_request_duration_seconds", "api" => self.0.label.clone(), "operation" => operation)
            .record(took.as_secs_f64());
        metrics::counter!("amfj_sync_api_requests_total", "api" => self.0.label.clone(), "operation" => operation, "status" => status)
            .increment(1);
    }

    fn build(&self, call: Call, token: &SecretString) -> Result<reqwest::Request, CallError> {
        let invalid = |reason: String| CallError::Invalid {
            call: self.name_of(call.operation),
            reason: ServiceWords::from(reason),
        };
        let url = self.address(call.target).map_err(invalid)?;
        let Proof { headers, query } = self.0.credentials.proof(token).map_err(invalid)?;
        let mut request = self.0.client.request(call.method, url);
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if !query.is_empty() {
            request = request.query(&query);
        }
        let sets = |name: &str| call.headers.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
        if !sets("accept") {
            request = request.header(reqwest::header::ACCEPT, "application/json");
        }
        if let Some(body) = call.body {
            if !sets("content-type") {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            request = request.body(body.map_err(|reason| CallError::Invalid {
                call: self.name_of(call.operation),
                reason: reason.into(),
            })?);
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.build().map_err(|error| CallError::Invalid {
            call: self.name_of(call.operation),
            reason: chain(&error.without_url()).into(),
        })
    }

    fn address(&self, target: Target) -> Result<Url, String> {
        let path = match target {
            Target::Address(address) if is_of_host(&address, &self.0.base) => return Ok(address),
            // The token goes nowhere else.
            Target::Address(_) => {
                return Err(
                    "an address of another host was given, and the token is sent to none but its own"
                        .to_owned(),
                );
            }
            Target::Path(path) => path,
        };
        // The url crate drops such segments, and the call would go somewhere else.
        if let Some(bad) = path.iter().find(|s| matches!(s.as_str(), "" | "." | "..")) {
            return Err(format!("“{bad}” cannot stand in an address"));
        }
        let mut url = self.0.base.clone();
        url.path_segments_mut()
            .map_err(|()| format!("“{}” is no web address", self.0.base))?
            .pop_if_empty()
            .extend(&path);
        Ok(url)
    }

    async fn exchange(
        &self,
        operation: &'static str,
        request: reqwest::Request,
    ) -> Result<Answer, CallError> {
        let broken = |error: reqwest::Error| {
            let call = self.name_of(operation);
            let host = self.0.host.clone();
            let not_sent = error.is_connect() || error.is_builder();
            let (fault, reason) = NetworkFault::of(&error.without_url(), self.0.timeout, CONNECT_TIMEOUT);
            let reason = ServiceWords::from(reason);
            if not_sent {
                CallError::NotSent { call, host, reason, fault }
            } else {
                CallError::Unknown { call, host, reason, fault }
            }
        };
        if let Some(respond) = &self.0.responder {
            let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
            let (status, body) = respond(request.method(), request.url(), body);
            return Ok(Answer::new(self.name_of(operation), status, HeaderMap::new(), body));
        }
        let mut response = self.0.client.execute(request).await.map_err(broken)?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_ANSWER => {
                    return Err(CallError::NotJson {
                        call: self.name_of(operation),
                        status: status.as_u16(),
                        reason: format!("more than {} MiB", LONGEST_ANSWER / 1024 / 1024).into(),
                        html: false,
                        body: ServiceWords::default(),
                    });
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                // A refusal is a refusal, even if its explanation was cut off.
                Err(_) if !status.is_success() => break,
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(Answer::new(self.name_of(operation), status, headers, body))
    }

    fn name_of(&self, operation: &str) -> String {
        format!("{}, {operation}", self.0.name)
    }
}

/// Whether an address is one of the same scheme, host and port.
fn is_of_host(address: &Url, base: &Url) -> bool {
    address.scheme() == base.scheme()
        && address.host() == base.host()
        && address.port_or_known_default() == base.port_or_known_default()
        && address.username().is_empty()
        && address.password().is_none()
}

/// A call that is under way, until it is answered or dropped.
struct Watched<'a> {
    pulse: &'a Pulse,
    id: u64,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.pulse.forget(self.id);
    }
}

#[expect(clippy::disallowed_methods, reason = "this crate stands before it")]
fn build(base: &Url, timeout: Duration) -> reqwest::Result<reqwest::Client> {
    // An error only says that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("amfj-sync/", env!("CARGO_PKG_VERSION")))
        // A redirect would carry the token to another host.
        .redirect(reqwest::redirect::Policy::none())
        // Whether a write may be repeated is for the caller to know.
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .read_timeout(timeout)
        .timeout(timeout);
    if base.scheme() == "http" {
        // Loopback only (the configuration sees to that): no proxy, and no need for the system's
        // certificates, which a bare machine may not have.
        builder = builder.no_proxy().tls_certs_only(std::iter::empty());
    }
    builder.build()
}

/// The address of a proxy may carry a password, and an error may name it.
fn keep_proxies_unsaid() {
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        for name in [name.to_owned(), name.to_lowercase()] {
            if let Some(address) = std::env::var(name).ok().and_then(|text| text.parse::<Url>().ok()) {
                address.password().into_iter().for_each(secrets::keep_address_part_unsaid);
            }
        }
    }
}

/// An error with its causes, since reqwest's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
