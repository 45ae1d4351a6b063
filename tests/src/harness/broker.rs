//! A RabbitMQ of one's own, one node or a cluster: private folders, private ports, loopback only.
//!
//! Needs the Debian package `rabbitmq-server` (`deploy/lib/install.sh` installs it) or, through
//! `AMFJ_SYNC_RABBITMQ_SERVER`, the path of any other `rabbitmq-server`. The machine's own broker,
//! if there is one, is neither used nor noticed.

mod cluster;
mod node;

use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::room::temporary_folder;
pub(crate) use node::{Life, Node, Ports, answers};

/// The environment variable that names another `rabbitmq-server` to run.
pub const SERVER_VARIABLE: &str = "AMFJ_SYNC_RABBITMQ_SERVER";

/// How often a start is tried again on other ports: between finding a port free and listening on
/// it, another process may take it.
pub(crate) const ATTEMPTS: u32 = 3;

/// A RabbitMQ broker that belongs to this value: one node, or several as a cluster.
///
/// Dropping it kills its nodes and removes their folders. If this process dies without dropping it,
/// the nodes notice and do the same by themselves.
#[derive(Debug)]
pub struct PrivateBroker {
    /// Never empty.
    members: Vec<Member>,
    /// Where there are several nodes: what they find each other with, and the way in.
    shared: Option<cluster::Shared>,
}

/// A node, alive or not, and what it comes back with.
#[derive(Debug)]
struct Member {
    // Before the folder: fields are dropped in this order, and the node writes to the folder.
    node: Option<Node>,
    ports: Ports,
    folder: TempDir,
}

impl Member {
    fn new(ports: Ports) -> Result<Self> {
        let folder = temporary_folder("amfj-sync-broker-").context("cannot create the broker's folder")?;
        Ok(Self { node: None, ports, folder })
    }

    /// Starts its processes, if they are not there.
    fn launch(&mut self) -> Result<()> {
        if !self.is_running() {
            self.node = Some(Node::launch(self.folder.path(), &self.ports, &Life::Owner)?);
        }
        Ok(())
    }

    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let node = self.node.as_mut().context("the private RabbitMQ node was not started")?;
        node.wait_until_it_answers(self.folder.path(), &self.ports).await
    }

    fn is_running(&mut self) -> bool {
        self.node.as_mut().is_some_and(Node::is_running)
    }
}

impl PrivateBroker {
    /// Starts a node with empty data and waits until it answers, about six seconds.
    ///
    /// # Errors
    /// If RabbitMQ is not installed or does not come up; the message ends with the node's log.
    pub async fn start() -> Result<Self> {
        super::room::temporary_folder_has_room()?;
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
        let mut broker = Self { members: vec![Member::new(ports)?], shared: None };
        broker.restart().await?;
        Ok(broker)
    }

    /// The address to put into `broker.url`. It stays the same over [`Self::restart`], and leads to a node
    /// that lives.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.as_ref().map_or_else(|| self.members[0].ports.url(), cluster::Shared::url)
    }

    /// `rabbitmqctl` at a node that lives; returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let lives = self.members.iter().find(|member| member.node.is_some());
        let member = lives.unwrap_or(&self.members[0]);
        node::ctl(member.folder.path(), &member.ports, arguments).await
    }

    /// Where the (first) node keeps its data and its log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.members[0].folder.path()
    }

    /// The last lines of the log of each node, for a person to read.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.members.iter().map(|member| node::log_tail(member.folder.path())).collect()
    }

    /// Whether processes of a node are there (not whether it answers).
    pub fn is_running(&mut self) -> bool {
        self.members.iter_mut().any(Member::is_running)
    }

    /// Ends it in good order; its data stays for [`Self::restart`].
    ///
    /// # Errors
    /// If a node had to be killed because it did not end in time.
    pub async fn stop(&mut self) -> Result<()> {
        for node in 0..self.members.len() {
            self.stop_node(node).await?;
        }
        Ok(())
    }

    /// Kills it as a power failure would; its data stays for [`Self::restart`].
    pub fn kill(&mut self) {
        for member in &mut self.members {
            member.node = None;
        }
    }

    /// Starts it again on the same ports with the same data. What still runs is stopped first.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        // All at once: a node of a cluster waits for those that were there when it ended.
        for member in &mut self.members {
            member.launch()?;
        }
        for member in &mut self.members {
            member.wait_until_it_answers().await?;
        }
        Ok(())
    }
}
