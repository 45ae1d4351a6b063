//! OAuth 2 client credentials: the token of the configuration is the secret that access tokens are fetched with.

use std::time::Duration;

use amfj_sync_config::Token;
use amfj_sync_security::secrets::{ServiceWords, keep_unsaid};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::body;
use super::credentials::basic;
use super::error::CallError;
use super::network::NetworkFault;

/// The longest answer of a token endpoint.
const LONGEST_ANSWER: usize = 64 << 10;
/// An access token is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(30);
/// How long one that says nothing of its end is used.
const UNSTATED: Duration = Duration::from_mins(5);

/// How the client shows its id and secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// HTTP basic.
    Basic,
    /// `client_id` and `client_secret` in the form.
    Body,
}

/// Where access tokens come from.
#[derive(Debug)]
pub struct OAuth {
    /// The token endpoint.
    pub endpoint: Url,
    /// What this program is called there.
    pub client_id: String,
    /// How it shows that.
    pub authentication: ClientAuthentication,
    /// Further parameters of the form, such as `scope`.
    pub parameters: Vec<(String, String)>,
    /// Pointers to token, seconds of its life, and refresh token in the answer.
    pub pointers: [String; 3],
    access: Mutex<Option<Access>>,
}

#[derive(Debug)]
struct Access {
    token: SecretString,
    until: Instant,
    refresh: Option<SecretString>,
}

/// Why there is no access token. Nothing was sent to the service itself.
pub(super) enum Failure {
    Network { fault: NetworkFault, reason: String },
    Refused { status: StatusCode, body: Vec<u8> },
    Unusable(String),
}

impl Failure {
    pub(super) fn into_error(self, call: String, host: &str) -> CallError {
        let host = host.to_owned();
        match self {
            Self::Network { fault, reason } => {
                CallError::NotSent { call, host, reason: reason.into(), fault }
            }
            Self::Unusable(reason) => {
                CallError::NotSent { call, host, reason: reason.into(), fault: NetworkFault::Other }
            }
            Self::Refused { status, body } => CallError::Status {
                call,
                // The secret is refused, whichever way the endpoint has to say so.
                status: if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
                    StatusCode::UNAUTHORIZED.as_u16()
                } else {
                    status.as_u16()
                },
                wire_status: status.as_u16(),
                retry_after: None,
                form: body::form(&body),
                body: ServiceWords::of_body(&body),
                field: None,
            },
        }
    }
}

impl OAuth {
    /// A token endpoint, with the members of its answer as the standard has them.
    #[must_use]
    pub fn new(endpoint: Url, client_id: impl Into<String>, authentication: ClientAuthentication) -> Self {
        Self {
            endpoint,
            client_id: client_id.into(),
            authentication,
            parameters: Vec::new(),
            pointers: ["/access_token", "/expires_in", "/refresh_token"].map(str::to_owned),
            access: Mutex::new(None),
        }
    }

    pub(super) fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or_default()
    }

    /// An access token that is good for a while, and the status of the request that fetched it, if there was one.
    pub(super) async fn access(
        &self,
        client: &reqwest::Client,
        secret: &Token,
        timeout: Duration,
    ) -> (Result<SecretString, Failure>, Option<String>) {
        let mut held = self.access.lock().await;
        if let Some(access) = held.as_ref().filter(|access| access.until > Instant::now()) {
            return (Ok(access.token.clone()), None);
        }
        let refresh = held.take().and_then(|access| access.refresh);
        let secret = secret.current();
        let mut fetched = self.fetch(client, &secret, refresh.as_ref(), timeout).await;
        if refresh.is_some() && matches!(fetched, Err(Failure::Refused { .. })) {
            fetched = self.fetch(client, &secret, None, timeout).await;
        }
        match fetched {
            Ok(access) => {
                let token = access.token.clone();
                *held = Some(access);
                (Ok(token), Some("200".to_owned()))
            }
            Err(failure) => {
                let status = match &failure {
                    Failure::Refused { status, .. } => status.as_str().to_owned(),
                    _ => "no_answer".to_owned(),
                };
                (Err(failure), Some(status))
            }
        }
    }

    /// Forgets an access token that was refused, so that another one is fetched.
    pub(super) async fn forget(&self, used: &SecretString) {
        let mut held = self.access.lock().await;
        if held.as_ref().is_some_and(|access| access.token.expose_secret() == used.expose_secret()) {
            *held = None;
        }
    }

    async fn fetch(
        &self,
        client: &reqwest::Client,
        secret: &SecretString,
        refresh: Option<&SecretString>,
        timeout: Duration,
    ) -> Result<Access, Failure> {
        let mut request = client
            .post(self.endpoint.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if self.authentication == ClientAuthentication::Basic {
            // As a form has them (RFC 6749, 2.3.1): a colon in the id would end it.
            let encoded =
                |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
            let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret.expose_secret()));
            request = request.header(AUTHORIZATION, basic(&pair).map_err(Failure::Unusable)?);
        }
        let broken = |error: reqwest::Error| {
            let (fault, reason) = NetworkFault::of(&error.without_url(), timeout, timeout);
            Failure::Network { fault, reason }
        };
        let mut response = request.body(self.form(secret, refresh)).send().await.map_err(broken)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err(Failure::Unusable("its answer is too long to be a token".to_owned()));
            }
        }
        if !status.is_success() {
            return Err(Failure::Refused { status, body });
        }
        self.read(&body)
    }

    /// What is asked of the token endpoint.
    fn form(&self, secret: &SecretString, refresh: Option<&SecretString>) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        match refresh {
            Some(refresh) => {
                form.append_pair("grant_type", "refresh_token");
                form.append_pair("refresh_token", refresh.expose_secret());
            }
            None => {
                form.append_pair("grant_type", "client_credentials");
            }
        }
        form.extend_pairs(&self.parameters);
        if self.authentication == ClientAuthentication::Body {
            form.append_pair("client_id", &self.client_id);
            form.append_pair("client_secret", secret.expose_secret());
        }
        form.finish()
    }

    fn read(&self, body: &[u8]) -> Result<Access, Failure> {
        let answer: Value = serde_json::from_slice(body)
            .map_err(|_| Failure::Unusable("what the token endpoint answers is no JSON".to_owned()))?;
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
        let token = text(&self.pointers[0]).filter(|token| is_token(token)).ok_or_else(|| {
            Failure::Unusable(format!(
                "there is no token at {} in what the token endpoint answers",
                self.pointers[0]
            ))
        })?;
        keep_unsaid(token);
        let life = answer.pointer(&self.pointers[1]).and_then(|seconds| match seconds {
            Value::Number(seconds) => seconds.as_u64(),
            Value::String(seconds) => seconds.trim().parse().ok(),
            _ => None,
        });
        let life = life.map_or(UNSTATED, |seconds| Duration::from_secs(seconds.min(86_400)));
        let life = life.saturating_sub(EARLY).max(life / 2).max(Duration::from_secs(1));
        let refresh = text(&self.pointers[2]).filter(|token| !token.is_empty()).map(|token| {
            keep_unsaid(token);
            SecretString::from(token)
        });
        Ok(Access { token: SecretString::from(token), until: Instant::now() + life, refresh })
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
