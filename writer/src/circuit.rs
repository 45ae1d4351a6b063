//! The circuit of one integration: while AMFJ is out of order, its changes stay in the queue (P28).
//!
//! Open: nothing is sent but a cheap read now and then. Half-open: one change at a time, until a write
//! succeeds. A single change that always fails does not open it while AMFJ answers a probe.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amfj_sync_shared::amfj::client::AmfjClient;
use amfj_sync_shared::http::CallError;
use amfj_sync_shared::ids::{IntegrationId, Key};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use crate::events;

/// Failures in a row that raise a suspicion.
const FAILURES: u32 = 8;

/// Failures in a row of that many different keys open the circuit without a probe.
const KEYS: usize = 3;

/// How often the pause before a probe is doubled at most: from 15 seconds to eight minutes.
const MOST_DOUBLINGS: u32 = 5;

/// Whether changes may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// All is well.
    Closed,
    /// AMFJ is out of order or refuses the token.
    Open,
    /// A probe succeeded; one change at a time.
    HalfOpen,
}

impl Position {
    /// The word for people and in `/status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    keys: HashSet<Key>,
}

/// One integration's circuit.
#[derive(Debug)]
pub struct Circuit {
    integration: IntegrationId,
    position: watch::Sender<Position>,
    failures: Mutex<Failures>,
    reason: Mutex<Option<String>>,
    suspicious: Notify,
    one_at_a_time: Semaphore,
    /// Times in a row that it was opened again by the first change after a good probe.
    relapses: AtomicU32,
}

impl Circuit {
    /// A closed circuit.
    #[must_use]
    pub fn new(integration: IntegrationId) -> Arc<Self> {
        events::circuit(&integration, false);
        Arc::new(Self {
            integration,
            position: watch::channel(Position::Closed).0,
            failures: Mutex::default(),
            reason: Mutex::default(),
            suspicious: Notify::new(),
            one_at_a_time: Semaphore::new(1),
            relapses: AtomicU32::new(0),
        })
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Why it is not closed.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }

    /// Waits until it stands elsewhere than at `here`.
    pub async fn moved_from(&self, here: Position) {
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(self.position.subscribe().wait_for(|position| *position != here).await);
    }

    /// Waits until changes may be sent, and says how.
    pub async fn passable(&self) -> Position {
        let mut position = self.position.subscribe();
        match position.wait_for(|position| *position != Position::Open).await {
            Ok(position) => *position,
            Err(_) => Position::Open,
        }
    }

    /// In half-open position, waits for the turn; none where it is or becomes open.
    pub async fn turn(&self) -> Option<Option<SemaphorePermit<'_>>> {
        match self.position() {
            Position::Closed => Some(None),
            Position::Open => None,
            Position::HalfOpen => {
                let permit = tokio::select! {
                    permit = self.one_at_a_time.acquire() => permit.ok()?,
                    () = self.moved_from(Position::HalfOpen) => return None,
                };
                (self.position() != Position::Open).then_some(Some(permit))
            }
        }
    }

    /// AMFJ answered; `wrote` if it carried out a write.
    pub fn answered(&self, wrote: bool) {
        *self.failures.lock() = Failures::default();
        if wrote && self.position() == Position::HalfOpen {
            tracing::info!(integration = %self.integration, "AMFJ takes changes again");
            self.relapses.store(0, Ordering::Relaxed);
            self.move_to(Position::Closed, None);
        }
    }

    /// AMFJ could not be reached or failed.
    pub fn failed(&self, key: &Key, reason: &str) {
        if self.position() == Position::HalfOpen {
            return self.open(reason);
        }
        let (in_a_row, keys) = {
            let mut failures = self.failures.lock();
            failures.in_a_row = failures.in_a_row.saturating_add(1);
            failures.keys.insert(key.clone());
            (failures.in_a_row, failures.keys.len())
        };
        if in_a_row >= FAILURES && keys >= KEYS {
            self.open(reason);
        } else if in_a_row >= FAILURES {
            *self.reason.lock() = Some(reason.to_owned());
            self.suspicious.notify_one();
        }
    }

    /// Nothing is sent any more until a probe succeeds.
    pub fn open(&self, reason: &str) {
        if self.position() == Position::HalfOpen {
            self.relapses.fetch_add(1, Ordering::Relaxed);
        }
        if self.position() != Position::Open {
            tracing::error!(integration = %self.integration, reason,
                "AMFJ is paused for this integration; its changes stay in the queue until it answers again");
        }
        self.move_to(Position::Open, Some(reason.to_owned()));
    }

    fn move_to(&self, position: Position, reason: Option<String>) {
        events::circuit(&self.integration, position == Position::Open);
        *self.failures.lock() = Failures::default();
        *self.reason.lock() = reason;
        self.position.send_replace(position);
    }

    /// Before the next probe. Where reads go well and writes do not, each try charges the changes at the
    /// head of the queues one delivery of the thousand they have: so the pauses grow.
    pub(crate) fn pause(&self, every: Duration) -> Duration {
        every * 2_u32.pow(self.relapses.load(Ordering::Relaxed).min(MOST_DOUBLINGS))
    }

    fn probed(&self, position: Position, answer: Result<(), CallError>) {
        match (position, answer) {
            (Position::Open, Ok(())) => self.move_to(Position::HalfOpen, self.reason()),
            (Position::Open, Err(error)) => *self.reason.lock() = Some(error.to_string()),
            (_, Ok(())) => *self.failures.lock() = Failures::default(),
            (_, Err(error)) => self.open(&error.to_string()),
        }
    }

    /// Probes while it is open, or when many failures in a row of few keys raise a suspicion.
    pub async fn watch(self: Arc<Self>, client: AmfjClient, every: Duration, stop: CancellationToken) {
        loop {
            let suspicion = async {
                tokio::select! {
                    () = self.suspicious.notified() => {}
                    () = self.moved_from(Position::Closed) => {}
                }
            };
            tokio::select! {
                () = suspicion => {}
                () = stop.cancelled() => return,
            }
            if self.position() != Position::Closed {
                tokio::select! {
                    () = tokio::time::sleep(self.pause(every)) => {}
                    () = stop.cancelled() => return,
                }
            }
            let probe = async {
                client.limiter().acquire().await;
                client.locations().await
            };
            match self.position() {
                Position::HalfOpen => {}
                position => {
                    let Some(answer) = stop.run_until_cancelled(probe).await else { return };
                    self.probed(position, answer.map(drop));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
