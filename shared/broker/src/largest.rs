//! How large a message may be. Somebody may have set `max_message_size` at the broker; a message above it closes the channel,
//! and so does every attempt to publish it again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel};
use parking_lot::Mutex;
use uuid::Uuid;

use super::error::{BrokerError, within};
use super::publisher::{Outgoing, patiently};
use super::supervisor::Session;

/// The largest body that is published, if the broker takes as much: below the 16 MiB that RabbitMQ 4 takes.
pub const MAX_BYTES: usize = 15 << 20;

/// What a fact leaves free of a message, so that a copy of the state, which has the row that it becomes, fits as well.
const ROOM_FOR_A_ROW: usize = 1 << 10;

/// What workers ask the broker for before they publish: a limit that any fleet meets is found out before anything is
/// refused for it. One between this and [`MAX_BYTES`] is learnt from the first message that is refused.
const ASKED: usize = 1 << 20;

const LIMIT: Duration = Duration::from_secs(30);

/// The largest body that the broker takes, as far as is known. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Largest(Arc<Known>);

#[derive(Debug)]
struct Known {
    bytes: AtomicUsize,
    /// The connection that it is known of: behind another one may be a broker with another limit.
    of: Mutex<Weak<Session>>,
}

impl Default for Largest {
    fn default() -> Self {
        Self(Arc::new(Known { bytes: AtomicUsize::new(MAX_BYTES), of: Mutex::new(Weak::new()) }))
    }
}

impl Largest {
    pub(super) fn get(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Asks the broker what it takes, once for each connection. What cannot be found out now is learnt later.
    pub(super) async fn ask(&self, session: &Arc<Session>) {
        {
            let mut of = self.0.of.lock();
            if std::ptr::eq(of.as_ptr(), Arc::as_ptr(session)) {
                return;
            }
            *of = Arc::downgrade(session);
            self.0.bytes.store(MAX_BYTES, Ordering::Relaxed);
        }
        match largest_taken(session, ASKED).await {
            Ok(Some(limit)) => self.lower_to(limit),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "the largest message that the broker takes was not found out");
            }
        }
    }

    /// Takes note of a refusal for its size. Answers whether it was one.
    pub(super) fn learn(&self, error: &BrokerError) -> bool {
        let limit = refused_above(error);
        limit.inspect(|limit| self.lower_to(*limit)).is_some()
    }

    fn lower_to(&self, limit: usize) {
        let before = self.0.bytes.fetch_min(limit, Ordering::Relaxed);
        if limit < before {
            tracing::warn!(
                limit,
                "the broker takes no larger messages than this (max_message_size); what needs more is left out, and named"
            );
        }
    }

    pub(super) fn check(&self, messages: &[Outgoing]) -> Result<(), BrokerError> {
        let largest = self.get();
        let of = |message: &Outgoing| if message.packable { for_a_fact(largest) } else { largest };
        match messages.iter().find(|message| message.body.len() > of(message)) {
            Some(large) => Err(BrokerError::TooLarge { size: large.body.len(), limit: of(large) }),
            None => Ok(()),
        }
    }
}

/// What a fact may take where a message may have so many bytes. Where that is as much as can be, no fact comes near it.
fn for_a_fact(largest: usize) -> usize {
    if largest < MAX_BYTES { largest.saturating_sub(ROOM_FOR_A_ROW) } else { largest }
}

/// Asks the broker whether it takes a message of so many bytes: one that leads nowhere, so that it is dropped. If it does not,
/// the largest that it takes.
pub async fn largest_taken(session: &Arc<Session>, bytes: usize) -> Result<Option<usize>, BrokerError> {
    let channel = session.publishing_channel().await?;
    match publish_nowhere(session, &channel, bytes).await {
        Ok(()) => {
            super::topology::close(&channel).await;
            Ok(None)
        }
        Err(error) => refused_above(&error).map(Some).ok_or(error),
    }
}

async fn publish_nowhere(session: &Session, channel: &Channel, bytes: usize) -> Result<(), BrokerError> {
    within("confirm.select", LIMIT, channel.confirm_select(ConfirmSelectOptions::default())).await?;
    // No queue has such a name. The size is looked at before that.
    let nowhere = format!("amfj-sync-nowhere-{}", Uuid::new_v4());
    let (body, options) = (vec![b' '; bytes], BasicPublishOptions::default());
    let publish =
        channel.basic_publish("".into(), nowhere.as_str().into(), options, &body, BasicProperties::default());
    let confirm = patiently(session, publish).await?;
    patiently(session, confirm).await.map(drop)
}

/// The limit that a refusal of RabbitMQ names: "message size 300 is larger than configured max size 200", in 3.x "message
/// size 300 larger than max size 200".
fn refused_above(error: &BrokerError) -> Option<usize> {
    let BrokerError::Client(text) = error else { return None };
    let (_, rest) = text.split_once("message size ")?;
    let (size, rest) = rest.split_once(' ')?;
    let (_, rest) = rest.split_once("max size ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (size, limit): (usize, usize) = (size.parse().ok()?, rest[..digits].parse().ok()?);
    (limit > 0 && size > limit).then_some(limit)
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldTable;

    use super::*;

    fn body(bytes: usize, packable: bool) -> Vec<Outgoing> {
        vec![Outgoing {
            exchange: String::new(),
            routing_key: "state".to_owned(),
            id: Uuid::nil(),
            body: vec![b' '; bytes],
            headers: FieldTable::default(),
            packable,
        }]
    }

    #[test]
    fn what_the_broker_refuses_for_its_size_is_learnt_once_and_refused_here() {
        let said = |text: &str| BrokerError::Client(text.to_owned());
        let refusal = "PRECONDITION_FAILED - message size 300 is larger than configured max size 200";
        assert_eq!(
            refused_above(&said(&format!("protocol error: AMQP soft error: {refusal}, closed"))),
            Some(200)
        );
        for other in
            ["PRECONDITION_FAILED - unknown delivery tag 3", "message size", "message size x max size 2"]
        {
            assert_eq!(refused_above(&said(other)), None, "{other}");
        }
        let largest = Largest::default();
        assert!(largest.check(&body(300, false)).is_ok());
        assert!(largest.check(&body(MAX_BYTES + 1, false)).is_err());
        assert!(!largest.learn(&said("the channel is closed")));
        assert!(largest.learn(&said(refusal)));
        assert!(largest.check(&body(200, false)).is_ok() && largest.check(&body(201, false)).is_err());
        assert!(largest.learn(&said(refusal)), "whoever else met it");
    }

    /// A fact that just fits becomes a row that does not, and then no copy of the state can ever be made.
    #[test]
    fn a_fact_leaves_room_for_the_copy_of_its_row() {
        let largest = Largest::default();
        largest.lower_to(64 << 10);
        assert!(largest.check(&body(64 << 10, false)).is_ok());
        assert!(largest.check(&body(64 << 10, true)).is_err());
        assert!(largest.check(&body(63 << 10, true)).is_ok());
    }
}
