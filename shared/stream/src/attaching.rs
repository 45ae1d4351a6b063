//! Where in the stream a view goes on: at the fact that it read last, at a checkpoint, or at the first record.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{BrokerError, Intake, STREAM_WINDOW, Session, StreamOffset, Unsigned};
use amfj_sync_model::messages::{EventHeader, Fact};
use amfj_sync_projection::checkpoint::{self, Found, Loading};
use uuid::Uuid;

use super::read_only::{mark, offset_or_none};
use super::{Shared, StateError, acknowledged};

/// How long the record at the stored offset may take to arrive before the stream counts as another.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many of the last messages of a long stream are searched for a checkpoint, the fewest first. Beyond that, reading
/// everything takes no longer. Most carry many facts.
const NEAR_END: [u64; 3] = [512, 4_096, 32_768];

/// Attaches at the last fact that the view has read, or rebuilds the view from what the stream holds.
pub(super) async fn attach(shared: &Shared, session: &Arc<Session>) -> Result<Intake, StateError> {
    let (offset, last_fact) = {
        let view = shared.view.read();
        (view.meta().offset, view.meta().last_fact)
    };
    if let Some(offset) = offset {
        let mut intake = Intake::open_stream(session, &shared.stream, StreamOffset::At(offset)).await?;
        // A consumer at an offset beyond the end gets nothing, so something must come after it.
        mark(shared).await?;
        if let Ok(Some(first)) = tokio::time::timeout(PATIENCE, intake.next()).await {
            let id = first.id.as_deref().and_then(|id| id.parse::<Uuid>().ok());
            if first.offset == Some(offset) && id == last_fact {
                acknowledged(first.acknowledge().await)?;
                return Ok(intake);
            }
        }
        intake.close().await;
        if session.broken().is_cancelled() {
            return Err(BrokerError::Client("the connection is over".into()).into());
        }
        tracing::warn!(integration = %shared.following.integration,
            "the state stream is not the one that was followed before; the view is built anew");
        shared.caught_up.send_replace(false);
    }
    let _still = shared.folding.lock().await;
    // Also what an earlier attempt may have left.
    shared.forget()?;
    attach_anew(shared, session).await
}

/// Starts from the first record of the stream; from its latest checkpoint where that is near the end of a long
/// stream, or where the first record was trimmed.
async fn attach_anew(shared: &Shared, session: &Arc<Session>) -> Result<Intake, StateError> {
    // So that there is a record at all.
    mark(shared).await?;
    let first = offset_or_none(shared, session, StreamOffset::First).await?;
    let end = offset_or_none(shared, session, StreamOffset::Last).await?;
    for facts in NEAR_END {
        let near = end.saturating_sub(facts);
        if near.saturating_sub(first) < facts {
            break;
        }
        if let Some(found) = find_checkpoint(shared, session, (near, end), Unsigned::Refused).await?
            // One from before the first record that is left, which somebody kept and published again, lacks what was trimmed.
            && found.as_of >= first
        {
            return attach_to_checkpoint(shared, session, found, end).await;
        }
    }
    if first == 0 {
        return Ok(Intake::open_stream(session, &shared.stream, StreamOffset::First).await?);
    }
    // A signed checkpoint first: of the records that are left, the first may stand behind signed ones that were trimmed.
    let signed = find_checkpoint(shared, session, (first, end), Unsigned::Refused).await?;
    let found = match signed {
        None if session.signing().is_some() => {
            find_checkpoint(shared, session, (first, end), Unsigned::UntilSigned).await?
        }
        found => found,
    };
    let Some(found) = found else {
        tracing::error!(integration = %shared.following.integration,
            "the beginning of the state stream is gone and no checkpoint is left: links that rules made are found \
             again by the rules; links that a person made must be made again");
        return Ok(Intake::open_stream(session, &shared.stream, StreamOffset::First).await?);
    };
    if found.as_of + 1 < first {
        tracing::error!(integration = %shared.following.integration, as_of = found.as_of, first,
            "the stream was trimmed beyond what its latest checkpoint copies: what was said in between is lost, and \
             comes again with the next runs, but for what a person decided");
    }
    attach_to_checkpoint(shared, session, found, end).await
}

/// The offset of the record that comes first from there on.
pub(super) async fn offset_found(
    shared: &Shared,
    session: &Arc<Session>,
    from: StreamOffset,
) -> Result<u64, BrokerError> {
    let mut intake = Intake::open_stream(session, &shared.stream, from).await?;
    let first = intake.next().await;
    intake.close().await;
    let first = first.ok_or_else(|| BrokerError::Client("the stream could not be read".into()))?;
    Ok(first.offset.unwrap_or_default())
}

/// Reads the records from one offset to another, to know which checkpoint is the latest that is complete there.
async fn find_checkpoint(
    shared: &Shared,
    session: &Arc<Session>,
    within: (u64, u64),
    unsigned: Unsigned,
) -> Result<Option<Found>, StateError> {
    let mut search = checkpoint::Search::default();
    read_checkpoints(shared, session, within, unsigned, &mut |offset, header| {
        search.look_at(offset, header.data());
        Ok(false)
    })
    .await?;
    Ok(search.found())
}

/// Reads that checkpoint once more, now for its rows, and follows what it does not copy.
async fn attach_to_checkpoint(
    shared: &Shared,
    session: &Arc<Session>,
    found: Found,
    end: u64,
) -> Result<Intake, StateError> {
    tracing::info!(integration = %shared.following.integration, as_of = found.as_of, "reading the latest checkpoint");
    let mut loading = Loading::begin(&mut shared.view.write(), found)?;
    let mut complete = false;
    read_checkpoints(shared, session, (found.begun, end), Unsigned::UntilSigned, &mut |_, header| {
        if let Ok(fact) = header.fact() {
            complete = loading.take(&mut shared.view.write(), fact)?;
        }
        Ok(complete)
    })
    .await?;
    if !complete {
        // Trimmed between the two readings: look again.
        return Err(BrokerError::Client("the latest checkpoint was trimmed while it was read".into()).into());
    }
    loading.end(&mut shared.view.write())?;
    Ok(Intake::open_stream(session, &shared.stream, StreamOffset::At(found.as_of)).await?)
}

/// Shows every fact of a checkpoint, from one offset to another or until `look` says `true`.
async fn read_checkpoints(
    shared: &Shared,
    session: &Arc<Session>,
    (from, end): (u64, u64),
    unsigned: Unsigned,
    look: &mut (dyn FnMut(u64, &EventHeader<'_>) -> Result<bool, StateError> + Send),
) -> Result<(), StateError> {
    let from = StreamOffset::At(from);
    let mut intake = Intake::open_stream_with(session, &shared.stream, from, unsigned).await?;
    'reading: loop {
        let batch = intake.next_batch(usize::from(STREAM_WINDOW)).await;
        let Some(last) = batch.last() else {
            return Err(BrokerError::Client("the connection is over".into()).into());
        };
        // Neither markers nor the facts of checkpoints share a message with others.
        for received in &batch {
            let Some(offset) = received.offset else { continue };
            if let Ok(header) = EventHeader::of(&received.body)
                && header.subject() == Fact::CHECKPOINT
                && look(offset, &header)?
            {
                break 'reading;
            }
            if offset >= end {
                break 'reading;
            }
        }
        acknowledged(last.acknowledge_up_to_here().await)?;
    }
    intake.close().await;
    Ok(())
}
