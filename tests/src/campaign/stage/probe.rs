//! A look into the broker: how much waits where, and the dead letters.

use anyhow::{Context as _, Result};
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};

use super::{INTEGRATION, PREFIX};

/// Size of the pieces that the stream of facts is kept in.
const PIECE_BYTES: i64 = 200_000;

/// A dead letter that there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::campaign) enum Expected {
    /// A change of this key that failed for good.
    Key {
        /// As in its header `x-key`.
        key: String,
        /// How many there must be.
        at_least: usize,
    },
    /// This very message.
    Body {
        /// As it was published.
        body: Vec<u8>,
        /// How many there must be.
        at_least: usize,
    },
}

/// A dead letter that was found.
#[derive(Debug, Clone)]
pub(in crate::campaign) struct Letter {
    /// What the header `x-key` says.
    pub key: String,
    /// What the header `x-reason` says.
    pub reason: String,
    /// The message.
    pub body: Vec<u8>,
}

impl Expected {
    /// How many of these it is.
    pub(in crate::campaign) fn count(&self, letters: &[Letter]) -> usize {
        letters.iter().filter(|letter| self.fits(letter)).count()
    }

    pub(in crate::campaign) fn fits(&self, letter: &Letter) -> bool {
        match self {
            Self::Key { key, .. } => *key == letter.key,
            Self::Body { body, .. } => *body == letter.body,
        }
    }

    pub(in crate::campaign) fn at_least(&self) -> usize {
        match self {
            Self::Key { at_least, .. } | Self::Body { at_least, .. } => *at_least,
        }
    }
}

/// A connection of the campaign's own, made anew when the broker has gone away.
pub(super) struct Probe {
    url: String,
    connection: Option<Connection>,
}

impl Probe {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), connection: None }
    }

    /// A channel on a living connection.
    pub(super) async fn channel(&mut self) -> Result<Channel> {
        if let Some(connection) = &self.connection
            && connection.status().connected()
            && let Ok(channel) = connection.create_channel().await
        {
            return Ok(channel);
        }
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        self.connection = Some(connection);
        Ok(channel)
    }

    /// The stream of facts as the workers would declare it, but in small pieces: a stream is trimmed by
    /// whole ones.
    pub(super) async fn declare_state_stream(&mut self) -> Result<()> {
        let channel = self.channel().await?;
        let mut arguments = FieldTable::default();
        for (name, value) in [("x-queue-type", "stream"), ("x-max-age", "7D")] {
            arguments.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(PIECE_BYTES));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let stream = format!("{PREFIX}.{INTEGRATION}.state");
        // A worker may have been quicker; then it is as the workers declare it.
        drop(channel.queue_declare(stream.as_str().into(), options, arguments).await);
        Ok(())
    }

    /// Messages ready in a queue.
    pub(super) async fn waiting(&mut self, queue: &str) -> Result<u32> {
        let channel = self.channel().await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        let count = found.with_context(|| format!("no queue {queue}"))?.message_count();
        channel.close(200, "looked".into()).await?;
        Ok(count)
    }

    /// Takes all messages out of a queue.
    pub(super) async fn take_all(&mut self, queue: &str) -> Result<Vec<Letter>> {
        let channel = self.channel().await?;
        let mut letters = Vec::new();
        while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions::default()).await? {
            let headers = message.delivery.properties.headers().clone().unwrap_or_default();
            let header = |name: &str| match headers.inner().get(name) {
                Some(AMQPValue::LongString(text)) => text.to_string(),
                _ => String::new(),
            };
            letters.push(Letter {
                key: header("x-key"),
                reason: header("x-reason"),
                body: message.delivery.data.clone(),
            });
            message.delivery.ack(BasicAckOptions::default()).await?;
        }
        channel.close(200, "done".into()).await?;
        Ok(letters)
    }
}
