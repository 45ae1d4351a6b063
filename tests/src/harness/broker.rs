//! A RabbitMQ node of one's own: private folder, private ports, loopback only.
//!
//! Needs the Debian package `rabbitmq-server` (`deploy/lib/install.sh` installs it) or, through
//! `AMFJ_SYNC_RABBITMQ_SERVER`, the path of any other `rabbitmq-server`. The machine's own broker,
//! if there is one, is neither used nor noticed.

mod node;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

pub(crate) use node::{Life, Node, Ports, answers};

/// The environment variable that names another `rabbitmq-server` to run.
pub const SERVER_VARIABLE: &str = "AMFJ_SYNC_RABBITMQ_SERVER";

/// How often a start is tried again on other ports: between finding a port free and listening on
/// it, another process may take it.
pub(crate) const ATTEMPTS: u32 = 3;

/// A RabbitMQ node that belongs to this value.
///
/// Dropping it kills the node and removes its folder. If this process dies without dropping it,
/// the node notices and does the same by itself.
#[derive(Debug)]
pub struct PrivateBroker {
    // Before the folder: fields are dropped in this order, and the node writes to the folder.
    node: Option<Node>,
    ports: Ports,
    folder: TempDir,
}

impl PrivateBroker {
    /// Starts a node with empty data and waits until it answers, about six seconds.
    ///
    /// # Errors
    /// If RabbitMQ is not installed or does not come up; the message ends with the node's log.
    pub async fn start() -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_on(Ports::find()?).await {
                Ok(broker) => return Ok(broker),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    async fn start_on(ports: Ports) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("amfj-sync-broker-")
            .tempdir()
            .context("cannot create the broker's folder")?;
        let mut broker = Self { node: None, ports, folder };
        broker.restart().await?;
        Ok(broker)
    }

    /// The address to put into `broker.url`. It stays the same over [`Self::restart`].
    #[must_use]
    pub fn url(&self) -> String {
        self.ports.url()
    }

    /// `rabbitmqctl` at this node; returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String> {
        node::ctl(self.folder.path(), &self.ports, arguments).await
    }

    /// Where the node keeps its data and its log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The last lines of the node's log, for a person to read.
    #[must_use]
    pub fn log_tail(&self) -> String {
        node::log_tail(self.folder.path())
    }

    /// Whether the node's processes are there (not whether it answers).
    pub fn is_running(&mut self) -> bool {
        self.node.as_mut().is_some_and(Node::is_running)
    }

    /// Ends the node in good order; its data stays for [`Self::restart`].
    ///
    /// # Errors
    /// If the node had to be killed because it did not end within 20 seconds.
    pub async fn stop(&mut self) -> Result<()> {
        match self.node.take() {
            Some(node) => node.stop(Duration::from_secs(20)).await,
            None => Ok(()),
        }
    }

    /// Kills the node as a power failure would; its data stays for [`Self::restart`].
    pub fn kill(&mut self) {
        self.node = None;
    }

    /// Starts the node again on the same ports with the same data. A node that still runs is
    /// stopped first.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let mut node = Node::launch(self.folder.path(), &self.ports, &Life::Owner)?;
        node.wait_until_it_answers(self.folder.path(), &self.ports).await?;
        self.node = Some(node);
        Ok(())
    }
}
