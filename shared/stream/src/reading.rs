//! What the stream brings, into the view and to whoever waits for it.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{BrokerError, Intake, Received, STREAM_WINDOW, WINDOW};
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{DecodeError, Event, EventHeader, Payload, unpack};
use amfj_sync_projection::{Verdict, checkpoint};

use super::{AppliedFact, Facts, Shared, StateError, acknowledged};

/// How long the stream may bring nothing at all although it has taken a fact of this worker.
const STALLED: Duration = Duration::from_secs(20);

/// What the stream has next; an error where it has brought nothing for long, and has taken a fact of this worker
/// meanwhile.
///
/// When the node that leads the stream dies, RabbitMQ may leave a reader attached that gets nothing any more,
/// and nobody is told. On another connection it reads on, also for those that wait.
async fn next_facts(shared: &Shared, intake: &mut Intake) -> Result<Vec<Received>, BrokerError> {
    loop {
        if let Ok(batch) = tokio::time::timeout(STALLED, intake.next_batch(usize::from(STREAM_WINDOW))).await
        {
            return Ok(batch);
        }
        let owed_since = &mut shared.own.lock().owed_since;
        if owed_since.take_if(|since| since.elapsed() >= STALLED).is_some() {
            return Err(BrokerError::TimedOut { what: "with a fact that it had taken", limit: STALLED });
        }
    }
}

pub(super) async fn read_until_broken(shared: &Shared, intake: &mut Intake) -> Result<(), StateError> {
    loop {
        let batch = next_facts(shared, intake).await?;
        let Some(last) = batch.last() else {
            return Err(BrokerError::Client("the state stream ended".into()).into());
        };
        reach(Failpoint::StateReceived).await;
        let mut messages = batch.iter().peekable();
        while messages.peek().is_some() {
            // Whole messages: the facts of one are in the view all at once.
            let mut facts = Facts::new();
            for received in messages.by_ref() {
                decode(shared, received, &mut facts);
                if facts.len() >= usize::from(WINDOW) {
                    break;
                }
            }
            let still = shared.folding.lock().await;
            // Short: a few hundred rows into sled's memory; the disk follows in the background.
            let verdicts = shared.view.write().apply(&facts)?;
            drop(still);
            shared.look_for_a_pause();
            announce(shared, facts, verdicts);
        }
        shared.brought();
        reach(Failpoint::StateStored).await;
        acknowledged(last.acknowledge_up_to_here().await)?;
    }
}

/// A record that is no fact of ours is passed over: nothing of the view depends on it. One message may hold any number of
/// them, and is warned of once.
fn decode(shared: &Shared, received: &Received, facts: &mut Facts) {
    let Some(offset) = received.offset else { return };
    let (mut count, mut first) = (0_u64, None);
    let mut unreadable = |error: DecodeError| {
        count += 1;
        first.get_or_insert(error);
    };
    // Refused for its signature, and told of there.
    if received.body.is_empty() {
        return;
    }
    match unpack(&received.body) {
        Ok(events) => {
            for event in events {
                match read(shared, event) {
                    Ok(event) => facts.push((offset, event)),
                    Err(error) => unreadable(error),
                }
            }
        }
        Err(error) => unreadable(error),
    }
    let Some(error) = first else { return };
    unreadable_facts(&shared.following.integration).increment(count);
    tracing::warn!(integration = %shared.following.integration, offset, count, %error,
        "what the state stream holds at this place cannot be read, or not all of it; it is passed over");
}

/// A fact of this worker that came back need not be read. The same content at another time has the same id, so the bytes
/// decide.
fn read(shared: &Shared, bytes: &[u8]) -> Result<Arc<Event>, DecodeError> {
    let header = EventHeader::of(bytes)?;
    let own = shared.own.lock().facts.remove(&header.id());
    if let Some((_, event)) = own.filter(|(body, _)| body == bytes) {
        return Ok(event);
    }
    let event = match checkpoint::outline(&header) {
        Some(fact) => header.saying(Payload::Fact(fact)),
        None => header.event()?,
    };
    Ok(Arc::new(event))
}

#[expect(clippy::disallowed_macros, reason = "the one place that names it")]
pub(super) fn unreadable_facts(integration: &IntegrationId) -> metrics::Counter {
    metrics::counter!("amfj_sync_unreadable_facts_total", "integration" => integration.to_string())
}

fn announce(shared: &Shared, facts: Facts, verdicts: Vec<Verdict>) {
    if let Some((offset, _)) = facts.last() {
        shared.read.send_replace(Some(*offset));
    }
    let mut waiting = shared.waiting.lock();
    for ((offset, event), verdict) in facts.into_iter().zip(verdicts) {
        for sender in waiting.remove(&event.id).unwrap_or_default() {
            // The caller may have been cancelled.
            drop(sender.send(verdict.clone()));
        }
        // Nobody may be listening.
        drop(shared.folded.send(AppliedFact { offset, event, verdict }));
    }
}
