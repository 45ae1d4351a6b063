//! `amfj-sync check`: proves the configuration against the real services, and changes nothing in them. Everything is asked
//! at once, so that what does not answer costs its time only once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::profile;
use amfj_sync_backoff::Policy;
use amfj_sync_broker::{Broker, BrokerError, Caller, Names, Session, largest_taken};
use amfj_sync_config::{Config, Integration};
use amfj_sync_http::Api;
use amfj_sync_service::status::{WorkerReport, ask_workers};
use amfj_sync_service::worker::{Exit, Shutdown};
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesOrdered, StreamExt as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) mod amfj;
pub(crate) mod kandji;
pub(crate) mod mapping;
mod overwritten;
mod people;
pub(crate) mod report;

use report::{Printer, Report};

/// How long a service that has answered once is tried again: somebody is waiting.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than any device, asset or user record takes in a message.
const LARGEST_ROW: usize = 5 << 20;

/// How checks are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Print JSON.
    pub(crate) json: bool,
    /// How long the first answer of the broker and of each service may take.
    pub(crate) patience: Duration,
}

/// What the checks of the services need to know.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    /// Of the first request: the service may not be there at all.
    first: Policy,
    /// Of all that follow.
    reads: Policy,
    patience: Duration,
    stop: CancellationToken,
}

impl Asking {
    pub(crate) fn new(config: &Config, patience: Duration, stop: CancellationToken) -> Result<Self, Exit> {
        let retry = &config.retry;
        let policy = |give_up: Duration| {
            Policy::try_new(retry.initial, retry.max, retry.give_up_after.min(give_up))
                .map_err(|error| Exit::Configuration(error.to_string()))
        };
        Ok(Self { first: policy(patience)?, reads: policy(PATIENCE)?, patience, stop })
    }

    /// The first answer; without one in time, why there is none and what to do.
    async fn first<T>(
        &self,
        api: &Api,
        answer: impl Future<Output = T>,
    ) -> Result<T, (String, Option<String>)> {
        api.pulse().be_quiet();
        tokio::time::timeout(self.patience, answer).await.map_err(|_| {
            if let Some(failing) = api.pulse().failing() {
                return (failing.reason, None);
            }
            let service = api.name().to_lowercase();
            let said = format!("no answer from {} within {} s", api.host(), self.patience.as_secs());
            let cure = format!(
                "the service hangs or is down, a firewall is in between, or {service}.api_url names another host; if it \
                 is only slow, --patience SECONDS waits longer"
            );
            (said, Some(cure))
        })
    }
}

/// Checks everything side by side, and prints one line a check in the order of the configuration. Fails if any check did.
pub(crate) async fn run(config: &Config, shutdown: Shutdown, manner: Manner) -> Result<(), Exit> {
    profile::check(config).map_err(Exit::Configuration)?;
    let asking = Asking::new(config, manner.patience, shutdown.soft.clone())?;
    let mut printer = Printer::new(manner.json);
    let broker = check_broker(config, &shutdown, manner.patience).boxed().shared();
    let mut parts: FuturesOrdered<BoxFuture<'_, Result<Vec<Report>, Exit>>> = FuturesOrdered::new();
    let first = broker.clone();
    parts.push_back(async move { Ok(vec![first.await.report]) }.boxed());
    if !config.rejected.is_empty() {
        let rejected = check_files(config);
        parts.push_back(async move { Ok(vec![rejected]) }.boxed());
    }
    for integration in &config.integrations {
        let broker = broker.clone();
        let left = async move {
            let asked = broker.await;
            let duties = asked.workers.iter().filter_map(|one| one.integrations.get(integration.id.as_str()));
            duties.filter_map(|duty| duty.kandji_requests_left).min()
        };
        let asking = asking.clone();
        parts.push_back(async move { check_integration(integration, &asking, left).await }.boxed());
    }
    let checking = async {
        // What comes first is printed first, whatever has ended by then.
        while let Some(part) = parts.next().await {
            part?.into_iter().for_each(|report| printer.print(report));
        }
        Ok::<(), Exit>(())
    };
    let Some(checked) = shutdown.soft.run_until_cancelled(checking).await else {
        return Err(Exit::Failed("stopped before everything was checked".into()));
    };
    checked?;
    let wrong = broker.await.wrong;
    match (printer.end(), wrong) {
        (0, _) => Ok(()),
        // The others could not be started with this configuration either.
        (_, Some(reason)) => Err(Exit::Configuration(format!("broker: {reason}"))),
        (1, None) => Err(Exit::Failed("1 check failed".into())),
        (failed, None) => Err(Exit::Failed(format!("{failed} checks failed"))),
    }
}

/// What is wrong with files of the folder beside the main file.
fn check_files(config: &Config) -> Report {
    let mut report = Report::shared();
    for rejected in &config.rejected {
        for problem in rejected.errors.problems() {
            let place = problem
                .place
                .as_ref()
                .map_or_else(|| rejected.file.display().to_string(), ToString::to_string);
            report.failed(
                format!("{place}: {}", problem.message),
                "correct it; until then the integrations of this file are not served, and all others are",
            );
        }
    }
    report
}

/// How the broker stands.
#[derive(Debug, Clone)]
struct Asked {
    report: Report,
    /// What the workers that run know.
    workers: Arc<Vec<WorkerReport>>,
    /// What is wrong with the configuration.
    wrong: Option<String>,
}

/// Also asks the workers that run what they know.
async fn check_broker(config: &Config, shutdown: &Shutdown, patience: Duration) -> Asked {
    let worker = format!("amfj-sync-check/{}", Uuid::new_v4());
    let broker = Broker::start_for(Caller::Command, config, &worker, shutdown.soft.clone());
    let asked = match broker.session_within(patience).await {
        Ok(session) => {
            let (workers, limit) = tokio::join!(ask(&session, broker.names()), largest_message(&session));
            Ok((workers.unwrap_or_default(), limit))
        }
        Err(error) => Err(error),
    };
    broker.close().await;
    let mut report = Report::shared();
    match asked {
        Ok((workers, limit)) => {
            report.ok(format!("broker: connected to {}", config.broker.url));
            if let Some(limit) = limit {
                report.warning(
                    format!("broker: takes messages of up to {limit} bytes"),
                    "a device, asset or change that needs more is left out, and named by `amfj-sync status`; raise \
                     max_message_size in rabbitmq.conf (its default is enough)",
                );
            }
            Asked { report, workers: Arc::new(workers), wrong: None }
        }
        Err(error) => {
            report.failed("broker: not connected", error.to_string());
            let is_configuration = matches!(error, BrokerError::Partitions { .. });
            let wrong = is_configuration.then(|| "another number of partitions, as said above".to_owned());
            Asked { report, workers: Arc::default(), wrong }
        }
    }
}

/// What the broker takes, where that may be too little; none where it cannot be found out either.
async fn largest_message(session: &Arc<Session>) -> Option<usize> {
    let asked = tokio::time::timeout(PATIENCE, largest_taken(session, LARGEST_ROW)).await;
    asked.ok()?.ok().flatten()
}

async fn ask(session: &Arc<Session>, names: &Names) -> Result<Vec<WorkerReport>, BrokerError> {
    let fetchers = session.inspect(&names.workers("fetcher")).await?.map_or(0, |depth| depth.consumers);
    ask_workers(session, names, &BTreeMap::from([("fetcher", fetchers)])).await
}

/// Both services side by side, then what it takes both of them to say.
async fn check_integration(
    integration: &Integration,
    asking: &Asking,
    left: impl Future<Output = Option<u32>>,
) -> Result<Vec<Report>, Exit> {
    let (mut of_kandji, mut of_amfj) =
        (Report::of(integration.id.as_str()), Report::of(integration.id.as_str()));
    let (sample, seen) = tokio::try_join!(
        kandji::check(integration, asking, left, &mut of_kandji),
        amfj::check(integration, asking, &mut of_amfj),
    )?;
    if let Some(sample) = sample {
        mapping::check(integration, &sample, &mut of_kandji);
        if let Some(seen) = seen {
            people::check(&sample.rows, &seen.records, &mut of_amfj);
            overwritten::check(integration, &sample, &seen, asking, &mut of_amfj).await;
        }
    }
    Ok(vec![of_kandji, of_amfj])
}
