//! `fetcher trigger`: asks the running fetchers for a run now.

use amfj_sync_shared::broker::{Broker, Caller, Outgoing, Publisher};
use amfj_sync_shared::command::required;
use amfj_sync_shared::config::Config;
use amfj_sync_shared::messages::{Event, Origin, Payload, Sequence};
use amfj_sync_shared::worker::{Exit, Shutdown};
use jiff::Timestamp;
use uuid::Uuid;

/// Publishes one request for each integration.
pub async fn run(config: &Config, shutdown: Shutdown) -> Result<(), Exit> {
    let source = format!("fetcher-trigger/{}", Uuid::new_v4());
    let broker = Broker::start_for(Caller::Command, config, &source, shutdown.soft.clone());
    let asked = ask(config, &shutdown, &source, &broker).await;
    shutdown.hard.cancel();
    broker.close().await;
    let fetchers = asked?;
    for integration in &config.integrations {
        println!("{}: a run was requested", integration.id);
    }
    if fetchers == 0 {
        println!("no fetcher is running at the moment; the request waits for one: start `fetcher run`");
    }
    Ok(())
}

/// Returns how many fetchers are there to answer.
async fn ask(config: &Config, shutdown: &Shutdown, source: &str, broker: &Broker) -> Result<u32, Exit> {
    let limit = config.timing.connect_timeout;
    let session = required(broker, limit).await?;
    let publisher = Publisher::start(broker.clone(), shutdown.hard.clone());
    let publishing = publisher.publish(requests(config, source, broker));
    tokio::select! {
        answer = publishing => answer?,
        () = shutdown.soft.cancelled() => return Err(Exit::Failed("stopped before the request was made".into())),
    }
    let depth = session.inspect(&broker.names().workers("fetcher")).await?;
    Ok(depth.map_or(0, |depth| depth.consumers))
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
