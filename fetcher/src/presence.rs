//! What a fetcher does beside leading runs: it counts itself among the workers, and turns requests for
//! a run into facts.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{Acknowledged, BrokerError, Intake, Outgoing, Presence, Received, Session};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{Event, Fact, Origin, Payload};
use amfj_sync_service::worker::Worker;
use jiff::Timestamp;

use crate::leadership::Share;

/// Between two counts of the workers.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// Requests that are taken before the first is answered.
const REQUESTS: u16 = 16;

/// Consumes the queue whose consumers are the live fetchers, until the worker stops.
pub(crate) async fn be_counted(worker: Arc<Worker>, share: Arc<Share>) {
    let stop = &worker.shutdown.soft;
    while let Some(Ok(session)) = stop.run_until_cancelled(worker.broker.session()).await {
        if let Err(error) = count_on(&worker, &share, &session).await {
            session.give_up(&error);
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

async fn count_on(worker: &Worker, share: &Share, session: &Arc<Session>) -> Result<(), BrokerError> {
    let queue = worker.broker.names().workers("fetcher");
    let stop = &worker.shutdown.soft;
    let mut presence = Presence::open(session, &queue).await?;
    while !stop.is_cancelled() && !session.broken().is_cancelled() {
        share.set_fetchers(presence.count().await?);
        presence.stay(COUNT_EVERY, stop).await?;
    }
    presence.close().await;
    Ok(())
}

/// Takes requests for runs and says them to the integration they are for, until the worker stops.
pub(crate) async fn pass_requests_on(worker: Arc<Worker>) {
    let stop = worker.shutdown.soft.clone();
    while let Some(Ok(session)) = stop.run_until_cancelled(worker.broker.session()).await {
        if let Err(error) = pass_on(&worker, &session).await {
            session.give_up(&error);
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

async fn pass_on(worker: &Worker, session: &Arc<Session>) -> Result<(), BrokerError> {
    let mut intake = Intake::open_signed(session, &worker.broker.names().triggers(), REQUESTS).await?;
    loop {
        let received = tokio::select! {
            received = intake.next() => received,
            () = worker.shutdown.soft.cancelled() => None,
        };
        let Some(received) = received else { break };
        say_requested(worker, session, &received).await?;
        if received.acknowledge().await == Acknowledged::ChannelIsDead {
            break;
        }
    }
    intake.close().await;
    Ok(())
}

/// One request becomes one fact. What is no request for an integration of this broker is dropped: a
/// person can ask again, and a queue that is stuck would stop everybody's.
async fn say_requested(worker: &Worker, session: &Session, received: &Received) -> Result<(), BrokerError> {
    let event = match Event::decode(&received.body) {
        Ok(event) if event.payload == Payload::RunRequest => event,
        Ok(_) => {
            tracing::warn!("a message among the run requests is none; it is dropped");
            return Ok(());
        }
        Err(error) => {
            tracing::warn!(%error, "a run request cannot be read; it is dropped");
            return Ok(());
        }
    };
    // A name that no queue can have would cost the connection, again at each delivery.
    if !IntegrationId::is_one(event.integration.as_str()) {
        tracing::warn!("a run was requested of what is no integration; the request is dropped");
        return Ok(());
    }
    let stream = worker.broker.names().state(&event.integration);
    if !worker.states.contains_key(&event.integration) && session.inspect(&stream).await?.is_none() {
        tracing::warn!(integration = %event.integration, "a run was requested of an integration that is unknown here");
        return Ok(());
    }
    tracing::info!(integration = %event.integration, "a run was requested");
    let origin = Origin {
        source: worker.id.clone(),
        integration: event.integration.clone(),
        run: None,
        sequence: None,
        traceparent: event.traceparent.clone(),
    };
    // The same when the request is delivered twice.
    let fact = Fact::RunRequested { token: event.id };
    let fact = Event::fact(&origin, Timestamp::now(), fact);
    match worker.states.get(&event.integration) {
        // Whoever follows the stream notices if it does not come.
        Some(state) => state.publish(vec![fact]).await,
        None => worker.publisher.publish(vec![Outgoing::to_queue(stream, &fact)]).await,
    }
}
