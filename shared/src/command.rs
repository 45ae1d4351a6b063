//! What the commands of all binaries have in common, as opposed to workers that serve: they give a
//! missing broker up, keep what they read in memory, and end by themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Broker, Session};
use crate::config::Config;
use crate::worker::{Exit, Shutdown, Worker};

/// What to do when the broker cannot be reached.
pub const CURE: &str =
    "check broker.url (host, port, user, password, virtual host) and that RabbitMQ runs there";

/// The first session; fails with the last trouble where the broker is not reached within `limit`. Declaring the queues
/// takes as long as there are queues.
pub async fn connected(broker: &Broker, limit: Duration) -> Result<Arc<Session>, Exit> {
    let session = broker.session();
    tokio::pin!(session);
    loop {
        match tokio::time::timeout(limit, &mut session).await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) if broker.is_declaring() => {}
            Err(_) => {
                let trouble = broker.trouble();
                return Err(Exit::Failed(
                    trouble.unwrap_or_else(|| "the broker did not answer in time".into()),
                ));
            }
        }
    }
}

/// The first session of a command that can do nothing without it.
pub async fn required(broker: &Broker, limit: Duration) -> Result<Arc<Session>, Exit> {
    connected(broker, limit).await.map_err(|exit| match exit {
        Exit::Failed(reason) => Exit::Failed(format!("{reason}; {CURE}")),
        configuration @ Exit::Configuration(_) => configuration,
    })
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
