//! Dead letters: what a worker writes on one, and what a replay of it carries.
//!
//! The body stays as it was, id and all. Why it died, where, and where it came from stands in headers.

use amfj_sync_model::ids::IntegrationId;
use jiff::Timestamp;
use uuid::Uuid;

use super::intake::Received;
use super::names::{Names, Stage};
use super::publisher::Outgoing;

/// Headers of dead letters and replays.
pub mod header {
    /// One sentence: why it died.
    pub const REASON: &str = "x-reason";
    /// `reconcile` or `apply`: where it died.
    pub const STAGE: &str = "x-stage";
    /// Whose it is.
    pub const INTEGRATION: &str = "x-integration";
    /// The device or person; blank where it could not be read.
    pub const KEY: &str = "x-key";
    /// Requests that were tried, over all replays.
    pub const ATTEMPTS: &str = "x-attempts";
    /// When it died.
    pub const TIME: &str = "x-time";
    /// When it died first, where it was replayed since.
    pub const SINCE: &str = "x-since";
    /// The work queue that it came from.
    pub const QUEUE: &str = "x-queue";
    /// On a replay: its token. The same token is tried once.
    pub const REPLAY: &str = "x-replay";
}

/// What a message carries that somebody replayed from the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Which replay: a redelivery of it is none of its own.
    pub token: Uuid,
    /// Requests that were tried before.
    pub attempts: u32,
    /// When the message died first.
    pub since: Option<Timestamp>,
}

impl Replay {
    /// None where the message is no replay.
    #[must_use]
    pub fn of(received: &Received) -> Option<Self> {
        Some(Self {
            token: received.header(header::REPLAY)?.parse().ok()?,
            attempts: received.header(header::ATTEMPTS).and_then(|count| count.parse().ok()).unwrap_or(0),
            since: received.header(header::SINCE).and_then(|time| time.parse().ok()),
        })
    }

    /// Puts it on a message.
    #[must_use]
    pub fn put_on(&self, mut message: Outgoing) -> Outgoing {
        message = message
            .with_header(header::REPLAY, &self.token.to_string())
            .with_header(header::ATTEMPTS, &self.attempts.to_string());
        match self.since {
            Some(since) => message.with_header(header::SINCE, &since.to_string()),
            None => message,
        }
    }
}

/// Why a message is a dead letter.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetterReason<'a> {
    /// Whose it is.
    pub integration: &'a IntegrationId,
    /// Where it died.
    pub stage: Stage,
    /// The queue that it came from.
    pub queue: &'a str,
    /// What it is about; blank where it could not be read.
    pub key: &'a str,
    /// One sentence.
    pub reason: &'a str,
    /// Requests that were tried this time.
    pub attempts: u32,
}

/// The dead letter that a message becomes: unchanged, with its own id, so that a replay is recognised as
/// what it is.
#[must_use]
pub fn dead_letter(names: &Names, received: &Received, death: &DeadLetterReason<'_>) -> Outgoing {
    let now = Timestamp::now();
    let replay = Replay::of(received);
    let attempts = replay.as_ref().map_or(0, |replay| replay.attempts).saturating_add(death.attempts);
    let since = replay.and_then(|replay| replay.since).unwrap_or(now);
    let mut letter = Outgoing {
        exchange: names.dead(),
        routing_key: String::new(),
        id: received.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_else(Uuid::new_v4),
        body: received.body.clone(),
        headers: super::Headers::default(),
        packable: false,
    }
    .with_header(header::REASON, death.reason)
    .with_header(header::STAGE, death.stage.as_str())
    .with_header(header::INTEGRATION, death.integration.as_str())
    .with_header(header::KEY, death.key)
    .with_header(header::ATTEMPTS, &attempts.to_string())
    .with_header(header::TIME, &now.to_string())
    .with_header(header::SINCE, &since.to_string())
    .with_header(header::QUEUE, death.queue);
    if let Some(offset) = received.header(Outgoing::DECIDED_ON) {
        letter = letter.with_header(Outgoing::DECIDED_ON, &offset);
    }
    letter
}
