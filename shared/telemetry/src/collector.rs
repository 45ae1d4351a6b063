//! The collector that traces are sent to, reached as both services are: our TLS, no redirects.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

/// For one batch of spans.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends batches on the worker's runtime: the thread that makes them has none.
#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    is_away: AtomicBool,
}

impl Collector {
    /// Call it within the runtime.
    #[expect(
        clippy::disallowed_methods,
        reason = "what is sent to a collector is no call of a service: it is neither counted nor traced"
    )]
    pub(super) fn new(is_https: bool) -> Result<Self, reqwest::Error> {
        // An error only says that a provider is installed already, which is all that is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("amfj-sync/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(LIMIT);
        if !is_https {
            // No need for the system's certificates, which a bare machine may not have.
            client = client.tls_certs_only(std::iter::empty());
        }
        let client = client.build()?;
        Ok(Self { client, runtime: Handle::current(), is_away: AtomicBool::new(false) })
    }

    /// Says once that it is away, and once that it is back.
    fn note(&self, trouble: Option<&str>) {
        let was_away = self.is_away.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(reason) if !was_away => {
                tracing::warn!(reason, "the collector takes no traces; they are dropped until it does");
            }
            None if was_away => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let response = client.execute(request.try_into()?).await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        });
        let answer = sent.await?.map_err(reqwest::Error::without_url);
        match answer {
            Ok((status, body)) => {
                self.note((!status.is_success()).then(|| status.as_str()));
                Ok(Response::builder().status(status).body(body)?)
            }
            Err(error) => {
                self.note(Some(&error.to_string()));
                Err(error.into())
            }
        }
    }
}
