//! How many dead letters each integration has. The queue is shared and the broker counts only all of
//! them, so they are looked at: taken, counted by their header, and put back by closing the channel.
//! Those that have waited for a person longer than `broker.dead_letter_keep` are dropped: a queue that exists takes no
//! other time to live, and an old letter behind a young one would outlast it (RabbitMQ drops only at the head).
//!
//! While somebody looks, nobody else sees them. Whoever reads the dead letters therefore holds the lock
//! of this module, and waits for it if need be: a look takes milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::Event;
use jiff::Timestamp;

use super::error::BrokerError;
use super::intake::{Acknowledged, Intake, Received};
use super::names::Names;
use super::supervisor::Session;

/// Dead letters that are counted one by one. What is beyond them counts for nobody in particular: so
/// many are a reason to look, whomever they belong to.
const MOST: usize = 10_000;

/// For the next dead letter to come, while there are more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two tries to get the lock.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// The only reader of the dead letters, until it is released or its connection ends.
#[derive(Debug)]
pub struct DeadLetterLock {
    session: Arc<Session>,
    name: String,
}

impl DeadLetterLock {
    /// The lock, if nobody else holds it.
    pub async fn try_take(session: &Arc<Session>, names: &Names) -> Result<Option<Self>, BrokerError> {
        let name = names.dead_reader();
        let taken = session.try_lock(&name).await?;
        Ok(taken.then(|| Self { session: session.clone(), name }))
    }

    /// Waits for the lock; none where somebody else holds it longer than `limit`.
    pub async fn wait(
        session: &Arc<Session>,
        names: &Names,
        limit: Duration,
    ) -> Result<Option<Self>, BrokerError> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(lock) = Self::try_take(session, names).await? {
                return Ok(Some(lock));
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    /// Lets others read.
    pub async fn release(self) {
        if let Err(error) = self.session.unlock(&self.name).await {
            // Nobody could read any more as long as this connection lasts.
            self.session.give_up(&error);
        }
    }
}

/// Dead letters by integration; none is the key of those that belong to nobody known.
pub type DeadLetterCounts = BTreeMap<Option<IntegrationId>, u32>;

/// Counts the dead letters of these integrations, and leaves all of them. None while somebody else reads them.
pub async fn count_dead_letters(
    session: &Arc<Session>,
    names: &Names,
    known: &[IntegrationId],
) -> Result<Option<DeadLetterCounts>, BrokerError> {
    let looked = look_through_dead_letters(session, names, known, Timestamp::MIN).await?;
    Ok(looked.map(|looked| looked.there))
}

/// What a look into the dead letters found.
#[derive(Debug, Default)]
pub struct LookedThrough {
    /// Those that are there.
    pub there: DeadLetterCounts,
    /// Those that were dropped, as they had waited too long.
    pub dropped: DeadLetterCounts,
}

/// Counts the dead letters of these integrations and drops those that died before `oldest`. None while somebody else
/// reads them. One of which nobody said when it died, and that says itself of no time, stays.
pub async fn look_through_dead_letters(
    session: &Arc<Session>,
    names: &Names,
    known: &[IntegrationId],
    oldest: Timestamp,
) -> Result<Option<LookedThrough>, BrokerError> {
    let Some(lock) = DeadLetterLock::try_take(session, names).await? else { return Ok(None) };
    let looked = look_through(session, names, known, oldest).await;
    lock.release().await;
    looked.map(Some)
}

async fn look_through(
    session: &Arc<Session>,
    names: &Names,
    known: &[IntegrationId],
    oldest: Timestamp,
) -> Result<LookedThrough, BrokerError> {
    let mut counts: DeadLetterCounts =
        known.iter().map(|id| (Some(id.clone()), 0)).chain([(None, 0)]).collect();
    let mut dropped = DeadLetterCounts::new();
    let queue = names.dead();
    let there = session.inspect(&queue).await?.map_or(0, |depth| depth.messages as usize);
    if there == 0 {
        return Ok(LookedThrough { there: counts, dropped });
    }
    let wanted = there.min(MOST);
    // Few or none are acknowledged, so all that are wanted must be allowed to come.
    let mut intake = Intake::open(session, &queue, u16::try_from(wanted).unwrap_or(u16::MAX)).await?;
    let mut seen = 0_usize;
    while seen < wanted {
        let Ok(Some(letter)) = tokio::time::timeout(PATIENCE, intake.next()).await else { break };
        seen += 1;
        let owner = owner(&letter, names, known);
        let is_over = waits_since(&letter).is_some_and(|since| since < oldest);
        // One that could not be dropped comes again, and is dropped then.
        let is_dropped = is_over && letter.acknowledge().await == Acknowledged::Yes;
        *if is_dropped { &mut dropped } else { &mut counts }.entry(owner).or_default() += 1;
    }
    intake.close().await;
    if there > seen {
        let rest = u32::try_from(there - seen).unwrap_or(u32::MAX);
        *counts.entry(None).or_default() += rest;
    }
    Ok(LookedThrough { there: counts, dropped })
}

/// When it died, else when it was made.
fn waits_since(letter: &Received) -> Option<Timestamp> {
    letter.died_at().or_else(|| Event::decode(&letter.body).ok().map(|event| event.time))
}

/// Whose it is: as its worker said, else from the queue where the broker gave it up, else as it says.
fn owner(letter: &Received, names: &Names, known: &[IntegrationId]) -> Option<IntegrationId> {
    let known_as = |name: &str| known.iter().find(|id| id.as_str() == name).cloned();
    if let Some(said) = letter.header("x-integration") {
        return known_as(&said);
    }
    if let Some(queue) = letter.header("x-first-death-queue") {
        return known.iter().find(|id| queue.starts_with(&names.of_integration(id))).cloned();
    }
    known_as(Event::decode(&letter.body).ok()?.integration.as_str())
}
