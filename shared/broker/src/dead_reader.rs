//! Reading the dead letters from the first to the last, taking only some of them.
//!
//! A letter that stays is held unacknowledged until the end, and comes back in its place when the
//! channels are closed. A consumer holds only so many; further ones are opened as they fill, so that
//! neither a limit of the broker (2,000 for a consumer without one) nor this process's memory is what
//! ends the list.

use std::sync::Arc;
use std::time::Duration;

use super::dead_watch::DeadLetterLock;
use super::error::BrokerError;
use super::intake::{Intake, Received};
use super::names::Names;
use super::supervisor::Session;

/// Letters that one consumer holds, and that are here at a time.
const WINDOW: u16 = 500;

/// No more come after that: somebody took the rest.
const PATIENCE: Duration = Duration::from_secs(5);

/// The dead letters, from the first to the last that was there when they were opened.
#[derive(Debug)]
pub struct DeadLetters {
    session: Arc<Session>,
    queue: String,
    lock: DeadLetterLock,
    open: Vec<Intake>,
    /// How many more the last consumer may hold.
    room: u16,
    there: u32,
    left: u32,
}

impl DeadLetters {
    /// Opens them; none where somebody else reads them for longer than `limit`.
    pub async fn open(
        session: &Arc<Session>,
        names: &Names,
        limit: Duration,
    ) -> Result<Option<Self>, BrokerError> {
        let Some(lock) = DeadLetterLock::wait(session, names, limit).await? else { return Ok(None) };
        let queue = names.dead();
        let there = session.inspect(&queue).await?.map_or(0, |depth| depth.messages);
        let (session, open) = (session.clone(), Vec::new());
        Ok(Some(Self { session, queue, lock, open, room: 0, there, left: there }))
    }

    /// How many there were at the beginning.
    #[must_use]
    pub fn there(&self) -> u32 {
        self.there
    }

    /// The next few; empty at the end. Those that are taken are to be acknowledged, and
    /// [said so](Self::taken), before the next call.
    pub async fn next(&mut self) -> Result<Vec<Received>, BrokerError> {
        let mut letters = Vec::new();
        while self.left > 0 && letters.len() < usize::from(WINDOW) {
            if self.room == 0 {
                if !letters.is_empty() {
                    break;
                }
                self.open.push(Intake::open(&self.session, &self.queue, WINDOW).await?);
                self.room = WINDOW;
            }
            let Some(intake) = self.open.last_mut() else { break };
            match tokio::time::timeout(PATIENCE, intake.next()).await {
                Ok(Some(letter)) => letters.push(letter),
                Ok(None) => {
                    let why = "the connection broke while the dead letters were read; try again";
                    return Err(BrokerError::Client(why.to_owned()));
                }
                Err(_) => {
                    self.left = 0;
                    break;
                }
            }
            self.room -= 1;
            self.left -= 1;
        }
        Ok(letters)
    }

    /// Whether a letter was written, or its message sent, by somebody who has the key; always, where nothing is signed.
    #[must_use]
    pub fn is_trusted(&self, letter: &Received) -> bool {
        let signing = self.session.signing().map(AsRef::as_ref);
        letter.is_trusted_at(&self.queue, signing)
            || letter.broker_death().is_some_and(|death| letter.is_trusted_at(&death.queue, signing))
    }

    /// So many of the last few were acknowledged.
    pub fn taken(&mut self, count: u16) {
        self.room = self.room.saturating_add(count).min(WINDOW);
    }

    /// Puts back what was not taken, in its order, and lets others read.
    pub async fn close(self) {
        // Those that still have room would take what the others put back.
        for intake in &self.open {
            intake.stop().await;
        }
        for intake in self.open {
            intake.close().await;
        }
        self.lock.release().await;
    }
}
