//! `POST /events/ID/KEY`: where a service outside puts its messages, for a worker to take.
//!
//! Whoever does not know a key learns nothing: another path, another integration and another key are the same 404, without
//! the body being read. Whoever does is held to one message of at most 256 KB, sent without delay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_model::ids::IntegrationId;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::connections::{self, Bodies};
use super::server::cannot_listen;

/// Bytes of the largest message.
const LARGEST: usize = 256 << 10;

/// How long the body of a message may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// When to come again, where a message could not be taken, in seconds.
const AGAIN: &str = "5";

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The message is kept.
    Taken,
    /// It is no JSON.
    NotJson,
    /// It is none that is known.
    NotKnown(&'static str),
    /// It cannot be kept at the moment, and is welcome again.
    Unavailable,
    /// Nothing is at that address, or the key is wrong.
    NoSuchAddress,
    /// It was no `POST`.
    WrongMethod,
    /// It is larger than 256 KB.
    TooLarge,
    /// It did not come to its end in time.
    TooSlow,
}

impl Receipt {
    fn response(self) -> Response {
        const CLOSE: [(HeaderName, &str); 1] = [(header::CONNECTION, "close")];
        match self {
            Self::Taken => (StatusCode::OK, "taken\n").into_response(),
            Self::NotJson => (StatusCode::BAD_REQUEST, "the body is not JSON\n").into_response(),
            Self::NotKnown(why) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")).into_response(),
            Self::Unavailable => {
                let headers = [(header::RETRY_AFTER, AGAIN)];
                (StatusCode::SERVICE_UNAVAILABLE, headers, "it cannot be kept now; send it again\n")
                    .into_response()
            }
            Self::NoSuchAddress => (StatusCode::NOT_FOUND, CLOSE, "there is nothing here\n").into_response(),
            Self::WrongMethod => {
                let headers = [(header::ALLOW, "POST"), (header::CONNECTION, "close")];
                (StatusCode::METHOD_NOT_ALLOWED, headers, "only POST is taken here\n").into_response()
            }
            Self::TooLarge => {
                let why = format!("a message has at most {} KB\n", LARGEST >> 10);
                (StatusCode::PAYLOAD_TOO_LARGE, CLOSE, why).into_response()
            }
            Self::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, CLOSE, "the body did not come in time\n").into_response()
            }
        }
    }
}

/// A message, and whose it is.
#[derive(Debug)]
pub struct Parcel {
    /// The integration whose key it bears.
    pub integration: IntegrationId,
    /// Its body.
    pub body: Vec<u8>,
}

/// What a worker does with messages.
pub trait Inbox: Send + Sync + 'static {
    /// The integration of that name and key; takes as long for every answer.
    fn addressee(&self, id: &str, key: &str) -> Option<IntegrationId>;

    /// Keeps a message, or says why not.
    fn take(&self, parcel: Parcel) -> BoxFuture<'_, Receipt>;

    /// Takes note of what became of a request; of none that is known where the key was wrong.
    fn note(&self, integration: Option<&IntegrationId>, receipt: Receipt);
}

/// Where messages are taken.
#[derive(Debug)]
pub struct InboxServer {
    address: SocketAddr,
}

impl InboxServer {
    /// Binds the address, which `setting` names, and serves until `stop`. Fails where it cannot be bound.
    pub async fn start(
        listen: SocketAddr,
        setting: &str,
        inbox: Arc<dyn Inbox>,
        stop: CancellationToken,
    ) -> Result<Self, std::io::Error> {
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|error| std::io::Error::new(error.kind(), cannot_listen(listen, setting, &error)))?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(receive).with_state(inbox);
        tokio::spawn(connections::serve(listener, router, Bodies::Taken, stop));
        tracing::info!(listen = %address, "events are taken");
        Ok(Self { address })
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn receive(State(inbox): State<Arc<dyn Inbox>>, request: Request) -> Response {
    let (integration, receipt) = received(&*inbox, request).await;
    inbox.note(integration.as_ref(), receipt);
    receipt.response()
}

async fn received(inbox: &dyn Inbox, request: Request) -> (Option<IntegrationId>, Receipt) {
    let Some((id, key)) = address_of(request.uri().path()) else { return (None, Receipt::NoSuchAddress) };
    if request.method() != Method::POST {
        return (None, Receipt::WrongMethod);
    }
    let Some(integration) = inbox.addressee(&id, &key) else { return (None, Receipt::NoSuchAddress) };
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if said.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > LARGEST as u64) {
        return (Some(integration), Receipt::TooLarge);
    }
    let body = match tokio::time::timeout(PATIENCE, whole(request.into_body())).await {
        Ok(Ok(body)) => body,
        Ok(Err(receipt)) => return (Some(integration), receipt),
        Err(_) => return (Some(integration), Receipt::TooSlow),
    };
    let receipt = inbox.take(Parcel { integration: integration.clone(), body }).await;
    (Some(integration), receipt)
}

/// The body, as long as it is not too large.
async fn whole(body: Body) -> Result<Vec<u8>, Receipt> {
    let mut whole = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        // A connection that broke: nobody reads the answer.
        let piece = piece.map_err(|_| Receipt::TooSlow)?;
        if whole.len() + piece.len() > LARGEST {
            return Err(Receipt::TooLarge);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// The parts of `/events/ID/KEY`, with or without a slash at the end, and however its letters are escaped.
fn address_of(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix("/events/")?;
    let (id, key) = rest.strip_suffix('/').unwrap_or(rest).split_once('/')?;
    let (id, key) = (unescaped(id)?, unescaped(key)?);
    let whole = !id.is_empty() && !key.is_empty() && !key.contains('/');
    whole.then_some((id, key))
}

/// A part of an address with its letters as they are; none where they are no text.
fn unescaped(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, others @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(high)? << 4 | digit(low)?);
        rest = others;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
