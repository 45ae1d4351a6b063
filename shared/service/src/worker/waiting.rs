//! A worker whose data directory cannot be written to when it starts: it says so, and waits until somebody makes room.
//!
//! It would be no help to end: whoever supervises it starts it again and again, ever more slowly, and meanwhile nobody
//! answers who asks what is wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::Caller;
use amfj_sync_config::Config;
use amfj_sync_projection::{DataDir, OnDisk, StoreError};
use amfj_sync_telemetry::recorder;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Exit, Shutdown, Worker};
use crate::endpoints::{Health, Server};
use crate::status::{self, WorkerReport, keep_answering};

/// Between two looks at whether there is room again.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Between two trials of a disk that worked last time.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// How long the port of a worker that waited may be held after its end.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(5);

impl Worker {
    /// As [`Worker::start`], for a worker that serves at `listen`: where the data directory is full or read-only, it
    /// waits, and says so. None where it was told to stop meanwhile. Its `listen` is where it has to serve from now on.
    pub async fn start_serving(
        role: &str,
        config: Config,
        on_disk: OnDisk<'_>,
        mut listen: SocketAddr,
        shutdown: Shutdown,
    ) -> Result<Option<(Self, SocketAddr)>, Exit> {
        let mut ailing: Option<Ailing> = None;
        let data_dir = loop {
            match open(on_disk.path.to_owned(), on_disk.cache).await? {
                Ok(data_dir) => break data_dir,
                Err(error) if error.may_pass() => {
                    let ailing = match &ailing {
                        Some(ailing) => ailing,
                        None => ailing
                            .insert(Ailing::start(role, config.clone(), listen, &shutdown, &error).await?),
                    };
                    listen = ailing.server.address();
                    ailing.wait().await;
                }
                Err(error) => return Err(error.into()),
            }
            if shutdown.soft.is_cancelled() {
                break_off(ailing).await;
                return Ok(None);
            }
        };
        break_off(ailing).await;
        let worker = Self::start_in(role, config, Some(data_dir), on_disk.for_matching, shutdown)?;
        Ok(Some((worker, listen)))
    }

    /// Tries its disk out again and again, so that one that fails is noticed also where nothing is to be written.
    pub async fn try_disk_out(self: Arc<Self>) {
        let stop = &self.shutdown.soft;
        while stop.run_until_cancelled(tokio::time::sleep(TRY_EVERY)).await.is_some() {
            let worker = self.clone();
            let tried = tokio::task::spawn_blocking(move || worker.data_dir.as_ref().map(DataDir::try_out));
            drop(stop.run_until_cancelled(tried).await);
        }
    }
}

/// Opens a data directory.
pub(super) async fn open(path: PathBuf, cache: u64) -> Result<Result<DataDir, StoreError>, Exit> {
    let opened = tokio::task::spawn_blocking(move || DataDir::open(OnDisk { cache, ..OnDisk::at(&path) }));
    opened.await.map_err(|error| Exit::Failed(error.to_string()))
}

async fn break_off(ailing: Option<Ailing>) {
    if let Some(Ailing { worker, server }) = ailing {
        tracing::info!("the data directory can be written to again");
        worker.finish().await;
        server.ended_within(PORT_FREE_WITHIN).await;
    }
}

/// A worker that does nothing but say what ails it.
struct Ailing {
    worker: Arc<Worker>,
    server: Server,
}

impl Ailing {
    async fn start(
        role: &str,
        config: Config,
        listen: SocketAddr,
        shutdown: &Shutdown,
        error: &StoreError,
    ) -> Result<Self, Exit> {
        recorder().map_err(|error| Exit::Failed(error.to_string()))?;
        let shutdown = Shutdown { soft: shutdown.soft.child_token(), ..Shutdown::default() };
        let id = format!("{role}/{}", Uuid::new_v4());
        let worker = Arc::new(Worker::connected(role, id, Caller::Worker, config, None, shutdown));
        worker.illness.strike(|| format!("{error}; waiting until it can be"));
        let health = Arc::new(AilingHealth(worker.clone()));
        worker.tasks.spawn(keep_answering(worker.clone(), health.clone()));
        let server = Server::start(listen, health, worker.shutdown.hard.clone()).await;
        Ok(Self { worker, server: server.map_err(|error| Exit::Failed(error.to_string()))? })
    }

    async fn wait(&self) {
        self.worker.shutdown.soft.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await;
    }
}

struct AilingHealth(Arc<Worker>);

impl Health for AilingHealth {
    fn not_ready(&self) -> Vec<String> {
        self.0.not_ready()
    }

    fn report(&self) -> WorkerReport {
        self.0.report()
    }

    fn status(&self) -> Value {
        status::to_json(&self.0, &self.report(), &|_, _| Map::new())
    }

    fn worker(&self) -> &Arc<Worker> {
        &self.0
    }
}
