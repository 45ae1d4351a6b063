//! What is refused, and that whoever has no key learns nothing.

use std::net::Ipv4Addr;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

const KEY: &str = "k-1234567890_abcdefghij";

#[derive(Default)]
struct Kept {
    bodies: Mutex<Vec<Vec<u8>>>,
    notes: Mutex<Vec<(Option<String>, Receipt)>>,
    full: bool,
}

impl Inbox for Kept {
    fn addressee(&self, id: &str, key: &str) -> Option<IntegrationId> {
        (id == "acme" && key == KEY).then(|| IntegrationId::new("acme").unwrap())
    }

    fn take(&self, parcel: Parcel) -> BoxFuture<'_, Receipt> {
        Box::pin(async move {
            if self.full {
                return Receipt::Unavailable;
            }
            self.bodies.lock().push(parcel.body);
            Receipt::Taken
        })
    }

    fn note(&self, integration: Option<&IntegrationId>, receipt: Receipt) {
        self.notes.lock().push((integration.map(ToString::to_string), receipt));
    }
}

async fn start(kept: &Arc<Kept>) -> (InboxServer, CancellationToken) {
    let stop = CancellationToken::new();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server =
        InboxServer::start(listen, "fetcher.events_listen", kept.clone(), stop.clone()).await.unwrap();
    (server, stop)
}

/// What the server answers to these bytes, without the time.
async fn say(server: &InboxServer, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream.write_all(body).await);
    let mut said = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut said)).await);
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
}

async fn send(server: &InboxServer, method: &str, path: &str, body: &[u8]) -> String {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    say(server, &head, body).await
}

#[tokio::test]
async fn p34_whoever_has_no_key_gets_the_same_answer_to_everything() {
    let kept = Arc::new(Kept::default());
    let (server, _stop) = start(&kept).await;
    let wrong = send(&server, "POST", "/events/acme/k-1234567890_abcdefghii", b"{}").await;
    assert!(wrong.starts_with("HTTP/1.1 404"), "{wrong}");
    let large = vec![b' '; LARGEST + 1];
    for path in [
        "/".to_owned(),
        "/metrics".to_owned(),
        "/events".to_owned(),
        "/events/acme".to_owned(),
        "/events/acme/".to_owned(),
        format!("/events//{KEY}"),
        format!("/events/other/{KEY}"),
        format!("/events/ACME/{KEY}"),
        format!("/events/acme/{KEY}x"),
        format!("/events/acme/{KEY}/x"),
        format!("/events/acme/x/{KEY}"),
        format!("/events/acme/{}", &KEY[..20]),
        format!("/x/events/acme/{KEY}"),
        "/events/acme/%ff%fe".to_owned(),
    ] {
        for body in [&b"{}"[..], b"no json", &large] {
            assert_eq!(send(&server, "POST", &path, body).await, wrong, "{path}");
        }
    }
    assert!(kept.bodies.lock().is_empty());
    assert!(
        kept.notes
            .lock()
            .iter()
            .all(|(whose, receipt)| whose.is_none() && *receipt == Receipt::NoSuchAddress)
    );
}

#[tokio::test]
async fn p34_another_method_a_body_that_is_too_large_or_never_ends_are_refused() {
    let kept = Arc::new(Kept::default());
    let (server, _stop) = start(&kept).await;
    let path = format!("/events/acme/{KEY}");
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let said = send(&server, method, &path, b"").await;
        assert!(said.starts_with("HTTP/1.1 405") && said.contains("allow: POST"), "{method}: {said}");
        assert_eq!(
            send(&server, method, "/events/acme/wrong", b"").await,
            said,
            "it says nothing of the key"
        );
    }
    let largest = vec![b' '; LARGEST];
    assert!(send(&server, "POST", &path, &largest).await.starts_with("HTTP/1.1 200"));
    let larger = vec![b' '; LARGEST + 1];
    assert!(send(&server, "POST", &path, &larger).await.starts_with("HTTP/1.1 413"));
    let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut chunks = format!("{:x}\r\n", larger.len()).into_bytes();
    chunks.extend_from_slice(&larger);
    chunks.extend_from_slice(b"\r\n0\r\n\r\n");
    assert!(say(&server, &head, &chunks).await.starts_with("HTTP/1.1 413"), "whatever it says of its length");
    let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n");
    assert!(say(&server, &head, b"{").await.starts_with("HTTP/1.1 408"), "a body that does not come");
    let escaped = path.replace("acme", "ac%6De").replace("k-", "%6b%2D");
    assert!(send(&server, "POST", &escaped, b"{}").await.starts_with("HTTP/1.1 200"), "{escaped}");
    assert!(send(&server, "POST", &format!("{path}/?x=1"), b"{}").await.starts_with("HTTP/1.1 200"));
    assert_eq!(kept.bodies.lock().len(), 3);
}

#[tokio::test]
async fn p34_what_cannot_be_kept_is_welcome_again() {
    let kept = Arc::new(Kept { full: true, ..Kept::default() });
    let (server, _stop) = start(&kept).await;
    let said = send(&server, "POST", &format!("/events/acme/{KEY}"), b"{}").await;
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("retry-after: 5"), "{said}");
    assert_eq!(*kept.notes.lock(), [(Some("acme".to_owned()), Receipt::Unavailable)]);
}
