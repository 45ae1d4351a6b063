//! A TCP proxy before the broker that cuts or silences single connections, as a network would.
//!
//! A worker has one connection to consume on and one to publish on, and gives each a name
//! (`writer/7f3c… consuming`). The proxy reads the name as it passes by, so that a test can cut one
//! of the two.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The member of AMQP's client properties that names a connection: its name with its length before it,
/// and `S` for a long text.
const NAME_MEMBER: &[u8] = b"\x0fconnection_nameS";

/// The name comes with the first message of the client.
const NAME_WITHIN: usize = 16 << 10;

const BUFFER: usize = 64 << 10;

/// A proxy on a port of its own. Dropping it cuts everything that goes through it.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    connections: Arc<Mutex<Vec<Connection>>>,
    refusing: Arc<AtomicBool>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone)]
struct Connection {
    name: Arc<Mutex<Option<String>>>,
    cut: CancellationToken,
    silent: watch::Sender<bool>,
}

impl Connection {
    fn new() -> Self {
        Self { name: Arc::default(), cut: CancellationToken::new(), silent: watch::channel(false).0 }
    }

    fn is_named(&self, piece: &str) -> bool {
        !self.cut.is_cancelled() && self.name.lock().as_ref().is_some_and(|name| name.contains(piece))
    }
}

impl Proxy {
    /// Starts a proxy before the broker at this address (`amqp://…@host:port/…`).
    ///
    /// # Errors
    /// If the address cannot be read, or there is no free port.
    pub async fn before(url: &str) -> Result<Self> {
        Self::before_any_of(&[url.to_owned()]).await
    }

    /// Starts a proxy that leads to one of these nodes of a cluster that takes connections, to each in
    /// turn, as a load balancer does. User and path are those of the first.
    ///
    /// # Errors
    /// As for [`Self::before`], and if there is no address.
    pub async fn before_any_of(urls: &[String]) -> Result<Self> {
        let mut targets = Vec::new();
        for url in urls {
            let (_, rest) = url.rsplit_once('@').with_context(|| format!("no `@` in {url}"))?;
            targets.push(rest.split_once('/').map_or(rest, |(target, _)| target).to_owned());
        }
        let url = urls.first().context("a proxy needs an address to lead to")?;
        let (user, rest) = url.rsplit_once('@').with_context(|| format!("no `@` in {url}"))?;
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the proxy")?;
        let address: SocketAddr = listener.local_addr()?;
        let connections = Arc::new(Mutex::new(Vec::new()));
        let refusing = Arc::new(AtomicBool::new(false));
        let accepting = accept(listener, targets, connections.clone(), refusing.clone());
        Ok(Self {
            url: format!("{user}@{address}/{path}"),
            connections,
            refusing,
            _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)),
        })
    }

    /// The broker's address through the proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Closes all connections with this piece in their name; how many there were.
    #[expect(clippy::must_use_candidate, reason = "not everybody counts")]
    pub fn cut(&self, piece: &str) -> usize {
        let hit = self.named(piece);
        for connection in &hit {
            connection.cut.cancel();
        }
        hit.len()
    }

    /// Holds back every byte of the connections with this piece in their name, without closing them,
    /// as a cable that was pulled would. How many there were.
    #[expect(clippy::must_use_candidate, reason = "not everybody counts")]
    pub fn silence(&self, piece: &str) -> usize {
        let hit = self.named(piece);
        for connection in &hit {
            connection.silent.send_replace(true);
        }
        hit.len()
    }

    /// Lets everything pass again that was held back.
    pub fn speak(&self) {
        for connection in self.connections.lock().iter() {
            connection.silent.send_replace(false);
        }
    }

    /// While true, new connections are closed at once.
    pub fn refuse(&self, refuse: bool) {
        self.refusing.store(refuse, Ordering::SeqCst);
    }

    fn named(&self, piece: &str) -> Vec<Connection> {
        self.connections.lock().iter().filter(|connection| connection.is_named(piece)).cloned().collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for connection in self.connections.lock().iter() {
            connection.cut.cancel();
        }
    }
}

async fn accept(
    listener: TcpListener,
    mut targets: Vec<String>,
    connections: Arc<Mutex<Vec<Connection>>>,
    refusing: Arc<AtomicBool>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if refusing.load(Ordering::SeqCst) {
            continue;
        }
        // A broker that is away looks to the client as it would without the proxy.
        let Some(server) = connect_to_any(&targets).await else { continue };
        targets.rotate_left(1);
        let connection = Connection::new();
        connections.lock().push(connection.clone());
        tokio::spawn(carry(client, server, connection));
    }
}

/// The first that takes a connection.
async fn connect_to_any(targets: &[String]) -> Option<TcpStream> {
    for target in targets {
        if let Ok(server) = TcpStream::connect(target).await {
            return Some(server);
        }
    }
    None
}

/// Carries bytes both ways until either side closes or the connection is cut.
async fn carry(client: TcpStream, server: TcpStream, connection: Connection) {
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let cut = connection.cut.clone();
    let listening = Some(connection.name.clone());
    tokio::select! {
        () = pass(from_client, to_server, connection.silent.subscribe(), listening) => {}
        () = pass(from_server, to_client, connection.silent.subscribe(), None) => {}
        () = cut.cancelled() => {}
    }
    connection.cut.cancel();
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut silent: watch::Receiver<bool>,
    mut name: Option<Arc<Mutex<Option<String>>>>,
) {
    let mut buffer = vec![0; BUFFER];
    let mut said = Vec::new();
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(place) = &name {
            said.extend_from_slice(&buffer[..read]);
            if let Some(found) = connection_name(&said) {
                *place.lock() = Some(found);
                name = None;
            } else if said.len() > NAME_WITHIN {
                name = None;
            }
        }
        if silent.wait_for(|silent| !silent).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn connection_name(said: &[u8]) -> Option<String> {
    let at = said.windows(NAME_MEMBER.len()).position(|window| window == NAME_MEMBER)?;
    let rest = &said[at + NAME_MEMBER.len()..];
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let name = rest.get(..u32::from_be_bytes(*length) as usize)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_once_all_of_it_was_said() {
        let mut said = b"AMQP....\x0fconnection_nameS\0\0\0\x06".to_vec();
        assert_eq!(connection_name(&said), None);
        said.extend_from_slice(b"w conswhatever");
        assert_eq!(connection_name(&said).as_deref(), Some("w cons"));
    }

    #[tokio::test]
    async fn cuts_and_silences_what_was_named() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = echo.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let proxy = Proxy::before(&format!("amqp://guest:guest@127.0.0.1:{port}/%2f")).await.unwrap();
        let address = proxy.url().rsplit('@').next().unwrap().trim_end_matches("/%2f").to_owned();
        let mut client = TcpStream::connect(&address).await.unwrap();
        let mut hello = b"\x0fconnection_nameS\0\0\0\x09w publish".to_vec();
        client.write_all(&hello).await.unwrap();
        client.read_exact(&mut hello).await.unwrap();
        assert_eq!(proxy.cut("consuming"), 0);
        assert_eq!(proxy.silence("publish"), 1);
        client.write_all(b"x").await.unwrap();
        let mut byte = [0];
        let wait = std::time::Duration::from_millis(100);
        assert!(tokio::time::timeout(wait, client.read_exact(&mut byte)).await.is_err());
        proxy.speak();
        client.read_exact(&mut byte).await.unwrap();
        assert_eq!(proxy.cut("publish"), 1);
        assert_eq!(client.read(&mut byte).await.unwrap_or(0), 0);
        assert_eq!(proxy.cut("publish"), 0, "it was cut already");
        proxy.refuse(true);
        let mut refused = TcpStream::connect(&address).await.unwrap();
        assert_eq!(refused.read(&mut byte).await.unwrap_or(0), 0);
    }
}
