//! Everything that was started, and the order in which it ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_security::private_files;
use amfj_sync_security::screen::say_error;
use amfj_sync_tests::harness::{PrivateBroker, room};
use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::up::process::Process;
use crate::up::showcase::watching::Watching;

/// What the workers promise for their end after `SIGTERM`.
const END_LIMIT: Duration = Duration::from_secs(20);

/// What was started or begun to start, by name, for a person who stops it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Started(Arc<Mutex<Vec<&'static str>>>);

impl Started {
    fn add(&self, what: &'static str) {
        self.0.lock().push(what);
    }

    /// What a signal does now, in one sentence.
    pub(crate) fn what_stops(&self) -> String {
        match self.0.lock().as_slice() {
            [] => "stopping; nothing was started yet".to_owned(),
            [only] => format!("stopping {only} …"),
            [first @ .., last] => format!("stopping {} and {last} …", first.join(", ")),
        }
    }

    fn is_nothing(&self) -> bool {
        self.0.lock().is_empty()
    }
}

/// All processes of one call, and the folders with their configuration, data and logs.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    /// Reads along in the broker; lets go before the broker ends.
    pub(crate) watching: Option<Watching>,
    /// fetcher, reconciler, writer.
    pub(crate) workers: Vec<Process>,
    /// Kandji and AMFJ.
    pub(crate) simulators: Option<Process>,
    /// RabbitMQ, if it is ours.
    broker: Option<PrivateBroker>,
    started: Started,
    /// Goes with the end of this process, unless something failed.
    temporary: Option<TempDir>,
    /// Stays.
    kept_logs: Option<PathBuf>,
}

impl Processes {
    /// What is started from now on is named there.
    pub(crate) fn started(&self) -> Started {
        self.started.clone()
    }

    /// Makes a folder for configuration, data and logs that goes again.
    pub(crate) fn use_temporary_folder(&mut self) -> Result<()> {
        room::temporary_folder_has_room()?;
        let folder = room::temporary_folder("amfj-sync-up-").context("no temporary folder")?;
        private_files::make_folder(&folder.path().join("logs")).context("no folder for the logs")?;
        self.temporary = Some(folder);
        Ok(())
    }

    /// Where the configuration and the data are.
    pub(crate) fn temporary_folder(&self) -> Result<&Path> {
        self.temporary.as_ref().map(TempDir::path).context("there is no temporary folder")
    }

    /// Keeps the logs in this folder.
    pub(crate) fn keep_logs_in(&mut self, folder: PathBuf) -> Result<()> {
        private_files::make_folder(&folder).with_context(|| {
            format!(
                "cannot use the folder for the logs, {}; start this where you can write, or set data_dir",
                folder.display()
            )
        })?;
        if private_files::is_open_to_others(&folder) {
            say_error(&format!(
                "warning: others can look into the folder for the logs; run: chmod 700 {}",
                folder.display()
            ));
        }
        self.kept_logs = Some(folder);
        Ok(())
    }

    /// Where the logs are.
    pub(crate) fn logs(&self) -> Result<PathBuf> {
        let temporary = self.temporary.as_ref().map(|folder| folder.path().join("logs"));
        self.kept_logs.clone().or(temporary).context("there is no folder for the logs")
    }

    /// Starts a RabbitMQ that ends with this, and returns its address.
    pub(crate) async fn start_broker(&mut self) -> Result<String> {
        self.started.add("RabbitMQ");
        Ok(self.broker.insert(PrivateBroker::start().await?).url())
    }

    /// Where the private RabbitMQ has its files, which only its owner can read, and which go with it.
    pub(crate) fn broker_folder(&self) -> Option<&Path> {
        self.broker.as_ref().map(PrivateBroker::folder)
    }

    /// Keeps the simulators.
    pub(crate) fn add_simulators(&mut self, process: Process) -> &mut Process {
        self.started.add("the simulators");
        self.simulators.insert(process)
    }

    /// Keeps a worker.
    pub(crate) fn add_worker(&mut self, process: Process) {
        self.started.add(process.name());
        self.workers.push(process);
    }

    /// Fails once any of them has ended.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        self.workers.iter_mut().chain(&mut self.simulators).try_for_each(Process::still_runs)
    }

    /// Ends all of them, those that depend on others first. After a failure the folder stays.
    pub(crate) async fn stop(self, failed: bool) {
        let Self { watching, workers, simulators, broker, started, temporary, kept_logs } = self;
        let deadline = Instant::now() + END_LIMIT;
        workers.iter().for_each(Process::ask_to_stop);
        for worker in workers {
            let name = worker.name();
            if worker.gone_by(deadline).await.is_none() {
                say_error(&format!("the {name} did not end within {} s and was killed", END_LIMIT.as_secs()));
            }
        }
        if let Some(watching) = watching {
            watching.stop().await;
        }
        // Neither has anything to save: the fleet is made up, and the private broker's data is thrown away.
        drop(simulators);
        drop(broker);
        if started.is_nothing() {
            return;
        }
        say_error("everything is stopped");
        match (kept_logs, temporary) {
            (Some(logs), _) => say_error(&format!("the logs are in {}", logs.display())),
            (None, Some(mut folder)) if failed => {
                folder.disable_cleanup(true);
                say_error(&format!("logs, configuration and data are kept in {}", folder.path().display()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_what_stops() {
        let started = Started::default();
        assert_eq!(started.what_stops(), "stopping; nothing was started yet");
        started.add("the simulators");
        assert_eq!(started.what_stops(), "stopping the simulators …");
        started.add("RabbitMQ");
        started.add("fetcher");
        assert_eq!(started.what_stops(), "stopping the simulators, RabbitMQ and fetcher …");
    }
}
