//! The envelope of every message: CloudEvents 1.0 in JSON.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Fact, Payload, Sequence};
use crate::ids::{IntegrationId, RunId};

/// Name space of the deterministic message ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c0f_5a6e_0b2d_5e0c_9a53_3f1d_2c9b_7a41);

/// A `traceparent` has 55 letters, and versions to come may have some more. It goes on from message to message: a longer one
/// would go with it until no message could carry it.
const LONGEST_TRACEPARENT: usize = 256;

/// What most messages fit into, so that they are written without growing.
const USUAL_BYTES: usize = 2_048;

/// One message: who says what about which subject of which integration, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Deterministic: the same content about the same subject at the same sequence has the same id.
    pub id: Uuid,
    /// The worker that made it, for example `fetcher/7f3c…`.
    pub source: String,
    /// What it is about: `device/ID`, `user/KEY`, `run/SEQUENCE`, …
    pub subject: String,
    /// When it was made.
    pub time: Timestamp,
    /// The integration that it belongs to.
    pub integration: IntegrationId,
    /// The run that caused it.
    pub run: Option<RunId>,
    /// Its place in the order of its key.
    pub sequence: Option<Sequence>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// What it says.
    pub payload: Payload,
}

/// Where an event comes from and belongs to: everything but its payload.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The worker that makes it.
    pub source: String,
    /// The integration.
    pub integration: IntegrationId,
    /// The run that caused it.
    pub run: Option<RunId>,
    /// Place in the order of its key.
    pub sequence: Option<Sequence>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// Why bytes are not one of our messages. Such a message is a dead letter.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or without the attributes of an envelope.
    #[error("not a CloudEvents message in JSON: {}", shortened(.0))]
    Envelope(serde_json::Error),
    /// A type or a version that this release does not know.
    #[error("message type `{}` is unknown to this release; a newer release may have published it", shortened(.0))]
    UnknownType(String),
    /// The type is known, the data are not of its shape.
    #[error("the data of a `{kind}` message are malformed: {}", shortened(error))]
    Data {
        /// The message type.
        kind: String,
        /// What is wrong.
        error: serde_json::Error,
    },
}

/// The parser's words quote the value at fault, which may be the whole message.
fn shortened(words: &impl std::fmt::Display) -> String {
    const MOST: usize = 300;
    let words = words.to_string();
    match words.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// The envelope on the wire.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Envelope")]
pub(super) struct Wire<'a, D> {
    pub(super) specversion: std::borrow::Cow<'a, str>,
    pub(super) id: Uuid,
    pub(super) source: std::borrow::Cow<'a, str>,
    #[serde(rename = "type")]
    pub(super) kind: std::borrow::Cow<'a, str>,
    pub(super) subject: std::borrow::Cow<'a, str>,
    #[schemars(with = "String")]
    pub(super) time: Timestamp,
    #[serde(default)]
    pub(super) datacontenttype: std::borrow::Cow<'a, str>,
    pub(super) integrationid: IntegrationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) runid: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sequence: Option<Sequence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<String>,
    pub(super) data: D,
}

/// A message whose data have not been read: enough to know whether they have to be.
#[derive(Debug)]
pub struct EventHeader<'a>(Wire<'a, &'a RawValue>);

impl<'a> EventHeader<'a> {
    /// Reads the envelope.
    pub fn of(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(bytes).map(Self).map_err(DecodeError::Envelope)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.0.id
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Its data, unread.
    #[must_use]
    pub fn data(&self) -> &'a RawValue {
        self.0.data
    }

    /// Whether its type is that of a fact that this release knows.
    #[must_use]
    pub fn is_fact(&self) -> bool {
        self.0.kind == Payload::FACT
    }

    /// Reads the data as a fact.
    pub fn fact(&self) -> Result<Fact, DecodeError> {
        let kind = || "fact".to_owned();
        serde_json::from_str(self.data().get()).map_err(|error| DecodeError::Data { kind: kind(), error })
    }

    /// Reads the data. Unknown members are ignored, unknown types refused.
    pub fn event(self) -> Result<Event, DecodeError> {
        let payload = Payload::decode(&self.0.kind, self.0.data.get())?;
        Ok(self.saying(payload))
    }

    /// The event with this in place of its data.
    #[must_use]
    pub fn saying(self, payload: Payload) -> Event {
        let Self(wire) = self;
        Event {
            id: wire.id,
            source: wire.source.into_owned(),
            subject: wire.subject.into_owned(),
            time: wire.time,
            integration: wire.integrationid,
            run: wire.runid,
            sequence: wire.sequence,
            traceparent: wire.traceparent.filter(|text| text.len() <= LONGEST_TRACEPARENT),
            payload,
        }
    }
}

impl Event {
    /// Makes an event with its deterministic id: a UUID of version 5 over integration, subject, sequence, type
    /// and content.
    #[must_use]
    pub fn new(origin: &Origin, subject: String, time: Timestamp, payload: Payload) -> Self {
        let sequence = origin.sequence.map(|s| s.to_string()).unwrap_or_default();
        let mut name =
            format!("{}\n{subject}\n{sequence}\n{}\n", origin.integration, payload.type_name()).into_bytes();
        name.reserve(USUAL_BYTES);
        // Our own types: string keys only, no failing Serialize, so this cannot fail.
        drop(serde_json::to_writer(&mut name, &payload));
        Self {
            id: Uuid::new_v5(&NAMESPACE, &name),
            source: origin.source.clone(),
            subject,
            time,
            integration: origin.integration.clone(),
            run: origin.run.clone(),
            sequence: origin.sequence,
            traceparent: origin.traceparent.clone(),
            payload,
        }
    }

    /// An event that carries a fact for the state stream.
    #[must_use]
    pub fn fact(origin: &Origin, time: Timestamp, fact: Fact) -> Self {
        let subject = fact.subject();
        Self::new(origin, subject, time, Payload::Fact(fact))
    }

    /// JSON on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            specversion: "1.0".into(),
            id: self.id,
            source: self.source.as_str().into(),
            kind: self.payload.type_name().into(),
            subject: self.subject.as_str().into(),
            time: self.time,
            datacontenttype: "application/json".into(),
            integrationid: self.integration.clone(),
            runid: self.run.clone(),
            sequence: self.sequence,
            traceparent: self.traceparent.clone(),
            data: &self.payload,
        };
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        match serde_json::to_writer(&mut bytes, &wire) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }

    /// Reads JSON from the wire. Unknown members are ignored, unknown types refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        EventHeader::of(bytes)?.event()
    }
}
