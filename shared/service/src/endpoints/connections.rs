//! The connections to a worker's endpoints: few, short, and never at the worker's cost.
//!
//! Whoever can reach the port can be slow: send a byte a minute, never read, or open a connection after the other. So
//! there are at most [`MOST`] connections, each ends soon where nothing is asked on it, and where all are taken, the one
//! that has asked for nothing for the longest makes room for the next, of the peer that has the most of them. A probe sends
//! its request at once and is answered within milliseconds: it is never the one that waits.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

/// Connections at a time: a few probes and scrapers need one each.
pub(super) const MOST: usize = 64;

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the head of a request; and idle.
    head: Duration,
    /// Since the last request that came on it: whoever has not read the answer by then never does.
    lasts: Duration,
}

const PATIENCE: Patience = Patience { head: Duration::from_secs(10), lasts: Duration::from_secs(30) };

/// Bytes of the head of a request.
const LONGEST_HEAD: usize = 16 << 10;

/// How long a new connection is left alone: what a probe sends is on its way.
const NEW: Duration = Duration::from_millis(50);

/// How long an answer may take to be read, before its connection may have to make room.
const ANSWERING: Duration = Duration::from_secs(1);

/// Before looking again, where no connection can make room, or the system gives none.
const AGAIN: Duration = Duration::from_millis(10);

/// How long the last answers may take at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What is done with the body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bodies {
    /// Nothing that is asked has one: whoever sends one is refused.
    Refused,
    /// The router reads them, within limits of its own.
    Taken,
}

/// Serves until `stop`.
pub(super) async fn serve(listener: TcpListener, router: Router, bodies: Bodies, stop: CancellationToken) {
    serve_with(PATIENCE, listener, router, bodies, stop).await;
}

async fn serve_with(
    patience: Patience,
    listener: TcpListener,
    router: Router,
    bodies: Bodies,
    stop: CancellationToken,
) {
    let connections = Connections::default();
    let mut serving = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(next(&listener, &connections, &mut serving)).await {
        let Some((stream, peer)) = accepted else { continue };
        let connection = connections.add(peer.ip());
        let router = (router.clone(), bodies);
        serving.spawn(serve_one(patience, stream, connection, router, stop.clone()));
    }
    drop(listener);
    let ended = async { while serving.join_next().await.is_some() {} };
    drop(tokio::time::timeout(LAST_ANSWERS, ended).await);
}

/// The next connection, once there is room for it.
async fn next(
    listener: &TcpListener,
    connections: &Connections,
    serving: &mut JoinSet<()>,
) -> Option<(TcpStream, SocketAddr)> {
    let accepted = listener.accept().await;
    while serving.try_join_next().is_some() {}
    match accepted {
        Ok(accepted) => {
            while !connections.make_room() {
                tokio::time::sleep(AGAIN).await;
            }
            Some(accepted)
        }
        Err(error) => {
            // Out of descriptors, or the peer is gone again.
            tracing::debug!(%error, "a connection to the HTTP endpoints cannot be taken");
            tokio::time::sleep(AGAIN).await;
            None
        }
    }
}

async fn serve_one(
    patience: Patience,
    stream: TcpStream,
    connection: Connection,
    (router, bodies): (Router, Bodies),
    stop: CancellationToken,
) {
    let answer = service_fn(|request: Request<Incoming>| {
        connection.is_asked();
        answer(router.clone(), bodies, request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(serving);
    let mut stopping = false;
    loop {
        tokio::select! {
            // What goes wrong on it is the matter of whoever called.
            _ = &mut serving => return,
            () = connection.over(patience.lasts) => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    mut router: Router,
    bodies: Bodies,
    request: Request<Incoming>,
) -> Result<Response, std::convert::Infallible> {
    let headers = request.headers();
    let none = |length: &header::HeaderValue| length.as_bytes() == b"0";
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || !headers.get(header::CONTENT_LENGTH).is_none_or(none);
    if has_body && bodies == Bodies::Refused {
        let refused =
            (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], "no request here has a body\n");
        return Ok(refused.into_response());
    }
    router.call(request.map(Body::new)).await
}

/// Those that there are, oldest first.
#[derive(Debug, Default, Clone)]
struct Connections(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    last: u64,
    open: BTreeMap<u64, Place>,
}

#[derive(Debug)]
struct Place {
    peer: IpAddr,
    /// When it began, or asked for something last.
    since: Instant,
    /// Until then it is left alone.
    safe_until: Instant,
    end: CancellationToken,
}

impl Connections {
    fn add(&self, peer: IpAddr) -> Connection {
        let (now, end) = (Instant::now(), CancellationToken::new());
        let mut known = self.0.lock();
        known.last += 1;
        let number = known.last;
        known.open.insert(number, Place { peer, since: now, safe_until: now + NEW, end: end.clone() });
        Connection { number, connections: self.clone(), end }
    }

    /// Whether there is room for another; where not, one that can be ended is.
    fn make_room(&self) -> bool {
        let mut known = self.0.lock();
        if known.open.len() < MOST {
            return true;
        }
        let now = Instant::now();
        let mut of_peer: HashMap<IpAddr, usize> = HashMap::new();
        for place in known.open.values() {
            *of_peer.entry(place.peer).or_default() += 1;
        }
        let can_end = known.open.iter().filter(|(_, place)| place.safe_until <= now);
        let ends = can_end.min_by_key(|(_, place)| (std::cmp::Reverse(of_peer[&place.peer]), place.since));
        let Some(number) = ends.map(|(number, _)| *number) else { return false };
        if let Some(place) = known.open.remove(&number) {
            place.end.cancel();
        }
        true
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Connection {
    number: u64,
    connections: Connections,
    end: CancellationToken,
}

impl Connection {
    fn is_asked(&self) {
        let now = Instant::now();
        if let Some(place) = self.connections.0.lock().open.get_mut(&self.number) {
            (place.since, place.safe_until) = (now, now + ANSWERING);
        }
    }

    /// Until it has to make room, or has lasted too long.
    async fn over(&self, lasts: Duration) {
        loop {
            let since = self.connections.0.lock().open.get(&self.number).map(|place| place.since);
            let Some(since) = since else { return };
            let ends = since + lasts;
            if Instant::now() >= ends {
                return;
            }
            tokio::select! {
                () = self.end.cancelled() => return,
                () = tokio::time::sleep_until(ends) => {}
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.0.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
