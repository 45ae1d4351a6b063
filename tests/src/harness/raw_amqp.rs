//! A publisher that writes AMQP 0.9.1 byte by byte: whatever a library would refuse to send, or could not survive itself.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use lapin::uri::AMQPUri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xce;

/// `connection.start`, and what follows until a channel confirms.
const START: [u8; 4] = [0, 10, 0, 10];
const TUNE: [u8; 4] = [0, 10, 0, 30];
const OPEN_OK: [u8; 4] = [0, 10, 0, 41];
const CHANNEL_OPEN_OK: [u8; 4] = [0, 20, 0, 11];
const SELECT_OK: [u8; 4] = [0, 85, 0, 11];
const ACK: [u8; 4] = [0, 60, 0, 80];

/// A connection with one channel that confirms.
#[derive(Debug)]
pub struct RawPublisher {
    socket: TcpStream,
    frame_max: usize,
}

impl RawPublisher {
    /// Connects as the address says.
    ///
    /// # Errors
    /// When the broker lets nobody in.
    pub async fn connect(url: &str) -> Result<Self> {
        let uri: AMQPUri = url.parse().map_err(|error| anyhow!("{url}: {error}"))?;
        let socket = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port)).await?;
        let mut raw = Self { socket, frame_max: 0 };
        raw.socket.write_all(b"AMQP\0\0\x09\x01").await?;
        raw.expect(START).await?;
        let user = &uri.authority.userinfo;
        let who = format!("\0{}\0{}", user.username, user.password);
        let answer =
            [&[0, 10, 0, 11][..], &long(b""), &short(b"PLAIN"), &long(who.as_bytes()), &short(b"en_US")];
        raw.send(METHOD, 0, &answer.concat()).await?;
        let tune = raw.expect(TUNE).await?;
        let agreed = tune.get(4..).context("a short connection.tune")?;
        raw.frame_max = usize::try_from(u32::from_be_bytes(agreed[2..6].try_into()?))?;
        raw.send(METHOD, 0, &[&[0, 10, 0, 31], agreed].concat()).await?;
        let open = [&[0, 10, 0, 40][..], &short(uri.vhost.as_bytes()), &[0, 0]];
        raw.send(METHOD, 0, &open.concat()).await?;
        raw.expect(OPEN_OK).await?;
        raw.send(METHOD, 1, &[0, 20, 0, 10, 0]).await?;
        raw.expect(CHANNEL_OPEN_OK).await?;
        raw.send(METHOD, 1, &[0, 85, 0, 10, 0]).await?;
        raw.expect(SELECT_OK).await?;
        Ok(raw)
    }

    /// Bytes that a frame may have.
    #[must_use]
    pub fn frame_max(&self) -> usize {
        self.frame_max
    }

    /// Publishes a body with properties as they are encoded, and waits until the broker has it.
    ///
    /// # Errors
    /// When the broker does not take it, or no queue does.
    pub async fn publish(
        &mut self,
        exchange: &str,
        routing_key: &[u8],
        properties: &[u8],
        body: &[u8],
    ) -> Result<()> {
        let mandatory = 1;
        let method =
            [&[0, 60, 0, 40, 0, 0][..], &short(exchange.as_bytes()), &short(routing_key), &[mandatory]];
        self.send(METHOD, 1, &method.concat()).await?;
        let size = u64::try_from(body.len())?.to_be_bytes();
        self.send(HEADER, 1, &[&[0, 60, 0, 0][..], &size, properties].concat()).await?;
        for part in body.chunks(self.frame_max - 8) {
            self.send(BODY, 1, part).await?;
        }
        self.expect(ACK).await.map(drop)
    }

    async fn send(&mut self, kind: u8, channel: u8, payload: &[u8]) -> Result<()> {
        let size = u32::try_from(payload.len())?.to_be_bytes();
        let frame = [&[kind, 0, channel], size.as_slice(), payload, &[FRAME_END]].concat();
        ensure!(self.frame_max == 0 || frame.len() <= self.frame_max, "a frame of {} bytes", frame.len());
        Ok(self.socket.write_all(&frame).await?)
    }

    /// The payload of the next method, which has to be this one.
    async fn expect(&mut self, method: [u8; 4]) -> Result<Vec<u8>> {
        loop {
            let mut head = [0; 7];
            self.socket.read_exact(&mut head).await.context("the broker ended the connection")?;
            let size = u32::from_be_bytes(head[3..7].try_into()?);
            let mut payload = vec![0; usize::try_from(size)? + 1];
            self.socket.read_exact(&mut payload).await?;
            payload.pop();
            if head[0] != METHOD {
                continue;
            }
            if !payload.starts_with(&method) {
                bail!("{method:?} was expected: {:?}", String::from_utf8_lossy(&payload));
            }
            return Ok(payload);
        }
    }
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap_or(u8::MAX)], text].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes(), bytes].concat()
}

/// Properties of which only the headers are given.
#[must_use]
pub fn with_headers(headers: &[Vec<u8>]) -> Vec<u8> {
    [&[0x20, 0], long(&headers.concat()).as_slice()].concat()
}

/// A header: its name, and its value with the letter before it.
#[must_use]
pub fn header(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&short(name), value].concat()
}

/// A header that is a text.
#[must_use]
pub fn text(name: &[u8], value: &[u8]) -> Vec<u8> {
    header(name, &[b"S", long(value).as_slice()].concat())
}

/// Lists within lists (`A`) or tables within tables (`F`), so many levels deep.
#[must_use]
pub fn nested(kind: u8, levels: usize) -> Vec<u8> {
    let step = if kind == b'A' { 5 } else { 6 };
    let mut bytes = Vec::with_capacity(levels * step);
    for level in 0..levels {
        if level > 0 && kind == b'F' {
            bytes.push(0);
        }
        bytes.push(kind);
        let within = u32::try_from((levels - level - 1) * step).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&within.to_be_bytes());
    }
    bytes
}
