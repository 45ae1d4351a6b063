//! Everything that was started, and the order in which it ends.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amfj_sync_tests::harness::PrivateBroker;
use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::Process;
use crate::showcase::watching::Watching;

/// What the workers promise for their end after `SIGTERM`.
const END_LIMIT: Duration = Duration::from_secs(20);

/// All processes of one call, and the folder with their configuration, data and logs.
#[derive(Debug)]
pub(crate) struct Crew {
    /// Reads along in the broker; lets go before the broker ends.
    pub(crate) watching: Option<Watching>,
    /// fetcher, reconciler, writer.
    pub(crate) workers: Vec<Process>,
    /// Kandji and AMFJ.
    pub(crate) simulators: Option<Process>,
    /// RabbitMQ, if it is ours.
    pub(crate) broker: Option<PrivateBroker>,
    folder: TempDir,
}

impl Crew {
    /// Nobody yet.
    pub(crate) fn new() -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("amfj-sync-up-").tempdir().context("no temporary folder")?;
        std::fs::create_dir(folder.path().join("logs")).context("no folder for the logs")?;
        Ok(Self { watching: None, workers: Vec::new(), simulators: None, broker: None, folder })
    }

    /// Where the configuration and the data are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the logs are.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// Fails once any of them has ended.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        self.workers.iter_mut().chain(&mut self.simulators).try_for_each(Process::still_runs)
    }

    /// Ends all of them, those that depend on others first. After a failure the folder stays.
    pub(crate) async fn stop(self, failed: bool) {
        let Self { watching, workers, simulators, broker, mut folder } = self;
        let busy = !workers.is_empty() || broker.is_some();
        if busy {
            eprintln!("stopping everything …");
        }
        let deadline = Instant::now() + END_LIMIT;
        workers.iter().for_each(Process::ask_to_stop);
        for worker in workers {
            let name = worker.name();
            if worker.gone_by(deadline).await.is_none() {
                eprintln!("the {name} did not end within {} s and was killed", END_LIMIT.as_secs());
            }
        }
        if let Some(watching) = watching {
            watching.stop().await;
        }
        // Neither has anything to save: the fleet is made up, and the private broker's data is thrown away.
        drop(simulators);
        drop(broker);
        if failed && busy {
            folder.disable_cleanup(true);
            eprintln!("logs, configuration and data are kept in {}", folder.path().display());
        }
    }
}
