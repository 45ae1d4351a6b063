//! Slow clients, and probes beside them.

use std::net::Ipv4Addr;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// What a never-reading client leaves in the buffers is less than this.
const LARGE: usize = 32 << 20;

async fn start(patience: Patience) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let router = Router::new()
        .route("/readyz", get(|| async { "ready" }))
        .route("/large", get(|| async { vec![b'.'; LARGE] }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(serve_with(patience, listener, router, Bodies::Refused, stop.clone()));
    (address, stop, serving)
}

/// What a server says to these bytes until it closes, or for three seconds.
async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has heard enough may close before all is sent.
    drop(stream.write_all(bytes).await);
    let mut said = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut said)).await);
    String::from_utf8_lossy(&said).into_owned()
}

async fn probe(address: SocketAddr) -> String {
    say(address, b"GET /readyz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn probes_get_through_while_a_thousand_slow_clients_hang_and_no_descriptors_are_lost() {
    let (address, stop, serving) = start(PATIENCE).await;
    let before = descriptors();
    let mut slow = Vec::new();
    for number in 0..1_000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let begun: &[u8] = if number % 2 == 0 { b"GET /readyz HTTP/1.1\r\nx-slow: " } else { b"" };
        // It may have had to make room before it could say anything.
        drop(stream.write_all(begun).await);
        slow.push(stream);
        if number % 250 == 249 {
            let said = probe(address).await;
            assert!(said.contains("200 OK") && said.ends_with("ready"), "beside {number} others: {said:?}");
        }
    }
    let ours = slow.len();
    let taken = descriptors() - before - ours;
    assert!(taken <= MOST + 8, "{taken} connections are kept");
    // Those that never read, too.
    for _ in 0..2 * MOST {
        let mut stream = TcpStream::connect(address).await.unwrap();
        drop(stream.write_all(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n").await);
        slow.push(stream);
    }
    let said = probe(address).await;
    assert!(said.contains("200 OK"), "{said:?}");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it ends, whoever hangs").unwrap();
    drop(TcpListener::bind(address).await.expect("and its address is free"));
}

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_hours(1);

/// What comes of a connection until it is closed, which it has to be.
async fn closed(mut stream: TcpStream) -> usize {
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said);
    tokio::time::timeout(Duration::from_mins(1), read).await.expect("it is closed").ok();
    said.len()
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_ends() {
    let (address, _stop, _serving) = start(Patience { head: SHORT, lasts: LONG }).await;
    let idle = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /readyz HTTP/1.1\r\nx-slow: ").await.unwrap();
    for stream in [idle, half] {
        closed(stream).await;
    }
}

#[tokio::test]
async fn a_connection_whose_answer_is_not_read_ends() {
    let (address, _stop, _serving) = start(Patience { head: LONG, lasts: SHORT }).await;
    let mut unread = TcpStream::connect(address).await.unwrap();
    unread.write_all(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    tokio::time::sleep(SHORT * 3).await;
    let said = closed(unread).await;
    assert!(said < LARGE, "all of {said} bytes were kept for whoever read nothing");
}

#[tokio::test]
async fn large_heads_and_bodies_are_refused() {
    let (address, _stop, _serving) = start(PATIENCE).await;
    let head = format!("GET /readyz HTTP/1.1\r\nx-large: {}\r\n\r\n", "x".repeat(LONGEST_HEAD * 2));
    let said = say(address, head.as_bytes()).await;
    assert!(said.is_empty() || said.contains("431"), "{said:?}");
    for body in ["content-length: 1000000000\r\n\r\nx", "transfer-encoding: chunked\r\n\r\nffffff\r\nx"] {
        let said = say(address, format!("GET /readyz HTTP/1.1\r\nhost: here\r\n{body}").as_bytes()).await;
        assert!(said.contains("413"), "{body}: {said:?}");
    }
    let said =
        say(address, b"GET /readyz HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    assert!(said.contains("200 OK"), "{said:?}");
}

#[tokio::test]
async fn the_peer_with_the_most_connections_makes_room_and_who_was_asked_just_now_does_not() {
    let connections = Connections::default();
    let (crowd, single): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let lone = connections.add(single);
    let mut many: Vec<Connection> = (1..MOST).map(|_| connections.add(crowd)).collect();
    assert!(!connections.make_room(), "all are new");
    tokio::time::sleep(NEW).await;
    many[0].is_asked();
    assert!(connections.make_room());
    assert!(!lone.end.is_cancelled() && !many[0].end.is_cancelled() && many[1].end.is_cancelled());
    many.remove(1);
    assert!(connections.make_room(), "one is gone");
}
