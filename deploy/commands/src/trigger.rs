//! `amfj-sync trigger`: asks the running fetchers for a run now.

use std::collections::BTreeMap;

use amfj_sync_broker::{Broker, Caller, Outgoing, Publisher};
use amfj_sync_config::Config;
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{Event, Origin, Payload, Sequence};
use amfj_sync_security::screen::{say, say_line};
use amfj_sync_service::command::required;
use amfj_sync_service::status::{WorkerReport, ask_workers};
use amfj_sync_service::worker::{Exit, Shutdown};
use jiff::Timestamp;
use uuid::Uuid;

/// Publishes one request for each integration that a running fetcher serves; fails where one has none, since nothing would
/// come of it.
pub(crate) async fn run(config: &Config, shutdown: Shutdown) -> Result<(), Exit> {
    let source = format!("amfj-sync-trigger/{}", Uuid::new_v4());
    let broker = Broker::start_for(Caller::Command, config, &source, shutdown.soft.clone());
    let asked = ask(config, &shutdown, &source, &broker).await;
    shutdown.hard.cancel();
    broker.close().await;
    let asked = asked?;
    for integration in &asked.served {
        let when = if asked.paused.contains(integration) {
            format!(", and begins when it is resumed: it is paused (`amfj-sync resume {integration}`)")
        } else {
            String::new()
        };
        say_line(&format!("{integration}: a run was requested{when}"));
    }
    if !asked.served.is_empty() && asked.reconcilers == 0 {
        say("no reconciler runs, so nothing is decided until one does: start `reconciler run`");
    }
    if asked.unserved.is_empty() { Ok(()) } else { Err(Exit::Failed(asked.why())) }
}

/// Who is there to answer.
struct Asked {
    served: Vec<IntegrationId>,
    /// Those of them that a person has paused.
    paused: Vec<IntegrationId>,
    unserved: Vec<IntegrationId>,
    /// Fetchers that live, and how many of them said what they serve.
    fetchers: u32,
    heard: u32,
    /// Why fetchers that serve nothing are not ready.
    not_ready: Vec<String>,
    reconcilers: u32,
}

impl Asked {
    fn of(config: &Config, live: &BTreeMap<&'static str, u32>, reports: &[WorkerReport]) -> Self {
        let fetchers = || reports.iter().filter(|report| report.role == "fetcher");
        let is_served = |id: &IntegrationId| fetchers().any(|one| one.integrations.contains_key(id.as_str()));
        let ids = config.integrations.iter().map(|integration| integration.id.clone());
        let (served, unserved): (Vec<_>, Vec<_>) = ids.partition(is_served);
        let is_paused = |id: &&IntegrationId| {
            fetchers().any(|one| one.integrations.get(id.as_str()).is_some_and(|duty| duty.paused))
        };
        let paused = served.iter().filter(is_paused).cloned().collect();
        let count = |role| live.get(role).copied().unwrap_or(0);
        let heard = u32::try_from(fetchers().count()).unwrap_or(u32::MAX);
        let idle = fetchers().filter(|report| report.integrations.is_empty());
        let not_ready = idle.flat_map(|report| report.not_ready.iter().cloned()).collect();
        Self {
            served,
            paused,
            unserved,
            fetchers: count("fetcher"),
            heard,
            not_ready,
            reconcilers: count("reconciler"),
        }
    }

    /// Why nothing comes of a request, and what to do.
    fn why(&self) -> String {
        let ids: Vec<&str> = self.unserved.iter().map(IntegrationId::as_str).collect();
        let ids = ids.join(", ");
        if self.fetchers == 0 && self.heard == 0 {
            return format!("{ids}: no run was requested, for no fetcher runs; start `fetcher run`");
        }
        if self.fetchers > self.heard {
            let silent = self.fetchers - self.heard;
            return format!(
                "{ids}: no run was requested, for no fetcher says that it serves it; {silent} of {} did not answer and may \
                 hang: `amfj-sync status` shows them, and a restart helps",
                self.fetchers
            );
        }
        if let Some(reason) = self.not_ready.first() {
            return format!("{ids}: no run was requested, for the fetcher that runs is not ready: {reason}");
        }
        format!(
            "{ids}: no run was requested, for no fetcher that runs serves it; add it to their configuration and restart \
             them, or start `fetcher run` with this one"
        )
    }
}

async fn ask(config: &Config, shutdown: &Shutdown, source: &str, broker: &Broker) -> Result<Asked, Exit> {
    let session = required(broker, config.timing.connect_timeout).await?;
    let names = broker.names();
    let roles = ["fetcher", "reconciler"];
    let depths = session.inspect_all(&roles.map(|role| names.workers(role))).await?;
    let live =
        roles.into_iter().zip(depths).map(|(role, depth)| (role, depth.map_or(0, |one| one.consumers)));
    let live: BTreeMap<&'static str, u32> = live.collect();
    // Whoever is asked about, only fetchers are waited for.
    let expected = live.iter().filter(|(role, _)| **role == "fetcher").map(|(role, count)| (*role, *count));
    let reports = ask_workers(&session, names, &expected.collect()).await?;
    let asked = Asked::of(config, &live, &reports);
    let publisher = Publisher::start(broker.clone(), shutdown.hard.clone());
    let publishing = publisher.publish(requests(&asked.served, source, broker));
    tokio::select! {
        answer = publishing => answer?,
        () = shutdown.soft.cancelled() => return Err(Exit::Failed("stopped before the request was made".into())),
    }
    Ok(asked)
}

fn requests(served: &[IntegrationId], source: &str, broker: &Broker) -> Vec<Outgoing> {
    let now = Timestamp::now();
    let requests = served.iter().map(|integration| {
        // The time makes two requests two messages.
        let sequence = Sequence::first(u64::try_from(now.as_millisecond()).unwrap_or(0));
        let origin = Origin {
            source: source.to_owned(),
            integration: integration.clone(),
            run: None,
            sequence: Some(sequence),
            traceparent: None,
        };
        let event = Event::new(&origin, "run".into(), now, Payload::RunRequest);
        Outgoing::to_queue(broker.names().triggers(), &event)
    });
    requests.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_only_fetcher_from_working_is_said() {
        let unserved = vec![IntegrationId::new("acme").unwrap()];
        let asked = |not_ready: &[&str]| Asked {
            served: Vec::new(),
            paused: Vec::new(),
            unserved: unserved.clone(),
            fetchers: 1,
            heard: 1,
            not_ready: not_ready.iter().map(|reason| (*reason).to_owned()).collect(),
            reconcilers: 1,
        };
        assert!(
            asked(&["the data directory is full"])
                .why()
                .ends_with("is not ready: the data directory is full")
        );
        assert!(asked(&[]).why().contains("add it to their configuration"));
    }
}
