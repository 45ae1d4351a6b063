//! `fetcher trigger`: asks the running fetchers for a run now.

use std::time::Duration;

use amfj_sync_shared::broker::{Broker, Outgoing, Publisher};
use amfj_sync_shared::config::Config;
use amfj_sync_shared::messages::{Event, Origin, Payload, Sequence};
use amfj_sync_shared::worker::{Exit, Shutdown};
use jiff::Timestamp;
use uuid::Uuid;

/// How long a command waits for the broker to take its message.
const LIMIT: Duration = Duration::from_secs(20);

/// Publishes one request for each integration.
pub async fn run(config: &Config, shutdown: Shutdown) -> Result<(), Exit> {
    let source = format!("fetcher-trigger/{}", Uuid::new_v4());
    let broker = Broker::start(config, &source, shutdown.soft.clone());
    let publisher = Publisher::start(broker.clone(), shutdown.hard.clone());
    let published = tokio::select! {
        published = tokio::time::timeout(LIMIT, publisher.publish(requests(config, &source, &broker))) => {
            published.unwrap_or_else(|_| Err(amfj_sync_shared::broker::BrokerError::Client(
                broker.trouble().unwrap_or_else(|| "it did not take the request".into()),
            )))
        }
        () = shutdown.soft.cancelled() => Err(amfj_sync_shared::broker::BrokerError::Stopping),
    };
    let waiting = match (&published, broker.session().await) {
        (Ok(()), Ok(session)) => session.inspect(&broker.names().workers("fetcher")).await.ok().flatten(),
        _ => None,
    };
    shutdown.hard.cancel();
    broker.close().await;
    published?;
    for integration in &config.integrations {
        println!("{}: a run was requested", integration.id);
    }
    if waiting.is_some_and(|depth| depth.consumers == 0) {
        println!("no fetcher is running at the moment; the request waits for one: start `fetcher run`");
    }
    Ok(())
}

fn requests(config: &Config, source: &str, broker: &Broker) -> Vec<Outgoing> {
    let now = Timestamp::now();
    let requests = config.integrations.iter().map(|integration| {
        // The time makes two requests two messages.
        let sequence = Sequence::first(u64::try_from(now.as_millisecond()).unwrap_or(0));
        let origin = Origin {
            source: source.to_owned(),
            integration: integration.id.clone(),
            run: None,
            sequence: Some(sequence),
            traceparent: None,
        };
        let event = Event::new(&origin, "run".into(), now, Payload::RunRequest);
        Outgoing::to_queue(broker.names().triggers(), &event)
    });
    requests.collect()
}
