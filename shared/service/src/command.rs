//! What the commands of all binaries have in common, as opposed to workers that serve: they give a
//! missing broker up, keep what they read in memory, and end by themselves.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{Broker, Session};
use amfj_sync_config::Config;

use crate::worker::{Exit, Shutdown, Worker};

/// The first session of a command that can do nothing without it. Fails at once where waiting cannot help, and else when
/// nobody has answered within `limit`.
pub async fn required(broker: &Broker, limit: Duration) -> Result<Arc<Session>, Exit> {
    Ok(broker.session_within(limit).await?)
}

/// Reads the state of every integration of the configuration into memory, to its end. No worker's data
/// directory is touched, and no worker has to run. `name` is the command's, for the broker's lists.
pub async fn follow(name: &str, config: Config) -> Result<Worker, Exit> {
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    let worker = Worker::start(name, config, None, shutdown).await?;
    match read_to_end(&worker).await {
        Ok(()) => Ok(worker),
        Err(exit) => {
            worker.finish().await;
            Err(exit)
        }
    }
}

async fn read_to_end(worker: &Worker) -> Result<(), Exit> {
    let stopped = || Exit::Failed("stopped before everything was read".into());
    let connecting = required(&worker.broker, worker.config.timing.connect_timeout);
    worker.shutdown.soft.run_until_cancelled(connecting).await.ok_or_else(stopped)??;
    worker.caught_up().await?;
    if worker.shutdown.soft.is_cancelled() { Err(stopped()) } else { Ok(()) }
}
