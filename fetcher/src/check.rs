//! `fetcher check`: proves the configuration against the real services, and changes nothing in them.

use amfj_sync_shared::broker::Broker;
use amfj_sync_shared::command::{CURE, connected};
use amfj_sync_shared::config::{Config, Integration};
use amfj_sync_shared::worker::{Exit, Shutdown};
use uuid::Uuid;

mod amfj;
mod kandji;
mod mapping;
mod report;

use crate::run::policies;
use report::Report;

/// Checks everything and prints one line a check. Fails if any check did.
pub async fn run(config: &Config, shutdown: Shutdown, json: bool) -> Result<(), Exit> {
    let mut report = Report::new(json);
    let checking = async {
        check_broker(config, &shutdown, &mut report).await?;
        for integration in &config.integrations {
            report.begin(integration.id.as_str());
            check_integration(config, integration, &shutdown, &mut report).await?;
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

async fn check_broker(config: &Config, shutdown: &Shutdown, report: &mut Report) -> Result<(), Exit> {
    let worker = format!("fetcher-check/{}", Uuid::new_v4());
    let broker = Broker::start(config, &worker, shutdown.soft.clone());
    let connected = connected(&broker, config.timing.connect_timeout).await;
    broker.close().await;
    match connected {
        Ok(_) => report.ok(format!("broker: connected to {}", config.broker.url)),
        Err(Exit::Failed(reason)) => report.failed(format!("broker: {reason}"), CURE),
        // Another number of partitions: not a matter of this check alone, nothing could be started.
        Err(configuration @ Exit::Configuration(_)) => return Err(configuration),
    }
    Ok(())
}

async fn check_integration(
    config: &Config,
    integration: &Integration,
    shutdown: &Shutdown,
    report: &mut Report,
) -> Result<(), Exit> {
    let (reads, _) = policies(&config.retry).map_err(|error| Exit::Configuration(error.to_string()))?;
    let sample = kandji::check(integration, &reads, &shutdown.soft, report).await?;
    amfj::check(integration, &reads, &shutdown.soft, report).await?;
    if let Some(sample) = sample {
        mapping::check(integration, &sample, report);
    }
    Ok(())
}
