//! The sockets of a simulator: one small server whose connections can be cut in mid-answer.
//!
//! The three awkward things that real networks do cannot be said with an HTTP status: an answer
//! that never comes, one that breaks off, and one that is lost after the work was done. Every
//! connection therefore carries a [`Cord`]; pulling it makes the next byte written to the client
//! fail, which ends the connection at whatever point it is.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{
        Query, Request,
        connect_info::{ConnectInfo, Connected},
    },
    response::Response,
    serve::{IncomingStream, Listener},
};
use futures::stream;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// Bodies above this many bytes are refused; nothing in either contract comes near it.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// One request, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query_text: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<String>,
    /// All headers that are texts, by their names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Ask {
    /// The value of a query parameter, the first if it is repeated.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One answer, before it is put on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", body.to_string().into_bytes())
    }

    /// An answer of any type.
    pub(crate) fn bytes(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    /// The same with one more header.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What becomes of the connection.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The whole answer is sent.
    Send(Reply),
    /// Status, headers and half of the body are sent, then the connection breaks.
    Half(Reply),
    /// The answer is sent byte by byte, with this pause in between.
    Drip(Reply, Duration),
    /// 200, and a body without end.
    Endless,
    /// Nothing is sent and the connection breaks.
    Cut,
}

/// Answers requests. Runs to its end even when the client has gone away, as a server does.
pub(crate) trait Answer: Send + Sync + 'static {
    /// Answers one request.
    fn answer(self: Arc<Self>, ask: Ask) -> impl Future<Output = Ending> + Send;
    /// While true, connections are accepted and closed at once.
    fn offline(&self) -> bool;
}

/// Ends a connection: once pulled, nothing more reaches the client.
#[derive(Debug, Clone, Default)]
struct Cord(Arc<AtomicBool>);

impl Cord {
    fn pull(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the simulator cut this connection"));
        }
        Ok(())
    }
}

/// A listener that hands out connections with a cord.
#[derive(Debug)]
struct Corded(TcpListener);

/// A connection with a cord.
#[derive(Debug)]
struct CordedStream {
    stream: TcpStream,
    cord: Cord,
}

impl Listener for Corded {
    type Io = CordedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers to small requests: waiting for more to send only adds 40 ms.
        let _ = stream.set_nodelay(true);
        (CordedStream { stream, cord: Cord::default() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Corded>> for Cord {
    fn connect_info(stream: IncomingStream<'_, Corded>) -> Self {
        stream.io().cord.clone()
    }
}

impl AsyncRead for CordedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CordedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.cord.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cord.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A running server; ends with this value.
#[derive(Debug)]
pub(crate) struct Serving {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes a port on loopback; 0 picks a free one.
///
/// # Errors
/// When the port is taken.
pub(crate) async fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until the answer is dropped.
pub(crate) fn serve<S: Answer>(listener: TcpListener, service: Arc<S>) -> Serving {
    let handler = move |ConnectInfo(cord): ConnectInfo<Cord>, request: Request| {
        handle(Arc::clone(&service), cord, request)
    };
    let app = Router::new().fallback(handler).into_make_service_with_connect_info::<Cord>();
    let task = tokio::spawn(async move {
        // `serve` retries what fails in accepting and never returns by itself.
        let _ = axum::serve(Corded(listener), app).await;
    });
    Serving { task }
}

async fn handle<S: Answer>(service: Arc<S>, cord: Cord, request: Request) -> Response {
    // Whoever switched it off can switch it on again.
    if service.offline() && !request.uri().path().starts_with("/_sim/") {
        cord.pull();
        return Response::new(Body::empty());
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        cord.pull();
        return Response::new(Body::empty());
    };
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let ask = Ask {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query_text: parts.uri.query().unwrap_or_default().to_owned(),
        query: Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|q| q.0).unwrap_or_default(),
        authorization: header("authorization"),
        content_type: header("content-type"),
        headers: parts
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect(),
        body,
    };
    // A task of its own: hyper drops this future when the client gives up, but a real server goes
    // on and does the work, which is exactly the case that a writer has to survive.
    let ending = tokio::spawn(async move { service.answer(ask).await }).await;
    match ending {
        Ok(Ending::Send(reply)) => respond(reply, Body::from),
        Ok(Ending::Half(reply)) => respond(reply, half_of),
        Ok(Ending::Drip(reply, pause)) => respond(reply, |body| dripping(body, pause)),
        Ok(Ending::Endless) => endless(),
        Ok(Ending::Cut) | Err(_) => {
            cord.pull();
            Response::new(Body::empty())
        }
    }
}

fn respond(reply: Reply, body: impl FnOnce(Vec<u8>) -> Body) -> Response {
    let mut response = Response::builder().status(reply.status).header("content-length", reply.body.len());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(body(reply.body)).unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(format!("the simulator could not answer: {error}")));
        *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn dripping(bytes: Vec<u8>, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(bytes.into_iter(), move |mut left| async move {
        let byte = left.next()?;
        tokio::time::sleep(pause).await;
        Some((Ok::<_, io::Error>(Bytes::from(vec![byte])), left))
    }))
}

/// Starts like a list.
fn endless() -> Response {
    let rows = stream::unfold("[", |piece| async move {
        Some((Ok::<_, io::Error>(Bytes::from_static(piece.as_bytes())), "{\"device_id\":\"endless\"},"))
    });
    let mut response = Response::new(Body::from_stream(rows));
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("application/json"));
    response
}

/// The first half of a body, then an error, which makes the server drop the connection although
/// the header promised more.
fn half_of(mut bytes: Vec<u8>) -> Body {
    bytes.truncate(bytes.len() / 2);
    Body::from_stream(stream::unfold(Some(bytes), |left| async move {
        if let Some(bytes) = left {
            return Some((Ok(bytes), None));
        }
        // The first half must be on its way before the connection breaks.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Err(io::Error::other("cut by the simulator")), None))
    }))
}
