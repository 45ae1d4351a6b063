//! Reading a stream of events from its first record to its end, for commands.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{Event, EventHeader, Fact, Origin, unpack};
use jiff::Timestamp;
use uuid::Uuid;

use super::STREAM_WINDOW;
use super::error::BrokerError;
use super::intake::{Acknowledged, Intake, StreamOffset};
use super::publisher::{Outgoing, Publisher};
use super::supervisor::Session;

/// Nothing more comes after this long from a stream whose end is not marked.
const QUIET: Duration = Duration::from_secs(1);

/// Calls `visit` for every event of a stream whose subject is wanted, in order; what cannot be read is passed over. A
/// stream has no end that could be asked for, so a marker, which says nothing, is published and read up to.
pub async fn read_stream(
    session: &Arc<Session>,
    publisher: &Publisher,
    integration: &IntegrationId,
    stream: &str,
    wanted: &(dyn Fn(&str) -> bool + Sync),
    visit: &mut (dyn FnMut(Event) + Send),
) -> Result<(), BrokerError> {
    let origin = Origin {
        source: "command".to_owned(),
        integration: integration.clone(),
        run: None,
        sequence: None,
        traceparent: None,
    };
    let marker = Event::fact(&origin, Timestamp::now(), Fact::ReadMarker { token: Uuid::new_v4() });
    // Who may only read cannot mark the end; it is where nothing more comes.
    let end = match publisher.publish(vec![Outgoing::to_queue(stream.to_owned(), &marker)]).await {
        Ok(()) => Some(marker.id),
        Err(BrokerError::NotPermitted(_)) => None,
        Err(error) => return Err(error),
    };
    let mut intake = Intake::open_stream(session, stream, StreamOffset::First).await?;
    let ended = read_up_to(&mut intake, end, wanted, visit).await;
    intake.close().await;
    ended
}

async fn read_up_to(
    intake: &mut Intake,
    marker: Option<Uuid>,
    wanted: &(dyn Fn(&str) -> bool + Sync),
    visit: &mut (dyn FnMut(Event) + Send),
) -> Result<(), BrokerError> {
    let over = || BrokerError::Client("the connection broke while a stream was read; try again".to_owned());
    loop {
        let next = intake.next_batch(usize::from(STREAM_WINDOW));
        let batch = match marker {
            Some(_) => next.await,
            None => match tokio::time::timeout(QUIET, next).await {
                Ok(batch) => batch,
                Err(_) => return Ok(()),
            },
        };
        let last = batch.last().ok_or_else(over)?;
        for received in &batch {
            for event in unpack(&received.body).unwrap_or_default() {
                let Ok(header) = EventHeader::of(event) else { continue };
                if Some(header.id()) == marker {
                    return Ok(());
                }
                if wanted(header.subject())
                    && let Ok(event) = header.event()
                {
                    visit(event);
                }
            }
        }
        if last.acknowledge_up_to_here().await == Acknowledged::ChannelIsDead {
            return Err(over());
        }
    }
}
