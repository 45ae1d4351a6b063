//! `fetcher check`: proves the configuration against the real services, and changes nothing in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_shared::broker::{Broker, BrokerError, Names, Session};
use amfj_sync_shared::command::{CURE, connected};
use amfj_sync_shared::config::{Config, Integration};
use amfj_sync_shared::retry::Policy;
use amfj_sync_shared::status::{WorkerReport, ask_workers};
use amfj_sync_shared::worker::{Exit, Shutdown};
use uuid::Uuid;

mod amfj;
mod kandji;
mod mapping;
mod people;
mod report;

use report::Report;

/// How long a service that does not answer is tried again: somebody is waiting.
const PATIENCE: Duration = Duration::from_secs(20);

/// Checks everything and prints one line a check. Fails if any check did.
pub async fn run(config: &Config, shutdown: Shutdown, json: bool) -> Result<(), Exit> {
    let mut report = Report::new(json);
    let checking = async {
        let workers = check_broker(config, &shutdown, &mut report).await?;
        for integration in &config.integrations {
            report.begin(integration.id.as_str());
            let duties = workers.iter().filter_map(|one| one.integrations.get(integration.id.as_str()));
            let left = duties.filter_map(|duty| duty.kandji_requests_left).min();
            check_integration(config, integration, left, &shutdown, &mut report).await?;
        }
        Ok::<(), Exit>(())
    };
    let Some(checked) = shutdown.soft.run_until_cancelled(checking).await else {
        return Err(Exit::Failed("stopped before everything was checked".into()));
    };
    checked?;
    match report.end() {
        0 => Ok(()),
        1 => Err(Exit::Failed("1 check failed".into())),
        failed => Err(Exit::Failed(format!("{failed} checks failed"))),
    }
}

/// Also asks the workers that run what they know.
async fn check_broker(
    config: &Config,
    shutdown: &Shutdown,
    report: &mut Report,
) -> Result<Vec<WorkerReport>, Exit> {
    let worker = format!("fetcher-check/{}", Uuid::new_v4());
    let broker = Broker::start(config, &worker, shutdown.soft.clone());
    let asked = match connected(&broker, config.timing.connect_timeout).await {
        Ok(session) => Ok(ask(&session, broker.names()).await.unwrap_or_default()),
        Err(exit) => Err(exit),
    };
    broker.close().await;
    match asked {
        Ok(workers) => {
            report.ok(format!("broker: connected to {}", config.broker.url));
            Ok(workers)
        }
        Err(Exit::Failed(reason)) => {
            report.failed(format!("broker: {reason}"), CURE);
            Ok(Vec::new())
        }
        // Another number of partitions: not a matter of this check alone, nothing could be started.
        Err(configuration @ Exit::Configuration(_)) => Err(configuration),
    }
}

async fn ask(session: &Arc<Session>, names: &Names) -> Result<Vec<WorkerReport>, BrokerError> {
    let fetchers = session.inspect(&names.workers("fetcher")).await?.map_or(0, |depth| depth.consumers);
    ask_workers(session, names, &BTreeMap::from([("fetcher", fetchers)])).await
}

async fn check_integration(
    config: &Config,
    integration: &Integration,
    left: Option<u32>,
    shutdown: &Shutdown,
    report: &mut Report,
) -> Result<(), Exit> {
    let retry = &config.retry;
    let reads = Policy::try_new(retry.initial, retry.max, retry.give_up_after.min(PATIENCE))
        .map_err(|error| Exit::Configuration(error.to_string()))?;
    let sample = kandji::check(integration, &reads, &shutdown.soft, left, report).await?;
    let records = amfj::check(integration, &reads, &shutdown.soft, report).await?;
    if let Some(sample) = sample {
        people::check(&sample.rows, &records, report);
        mapping::check(integration, &sample, report);
    }
    Ok(())
}
