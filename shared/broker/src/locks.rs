//! Exclusive queues as locks: whoever declares one has it, until it is deleted or the connection ends.
//!
//! A lock that somebody else holds is refused with an error that ends the channel, and lapin 4.12 does not use the
//! number of such a channel again: opening the next one with it fails with the old error, about every two thousandth
//! channel after each refusal, and with it all that hangs on the connection would be given up. So whether a lock is
//! free is looked at first, on a connection that nothing else hangs on, and which is replaced after many refusals.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use tokio::sync::Mutex;

use super::connector::Connector;
use super::error::{BrokerError, within};
use super::supervisor::Session;
use super::topology::{close, open, reply_code};

const LIMIT: Duration = Duration::from_secs(20);

/// For a look; one that fails is none.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Refusals after which the connection is replaced: far fewer than the 2,047 channels that it has.
const MOST_REFUSALS: u32 = 1_000;

/// Reply code for a queue that another connection holds exclusively.
const RESOURCE_LOCKED: u16 = 405;

/// Reply code for a queue that does not exist.
const NOT_FOUND: u16 = 404;

/// Whether locks are free, looked at on a connection of its own.
#[derive(Debug)]
pub(super) struct LockProbe {
    connector: Connector,
    probe: Mutex<Option<ProbeConnection>>,
}

#[derive(Debug)]
struct ProbeConnection {
    connection: Connection,
    refusals: u32,
}

impl LockProbe {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, probe: Mutex::new(None) }
    }

    /// Whether somebody holds the lock, this worker included. One that cannot be looked at counts as free: trying tells.
    async fn is_held(&self, name: &str) -> bool {
        let mut probe = self.probe.lock().await;
        if let Ok(Ok(held)) = tokio::time::timeout(LOOK_LIMIT, self.look(&mut probe, name)).await {
            return held;
        }
        *probe = None;
        false
    }

    async fn look(&self, probe: &mut Option<ProbeConnection>, name: &str) -> Result<bool, BrokerError> {
        probe.take_if(|probe| probe.refusals >= MOST_REFUSALS || !probe.connection.status().connected());
        let probe = match probe {
            Some(probe) => probe,
            None => probe
                .insert(ProbeConnection { connection: self.connector.open_for_looks().await?, refusals: 0 }),
        };
        let channel = open(&probe.connection).await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(name.into(), options, FieldTable::default()).await;
        probe.refusals += u32::from(found.is_err());
        match found {
            Ok(_) => {
                close(&channel).await;
                Ok(true)
            }
            Err(error) => match reply_code(&error) {
                Some(RESOURCE_LOCKED) => Ok(true),
                Some(NOT_FOUND) => Ok(false),
                _ => Err(error.into()),
            },
        }
    }
}

/// Takes an exclusive queue as a lock; none where somebody holds it. The lock is held until the queue is deleted or the
/// consuming connection ends.
pub(super) async fn lock_exclusively(
    session: &Arc<Session>,
    name: &str,
) -> Result<Option<Channel>, BrokerError> {
    if session.looks().is_held(name).await {
        return Ok(None);
    }
    let channel = session.consuming_channel(1).await?;
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let declare = channel.queue_declare(name.into(), options, FieldTable::default());
    match tokio::time::timeout(LIMIT, declare).await {
        Ok(Ok(_)) => Ok(Some(channel)),
        Ok(Err(error)) if reply_code(&error) == Some(RESOURCE_LOCKED) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(BrokerError::TimedOut { what: "an exclusive queue", limit: LIMIT }),
    }
}

impl Session {
    /// Takes an exclusive queue as a lock; `false` where somebody holds it, this session included.
    pub async fn try_lock(self: &Arc<Self>, name: &str) -> Result<bool, BrokerError> {
        Ok(lock_exclusively(self, name).await?.is_some())
    }

    /// Gives a lock back.
    pub async fn unlock(self: &Arc<Self>, name: &str) -> Result<(), BrokerError> {
        let channel = self.consuming_channel(1).await?;
        let delete = channel.queue_delete(name.into(), QueueDeleteOptions::default());
        within("a queue deletion", LIMIT, delete).await?;
        close(&channel).await;
        Ok(())
    }
}
